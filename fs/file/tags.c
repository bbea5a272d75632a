/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tags.c - the application tags of a file's clusters, as getxattr shows them.
 *
 *  (1) They come from the medium, past the caches, and are verified as a
 *      read verifies: what is shown is what is there.
 *  (2) A bad cluster is part of the answer, not an error of the call.
 *  (3) The file is walked in batches.  Where a batch is was looked up and
 *      pinned under one hold of the tree lock, and it is let go before the
 *      next one: no checkpoint waits longer than for one batch.  The file may
 *      change in between; each cluster shown was mapped when it was read.
 *  (4) Nothing is read that the answer has no room for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/gate.h"
#include "file/extent.h"

#define BATCH_BYTES	(1u << 20)
#define BATCH_CLUSTERS	(BATCH_BYTES / TFS_CLUSTER_MIN)
#define BATCH_PARTS	16u	/* of extents: a request each */
#define LINE_MAX	400u	/* bytes of the longest line */
#define COUNT_STEP	256u	/* extents under one hold of the lock */

/* Parts of a file, from a logical cluster on. */
struct batch {
	uint32_t	ino;
	uint64_t	lc;		/* the walk goes on here */
	uint64_t	most;		/* clusters */
	struct tfs_extent part[BATCH_PARTS];
	unsigned int	n;
	unsigned int	ticket;		/* if n */
};

/* One answer in the making. */
struct answer {
	struct tfs	*fs;
	struct batch	b;
	uint8_t		*buf;		/* for most clusters */
	size_t		limit;		/* bytes */
	bool		(*stop)(void *arg);
	void		*arg;
	FILE		*text;
	uint16_t	*raw;		/* instead of text */
	size_t		raw_n, raw_room; /* tags */
};

/* The next parts, not more clusters than most; the first may be in the
 * middle of an extent. */
static int batch_fn(struct tfs_txn *tx, void *arg)
{
	struct batch *b = arg;
	uint64_t left = b->most, at = b->lc;
	struct tfs_extent ext;
	int err = 0;

	b->n = 0;
	while (left && b->n < BATCH_PARTS) {
		err = tfs_extent_find(tx, b->ino, at, &ext);
		if (err)
			break;
		if (ext.lc < at)
			ext = tfs_extent_slice(&ext, at, ext.lc + ext.len - at);
		if (ext.addr && ext.len > left)
			ext.len = left;
		b->part[b->n++] = ext;
		at = ext.lc + ext.len;
		left -= ext.addr ? ext.len : 0;
	}
	if (err && err != -ENOENT)
		return err;
	if (b->n)
		b->ticket = tfs_reader_enter(tfs_txn_fs(tx));	/* (3) */
	b->lc = at;
	return 0;
}

/* What is known of neighbouring clusters of one extent: a line of text. */
struct verdict {
	struct tfs_extent ext;
	uint64_t	good;		/* clusters */
	uint64_t	bad_at;		/* the first bad one, logical */
	int		err;
	struct eng_fault fault;
	uint16_t	first[TFS_LANES];
};

static void note_bad(struct verdict *v, uint64_t lc, int err,
		     const struct eng_fault *fault)
{
	if (v->err)
		return;
	v->err = err;
	v->bad_at = lc;
	v->fault = *fault;
}

/* The tags of one cluster against its record. */
static void check_cluster(struct tfs *fs, uint32_t ino,
			  const struct tfs_extent *ext, uint64_t i,
			  const uint16_t *tags, struct verdict *v)
{
	struct tfs_record rec = { .kind = TFS_K_DATA, .owner = ino,
				  .index = ext->lc + i, .seq = ext->seq };
	struct eng_fault fault = { .kind = ENG_FAULT_APP };
	uint16_t want[TFS_LANES];

	tfs_record_encode(&fs->key, &rec, ext->addr + i, want);
	for (unsigned int k = 0; k < TFS_LANES; k++) {
		if (tags[k] == want[k])
			continue;
		fault.interval = (ext->addr + i) * fs->ipc +
			k * fs->ipc / TFS_LANES;
		fault.expected = want[k];
		fault.actual = tags[k];
		note_bad(v, ext->lc + i, -EBADMSG, &fault);
		return;
	}
	v->good++;
}

/* Many clusters at a time; where that fails, one by one.  The verdict goes on
 * with what it says already. */
static int check_part(struct answer *an, const struct tfs_extent *ext,
		      struct verdict *v)
{
	uint16_t tags[BATCH_CLUSTERS * TFS_LANES];
	struct tfs *fs = an->fs;
	struct eng_fault fault;

	for (uint64_t i = 0, n; i < ext->len; i += n) {
		int err;

		n = ext->len - i;
		err = tfs_cluster_tags(fs, ext->addr + i, n, ENG_IO_MEDIUM,
				       an->buf, tags, &fault);
		if (err && n > 1) {
			n = 1;
			err = tfs_cluster_tags(fs, ext->addr + i, n,
					       ENG_IO_MEDIUM, an->buf, tags,
					       &fault);
		}
		if (err == -ENOMEM)
			return err;
		if (err)		/* (2) */
			note_bad(v, ext->lc + i, err, &fault);
		for (uint64_t k = 0; !err && k < n; k++)
			check_cluster(fs, an->b.ino, ext, i + k,
				      tags + k * TFS_LANES, v);
		if (ext->lc + i == v->ext.lc)
			memcpy(v->first, tags, sizeof(v->first));
		for (uint64_t k = 0; k < n * TFS_LANES &&
		     an->raw_n < an->raw_room; k++)
			an->raw[an->raw_n++] = htobe16(tags[k]);
	}
	return 0;
}

static void print_extent(struct answer *an, const struct verdict *v)
{
	const struct tfs_extent *ext = &v->ext;
	struct tfs *fs = an->fs;
	FILE *f = an->text;
	struct tfs_record rec;
	char text[160];

	fprintf(f, "clusters %llu+%llu at %llu: ",
		(unsigned long long)ext->lc, (unsigned long long)ext->len,
		(unsigned long long)ext->addr);
	if (tfs_record_decode(&fs->key, v->first, ext->addr, &rec))
		fprintf(f, "inode %u index %u commit %llu tags", rec.owner,
			rec.index, (unsigned long long)rec.seq);
	else
		fprintf(f, "expected inode %u index %u commit %llu, found "
			"tags", an->b.ino, (uint32_t)ext->lc,
			(unsigned long long)ext->seq);
	for (unsigned int i = 0; i < TFS_LANES; i++)
		fprintf(f, " %04x", v->first[i]);
	if (!v->err)
		fprintf(f, ": verified\n");
	else
		fprintf(f, ": %llu of %llu verified, first bad cluster %llu, "
			"%s\n", (unsigned long long)v->good,
			(unsigned long long)ext->len,
			(unsigned long long)v->bad_at,
			tfs_fault_text(v->err, &v->fault, text,
				       sizeof(text)));
}

/* The line is complete: what comes is no continuation. */
static void end_line(struct answer *an, struct verdict *v)
{
	if (!an->text || !v->ext.len)
		return;
	if (v->ext.addr)
		print_extent(an, v);
	else
		fprintf(an->text, "clusters %llu+%llu reserved\n",
			(unsigned long long)v->ext.lc,
			(unsigned long long)v->ext.len);
}

static bool continues(const struct tfs_extent *a, const struct tfs_extent *b)
{
	return a->len && a->lc + a->len == b->lc && a->seq == b->seq &&
		(a->addr ? a->addr + a->len == b->addr : !b->addr);
}

static int see_part(struct answer *an, const struct tfs_extent *part,
		    struct verdict *v)
{
	if (continues(&v->ext, part)) {
		v->ext.len += part->len;
	} else {
		end_line(an, v);
		*v = (struct verdict){ .ext = *part };
	}
	return part->addr ? check_part(an, part, v) : 0;
}

/* (4): no room for the line in the making, the next one, and the one that
 * says that more would come. */
static bool full(const struct answer *an)
{
	return an->text ? (size_t)ftell(an->text) + 3 * LINE_MAX > an->limit :
		an->raw_n == an->raw_room;
}

/* One batch.  1: there was none, or the answer is full. */
static int see_batch(struct answer *an, struct verdict *v)
{
	struct batch *b = &an->b;
	int err = an->stop && an->stop(an->arg) ? -EINTR :
		tfs_txn_read(an->fs, batch_fn, b);

	if (err)
		return err;
	if (!b->n)
		return 1;
	for (unsigned int i = 0; i < b->n && !err; i++) {
		if (full(an)) {
			b->lc = b->part[i].lc;
			err = 1;
		} else {
			err = see_part(an, &b->part[i], v);
		}
	}
	tfs_reader_exit(an->fs, b->ticket);
	return err;
}

static int see_all(struct answer *an)
{
	struct verdict v = { .err = 0 };
	int err;

	do
		err = see_batch(an, &v);
	while (!err);
	if (err < 0)
		return err;
	end_line(an, &v);
	if (an->text && an->b.n)
		fprintf(an->text, "... and more from cluster %llu on\n",
			(unsigned long long)an->b.lc);
	return 0;
}

struct summary {
	uint32_t	ino;
	struct tfs_inode inode;
	unsigned int	inline_len;
	bool		has_inline;
};

static int summary_fn(struct tfs_txn *tx, void *arg)
{
	struct summary *s = arg;
	struct tfs_item item;
	int err = tfs_inode_get(tx, s->ino, &s->inode);

	if (err)
		return err;
	err = tfs_txn_get(tx, tfs_key(s->ino, TFS_T_INLINE, 0), &item);
	s->has_inline = !err;
	s->inline_len = err ? 0 : item.len;
	return err == -ENOENT ? 0 : err;
}

static int print_all(struct answer *an)
{
	struct summary s = { .ino = an->b.ino };
	int err = tfs_txn_read(an->fs, summary_fn, &s);

	if (err)
		return err;
	fprintf(an->text, "inode %u size %llu clusters %llu of %u bytes\n",
		s.ino, (unsigned long long)s.inode.size,
		(unsigned long long)s.inode.clusters, an->fs->csize);
	if (s.has_inline)
		fprintf(an->text, "inline: %u bytes in the tree\n",
			s.inline_len);
	return see_all(an);
}

static ssize_t text_of(struct answer *an, char **out)
{
	size_t size = 0;
	int err;

	an->text = open_memstream(out, &size);
	if (!an->text)
		return -ENOMEM;
	err = print_all(an);
	if (fclose(an->text) && !err)
		err = -ENOMEM;
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err ? err : (ssize_t)size;
}

struct count {
	uint32_t	ino;
	uint64_t	lc, clusters;
	unsigned int	left;
	bool		done;
};

static int count_fn(struct tfs_txn *tx, void *arg)
{
	struct count *c = arg;
	struct tfs_extent ext;
	struct tfs_inode inode;
	int err = tfs_inode_get(tx, c->ino, &inode);

	while (!err && c->left) {
		err = tfs_extent_find(tx, c->ino, c->lc, &ext);
		if (err)
			break;
		c->lc = ext.lc + ext.len;
		c->clusters += ext.addr ? ext.len : 0;
		c->left--;
	}
	c->done = err == -ENOENT;
	return c->done ? 0 : err;
}

/* (4): -E2BIG before anything is read. */
static int count_raw(struct answer *an)
{
	struct count c = { .ino = an->b.ino };
	size_t bytes = TFS_LANES * sizeof(an->raw[0]);
	int err = 0;

	while (!err && !c.done) {
		c.left = COUNT_STEP;
		err = tfs_txn_read(an->fs, count_fn, &c);
		if (!err && c.clusters > an->limit / bytes)
			err = -E2BIG;
	}
	an->raw_room = c.clusters * TFS_LANES;
	return err;
}

static ssize_t raw_of(struct answer *an, char **out)
{
	int err = count_raw(an);

	if (err)
		return err;
	an->raw = malloc(an->raw_room * sizeof(an->raw[0]) + 1);
	if (!an->raw)
		return -ENOMEM;
	err = see_all(an);
	if (err) {
		free(an->raw);
		return err;
	}
	*out = (char *)an->raw;
	return an->raw_n * sizeof(an->raw[0]);
}

ssize_t tfs_tags(struct tfs *fs, uint32_t ino, bool raw, size_t limit,
		 bool (*stop)(void *arg), void *arg, char **out)
{
	uint64_t most = fs->geo->max_io / fs->ipc;
	struct answer an = { .fs = fs, .b.ino = ino, .limit = limit,
			     .stop = stop, .arg = arg };
	size_t size;
	ssize_t n;

	an.b.most = most < BATCH_BYTES / fs->csize ? most :
		BATCH_BYTES / fs->csize;
	size = an.b.most * fs->csize;
	*out = NULL;
	an.buf = eng_buf_get(fs->dev, size);
	if (!an.buf)
		return -ENOMEM;
	n = raw ? raw_of(&an, out) : text_of(&an, out);
	eng_buf_put(fs->dev, an.buf, size);
	return n;
}
