/* SPDX-License-Identifier: GPL-2.0-or-later */
/* room.h - is space short, is it gone? */
#ifndef TFS_ROOM_H
#define TFS_ROOM_H

#include <stdbool.h>

struct tfs;

/* So little is left that what the kernel holds may find no place. */
bool tfs_room_short(struct tfs *fs);
/* Nothing more is to be begun.  *reserved: files have places besides. */
bool tfs_room_full(struct tfs *fs, bool *reserved);

#endif
