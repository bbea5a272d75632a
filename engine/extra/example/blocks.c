/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* blocks.c - write blocks with tags to a container, and read them back.
 *
 *	blocks FILE
 *
 * FILE becomes a container of 1 MiB of the format 512+8.  Eight blocks go to
 * interval 100, each with the application tag 0x4200 plus its number.  Then
 * they are read with the tags that they must have; with tags unknown; and
 * with a tag that is wrong, which has to fail and say how.
 *
 *	cc blocks.c $(pkg-config --cflags --libs tagpi) */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tagpi.h>

enum { BLOCKS = 8, AT = 100, SIZE = 1 << 20 };

static int make_container(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, SIZE) ? -errno : 0;
	close(fd);
	return err ? err : eng_soft_format(path, eng_profile_find("512+8"));
}

/* A request for all the blocks, with the tags that they have. */
static int prepare(struct eng_io **out, struct eng_dev *dev, enum eng_op op,
		   void *data)
{
	uint32_t interval = eng_dev_geometry(dev)->profile->interval;
	struct iovec iov = { data, (size_t)BLOCKS * interval };
	int err = eng_io_prep(out, dev, op, AT, &iov, 1);

	for (uint16_t i = 0; !err && i < BLOCKS; i++)
		(*out)->tags[i] = 0x4200 + i;
	return err;
}

static int write_blocks(struct eng_dev *dev, uint8_t *data, size_t len)
{
	struct eng_io *io;
	int err;

	memset(data, 0x5a, len);
	err = prepare(&io, dev, ENG_WRITE, data);
	if (err)
		return err;
	err = eng_io_run(io);
	eng_io_put(io);
	return err ? err : eng_dev_flush(dev);
}

/* Any tags will do; says which they are. */
static int show_tags(struct eng_io *io)
{
	int err;

	io->flags = ENG_IO_TAGS_OUT;
	err = eng_io_run(io);
	for (int i = 0; !err && i < BLOCKS; i++)
		printf("interval %d: tag %04x\n", AT + i, io->tags[i]);
	io->flags = 0;
	return err;
}

/* 0 if the read of a block that should have another tag failed for that. */
static int expect_another(struct eng_io *io)
{
	int err;

	io->tags[5] ^= 1;
	err = eng_io_run(io);
	if (err != -EBADMSG || io->fault.kind != ENG_FAULT_APP)
		return err ? err : -ENOMSG;
	printf("interval %" PRIu64 ": %s tag: expected %04" PRIx64
	       ", found %04" PRIx64 "\n", io->fault.interval,
	       eng_fault_name(io->fault.kind), io->fault.expected,
	       io->fault.actual);
	return 0;
}

static int read_blocks(struct eng_dev *dev, uint8_t *data, size_t len)
{
	struct eng_io *io;
	int err;

	memset(data, 0, len);
	err = prepare(&io, dev, ENG_READ, data);
	if (err)
		return err;
	err = eng_io_run(io);		/* guard, address and tags are right */
	if (!err && data[len - 1] != 0x5a)
		err = -EIO;
	if (!err)
		err = show_tags(io);
	if (!err)
		err = expect_another(io);
	eng_io_put(io);
	return err;
}

static int with_device(struct eng_dev *dev)
{
	size_t len = (size_t)BLOCKS * eng_dev_geometry(dev)->profile->interval;
	uint8_t *data = eng_buf_get(dev, len);
	int err;

	if (!data)
		return -ENOMEM;
	err = write_blocks(dev, data, len);
	if (!err)
		err = read_blocks(dev, data, len);
	eng_buf_put(dev, data, len);
	return err;
}

int main(int argc, char **argv)
{
	struct eng_open how = { 0 };
	struct eng_dev *dev;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: blocks FILE\n");
		return 2;
	}
	err = make_container(argv[1]);
	if (!err)
		err = eng_pool_create(&how.pool, 0);
	if (!err)
		err = eng_dev_open(&dev, argv[1], &how);
	if (!err) {
		err = with_device(dev);
		eng_dev_close(dev);
	}
	eng_pool_destroy(how.pool);
	if (err)
		fprintf(stderr, "blocks: %s: %s\n", argv[1], strerror(-err));
	return err ? 1 : 0;
}
