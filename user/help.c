/* SPDX-License-Identifier: MIT */
/*
 * help.c - what there is to type at the prompt, a line each, and what to watch.
 */
#include "user/quire.h"

static const char text[] =
	"Workloads (all take -h, and -j for JSON; put `perf stat` before any of them):\n"
	"  multi-fault 4          4 threads fault 2 MiB each by pages and drop it  | faults, pt_*\n"
	"  multi-fault-all 4      the same, one thread drops for all               | TLB flushes\n"
	"  sparse --va 1G         many addresses, little memory                    | VmPTE after\n"
	"  forkbench 64           what fork, the writes after it and exit cost     | pt_unshared\n"
	"  shells -n 200          fork and exec storms                             | ticks, fork_*\n"
	"  filescan -p random     a mapped file read by linear, random, phases     | around_*\n"
	"  filescan -uf /dev/vda  the same from a disk, its pages dropped before   | pgmajfault\n"
	"  anonscan -p 2m         the same over fresh memory                       | ahead_*, rss\n"
	"  pretouch               ways to make memory present before use           | predict_*\n"
	"  one-table -t 4         threads in one table that another drops          | fault_retry\n"
	"  torture --seconds 5    all of it at once, every byte verified           | mismatches\n"
	"  bench                  the table of costs, one row per operation        | ticks\n"
	"\n"
	"Instruments:\n"
	"  perf stat PROG ARG...  what the counters moved by while PROG ran (-j JSON, -x, CSV)\n"
	"  vmstat [1]             the counters since boot, or every second\n"
	"  ptdump [PID]           the tree of page tables: live entries, use, shared or own\n"
	"  ptwalk stack           the entries on the way to one address\n"
	"  sysctl [NAME=VALUE]    the policies; without an argument lists them with their ranges\n"
	"  cat /proc/self/smaps   memory by region; also status, maps, /proc/meminfo, "
	"/proc/vmstat\n"
	"  free, ps, ls, ...      busybox; ^P prints tasks and memory even when a program hangs\n"
	"\n"
	"Try:  perf stat forkbench 64         then  sysctl fork_share=none          and again\n"
	"      perf stat filescan             then  sysctl fault_around_bytes=4096  and again\n"
	"      perf stat pretouch -m read-write     sysctl zero_page=0              and again\n"
	"`exit` leaves.\n";

int main(void)
{
	fputs(text, stdout);
	return 0;
}
