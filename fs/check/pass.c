/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass.c - all of the medium once, in the order of the device.
 *
 *  (1) What can't be read, or does not verify, costs its cluster alone.
 *  (2) A device may be shorter than its filesystem: what is not there is
 *      counted as what can't be read.
 *  (3) Of a mirror all legs are read that have everything, and of a cluster the
 *      one counts that can be read and has the newest tags: a leg that lost a
 *      write has something older there, as sound.  The place was free for
 *      whoever wrote the newer one. */
#include <stdlib.h>
#include <string.h>

#include "mirror/mirror.h"
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

/* Of clusters that follow one another. */
struct part {
	uint8_t		*buf;
	uint16_t	*tags;
	bool		*there;		/* it could be read */
};

static int part_alloc(struct part *pt, struct tfs *fs, uint32_t n)
{
	pt->buf = eng_buf_get(fs->dev, (size_t)n * fs->csize);
	pt->tags = malloc((size_t)n * TFS_LANES * sizeof(*pt->tags));
	pt->there = malloc(n * sizeof(*pt->there));
	return pt->buf && pt->tags && pt->there ? 0 : -ENOMEM;
}

static void part_free(struct part *pt, struct tfs *fs, uint32_t n)
{
	eng_buf_put(fs->dev, pt->buf, (size_t)n * fs->csize);
	free(pt->tags);
	free(pt->there);
}

static struct part part_from(const struct tfs *fs, const struct part *pt,
			     uint32_t i)
{
	return (struct part){
		pt->buf + (size_t)i * fs->csize, pt->tags + i * TFS_LANES,
		pt->there + i,
	};
}

/* (1) */
static int read_part(struct tfs *fs, unsigned int leg, uint64_t addr,
		     uint32_t n, const struct part *pt)
{
	struct eng_fault fault;
	int err = tfs_cluster_leg(fs, leg, addr, n, ENG_IO_ESCAPES, pt->buf,
				  pt->tags, &fault);

	if (err == -ENOMEM)
		return err;
	for (uint32_t i = 0; i < n; i++) {
		struct part one = part_from(fs, pt, i);
		int bad = err && n > 1 ? read_part(fs, leg, addr + i, 1, &one) :
			0;

		if (bad)
			return bad;
		if (!err || n == 1)
			*one.there = !err;
	}
	return 0;
}

/* 0: of none. */
static uint64_t commit_of(const struct tfs *fs, const uint16_t *tags,
			  uint64_t addr)
{
	struct tfs_record rec;

	return !is_escape(tags) &&
		tfs_record_decode(&fs->key, tags, addr, &rec) ? rec.seq : 0;
}

/* (3) */
static void take_newer(struct tfs *fs, uint64_t addr, uint32_t n,
		       const struct part *pt, const struct part *other)
{
	for (uint32_t i = 0; i < n; i++) {
		struct part a = part_from(fs, pt, i);
		struct part b = part_from(fs, other, i);
		size_t size = TFS_LANES * sizeof(*a.tags);

		if (!*b.there || (*a.there && (!memcmp(a.tags, b.tags, size) ||
		     commit_of(fs, a.tags, addr + i) >=
		     commit_of(fs, b.tags, addr + i))))
			continue;
		memcpy(a.buf, b.buf, fs->csize);
		memcpy(a.tags, b.tags, size);
		*a.there = true;
	}
}

static int read_legs(struct tfs *fs, uint64_t addr, uint32_t n,
		     const struct part *pt, const struct part *other)
{
	unsigned int leg = tfs_leg_next(fs, 0);
	int err = leg ? read_part(fs, leg, addr, n, pt) : -ENODEV;

	while (!err && (leg = tfs_leg_next(fs, leg))) {
		err = read_part(fs, leg, addr, n, other);
		if (!err)
			take_newer(fs, addr, n, pt, other);
	}
	return err;
}

static int see_part(struct tfs_pass *p, uint64_t addr, uint32_t n,
		    const struct part *pt)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++) {
		struct part one = part_from(p->fs, pt, i);

		p->unreadable += !*one.there;
		if (*one.there && !is_escape(one.tags))
			err = p->see(p, addr + i, one.buf, one.tags);
	}
	return err;
}

int tfs_pass_run(struct tfs_pass *p)
{
	struct tfs *fs = p->fs;
	uint64_t all = clusters_there(fs);
	uint32_t batch = fs->geo->max_io / fs->ipc, n;
	struct part one = { .buf = NULL }, other = { .buf = NULL };
	int err = part_alloc(&one, fs, batch);

	if (!err && eng_mirror_legs(fs->dev))
		err = part_alloc(&other, fs, batch);
	for (uint64_t at = 0; at < all && !err; at += batch) {
		p->done = at * 1000 / all;
		n = all - at < batch ? all - at : batch;
		err = read_legs(fs, at, n, &one, &other);
		if (!err)
			err = see_part(p, at, n, &one);
		if (!err && p->progress && !p->progress(p, p->done))
			err = -EINTR;
	}
	if (!err)
		p->unreadable += fs->super.clusters - all;	/* (2) */
	part_free(&one, fs, batch);
	part_free(&other, fs, batch);
	return err;
}
