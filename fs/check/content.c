/* SPDX-License-Identifier: GPL-2.0-or-later */
/* content.c - read every mapped cluster of every file, verified. */
#include <stdlib.h>

#include "base/cluster.h"
#include "check/check_priv.h"
#include "check/part.h"

typedef unsigned long long ull;

struct reading {
	struct tfs_checking *ck;
	uint8_t		*buf;
	uint32_t	most;		/* clusters at once */
	uint32_t	last_bad;	/* inode */
};

static int read_run(struct reading *rd, uint32_t ino,
		    const struct tfs_extent *ext, uint64_t i, uint32_t n,
		    struct eng_fault *fault)
{
	struct tfs_extent run = tfs_extent_slice(ext, ext->lc + i, n);

	return tfs_part_verify(rd->ck->fs, ino, &run, 0, rd->buf, fault);
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct reading *rd = w->arg;
	struct tfs_checking *ck = rd->ck;
	uint32_t ino = item->key.obj;
	struct tfs_extent ext;
	struct eng_fault fault;
	char text[160];

	if (!ino || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(ck->fs, item, &ext) || !ext.addr)
		return 0;
	for (uint64_t i = 0, n; i < ext.len; i += n) {
		int err;

		err = tfs_check_at(ck, 3, ino);
		if (err)
			return err;
		n = ext.len - i < rd->most ? ext.len - i : rd->most;
		err = read_run(rd, ino, &ext, i, n, &fault);
		if (err && n > 1) {
			n = 1;
			err = read_run(rd, ino, &ext, i, 1, &fault);
		}
		if (err == -ENOMEM)
			return err;
		if (!err)
			continue;
		ck->c->bad_files += ino != rd->last_bad;
		rd->last_bad = ino;
		tfs_found(ck, TFS_F_DATA, ino, ext.addr + i, false,
			  "bytes %llu to %llu don't verify: %s",
			  (ull)((ext.lc + i) * ck->fs->csize),
			  (ull)((ext.lc + i + 1) * ck->fs->csize - 1),
			  tfs_fault_text(err, &fault, text, sizeof(text)));
	}
	return 0;
}

int tfs_check_content(struct tfs_checking *ck)
{
	struct tfs *fs = ck->fs;
	struct reading rd = { .ck = ck, .most = fs->geo->max_io / fs->ipc };
	struct tfs_treewalk w = { .fs = fs, .arg = &rd,
				  .item = see_item, .lost = tfs_treewalk_skip };
	size_t size = (size_t)rd.most * fs->csize;
	int err = -ENOMEM;

	rd.buf = eng_buf_get(fs->dev, size);
	if (rd.buf)
		err = tfs_treewalk_begin(&w);
	while (!err && !w.done) {
		err = tfs_treewalk_step(&w);
		if (!err)
			err = tfs_check_at(ck, 3, w.key.obj);
	}
	tfs_treewalk_end(&w);
	eng_buf_put(fs->dev, rd.buf, size);
	return err;
}
