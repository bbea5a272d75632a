/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock.h - one writer, or any readers, of what lies under a path. */
#ifndef ENG_LOCK_H
#define ENG_LOCK_H

#include <stdbool.h>
#include <stddef.h>

struct eng_lock;	/* fields: lock.c */

/* Lock the storage under path, before anything of it is read.  flags:
 * ENG_OPEN_RDONLY, beside other readers.  -EBUSY: somebody has it.  On error
 * *out is NULL, nothing is logged, and why says what follows "path: ". */
int eng_lock_get(struct eng_lock **out, const char *path, unsigned int flags,
		 char *why, size_t size);
void eng_lock_put(struct eng_lock *lock);	/* NULL is fine */
/* From a reader's to a writer's, of the same storage whatever its name is now.
 * For a moment nobody has it, so the caller looks whether all is as it was.  On
 * error it is a reader's still; or, if somebody was faster, NULL. */
int eng_lock_write(struct eng_lock **lock, char *why, size_t size);
/* And back; NULL if somebody was faster. */
int eng_lock_read(struct eng_lock **lock, char *why, size_t size);
/* What was locked, open for reading or for both; the lock's own. */
int eng_lock_fd(const struct eng_lock *lock);
/* Could another host have the same storage?  A file on a local filesystem
 * can't be shared; of a disk nobody knows. */
bool eng_lock_shared(const struct eng_lock *lock);
/* A descriptor of the same thing with flags of its own; a name may mean
 * something else by now.  -errno. */
int eng_fd_reopen(int fd, int flags);

#endif
