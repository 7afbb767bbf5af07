/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the CPU can do, and the control registers that follow from it: protection of user memory
 * from the kernel (SMEP, SMAP), of descriptor tables from users (UMIP), global pages, the FPU, the
 * system-call entry. Also the instructions that exist on some CPUs only: their sites in the text are
 * written here, before it becomes read-only.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "arch/tlb.h"
#include "arch/trap.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/base/text.h"

enum { CR4_PAE = 1 << 5, CR4_MCE = 1 << 6, CR4_PGE = 1 << 7, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10,
       CR4_UMIP = 1 << 11, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21 };
enum { MSR_MCG_CAP = 0x179, MSR_MCG_CTL = 0x17b, MSR_MC0_CTL = 0x400, MSR_MC0_STATUS = 0x401 };
enum { MSR_EFER = 0xc0000080, MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082, MSR_FMASK = 0xc0000084 };
enum { EFER_SCE = 1 };
enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };

struct cpu_features cpu_features;
bool arch_pcids;
static u32 leaf1[4], leaf7[4], leaf_ext[4];	/* EAX EBX ECX EDX */

extern const struct smap_site { u8 *at; u64 code; } __smap_sites_start[], __smap_sites_end[];
extern u8 save_site[], load_site[];		/* arch/switch.S */
extern char entry_syscall[];
void fpu_setup(bool xsave, size_t size);	/* arch/context.c */

static void read_features(void)
{
	u32 r[4];

	cpuid(1, 0, leaf1);
	cpuid(0, 0, r);
	if (r[0] >= 7)
		cpuid(7, 0, leaf7);
	cpuid(0x80000001, 0, leaf_ext);
	cpu_features = (struct cpu_features){
		.smep = leaf7[1] >> 7 & 1, .smap = leaf7[1] >> 20 & 1, .umip = leaf7[2] >> 2 & 1,
		.xsave = leaf1[2] >> 26 & 1, .gib_pages = leaf_ext[3] >> 26 & 1,
		.tsc_deadline = leaf1[2] >> 24 & 1, .mca = (leaf1[3] >> 7 & leaf1[3] >> 14 & 1),
		.pcid = leaf1[2] >> 17 & 1, .rdrand = leaf1[2] >> 30 & 1, .rdseed = leaf7[1] >> 18 & 1,
	};
}

/* Has all errors that the machine can tell of raise #MC, instead of a reset. */
static void machine_check_init(void)
{
	u64 cap;

	if (!cpu_features.mca)
		return;
	cap = rdmsr(MSR_MCG_CAP);
	if (cap & 1 << 8)
		wrmsr(MSR_MCG_CTL, ~0UL);
	for (u32 bank = 0; bank < (cap & 0xff); bank++) {
		wrmsr(MSR_MC0_CTL + 4 * bank, ~0UL);
		wrmsr(MSR_MC0_STATUS + 4 * bank, 0);
	}
}

void machine_check_print(void)
{
	u64 cap = cpu_features.mca ? rdmsr(MSR_MCG_CAP) : 0;

	for (u32 bank = 0; bank < (cap & 0xff); bank++) {
		u64 status = rdmsr(MSR_MC0_STATUS + 4 * bank);

		if (status >> 63)
			printk(LOG_EMERG, "machine check bank %u: status 0x%lx", bank, status);
	}
}

/* Control registers and MSRs: of every CPU. */
void cpu_registers(void)
{
	const struct cpu_features *f = &cpu_features;
	u64 cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | (f->mca ? CR4_MCE : 0) |
		  (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0) | (f->umip ? CR4_UMIP : 0) |
		  (f->xsave ? CR4_OSXSAVE : 0) | (f->pcid ? CR4_PCIDE : 0);

	arch_pcids = f->pcid;		/* the root register has PCID 0 here, as it must */
	__asm__ volatile("mov %0, %%cr4" :: "r"(cr4) : "memory");
	if (f->xsave) {
		u32 xcr0 = XCR0_X87 | XCR0_SSE | (leaf1[2] >> 28 & 1 ? XCR0_AVX : 0);

		__asm__ volatile("xsetbv" :: "c"(0), "a"(xcr0), "d"(0));
	}
	wrmsr(MSR_STAR, (u64)KERNEL_CS << 32 | (u64)(USER_SS - 8) << 48);
	wrmsr(MSR_LSTAR, (u64)entry_syscall);
	wrmsr(MSR_FMASK, 0x257fd5);	/* all that a program can set */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	machine_check_init();
}

static void patch_text(void)
{
	/* cppcheck-suppress comparePointers */
	for (const struct smap_site *s = __smap_sites_start; cpu_features.smap && s < __smap_sites_end; s++)
		memcpy(s->at, &s->code, 3);
	if (!cpu_features.xsave) {
		save_site[3] = 0x01;	/* xsave64 (%rcx) becomes fxsave64 (%rcx) */
		load_site[3] = 0x09;
	}
}

void cpu_init(void)
{
	u32 r[4] = { 0, 512 };

	read_features();
	patch_text();
	cpu_registers();
	if (cpu_features.xsave)
		cpuid(0xd, 0, r);
	fpu_setup(cpu_features.xsave, r[1]);
}

/* RDRAND or RDSEED, which may fail now and then: a few attempts. */
static bool hardware_random(u64 *v)
{
	bool ok = false;

	for (int i = 0; i < 16 && !ok; i++) {
		if (cpu_features.rdseed)
			__asm__ volatile("rdseed %0" : "=r"(*v), "=@ccc"(ok));
		else if (cpu_features.rdrand)
			__asm__ volatile("rdrand %0" : "=r"(*v), "=@ccc"(ok));
	}
	return ok;
}

u64 arch_random_seed(void)
{
	u64 v = 0, mix = rdtsc() * 0x9e3779b97f4a7c15UL ^ clock_boot_epoch() * 0xbf58476d1ce4e5b9UL;

	hardware_random(&v);
	return v ^ mix ^ mix >> 29;
}

static const struct { u8 reg, bit; const char *name; } flag_names[] = {
	{ 3, 0, "fpu" }, { 3, 4, "tsc" }, { 3, 5, "msr" }, { 3, 6, "pae" }, { 3, 7, "mce" }, { 3, 8, "cx8" },
	{ 3, 9, "apic" }, { 3, 13, "pge" }, { 3, 14, "mca" }, { 3, 15, "cmov" }, { 3, 16, "pat" },
	{ 3, 19, "clflush" }, { 3, 23, "mmx" }, { 3, 24, "fxsr" }, { 3, 25, "sse" }, { 3, 26, "sse2" },
	{ 2, 0, "pni" }, { 2, 1, "pclmulqdq" }, { 2, 9, "ssse3" }, { 2, 12, "fma" },
	{ 2, 13, "cx16" }, { 2, 17, "pcid" }, { 2, 19, "sse4_1" }, { 2, 20, "sse4_2" }, { 2, 22, "movbe" }, { 2, 23, "popcnt" },
	{ 2, 24, "tsc_deadline_timer" }, { 2, 25, "aes" }, { 2, 26, "xsave" }, { 2, 28, "avx" }, { 2, 30, "rdrand" },
	{ 2, 31, "hypervisor" }, { 7, 11, "syscall" }, { 7, 20, "nx" }, { 7, 26, "pdpe1gb" }, { 7, 29, "lm" },
	{ 6, 0, "lahf_lm" }, { 9, 3, "bmi1" }, { 9, 5, "avx2" }, { 9, 7, "smep" }, { 9, 8, "bmi2" }, { 9, 9, "erms" },
	{ 9, 18, "rdseed" }, { 9, 19, "adx" }, { 9, 20, "smap" }, { 10, 2, "umip" }, { 11, 4, "fsrm" },
};

size_t arch_cpuinfo(u32 cpu, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };
	u32 id[4], brand[13] = { 0 }, family = leaf1[0] >> 8 & 15, model = leaf1[0] >> 4 & 15, words[12];
	u64 khz = clock_tsc_khz();

	cpuid(0, 0, id);
	for (unsigned i = 0; i < 3; i++)
		cpuid(0x80000002 + i, 0, &brand[4 * i]);
	if (family == 6 || family == 15)
		model |= leaf1[0] >> 12 & 0xf0;
	if (family == 15)
		family += leaf1[0] >> 20 & 0xff;
	memcpy(words, leaf1, 16);
	memcpy(words + 4, leaf_ext, 16);
	memcpy(words + 8, leaf7, 16);
	text_printf(&t, "processor\t: %u\nvendor_id\t: %.4s%.4s%.4s\ncpu family\t: %u\nmodel\t\t: %u\n", cpu,
		    (char *)&id[1], (char *)&id[3], (char *)&id[2], family, model);
	text_printf(&t, "model name\t: %s\nstepping\t: %u\ncpu MHz\t\t: %lu.%03lu\n", (char *)brand, leaf1[0] & 15,
		    khz / 1000, khz % 1000);
	text_printf(&t, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\nflags\t\t:", id[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (words[flag_names[i].reg] >> flag_names[i].bit & 1)
			text_printf(&t, " %s", flag_names[i].name);
	text_printf(&t, "\nbogomips\t: %lu.%02lu\nclflush size\t: 64\ncache_alignment\t: 64\n\n", khz / 500,
		    khz / 5 % 100);
	return MIN(t.len, size);
}
