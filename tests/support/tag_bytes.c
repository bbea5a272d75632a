/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tag_bytes.c DEVICE WRITER READER - does every byte that the device's format
 * leaves to its owner come back?  Backend WRITER sets all of them, at both ends
 * of the device and in requests of several sizes; READER must find them.  What
 * was there is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tagpi.h"

enum { MOST = 64 };

static const uint32_t sizes[] = { 1, 2, 7, MOST };

/* Byte i of a string; no application tag can be the escape. */
static uint8_t byte_at(uint64_t start, size_t i)
{
	return (uint8_t)((start * 31 + i * 7 + i / 61) % 251);
}

/* One request; the tag string is compared, or becomes the interval's. */
static int transfer(struct eng_dev *dev, enum eng_op op, uint64_t start,
		    uint32_t count, uint8_t *data, uint8_t *tag)
{
	struct eng_io *io = eng_io_get(dev, count, 1);
	size_t len, i;
	int err;

	if (!io)
		return -1;
	io->op = op;
	io->start = start;
	io->flags = op == ENG_READ ? ENG_IO_TAGS_OUT : 0;
	eng_io_add(io, data, (size_t)count *
		   eng_dev_geometry(dev)->profile->interval);
	len = eng_io_tag_size(io);
	for (i = 0; i < len; i++)
		tag[i] = byte_at(start, i);
	err = op == ENG_WRITE ? eng_io_set_tag(io, tag, len) : 0;
	err = err ? err : eng_io_run(io);
	err = err || op == ENG_WRITE ? err : eng_io_get_tag(io, tag, len);
	eng_io_put(io);
	for (i = 0; !err && i < len && tag[i] == byte_at(start, i); i++)
		;
	if (!err && i == len)
		return 0;
	printf("# intervals %llu+%u: %s: error %d, byte %zu of %zu\n",
	       (unsigned long long)start, count,
	       op == ENG_READ ? "read" : "written", err, i, len);
	return -1;
}

static int by(const char *path, const char *backend, enum eng_op op,
	      struct eng_pool *pool, uint8_t *data, uint8_t *tag)
{
	struct eng_open how = { .pool = pool, .backend = backend };
	struct eng_dev *dev;
	int err = eng_dev_open(&dev, path, &how);

	if (err)
		return err;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t end = eng_dev_geometry(dev)->intervals;

		err |= transfer(dev, op, i * MOST, sizes[i], data, tag);
		err |= transfer(dev, op, end - (i + 1) * MOST, sizes[i], data,
				tag);
	}
	eng_dev_close(dev);
	return err;
}

int main(int argc, char **argv)
{
	uint8_t *data = aligned_alloc(4096, MOST * 4096);
	uint8_t *tag = malloc(MOST * 64);
	struct eng_pool *pool = NULL;
	int err;

	if (argc != 4 || !data || !tag || eng_pool_create_serial(&pool))
		return 99;
	memset(data, 0x5a, MOST * 4096);
	err = by(argv[1], argv[2], ENG_WRITE, pool, data, tag) ||
	      by(argv[1], argv[3], ENG_READ, pool, data, tag);
	eng_pool_destroy(pool);
	free(tag);
	free(data);
	return err;
}
