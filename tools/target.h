/* SPDX-License-Identifier: GPL-2.0-or-later */
/* target.h - what is to be written over, before it is a tagfs. */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct target {
	const char	*path;
	bool		exists;		/* before we came */
	bool		block;		/* a block device */
	bool		created;	/* by us: removed again on failure */
	uint64_t	old_size;
	uint64_t	size;		/* as it will be */
};

/* What path is, and how large it shall be (size 0: as it is).  Each function
 * returns 0 or -errno, with a message for the person at the terminal. */
int target_look(struct target *t, const char *path, uint64_t size);
/* Nobody uses it, and (unless force) nothing is on it that is known. */
int target_check(const struct target *t, bool force);
/* Create or resize a file; wipe the signatures of other filesystems and,
 * unless keep, give the old content back to the device. */
int target_prepare(struct target *t, bool keep);
/* After a failure. */
void target_undo(struct target *t);

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Messages of the engine are held back, or not. */
void mute(bool on);

#endif
