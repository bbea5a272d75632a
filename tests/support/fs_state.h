/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_state.h - what a filesystem says to its users, as text, and a seeded
 * life for it to lead. */
#ifndef FS_STATE_H
#define FS_STATE_H

#include "support/fs_bed.h"

/* One line for every name: path, type, links, size, a hash of the content,
 * attributes.  Times are left out, and so are orphans.  Malloced; an error
 * is in the text. */
char *fs_state(struct tfs *fs);
/* Is the text one of a filesystem without errors? */
bool fs_state_sound(const char *state);

/* One random change of names or content, small.  0 or the error that ended
 * it; what a user may be told (-ENOENT, -ENOSPC, ...) counts as 0. */
int fs_step(struct tfs *fs, uint64_t *rand);

#endif
