# SPDX-License-Identifier: MIT
#
# Quire. `make deps run` and `make deps check` are the two commands to know; `make help`
# lists the rest. Everything made goes under build/ (or O=DIR). V=1 shows the commands, CC=clang
# and CROSS_COMPILE= choose tools, CPUS= MEM= QEMU= QEMUEXTRA= reach tools/run.

MAKEFLAGS += -r --no-print-directory
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

# With other goals beside them, `deps` and `clean` come first and the others start afresh
# after them, so that they see what was installed or removed.
FIRST := $(filter deps clean,$(MAKECMDGOALS))
REST := $(filter-out deps clean,$(MAKECMDGOALS))
ifneq ($(and $(FIRST),$(REST)),)
.PHONY: $(FIRST) $(REST) first
$(FIRST) $(REST): first
	@:
first:
	+@$(MAKE) $(FIRST)
	+@$(MAKE) $(REST)
RESTARTED := 1
endif

ifndef RESTARTED

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# O=DIR builds elsewhere, for two builds of one tree at a time.
O ?= build
B := $(O)
export QUIRE_BUILD := $(abspath $(B))
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

# Tools ----------------------------------------------------------------------

ifeq ($(origin CROSS_COMPILE),undefined)
CROSS_COMPILE := $(shell for p in x86_64-elf- x86_64-linux-gnu-; do \
	command -v $${p}gcc >/dev/null && command -v $${p}ld >/dev/null && echo $$p && break; done)
endif
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
ifeq ($(origin LD),default)
LD := $(CROSS_COMPILE)ld
endif
NM := $(CROSS_COMPILE)nm
HOSTCC ?= gcc
USERCC ?= musl-gcc
STRIP ?= strip
CLANG ?= clang
PYTHON ?= python3
BUSYBOX ?= $(shell command -v busybox 2>/dev/null)

# Warnings are errors in continuous integration only.
WARN := -Wall -Wextra
ifneq ($(CI),)
WARN += -Werror
endif

# The kernel -----------------------------------------------------------------

KSRC := $(wildcard boot/*.S boot/*.c arch/*.S arch/*.c mm/*.c kernel/*.c kernel/*/*.c)
KOBJ := $(addprefix $(B)/obj/,$(addsuffix .o,$(KSRC)))
KCPP = -I. -nostdinc -isystem $(shell $(CC) -print-file-name=include) -MMD -MP
KFLAGS = $(KCPP) -O2 -g -ffreestanding -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	-fno-pie -fno-pic -fno-stack-protector -fno-strict-aliasing -fno-asynchronous-unwind-tables \
	-fno-omit-frame-pointer -fno-common -fcf-protection=none $(WARN) $(EXTRA_KFLAGS)
KCFLAGS = -std=gnu17 $(KFLAGS)
KLDFLAGS = -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none

# User programs: every user/*.c and tests/user/*.c is one program of its own. A file that
# wants other flags has them in a variable: UFLAGS_name in user/flags.mk, tests/user/flags.mk.
USER := $(patsubst user/%.c,%,$(wildcard user/*.c))
UTEST := $(patsubst tests/user/%.c,%,$(wildcard tests/user/*.c))
-include user/flags.mk tests/user/flags.mk
UFLAGS = -std=gnu17 -static -O2 -g -I. -pthread -MMD -MP $(WARN)

# Tests of mm/ on the host; tests/host/sources.mk may add to HOST_SRC, and name in
# HOST_NOT what it leaves out.
HTEST := $(patsubst tests/host/%.c,%,$(wildcard tests/host/*_test.c))
HRACE := $(filter %_race_test,$(HTEST))
HOST_SRC := $(wildcard mm/*.c tests/host/fake/*.c) \
	kernel/base/counters.c kernel/base/tunables.c kernel/base/text.c
-include tests/host/sources.mk
HOST_SRC := $(filter-out $(HOST_NOT),$(HOST_SRC))
HFLAGS = -std=gnu17 -O1 -g -Itests/host/fake -I. -DQUIRE_HOST -fno-omit-frame-pointer \
	-pthread -MMD -MP $(WARN) $(EXTRA_HFLAGS)
asan_SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
tsan_SAN := -fsanitize=thread -Wno-tsan
HOST_BIN := $(HTEST:%=$(B)/host/asan/%) $(HRACE:%=$(B)/host/tsan/%)

# Goals ----------------------------------------------------------------------

.PHONY: all deps run qemu check test soak iso run-iso run-uefi gdb debug doctor format lint lines \
	bench compare clean help tests kernel FORCE
all: kernel $(B)/initrd.cpio
kernel: $(B)/quire.elf
tests: all $(B)/linux.cpio $(HOST_BIN) $(UTEST:%=$(B)/tests/user/%) $(B)/tests.cpio

help:
	@sed -n 's/^#: //p' Makefile
#: make            build the kernel and its first file system
#: make deps       install what is missing (Debian, Ubuntu; as root), or say what is
#: make run        boot to the shell on the serial console (also: make qemu)
#: make check      every test (also: make test); T=name picks some
#: make soak       boot N times (N=200), mixed ways and sizes
#: make iso        the GRUB image build/quire.iso
#: make run-iso    boot that image by BIOS;  make run-uefi  by UEFI
#: make gdb        boot and wait for gdb;  make debug  log interrupts to build/qemu.log
#: make bench      the table of costs beside their targets, and what they have moved by
#: make compare    the same binary on Debian's Linux and here, side by side
#: make doctor     name each missing tool and its package
#: make format     clang-format what you changed (since FROM=HEAD);  make lint  more warnings
#: make lines      code by folder
#: make clean      remove build/
#: V=1 O=DIR CC= CROSS_COMPILE= CPUS= MEM= QEMU= QEMUEXTRA= have their usual meaning

deps:
	@tools/deps install
doctor:
	@tools/deps doctor

# The status of the guest's last command is nobody's error here.
console = @$(1) || { s=$$?; [ $$s -lt 124 ] || [ $$s -gt 126 ] || exit $$s; }
run qemu: all
	$(call console,tools/run)
run-iso: iso
	$(call console,tools/run --boot bios --iso $(B)/quire.iso)
run-uefi: iso
	$(call console,tools/run --boot uefi --iso $(B)/quire.iso)
debug: all
	@echo "interrupts and resets go to $(B)/qemu.log"
	$(call console,tools/run --qemu-extra '-d int$(comma)cpu_reset -D $(B)/qemu.log')
gdb: all
	@echo "QEMU waits. In another terminal, here: gdb -x tools/gdbinit"
	$(call console,tools/run --gdb)
comma := ,

check test: tests iso
	@$(PYTHON) tests/run $(T)
soak: all
	@$(PYTHON) tests/boot/soak.py $(or $(N),200)
bench: all
	@$(PYTHON) tools/bench $(BENCH_ARGS)
	@$(PYTHON) tools/reclaim-curve
	@$(PYTHON) tools/window-curve
lines:
	@tools/lines
compare: all $(B)/linux.cpio
	@$(PYTHON) tools/compare $(COMPARE_ARGS)
clean:
	rm -rf $(B)

# Rules: the kernel ----------------------------------------------------------

# A file of flags changes only when they do, and what depends on it is made anew.
$(B)/%.flags: FORCE
	@mkdir -p $(@D); printf '%s\n' '$($*_ID)' | cmp -s - $@ || printf '%s\n' '$($*_ID)' >$@
kernel_ID = $(CC) $(KCFLAGS) $(LD) $(KLDFLAGS)
user_ID = $(USERCC) $(UFLAGS)
host_ID = $(HOSTCC) $(HFLAGS)
names_ID = $(KSRC) $(USER) $(UTEST) $(HOST_SRC)

$(B)/obj/%.c.o: %.c $(B)/kernel.flags
	$(say) CC $<
	$(Q)mkdir -p $(@D) && $(CC) $(KCFLAGS) -c -o $@ $<
$(B)/obj/%.S.o: %.S $(B)/kernel.flags
	$(say) AS $<
	$(Q)mkdir -p $(@D) && $(CC) $(KFLAGS) -c -o $@ $<
$(B)/ksyms%.o: $(B)/ksyms%.S
	$(Q)$(CC) -c -o $@ $<

# Panics name functions, so the kernel carries a table of its own symbols: linked without
# it, with it, and once more with the addresses that the table's size has moved.
link = $(Q)$(LD) $(KLDFLAGS) -T linker.ld -o $@ $(KOBJ) $(filter $(B)/ksyms%.o,$^)
LINK_DEPS := $(KOBJ) linker.ld $(B)/names.flags
$(B)/ksyms0.S: tools/ksyms.py
	$(Q)mkdir -p $(@D) && $(PYTHON) tools/ksyms.py </dev/null >$@
$(B)/kernel0.elf: $(LINK_DEPS) $(B)/ksyms0.o
	$(link)
$(B)/ksyms1.S: $(B)/kernel0.elf tools/ksyms.py
	$(Q)$(NM) -n $< | $(PYTHON) tools/ksyms.py >$@
$(B)/kernel1.elf: $(LINK_DEPS) $(B)/ksyms1.o
	$(link)
$(B)/ksyms2.S: $(B)/kernel1.elf tools/ksyms.py
	$(Q)$(NM) -n $< | $(PYTHON) tools/ksyms.py >$@
$(B)/quire.elf: $(LINK_DEPS) $(B)/ksyms2.o
	$(say) LD $@
	$(link)
	$(Q)$(NM) -n $@ | $(PYTHON) tools/ksyms.py | cmp - $(B)/ksyms2.S

# Rules: user programs and file systems --------------------------------------

$(B)/user/%: user/%.c $(B)/user.flags
	$(say) USERCC $<
	$(Q)mkdir -p $(@D) && $(USERCC) $(UFLAGS) $(UFLAGS_$*) -MF $@.d -o $@ $< $(ULIBS_$*)
$(B)/tests/user/%: tests/user/%.c $(B)/user.flags
	$(say) USERCC $<
	$(Q)mkdir -p $(@D) && $(USERCC) $(UFLAGS) $(UFLAGS_$*) -MF $@.d -o $@ $< $(ULIBS_$*)
$(B)/bin/%: $(B)/user/%
	$(Q)mkdir -p $(@D) && $(STRIP) -o $@ $<
$(B)/tests/bin/%: $(B)/tests/user/%
	$(Q)mkdir -p $(@D) && $(STRIP) -o $@ $<

$(B)/initrd.cpio: $(USER:%=$(B)/bin/%) tools/mkcpio.py tools/libcpio.py $(B)/names.flags
	$(say) CPIO $@
	$(Q)$(PYTHON) tools/mkcpio.py -o $@ --base '$(BUSYBOX)' \
		$(foreach p,$(USER),$(if $(filter init,$p),/sbin/,/bin/)$p=$(B)/bin/$p)
$(B)/tests.cpio: $(UTEST:%=$(B)/tests/bin/%) tools/mkcpio.py tools/libcpio.py $(B)/names.flags
	$(say) CPIO $@
	$(Q)mkdir -p $(@D) && $(PYTHON) tools/mkcpio.py -o $@ \
		$(foreach p,$(UTEST),/tests/$p=$(B)/tests/bin/$p)

# What tools/compare lays over the first files for a Linux: another first program.
$(B)/linux-init: tools/linux-init.c $(B)/user.flags
	$(say) USERCC $<
	$(Q)mkdir -p $(@D) && $(USERCC) $(UFLAGS) -MF $@.d -o $@ $<
$(B)/linux.cpio: $(B)/linux-init tools/mkcpio.py tools/libcpio.py
	$(say) CPIO $@
	$(Q)$(PYTHON) tools/mkcpio.py -o $@ /init=$<

iso: $(B)/quire.iso
$(B)/quire.iso: $(B)/quire.elf $(B)/initrd.cpio grub.cfg
	$(say) ISO $@
	$(Q)rm -rf $(B)/iso && mkdir -p $(B)/iso/boot/grub && cp grub.cfg $(B)/iso/boot/grub/ \
		&& cp $(B)/quire.elf $(B)/initrd.cpio $(B)/iso/boot/
	$(Q)grub-mkrescue -o $@ $(B)/iso >$(B)/iso.log 2>&1 || { cat $(B)/iso.log; exit 1; }

# Rules: host tests ----------------------------------------------------------

define host_rules
$(B)/host/$(1)/obj/%.o: %.c $(B)/host.flags
	$$(say) HOSTCC "$$< ($(1))"
	$$(Q)mkdir -p $$(@D) && $$(HOSTCC) $$(HFLAGS) $$($(1)_SAN) -c -o $$@ $$<
$(B)/host/$(1)/%_test: $(B)/host/$(1)/obj/tests/host/%_test.o \
		$(HOST_SRC:%.c=$(B)/host/$(1)/obj/%.o) $(B)/names.flags
	$$(say) HOSTLD $$@
	$$(Q)$$(HOSTCC) -pthread $$($(1)_SAN) -o $$@ $$(filter %.o,$$^) -lcmocka $$(HOST_LIBS)
endef
$(eval $(call host_rules,asan))
$(eval $(call host_rules,tsan))

# Care of the source ---------------------------------------------------------

PYTHONS := $(wildcard tools/*.py tests/boot/*.py) tools/run tools/bench tools/lines tools/profile tools/reclaim-curve tools/window-curve tools/threads tools/compare tests/run
SHELLS := tools/deps .ci/run $(wildcard tests/boot/*.sh)
CPPCHECK := cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr \
	--error-exitcode=1 -I. --suppressions-list=tools/cppcheck.txt --include=tools/cppcheck.h \
	-D__x86_64__
# Lines that differ from FROM (HEAD) alone: tables set by hand, one-line structs and the tabs before comments, of
# which clang-format has no notion, stay as they are elsewhere.
format:
	git diff -U0 --no-color $(or $(FROM),HEAD) -- '*.[ch]' ':!third_party' | clang-format-diff -p1 -i
lint: $(B)/kernel.flags
	@$(MAKE) -s CC=$(CLANG) lint-clang
	@if command -v cppcheck >/dev/null; then echo '  CPPCHECK'; \
		$(CPPCHECK) $(filter %.c,$(KSRC)) && $(CPPCHECK) $(wildcard user/*.c); fi
	@if command -v shellcheck >/dev/null; then echo '  SHELLCHECK'; shellcheck $(SHELLS); fi
	@echo '  PYTHON'; $(PYTHON) tools/lint.py $(PYTHONS)
.PHONY: lint-clang
lint-clang:
	@for f in $(filter %.c,$(KSRC)); do echo "  CLANG   $$f"; \
		$(CC) $(filter-out -MMD -MP,$(KCFLAGS)) -Werror -fsyntax-only $$f || exit 1; done
	@musl=$$($(USERCC) -E -Wp,-v -xc /dev/null 2>&1 | sed -n 's/^ //p' | head -n 1); \
	for f in $(wildcard user/*.c tests/user/*.c); do echo "  CLANG   $$f"; \
		$(CC) -std=gnu17 -I. -nostdlibinc -isystem $$musl -Wall -Wextra -Werror -fsyntax-only $$f \
		|| exit 1; done

-include $(KOBJ:.o=.d) $(USER:%=$(B)/user/%.d) $(UTEST:%=$(B)/tests/user/%.d)
-include $(foreach s,asan tsan,$(patsubst %.c,$(B)/host/$s/obj/%.d,$(HOST_SRC) $(HTEST:%=tests/host/%.c)))

endif
