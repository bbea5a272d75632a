/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.h - the state of a mounted filesystem; what callers may ask of it is
 * in fs.h. */
#ifndef TFS_STATE_H
#define TFS_STATE_H

#include "tfs.h"

/* Turn read-only for good, once, with a line in the log. */
void tfs_fail(struct tfs *fs, int err, const char *what);
/* Mounted to be read only, whatever came later; a remount may end that. */
bool tfs_begun_rdonly(const struct tfs *fs);

#endif
