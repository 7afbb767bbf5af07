/* SPDX-License-Identifier: MIT */
/*
 * Owns: the table of kernel instructions that may fault: each entry has the address of one and that of
 * its way out, which trap_fixup (arch/user.c) continues at. Also the instructions that open and close
 * user memory; no-ops until arch/cpu.c has written them into the text.
 */
#pragma once

#define EX_TABLE(at, out) "\n\t.pushsection __ex_table, \"a\"\n\t.quad " #at ", " #out "\n\t.popsection\n\t"

#define SMAP_SITE(code)						\
	"771:\t.byte 0x0f, 0x1f, 0x00\n\t"			\
	".pushsection .smap_sites, \"a\"\n\t"			\
	".quad 771b, " #code "\n\t"				\
	".popsection\n\t"

static inline void user_open(void) { __asm__ volatile(SMAP_SITE(0xcb010f) ::: "memory"); }	/* stac */
static inline void user_close(void) { __asm__ volatile(SMAP_SITE(0xca010f) ::: "memory"); }	/* clac */
