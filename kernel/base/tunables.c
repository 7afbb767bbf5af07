/* SPDX-License-Identifier: MIT */
/*
 * Owns: the values of the tunables, and their meaning as text. A word is stored whole, and only when
 * it is in its range: readers, who take no lock, never see another value. Called by the boot command
 * line and by /proc/sys/vm.
 */
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/base/tunables.h"

struct tunable {
	const char *name, *words, *help;	/* words: of a choice, else NULL */
	u32 *value, def, min, max;
};

struct tunables tune = {
#define TUNABLE(name, def, min, max, help) .name = (def),
#define CHOICE(name, words, help)
#include "kernel/base/tunables.def"
#undef TUNABLE
#undef CHOICE
};

static const struct tunable table[] = {
#define TUNABLE(name, def, min, max, help) { #name, NULL, help, &tune.name, def, min, max },
#define CHOICE(name, words, help) { #name, words, help, &tune.name, 0, 0, 0 },
#include "kernel/base/tunables.def"
#undef TUNABLE
#undef CHOICE
};

void (*tunable_changed)(void);

/* Length of the I-th word of "a|b|c", which *WORD is made to point to; 0 past the last. */
static size_t word_at(const char *words, u32 i, const char **word)
{
	for (; i; i--) {
		words = strchr(words, '|');
		if (!words)
			return 0;
		words++;
	}
	*word = words;
	const char *end = strchr(words, '|');
	return end ? (size_t)(end - words) : strlen(words);
}

/* The value that TEXT means to T; false when it is not one. */
static bool parse(const struct tunable *t, const char *text, u32 *value)
{
	const char *word;
	size_t len;
	u64 v;

	if (t->words) {
		for (u32 i = 0; (len = word_at(t->words, i, &word)); i++) {
			if (strlen(text) == len && !strncmp(text, word, len)) {
				*value = i;
				return true;
			}
		}
		return false;
	}
	if (parse_u64(text, &v) || v < t->min || v > t->max)
		return false;
	if (t->value == &tune.fault_around_bytes)
		v = 1UL << (63 - __builtin_clzl(v));
	*value = (u32)v;
	return true;
}

int tunable_set(const char *name, const char *text)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		u32 value;

		if (strcmp(table[i].name, name))
			continue;
		if (!parse(&table[i], text, &value))
			return -EINVAL;
		WRITE_ONCE(*table[i].value, value);
		if (tunable_changed)
			tunable_changed();
		return 0;
	}
	return -ENOENT;
}

unsigned tunable_count(void)
{
	return ARRAY_SIZE(table);
}

const char *tunable_name(unsigned i)
{
	return table[i].name;
}

const char *tunable_help(unsigned i)
{
	return table[i].help;
}

bool tunable_is_default(unsigned i)
{
	return *table[i].value == table[i].def;
}

int tunable_format(unsigned i, char *buf, size_t size)
{
	const char *word = "";
	size_t len;

	if (!table[i].words)
		return snprintf(buf, size, "%u", *table[i].value);
	len = word_at(table[i].words, *table[i].value, &word);
	return snprintf(buf, size, "%.*s", (int)len, word);
}

int tunable_range(unsigned i, char *buf, size_t size)
{
	if (table[i].words)
		return snprintf(buf, size, "%s", table[i].words);
	return snprintf(buf, size, "%u..%u", table[i].min, table[i].max);
}
