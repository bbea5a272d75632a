/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tags.c - the application tags of a file's clusters, as getxattr shows them.
 *
 *  (1) They come from the medium, past the caches, and are verified as a
 *      read verifies: what is shown is what is there.
 *  (2) A bad cluster is part of the answer, not an error of the call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/gate.h"
#include "file/extent.h"

struct list {
	uint32_t	ino;
	struct tfs_inode inode;
	struct tfs_extent *ext;
	size_t		n, room;
	unsigned int	inline_len;
	bool		has_inline;
	unsigned int	ticket;
};

static int list_add(struct list *l, const struct tfs_extent *ext)
{
	if (tfs_array_grow(&l->ext, &l->room, l->n + 1, sizeof(l->ext[0])))
		return -ENOMEM;
	l->ext[l->n++] = *ext;
	return 0;
}

static int list_fn(struct tfs_txn *tx, void *arg)
{
	struct list *l = arg;
	struct tfs_extent ext;
	struct tfs_item item;
	uint64_t at = 0;
	int err = tfs_inode_get(tx, l->ino, &l->inode);

	l->n = 0;
	l->has_inline = false;
	while (!err) {
		err = tfs_extent_find(tx, l->ino, at, &ext);
		if (!err)
			err = list_add(l, &ext);
		at = ext.lc + ext.len;
	}
	if (err != -ENOENT)
		return err;
	err = tfs_txn_get(tx, tfs_key(l->ino, TFS_T_INLINE, 0), &item);
	if (err && err != -ENOENT)
		return err;
	l->has_inline = !err;
	l->inline_len = err ? 0 : item.len;
	l->ticket = tfs_reader_enter(tfs_txn_fs(tx));
	return 0;
}

/* Read count clusters of an extent; tags out. */
static int read_tags(struct tfs *fs, uint64_t addr, uint32_t count, void *buf,
		     uint16_t *tags, struct eng_fault *fault)
{
	struct eng_io *io = eng_io_get(fs->dev, count * fs->ipc, 1);
	int err;

	if (!io)
		return -ENOMEM;
	io->op = ENG_READ;
	io->flags = ENG_IO_TAGS_OUT | ENG_IO_MEDIUM;
	io->start = addr * fs->ipc;
	eng_io_add(io, buf, (size_t)count * fs->csize);
	err = eng_io_run(io);
	*fault = io->fault;
	if (!err)
		memcpy(tags, io->tags, count * fs->ipc * sizeof(*tags));
	eng_io_put(io);
	return err;
}

struct verdict {
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
	for (unsigned int k = 0; k < fs->ipc; k++) {
		if (tags[k] == want[k])
			continue;
		fault.interval = (ext->addr + i) * fs->ipc + k;
		fault.expected = want[k];
		fault.actual = tags[k];
		note_bad(v, ext->lc + i, -EBADMSG, &fault);
		return;
	}
	v->good++;
}

/* Every cluster of the extent, many at a time; where that fails, one by one.
 * raw: tags of the clusters are stored there, escapes for bad ones. */
static int check_extent(struct tfs *fs, uint32_t ino,
			const struct tfs_extent *ext, uint8_t *buf,
			uint32_t batch, uint16_t *raw, struct verdict *v)
{
	uint16_t tags[batch * TFS_LANES];
	struct eng_fault fault;

	memset(v, 0, sizeof(*v));
	for (uint64_t i = 0, n; i < ext->len; i += n) {
		int err;

		n = ext->len - i < batch ? ext->len - i : batch;
		err = read_tags(fs, ext->addr + i, n, buf, tags, &fault);
		if (err && n > 1) {
			n = 1;
			err = read_tags(fs, ext->addr + i, n, buf, tags,
					&fault);
		}
		if (err == -ENOMEM)
			return err;
		if (err) {
			memset(tags, 0xff, sizeof(tags[0]) * fs->ipc);
			note_bad(v, ext->lc + i, err, &fault);
		}
		for (uint64_t k = 0; !err && k < n; k++)
			check_cluster(fs, ino, ext, i + k, tags + k * fs->ipc,
				      v);
		if (!i)
			memcpy(v->first, tags, sizeof(v->first));
		for (uint64_t k = 0; raw && k < n * fs->ipc; k++)
			raw[i * fs->ipc + k] = htobe16(tags[k]);
	}
	return 0;
}

static void print_extent(FILE *f, struct tfs *fs, uint32_t ino,
			 const struct tfs_extent *ext,
			 const struct verdict *v)
{
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
			"tags", ino, (uint32_t)ext->lc,
			(unsigned long long)ext->seq);
	for (unsigned int i = 0; i < fs->ipc; i++)
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

static int print_list(FILE *f, struct tfs *fs, const struct list *l,
		      uint8_t *buf, uint32_t batch)
{
	struct verdict v;

	fprintf(f, "inode %u size %llu clusters %llu of %u bytes\n", l->ino,
		(unsigned long long)l->inode.size,
		(unsigned long long)l->inode.clusters, fs->csize);
	if (l->has_inline)
		fprintf(f, "inline: %u bytes in the tree\n", l->inline_len);
	for (size_t i = 0; i < l->n; i++) {
		int err;

		if (!l->ext[i].addr) {
			fprintf(f, "clusters %llu+%llu reserved\n",
				(unsigned long long)l->ext[i].lc,
				(unsigned long long)l->ext[i].len);
			continue;
		}
		err = check_extent(fs, l->ino, &l->ext[i], buf, batch, NULL,
				   &v);
		if (err)
			return err;
		print_extent(f, fs, l->ino, &l->ext[i], &v);
	}
	return 0;
}

static ssize_t text_of(struct tfs *fs, const struct list *l, uint8_t *buf,
		       uint32_t batch, char **out)
{
	size_t size = 0;
	FILE *f = open_memstream(out, &size);
	int err;

	if (!f)
		return -ENOMEM;
	err = print_list(f, fs, l, buf, batch);
	if (fclose(f) && !err)
		err = -ENOMEM;
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err ? err : (ssize_t)size;
}

static ssize_t raw_of(struct tfs *fs, const struct list *l, uint8_t *buf,
		      uint32_t batch, char **out)
{
	uint64_t clusters = 0, at = 0;
	struct verdict v;
	uint16_t *raw;
	int err = 0;

	for (size_t i = 0; i < l->n; i++)
		clusters += l->ext[i].addr ? l->ext[i].len : 0;
	raw = malloc(clusters * fs->ipc * sizeof(*raw) + 1);
	if (!raw)
		return -ENOMEM;
	for (size_t i = 0; i < l->n && !err; i++) {
		if (!l->ext[i].addr)
			continue;
		err = check_extent(fs, l->ino, &l->ext[i], buf, batch,
				   raw + at * fs->ipc, &v);
		at += l->ext[i].len;
	}
	if (err) {
		free(raw);
		return err;
	}
	*out = (char *)raw;
	return clusters * fs->ipc * sizeof(*raw);
}

ssize_t tfs_tags(struct tfs *fs, uint32_t ino, bool raw, char **out)
{
	struct list l = { .ino = ino };
	uint32_t batch = (1u << 20) / fs->csize;
	uint8_t *buf = eng_buf_get(fs->dev, (size_t)batch * fs->csize);
	ssize_t n = buf ? tfs_txn_read(fs, list_fn, &l) : -ENOMEM;

	*out = NULL;
	if (!n) {
		n = raw ? raw_of(fs, &l, buf, batch, out) :
			text_of(fs, &l, buf, batch, out);
		tfs_reader_exit(fs, l.ticket);
	}
	eng_buf_put(fs->dev, buf, (size_t)batch * fs->csize);
	free(l.ext);
	return n;
}
