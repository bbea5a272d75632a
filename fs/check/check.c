/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.c - the steps of a check.
 *
 *  (1) Memory is 56 bytes for each inode, and a bit for each cluster of a
 *      region that is in use, or two where clusters have several owners;
 *      nothing else grows with the filesystem.
 *  (2) A repair is one transaction, or several that each leave it no worse.
 *  (3) What one step put right is as it is known to the steps after it.
 *  (4) A repair may take any cluster that is free in the map, and so may the
 *      replay of the log and a checkpoint: what is in use is marked before the
 *      first one, by tfs_check_mark() before there is any, and again by the
 *      check: what two use is free again when one of them has given it up.
 *  (5) Who has read all of the tree knows that the list of errors is wrong where
 *      it calls a part of it lost. */
#include <stdlib.h>

#include "base/runs.h"
#include "base/state.h"
#include "check/check_priv.h"
#include "commit/ckpt.h"
#include "file/flaws.h"
#include "tree/freemap.h"

_Static_assert(sizeof(struct tfs_known) == 56, "(1)");

static int steps(struct tfs_checking *ck)
{
	bool writes = !tfs_rdonly(ck->fs) && !ck->c->no_space;
	int err = writes ? tfs_check_marked(ck) : 0;		/* (4) */

	if (!err)
		err = tfs_check_inodes(ck);
	if (!err && ck->any_twice)
		err = tfs_check_twice(ck);
	if (!err)
		err = tfs_check_names(ck);
	if (!err && ck->c->data)
		err = tfs_check_content(ck);
	if (err || ck->c->no_space)
		return err;
	err = ck->c->lost ? 0 : tfs_check_reserved(ck);
	if (err)
		return err;
	/* Repairs take and free clusters, also those of nodes that the walk
	 * has seen: what is stored must be of now, and so must who uses it. */
	if (ck->c->fixed)
		err = tfs_ckpt_run(ck->fs);
	if (!err && ck->c->fixed)
		err = tfs_check_refer_again(ck);
	return err ? err : tfs_check_space(ck);
}

static int begin(struct tfs_checking *ck, struct tfs_check *c)
{
	uint64_t regions = tfs_region_count(c->fs);

	*ck = (struct tfs_checking){
		.c = c, .fs = c->fs,
		.used = calloc(regions, sizeof(ck->used[0])),
		.twice = calloc(regions, sizeof(ck->twice[0])),
		.has_item = calloc(regions, 1),
	};
	return ck->used && ck->twice && ck->has_item ? 0 : -ENOMEM;
}

static int end(struct tfs_checking *ck, int err)
{
	uint64_t regions = tfs_region_count(ck->fs);

	for (uint64_t i = 0; i < regions && ck->used && ck->twice; i++) {
		free(ck->used[i]);
		free(ck->twice[i]);
	}
	free(ck->used);
	free(ck->twice);
	free(ck->has_item);
	free(ck->known);
	free(ck->orphan);
	free(ck->misplaced);
	return err;
}

int tfs_check(struct tfs_check *c)
{
	struct tfs_checking ck;
	int err = begin(&ck, c);

	if (!err)
		err = tfs_rdonly(c->fs) ? 0 : tfs_ckpt_run(c->fs);
	if (!err)
		err = steps(&ck);
	if (!err && !c->lost && !tfs_rdonly(c->fs))		/* (5) */
		tfs_flaws_tree_whole(c->fs);
	return end(&ck, err);
}

int tfs_check_mark(struct tfs_check *c)
{
	struct tfs_checking ck;
	int err = begin(&ck, c);

	if (!err)
		err = tfs_check_marked(&ck);
	return end(&ck, err);
}
