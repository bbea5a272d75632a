/* SPDX-License-Identifier: GPL-2.0-or-later */
/* room.c - is space short, is it gone?
 *
 * (1) Short is less than what the kernel may hold of all files, which it
 *     bounds by a part of the memory; but never more than half of the
 *     filesystem. */
#include <unistd.h>

#include "fs.h"
#include "fuse/room.h"

#define ROOM		(2u << 20)	/* less is full: a write of 1 MiB fits */
#define SHORT_MIN	(64ull << 20)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t tfs_room_held(void)
{
	uint64_t held = (uint64_t)sysconf(_SC_PHYS_PAGES) *
		(uint64_t)sysconf(_SC_PAGESIZE) / 256;

	return held < SHORT_MIN ? SHORT_MIN : held;
}

bool tfs_room_short(struct tfs *fs, uint64_t held)
{
	uint64_t csize = tfs_cluster_size(fs);
	struct tfs_room r = tfs_room(fs);

	return r.avail * csize < least(held, r.all * csize / 2);
}

bool tfs_room_full(struct tfs *fs, bool *reserved)
{
	uint64_t csize = tfs_cluster_size(fs);
	struct tfs_room r = tfs_room(fs);

	*reserved = r.reserved;
	return r.avail * csize < least(ROOM, r.all * csize / 32);
}
