/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass.c - all of the medium once, in the order of the device.
 *
 *  (1) What can't be read, or does not verify, costs its cluster alone.
 *  (2) A device may be shorter than its filesystem: what is not there is
 *      counted as what can't be read. */
#include <stdlib.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "check/pass.h"

bool tfs_cluster_is_sound(const struct tfs *fs, const uint8_t *data)
{
	const struct tfs_disk_node *h = (const void *)data;
	uint32_t magic = le32toh(h->magic);

	return (magic == TFS_NODE_MAGIC || magic == TFS_LOG_MAGIC) &&
		le32toh(h->crc) == tfs_crc32c(data, fs->csize,
				offsetof(struct tfs_disk_node, crc));
}

/* (2) */
static uint64_t clusters_there(const struct tfs *fs)
{
	uint64_t n = fs->geo->intervals / fs->ipc;

	return n < fs->super.clusters ? n : fs->super.clusters;
}

static bool is_escape(const uint16_t *tags)
{
	for (unsigned int i = 0; i < TFS_LANES; i++)
		if (tags[i] & 0x8000)
			return true;
	return false;
}

/* (1) */
static int read_part(struct tfs_pass *p, uint64_t addr, uint32_t n,
		     uint8_t *buf, uint16_t *tags)
{
	struct tfs *fs = p->fs;
	struct eng_fault fault;
	int err = tfs_cluster_tags(fs, addr, n, ENG_IO_ESCAPES, buf, tags,
				   &fault);

	if (err == -ENOMEM)
		return err;
	if (err && n == 1) {
		p->unreadable++;
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		int bad = err ? read_part(p, addr + i, 1, buf, tags) :
			is_escape(tags + i * fs->ipc) ? 0 :
			p->see(p, addr + i, buf + (size_t)i * fs->csize,
			       tags + i * fs->ipc);

		if (bad)
			return bad;
	}
	return 0;
}

int tfs_pass_run(struct tfs_pass *p)
{
	struct tfs *fs = p->fs;
	uint64_t all = clusters_there(fs);
	uint32_t batch = fs->geo->max_io / fs->ipc;
	uint8_t *buf = eng_buf_get(fs->dev, (size_t)batch * fs->csize);
	uint16_t *tags = malloc(batch * fs->ipc * sizeof(*tags));
	int err = buf && tags ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < all && !err; at += batch) {
		p->done = at * 1000 / all;
		err = read_part(p, at, all - at < batch ? all - at : batch,
				buf, tags);
		if (!err && p->progress && !p->progress(p, p->done))
			err = -EINTR;
	}
	if (!err)
		p->unreadable += fs->super.clusters - all;	/* (2) */
	free(tags);
	eng_buf_put(fs->dev, buf, (size_t)batch * fs->csize);
	return err;
}
