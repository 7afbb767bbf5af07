/* SPDX-License-Identifier: MIT */
/*
 * vmstat.c - the machine's counters since boot, /proc/vmstat, grouped; with an
 * interval, what they moved by in each. Gauges (nr_free_pages and the like) are
 * shown as they stand, also under an interval. Reads no other state.
 */
#include "user/quire.h"
#include "user/counters.h"
#include <time.h>

static const char *const gauges[] = {
	"nr_free_pages", "nr_anon_pages", "nr_file_pages", "nr_shmem",
	"nr_page_table_pages", "nr_kernel", "nr_slab", "nr_zone"
};

static void usage(void)
{
	fputs("usage: vmstat [-a] [SECONDS [COUNT]]\n"
	      "  Print the counters since boot; with SECONDS, their movement in each interval.\n"
	      "  -a  also those that are zero\n",
	      stdout);
}

static bool is_gauge(const char *name)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
		if (!strncmp(name, gauges[i], strlen(gauges[i])))
			return true;
	return false;
}

static struct counters read_counters(void)
{
	char *text = read_text("/proc/vmstat");

	if (!text)
		die(errno, "/proc/vmstat");
	return counters_parse(text);
}

/* Print now, less before for what only counts up (before may be empty). */
static void print_counters(const struct counters *now, const struct counters *before, bool zeros)
{
	for (size_t g = 0; g < COUNTER_GROUPS; g++) {
		bool titled = false;

		for (size_t i = 0; i < now->count; i++) {
			const struct counter *c = &now->list[i];
			uint64_t value = c->value;

			if (counter_group(c->name) != g)
				continue;
			if (!is_gauge(c->name))
				value -= counter_value(before, c->name);
			if (!value && !zeros)
				continue;
			if (!titled)
				printf("%s\n", counter_groups[g].title);
			titled = true;
			printf(" %16lld  %s\n", (long long)value, c->name);
		}
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct counters none = { 0 }, before, now;
	uint64_t seconds, count = UINT64_MAX;
	bool zeros = false;
	int option;

	prog = "vmstat";
	while ((option = next_option(argc, argv, "ah")) != -1) {
		switch (option) {
		case 'a': zeros = true; break;
		case 'h': usage(); return 0;
		}
	}
	no_more_words(optind + 2, argc, argv);
	before = read_counters();
	if (optind == argc) {
		print_counters(&before, &none, zeros);
		return 0;
	}
	seconds = parse_number("interval", argv[optind], 1, 86400);
	if (optind + 1 < argc)
		count = parse_number("count", argv[optind + 1], 1, UINT64_MAX);
	for (uint64_t turn = 1; turn <= count; turn++) {
		struct timespec pause = { .tv_sec = (time_t)seconds };

		nanosleep(&pause, NULL);
		now = read_counters();
		printf("--- %llu s\n", (unsigned long long)(turn * seconds));
		print_counters(&now, &before, zeros);
		free(before.list);
		free(before.text);
		before = now;
	}
	return 0;
}
