/* SPDX-License-Identifier: MIT */
/*
 * Owns: process groups and sessions, which are numbers in struct process (pgid, sid), never objects; the
 * rules of job control that follow from them. All under process_lock, which the callers of job_* hold.
 */
#pragma once
#include "kernel/process.h"

/* Is no member of group PGID left whose parent, of the same session but another group, could continue it?
 * EXCEPT (or NULL): a process that does not count, because it is about to go. */
bool job_is_orphaned(pid_t pgid, const struct process *except);

/* P is ending: its last thread is gone, its children are still its own. A group that its going orphans, and
 * of which a member is stopped, gets SIGHUP and SIGCONT; a session leader's terminal is given up. */
void job_exit(struct process *p);

/* Does any process of group PGID exist, in session SID (or any, when SID is 0)? */
bool job_group_exists(pid_t pgid, pid_t sid);

/* P->stopped has become true (1) or false (-1): whoever sets it says so. */
void job_count_stopped(int change);
