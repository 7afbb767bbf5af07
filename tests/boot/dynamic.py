# SPDX-License-Identifier: MIT
"""Dynamically linked programs from the disk: Debian's, as they are installed here, print what they print here; and one
of ours, with musl's loader and with glibc's, looks at what the kernel and the loader have told it.
tests/run: limit=300"""
import glob
import os
import re
import shlex
import shutil
import subprocess
from lib import run, equal, compile, check, finish, mke2fs, BUILD, SCRATCH

TREE = os.path.join(SCRATCH, "tree")
DATA = TREE + "/data"
PERL = 'my %n; while (<>) { $n{length $1}++ while /(\\w+)/g } print join(" ", map { "$_=$n{$_}" } sort { $a <=> $b } keys %n), "\\n"; print qx(echo $$ | wc -l)'
PYTHON = ("import sys, json, hashlib, threading, subprocess; t = open(sys.argv[1]).read();"
          "r = []; h = [threading.Thread(target=lambda i=i: r.append(sum(map(len, t.split()[i::4])))) for i in range(4)];"
          "[x.start() for x in h]; [x.join() for x in h];"
          "print(json.dumps({'sum': sum(r), 'lines': t.count(chr(10)), 'sha': hashlib.sha256(t.encode()).hexdigest()}));"
          "print(subprocess.run(['/bin/echo', 'child'], stdout=subprocess.PIPE).stdout.decode(), 2**200)")

# What is run; /disk is the image's tree on the host.
PROGRAMS = [
    ("ls", "-lnd --time-style=+%s /disk/data/words /disk/data/sub/deep"),
    ("sort", "--parallel=2 -S 1M -k2 -r /disk/data/words"),
    ("sed", "-n -E 's/(.)(.*)[0-9]$/\\2\\1/p' /disk/data/words"),
    ("grep", "-nE 'ab+a?(cd|e)' /disk/data/sub/x /disk/data/words"),
    ("mawk", "'{n[$2%7]+=length($1)} END {for(i=0;i<7;i++) print i,n[i],sin(i)}' /disk/data/words"),
    ("gawk", "'{n[$2%7]+=length($1)} END {for(i=0;i<7;i++) print i,n[i],sin(i)}' /disk/data/words"),
    ("sha256sum", "/disk/data/words /disk/data/binary"),
    ("bc", "-l /disk/data/sum.bc"),
    ("find", "/disk/data -type f -name '?ee?' -newermt 1999-01-01 -printf '%p %s %m %n %T@\\n'"),
    ("tar", "-cf - --sort=name --numeric-owner -C /disk/data ."),
    ("gzip", "-9nc /disk/data/words /disk/data/binary"),
    ("xz", "-T2 -1c /disk/data/binary"),
    ("diff", "-u /disk/data/words /disk/data/other"),
    ("bash", "-c 'a=({1..200}); printf \"%s,\" ${#a[@]} ${a[@]:5:9}; echo ${a[-1]} | { read x; echo $((x*x)) $(echo sub); }'"),
    ("perl", "-e '%s' /disk/data/words" % PERL),
    ("python3", '-S -c "%s" /disk/data/words' % PYTHON),
]

MINE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { printf("line %d: %s\n", __LINE__, #x); fflush(stdout); _exit(1); } } while (0)

extern char __ehdr_start[], _start[];
static int constructed, objects;
static char *relro;
static size_t relro_size;
static __thread int mine = 5;
__attribute__((constructor)) static void construct(void) { constructed = 1; }

static int object(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	objects++;
	if (info->dlpi_addr == getauxval(AT_BASE))
		*(int *)base = 1;
	for (int i = 0; objects == 1 && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
			relro = (char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
			relro_size = info->dlpi_phdr[i].p_memsz;
		}
	return 0;
}

static void *thread(void *arg) { mine += *(int *)arg; return (void *)(long)mine; }

int main(int argc, char **argv)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)__ehdr_start;
	int base = 0, two = 2, status;
	void *result;
	pthread_t t;

	CHECK(argc == 2 && constructed);
	CHECK(getauxval(AT_PHDR) == (unsigned long)e + e->e_phoff && getauxval(AT_PHNUM) == e->e_phnum);
	CHECK(getauxval(AT_PHENT) == sizeof(Elf64_Phdr) && getauxval(AT_ENTRY) == (unsigned long)_start);
	CHECK(!strcmp((char *)getauxval(AT_EXECFN), argv[0]));
	dl_iterate_phdr(object, &base);
	CHECK(base && objects >= 2);
	CHECK(getauxval(AT_BASE) > (unsigned long)e && !memcmp((void *)getauxval(AT_BASE), ELFMAG, 4));
	CHECK((unsigned long)sbrk(0) >= (unsigned long)&two - (1UL << 46) && (char *)malloc(100) > (char *)e);
	CHECK(!pthread_create(&t, 0, thread, &two) && !pthread_join(t, &result) && (long)result == 7 && mine == 5);

	void *lib = dlopen(argv[1], RTLD_LAZY);
	if (!lib)
		printf("%s\n", dlerror());
	CHECK(lib);
	int *(*counter)(int) = (int *(*)(int))dlsym(lib, "counter");
	CHECK(counter && *counter(3) == 1003 && *counter(4) == 1007);
	if (!fork())
		_exit(*counter(1) == 1008 ? 9 : 1);
	CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 9 && *counter(0) == 1007);
	CHECK(!dlclose(lib));
	CHECK(relro && relro_size);
	if (!fork()) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)(((unsigned long)relro + relro_size - 1) & ~4095UL) = 1;
		_exit(0);
	}
	CHECK(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	puts("good");
	return 42;
}
"""
LIBRARY = """
#include <stdlib.h>
static int value = 1000, *where = &value;
static __thread int calls;
int *counter(int by) { char *s = malloc(99); free(s); calls++; *where += by; return where; }
"""

# Reads all of /disk/data, mounts it anew, executes a program and scans the pages of a mapped file while every n-th
# allocation fails: who cannot go on is told, or killed; what that took is given back. Its own memory is there before.
SCARCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct { char names[4096], path[600]; } at[8];
static char buffer[65536];
static long failed, good, killed;
static char *scan[] = { "/bin/filescan", "-uf", "/disk/lib/x86_64-linux-gnu/libc.so.6", "-r", "2", NULL };

static int fail_alloc, drop_caches, null;

static int put(int fd, int n)
{
	char text[20];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(fd, text, len, 0) == len;
}

static void note(long result) { if (result < 0) failed++; else good++; }

static void walk(int depth)
{
	int fd = open(at[depth].path, O_RDONLY);
	long n;

	note(fd);
	if (fd < 0)
		return;
	while ((n = syscall(SYS_getdents64, fd, at[depth].names, sizeof(at[depth].names))) > 0)
		for (char *e = at[depth].names; e < at[depth].names + n; e += *(unsigned short *)(e + 16)) {
			if (e[19] == '.')
				continue;
			snprintf(at[depth + 1].path, 600, "%s/%s", at[depth].path, e + 19);
			walk(depth + 1);
		}
	note(n < 0 && errno == ENOTDIR ? 0 : n);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		;
	close(fd);
}

static long free_kib(void)
{
	static char text[4096];
	int fd;

	put(drop_caches, 1);
	fd = open("/proc/meminfo", O_RDONLY);
	read(fd, text, sizeof(text) - 1);
	close(fd);
	return atol(strstr(text, "MemFree:") + 8);
}

/* AFTER so many microseconds there is no memory at all. */
static void execute(char **argv, unsigned after)
{
	int status, pid = vfork();

	note(pid);
	if (!pid) {
		dup2(null, 1);
		dup2(null, 2);
		execv(argv[0], argv);
		_exit(99);
	}
	if (after) {
		usleep(after);
		put(fail_alloc, 1);
	}
	if (pid < 0 || wait(&status) != pid)
		return;
	while (after && !put(fail_alloc, 0))
		;
	if (WIFSIGNALED(status)) {
		killed++;
		if (WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGBUS)
			printf("%s: signal %d\n", argv[0], WTERMSIG(status));
	} else {
		note(status ? -1 : 0);
	}
}

static void turn(char **argv, int n)
{
	strcpy(at[0].path, "/disk/data");
	put(fail_alloc, n);
	note(umount("/disk"));
	note(mount("/dev/vda", "/disk", "ext2", MS_RDONLY, 0));
	walk(0);
	execute(argv + 1, 0);
	execute(scan, 0);
	while (!put(fail_alloc, 0))
		;
	if (access("/disk/data", F_OK) && mount("/dev/vda", "/disk", "ext2", MS_RDONLY, 0))
		printf("it cannot be mounted any more\n");
}

int main(int argc, char **argv)
{
	long before, after;

	fail_alloc = open("/proc/sys/vm/fail_alloc", O_WRONLY);
	null = open("/dev/null", O_WRONLY);
	drop_caches = open("/proc/sys/vm/drop_caches", O_WRONLY);
	memset(at, 1, sizeof(at));
	memset(buffer, 1, sizeof(buffer));
	turn(argv, 0);
	turn(argv, 0);
	fflush(stdout);
	before = free_kib();
	failed = good = killed = 0;
	for (int n = 2; n < 150; n += 1 + n / 12)
		turn(argv, n);
	scan[4] = "100000";
	for (int i = 1; i <= 12; i++)
		execute(scan, i * 7000);
	scan[4] = "2";
	after = free_kib();
	if (before - after > 200 || failed < 30 || good < 100 || killed < 3)
		printf("free KiB %ld, then %ld; %ld calls failed, %ld did not, %ld killed\n", before, after, failed, good, killed);
	failed = 0;
	turn(argv, 0);
	printf("%ld failed, %d\n", failed, argc);
	return 0;
}
"""


def install(path, to=None):
    """Copies a program or library and all that it loads to their places in the tree."""
    paths = [path] + re.findall(r"(/\S+) \(0x", subprocess.run(
        ["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode())
    for source in paths:
        place = TREE + (to if to and source == path else source)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if not os.path.exists(place):
            shutil.copy2(source, place)


def make_data():
    os.makedirs(DATA + "/sub/deeper")
    lines, x = [], 1
    for _ in range(5000):
        x = x * 1103515245 + 12345 & 0x7fffffff
        lines.append("".join("abcdefgh"[x >> i & 7] for i in range(5, 5 + x % 20)) + " %d\n" % (x >> 7))
    for name, text in (("words", lines), ("other", [s for i, s in enumerate(lines) if i % 50]), ("sub/deep", lines[:99]),
                       ("sub/deeper/empty", []), ("sub/deeper/last", lines[-9:]), ("sub/x", lines[::7]),
                       ("sum.bc", ["scale=40\n4*a(1)\n2^521-1\nsqrt(2)\n"])):
        with open(os.path.join(DATA, name), "w") as f:
            f.writelines(text)
        os.utime(os.path.join(DATA, name), (0, 1000000000 + len(text)))
    with open(DATA + "/binary", "wb") as f:
        for i in range(40000):
            f.write((i * 2654435761 & 0xffffffff).to_bytes(4, "little")[i % 3:])


for link in ("bin", "lib", "lib64"):
    os.makedirs("%s/usr/%s" % (TREE, link))
    os.symlink("usr/" + link, "%s/%s" % (TREE, link))
make_data()
here = [(name, args) for name, args in PROGRAMS if shutil.which(name, path="/usr/bin:/bin")]
for name, args in here:
    install(shutil.which(name, path="/usr/bin:/bin"))
for folder in glob.glob("/usr/lib/x86_64-linux-gnu/perl-base"):
    shutil.copytree(folder, TREE + folder)
for folder in glob.glob("/usr/lib/python3.*/encodings"):
    home = os.path.dirname(folder)
    for part in ("encodings", "collections", "json", "re", "importlib"):
        shutil.copytree(os.path.join(home, part), TREE + os.path.join(home, part))
    for path in glob.glob(home + "/*.py") + glob.glob(home + "/lib-dynload/_*hash*.so") + glob.glob(home + "/lib-dynload/_json*.so"):
        install(path)
    install("/usr/bin/echo")
mine = {cc: compile(MINE, "mine-" + cc, *flags, static=False, cc=cc) for cc, flags in
        (("musl-gcc", ()), ("gcc", ("-Wl,-z,now",)))}
for cc, path in mine.items():
    lib = compile(LIBRARY, "lib-%s.so" % cc, "-shared", "-fPIC", static=False, cc=cc)
    install(path, "/usr/bin/mine-" + cc)
    shutil.copy(lib, TREE + "/usr/lib")
install("/lib/ld-musl-x86_64.so.1")
subprocess.run(["musl-gcc", "-O2", "-pthread", "-I.", "-o", TREE + "/usr/bin/shells", "user/shells.c"], check=True)
if os.path.exists("/sbin/ldconfig"):
    subprocess.run(["/sbin/ldconfig", "-r", TREE], stderr=subprocess.DEVNULL)
image = mke2fs(TREE, "debian", "160M")

check(len(here) >= 10, "only %d programs of Debian's are here" % len(here))
for name, args in here:
    args = shlex.split(args)
    wanted = subprocess.run(["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "/usr/bin/" + name]
                            + [a.replace("/disk/", TREE + "/") for a in args], stdout=subprocess.PIPE, cwd="/")
    done = run("--disk", image, "--", "/disk/bin/" + name, *args)
    equal(done.status, wanted.returncode, name + ": status")
    check(done.out == wanted.stdout.replace(TREE.encode(), b"/disk"), "%s: %d bytes of output, %d here: %r"
          % (name, len(done.out), len(wanted.stdout), wanted.stdout[:300]))
done = run("--disk", image, "--smp", "2", "--", "shells -n 40 -p 4 -x /disk/bin/shells; shells -n 40 -m vfork -x /disk/bin/shells;"
           "/disk/bin/shells -n 20 -p 3; shells -n 1 -x /disk/bin/nothing")
equal((done.out.count(b"children=40"), done.out.count(b"children=20"), done.status), (2, 1, 1), "shells, dynamic")
scarce = compile(SCARCE, "scarce")
for options in ((), ("--smp", "2")):
    done = run("--disk", image, "--append", "debug_check=1", "--add", scarce, *options, "--",
               "scarce /disk/bin/sort -o /dev/null /disk/data/sub/deep")
    equal((done.status, done.out), (0, b"0 failed, 5\n"), "when memory is short, %r" % (options,))
for cc in mine:
    for options in ((), ("--append", "debug_check=2", "--smp", "2"), ("--append", "fork_share=none"),
                    ("--append", "fault_around_bytes=4096"), ("--append", "fault_around_bytes=2097152")):
        done = run("--disk", image, *options, "--", "/disk/bin/mine-" + cc, "/disk/usr/lib/lib-%s.so" % cc)
        equal((done.status, done.out), (42, b"good\n"), "%s %s" % (cc, options))
finish()
