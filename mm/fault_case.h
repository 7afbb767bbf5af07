/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the files of the fault path (fault.c, fault_anon.c, fault_file.c) hand to each other: one
 * struct fault, and the bracket around the store. populate.c goes the same way for many pages; access.c, check.c and start.c
 * include it for what they share with faults.
 */
#pragma once
#include "kernel/base/tunables.h"
#include "mm/fault.h"

/* Beyond enum fault_result: what was found has changed meanwhile; look again. */
#define FAULT_AGAIN ((enum fault_result)100)
#define FAULT_FETCHED ((enum fault_result)101)	/* the same, after a page has been waited for */

struct fault {
	struct space *space;
	vaddr_t va;			/* of the page */
	bool write, exec;
	bool own;			/* nobody else uses a table on the way to va */
	bool took;			/* a table was made own for this fault */
	bool made;			/* a table may have been made for it */
	vaddr_t until;			/* asked for by populate: all pages up to there; else 0, but */
	vaddr_t from;			/* once pages of a file are mapped at once: those of [from, until) */
	union {				/* of the space, before the region was found and the table walked to */
		struct { u32 seq, owned; };
		u64 stamp;
	};
	struct region *region;		/* may go unless the table is locked, or nobody has slept since */
	u32 flags;			/* of the region, and its other fields, as found */
	struct pcache *cache;
	u64 pgoff;
	vaddr_t start, end;		/* of the region */
	struct frame *table;		/* leaf table of va */
	pte_t *slot;
	pte_t old;			/* what the slot held when the case was decided */
	struct frame *fetched;		/* after FAULT_FETCHED: the page, held, lest it go before it is mapped */
};

/* The page of F's cache at VA, of F's region. */
static inline u64 fault_index(const struct fault *f, vaddr_t va)
{
	return f->pgoff + ((va - f->start) >> PAGE_SHIFT);
}

/* The region says no. FAULT_AGAIN: it was being changed as it was read. */
static inline enum fault_result fault_refuse(const struct fault *f, enum fault_result result)
{
	return READ_ONCE(f->space->seq) == f->seq ? result : FAULT_AGAIN;
}

/* Locks the table if all is still as F says; false: nothing is locked, begin again. */
static inline bool fault_lock(struct fault *f)
{
	if (unlikely(!pt_lock(f->table)))
		return false;
	if (likely(READ_ONCE(f->space->stamp) == f->stamp && ((*f->slot ^ f->old) & ~PTE_HARDWARE) == 0))
		return true;
	pt_unlock(f->table);
	return false;
}

/* Rights of a fresh leaf of F's region. WRITABLE: now, not only by right. */
static inline unsigned fault_rights(const struct fault *f, bool writable)
{
	return PTE_USER | PTE_YOUNG | (f->flags & R_EXEC ? PTE_EXEC : 0) |
	       (writable && f->flags & R_WRITE ? PTE_WRITE | PTE_DIRTY : 0);
}

/* Finds the region of F's page and the entry, by va, write and exec; then fault_decide does what the case is. */
enum fault_result fault_find(struct fault *f);
enum fault_result fault_decide(struct fault *f);

/* F, which made tables, has failed: those that are empty go again. No lock held. */
void fault_undo(struct fault *f);

/* What the tries of one fault share. */
struct fault_tries {
	struct frame *page;	/* fetched for it, and held: put at the end. NULL: none, no fault was major */
	bool gave_up;		/* tables, for memory */
};

/* After a try that came to RESULT: is another worth while? Frees memory if there was none. No lock held. */
bool fault_worth(struct fault *f, enum fault_result result, struct fault_tries *t);
bool fault_end(struct fault_tries *t);	/* no more of them: was a page waited for? */

enum fault_result fault_range(struct fault *f, vaddr_t to);	/* populate: the empty entries from F's on, all anonymous */
enum fault_result fault_anon(struct fault *f);		/* a zeroed page of one's own */
enum fault_result fault_zero(struct fault *f);		/* the zero page */
enum fault_result fault_cow(struct fault *f);		/* a copy of a page that others see, or the page itself */
enum fault_result fault_file(struct fault *f);		/* a page of the cache, and its neighbours */
enum fault_result fault_file_copy(struct fault *f);	/* a private copy of a page of the cache */
enum fault_result fault_own(struct fault *f);		/* nothing: the tables were all that was in the way */
enum fault_result fault_mkwrite(struct fault *f);	/* the write bit of a shared page */
enum fault_result fault_spurious(struct fault *f);	/* all is well: forget a stale translation */

/*
 * Policy (mm/around.c). The table is locked: F's region cannot go. Faults in other tables of the region may change the
 * hints at the same time: one may be lost, that is all.
 */
struct window { vaddr_t from, to; };
struct window around_window(struct fault *f);		/* what a read fault on a file is to map, its page included */
struct window around_probe(struct fault *f, struct window w);	/* what of it shows whether it has been accessed */
static __racy inline bool around_beside(const struct fault *f, int far)	/* is what lies so far before or after accessed? */
{
	int i = (int)pt_index(f->va, 1);

	return (i >= far && pte_young(READ_ONCE(f->slot[-far]))) || (i < PT_ENTRIES - far && pte_young(READ_ONCE(f->slot[far])));
}
static __racy inline bool around_dense(const struct fault *f)	/* does F's table hold so much that it is to be filled? */
{
	const u16 *n = f->table->table.count;

	return n[PTE_CLASS_FILE] + n[PTE_CLASS_SHMEM] >= f->region->ahead.dense * 8;
}
static __racy inline bool around_closed(const struct fault *f)	/* nothing is to be given but F's page */
{
	struct ahead *a = &f->region->ahead;

	if (a->order != PAGE_SHIFT || !tune.fault_around_adapt || f->flags & R_SEQUENTIAL)
		return false;
	a->faults++;
	return pt_live(f->table) == 1 || (!around_beside(f, 1) && !around_dense(f));
}
struct window around_run(struct fault *f);		/* what an anonymous fault is to give, its page included */
/* Fresh anonymous memory is read: will it be written to? First what is quickly said, then the whole. */
#define GUESS_TURN 8			/* reads between two looks at how many were followed by writes */
bool around_guess(struct fault *f);
static __racy inline bool around_expects_write(struct fault *f)
{
	struct ahead *a = &f->region->ahead;

	return (unlikely(a->guessing || f->flags & R_POPULATE) || unlikely(++a->reads == GUESS_TURN)) && around_guess(f);
}

static __racy inline void around_wrote(struct fault *f)	/* a zero page was replaced */
{
	f->region->ahead.writes++;
}

extern struct frame *zero_frame;
