/* SPDX-License-Identifier: MIT */
/* Does the check of locks (kernel/base/lock.c) fire? Each misuse in a child process; its last words must name the locks. */
#include "kit.h"

static struct spinlock space = SPINLOCK(RANK_SPACE), table = SPINLOCK(RANK_TABLE), other = SPINLOCK(RANK_TABLE);

static void wrong_order(void) { spin_lock(&table); spin_lock(&space); }
static void same_rank(void) { spin_lock(&table); spin_lock(&other); }
static void twice(void) { spin_lock(&table); spin_lock_nested(&table); }
static void drop_of_none(void) { spin_unlock(&table); }
static void drop_of_anothers(void)
{
	spin_lock(&table);
	fake_cpu_set(1);
	spin_unlock(&table);
}
static void sleep_with_one(void) { spin_lock(&space); lock_debug_none(); }
static void sleep_with_the_outer(void) { spin_lock(&space); spin_lock(&table); spin_unlock(&table); lock_debug_none(); }
static void sleep_with_the_inner(void) { spin_lock(&space); spin_lock(&table); spin_unlock(&space); lock_debug_none(); }

static void plant(void *misuse)
{
	((void (*)(void))misuse)();
}

static void misuse_is_seen(void **state)
{
	static const struct { const char *name; void (*plant)(void); const char *words; } misuses[] = {
#define MISUSE(f, words) { #f, f, words }
		MISUSE(wrong_order, "lock order: space after table"), MISUSE(same_rank, "lock order: table after table"),
		MISUSE(twice, "(table) taken twice by CPU 0"), MISUSE(drop_of_none, "(table) dropped by CPU 0"),
		MISUSE(drop_of_anothers, "(table) dropped by CPU 1"), MISUSE(sleep_with_one, "(space) held"),
		MISUSE(sleep_with_the_outer, "(space) held"), MISUSE(sleep_with_the_inner, "(table) held"),
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(misuses); i++) {
		const char *words = fake_last_words(plant, (void *)misuses[i].plant);

		if (!words || !strstr(words, misuses[i].words))
			fail_msg("%s: %s", misuses[i].name, words ? words : "not seen");
	}
}

/* What was taken while nobody checked is not known, what was dropped meanwhile is forgotten. */
static void switched_on_and_off(void **state)
{
	(void)state;
	lock_debug = false;
	spin_lock(&table);
	lock_debug = true;
	lock_debug_none();
	spin_unlock(&table);
	spin_lock(&space);
	lock_debug = false;
	spin_unlock(&space);
	lock_debug = true;
	lock_debug_none();
	spin_lock(&space);
	spin_lock(&table);
	spin_lock_nested(&other);
	spin_unlock(&table);
	spin_unlock(&other);
	spin_unlock(&space);
	lock_debug_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = { KIT_TEST(misuse_is_seen), KIT_TEST(switched_on_and_off) };

	return KIT_RUN(tests);
}
