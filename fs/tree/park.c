/* SPDX-License-Identifier: GPL-2.0-or-later */
/* park.c - places for nodes in a scratch file.
 *
 *  (1) What comes back wrong is an error: checksums stay in memory.
 *  (2) To drop a place can't fail: the list has room for all that there are. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/runs.h"
#include "format.h"
#include "tree/park.h"

struct tfs_park {
	struct tfs_scratch scratch;
	int		fd;
	size_t		size;
	uint32_t	places;		/* in the file */
	uint32_t	*free;		/* of these */
	size_t		n, room;
};

/* A node in memory has no checksum of its own yet. */
static uint32_t sum(const struct tfs_park *park, const void *buf)
{
	return tfs_crc32c(buf, park->size, offsetof(struct tfs_disk_node, crc));
}

int tfs_park_create(struct tfs_park **out, const struct tfs_scratch *scratch,
		    size_t size)
{
	struct tfs_park *park = calloc(1, sizeof(*park));
	int err;

	*out = NULL;
	if (!park)
		return -ENOMEM;
	park->scratch = *scratch;
	park->size = size;
	park->fd = tfs_scratch_open(scratch);
	if (park->fd < 0) {
		err = park->fd;
		free(park);
		return err;
	}
	*out = park;
	return 0;
}

void tfs_park_destroy(struct tfs_park *park)
{
	if (!park)
		return;
	close(park->fd);
	free(park->free);
	free(park);
}

int tfs_park_put(struct tfs_park *park, const void *buf,
		 struct tfs_parked *out)
{
	bool fresh = !park->n;
	uint32_t place = fresh ? park->places : park->free[park->n - 1];
	int err = 0;

	if (fresh)						/* (2) */
		err = tfs_array_grow(&park->free, &park->room,
				     (size_t)park->places + 1,
				     sizeof(park->free[0]));
	if (!err)
		err = tfs_scratch_write(&park->scratch, park->fd, buf,
					park->size,
					(uint64_t)place * park->size);
	if (err)
		return err;
	if (fresh)
		park->places++;
	else
		park->n--;
	*out = (struct tfs_parked){ place, sum(park, buf) };
	return 0;
}

int tfs_park_get(struct tfs_park *park, const struct tfs_parked *at,
		 void *buf)
{
	int err = tfs_scratch_read(&park->scratch, park->fd, buf, park->size,
				   (uint64_t)at->place * park->size);

	if (!err && sum(park, buf) != at->crc)			/* (1) */
		err = tfs_scratch_bad(&park->scratch);
	return err;
}

void tfs_park_drop(struct tfs_park *park, const struct tfs_parked *at)
{
	park->free[park->n++] = at->place;
}
