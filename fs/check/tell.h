/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tell.h - what whoever mounts a filesystem should know of it. */
#ifndef TFS_TELL_H
#define TFS_TELL_H

struct tfs;

/* A line each to the log: it was not cleanly unmounted; it has known errors; no
 * scrub has read all of it in so many days (0: that is not said). */
void tfs_tell(struct tfs *fs, unsigned int days);

#endif
