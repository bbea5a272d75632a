/* SPDX-License-Identifier: GPL-2.0-or-later */
/* room.h - is space short, is it gone? */
#ifndef TFS_ROOM_H
#define TFS_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct tfs;

/* Bytes that the kernel may hold of all files, before it writes them. */
uint64_t tfs_room_held(void);
/* So little is left that so much may find no place. */
bool tfs_room_short(struct tfs *fs, uint64_t held);
/* Nothing more is to be begun.  *reserved: files have places besides. */
bool tfs_room_full(struct tfs *fs, bool *reserved);

#endif
