/* SPDX-License-Identifier: GPL-2.0-or-later */
/* part.c - see part.h.
 *
 *  (1) A part is pinned by a ticket from the look at the tree on, so that its
 *      clusters are nobody else's when they are read. */
#include "base/cluster.h"
#include "base/gate.h"
#include "base/notes.h"
#include "check/part.h"
#include "commit/txn.h"

static int look(struct tfs_txn *tx, void *arg)
{
	struct tfs_part *p = arg;
	int err = tfs_extent_find(tx, p->ino, p->lc, &p->ext);

	if (err || p->ext.lc >= p->end) {
		p->ext.len = 0;
		return err == -ENOENT ? 0 : err;
	}
	if (p->ext.lc < p->lc)
		p->ext = tfs_extent_slice(&p->ext, p->lc, p->ext.lc +
					  p->ext.len - p->lc);
	if (p->ext.lc + p->ext.len > p->end)
		p->ext.len = p->end - p->ext.lc;
	if (!p->ext.addr || p->ext.seq <= p->since)
		return 0;
	if (p->ext.len > p->most)
		p->ext.len = p->most;
	p->ticket = tfs_reader_enter(p->fs);			/* (1) */
	p->pinned = true;
	return 0;
}

int tfs_part_next(struct tfs_part *p)
{
	p->pinned = false;
	p->ext.len = 0;
	return tfs_txn_read(p->fs, look, p);
}

void tfs_part_done(struct tfs_part *p)
{
	if (p->pinned)
		tfs_reader_exit(p->fs, p->ticket);
	p->lc = p->ext.lc + p->ext.len;
}

int tfs_part_verify(struct tfs *fs, uint32_t ino, const struct tfs_extent *ext,
		    unsigned int flags, void *buf, struct eng_fault *fault)
{
	struct tfs_record rec = { .kind = TFS_K_DATA, .owner = ino,
				  .index = ext->lc, .seq = ext->seq };
	struct eng_io *io = eng_io_get(fs->dev, ext->len * fs->ipc, 1);
	int err;

	if (!io)
		return -ENOMEM;
	io->op = ENG_READ;
	io->flags = ENG_IO_MEDIUM | flags;
	io->start = ext->addr * fs->ipc;
	eng_io_add(io, buf, (size_t)ext->len * fs->csize);
	tfs_tag_fill(fs, &rec, ext->addr, 0, ext->len * fs->ipc, io->tags);
	err = eng_io_run(io);
	if (!err && io->bad_legs)
		tfs_note_legs(fs, ino, ext->lc * fs->csize, io);
	*fault = io->fault;
	eng_io_put(io);
	return err;
}
