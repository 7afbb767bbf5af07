/* SPDX-License-Identifier: MIT */
/*
 * together.h - threads that do something at the same time, and how long it took: from the
 * first one's begin to the last one's end. Thread 0 is the caller.
 */
#ifndef USER_TOGETHER_H
#define USER_TOGETHER_H

#include <pthread.h>
#include "user/quire.h"

#define MAX_THREADS 512

/* When a thread began and ended: written by it, read by thread 0 a barrier later. */
struct span {
	uint64_t from, to;
} __attribute__((aligned(64)));

static inline uint64_t longest_span(const struct span *spans, unsigned count)
{
	uint64_t from = UINT64_MAX, to = 0;

	for (unsigned t = 0; t < count; t++) {
		from = spans[t].from < from ? spans[t].from : from;
		to = spans[t].to > to ? spans[t].to : to;
	}
	return to - from;
}

/* Run fn in that many threads, to their end; each gets its number as its argument. */
static inline void together(unsigned threads, void *(*fn)(void *))
{
	static pthread_t handles[MAX_THREADS];
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * KIB);
	for (unsigned t = 1; t < threads; t++) {
		err = pthread_create(&handles[t], &attr, fn, (void *)(uintptr_t)t);
		if (err)
			die(err, "thread %u", t);
	}
	fn(NULL);
	for (unsigned t = 1; t < threads; t++)
		pthread_join(handles[t], NULL);
}

#endif
