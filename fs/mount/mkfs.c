/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mkfs.c - make an empty filesystem: a tree with the root directory alone, its
 * checkpoint, and last the superblocks, without which nothing can be
 * mounted. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "mirror/mirror.h"
#include "base/fence.h"
#include "tree/alloc.h"
#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "commit/super.h"
#include "file/inode.h"
#include "mount/legs.h"
#include "mount/mount.h"

#define LOG_MIN		64ull
#define LOG_MAX_BYTES	(128ull << 20)

uint64_t tfs_log_size(uint64_t clusters, uint32_t csize)
{
	uint64_t n = clusters / 64, max = LOG_MAX_BYTES / csize;

	n = n > max ? max : n;
	return n < LOG_MIN ? LOG_MIN : n;
}

static int plan(struct tfs *fs, struct tfs_mkfs *how)
{
	struct tfs_super *s = &fs->super;
	int err = tfs_measure(fs, &s->clusters);

	if (err)
		return err;
	s->interval = fs->geo->profile->interval;
	s->cluster_size = fs->csize;
	if (s->clusters > TFS_CLUSTERS_MAX)
		s->clusters = TFS_CLUSTERS_MAX;
	s->log_start = TFS_AT_LOG;
	s->log_clusters = tfs_log_size(s->clusters, fs->csize);
	s->ro_compat = TFS_RO_COMPAT_FENCE;
	s->incompat = TFS_INCOMPAT_LOG;
	if (fs->geo->profile->tags > 1)
		s->incompat |= TFS_INCOMPAT_TAGS;
	if (eng_mirror_legs(fs->dev))
		s->incompat |= TFS_INCOMPAT_MIRROR;
	s->seq = 1;
	s->created = time(NULL);
	memcpy(s->uuid, how->uuid, sizeof(s->uuid));
	memcpy(s->label, how->label, sizeof(how->label));
	how->cluster_size = fs->csize;
	how->clusters = s->clusters;
	how->fixed = tfs_freemap_fixed(fs);
	if (s->clusters < TFS_CLUSTERS_MIN) {
		eng_log(LOG_ERR, "too small: %llu clusters of %u bytes, and "
			"%llu are the least", (unsigned long long)s->clusters,
			fs->csize, TFS_CLUSTERS_MIN);
		return -ENOSPC;
	}
	how->free = s->clusters - how->fixed;
	return 0;
}

/* A tree of one empty leaf. */
static int plant(struct tfs *fs)
{
	struct tfs_miss none;
	struct tfs_node *root = tfs_node_alloc(fs);
	int err;

	if (!root)
		return -ENOMEM;
	/* The pool's first fill looks into the tree: a stand-in at an
	 * address that no node can have. */
	tfs_node_init(fs, root, 0, tfs_key(0, 0, 0), TFS_KEY_MAX);
	root->ptr = fs->root;
	tfs_ncache_insert(fs, root);
	err = tfs_pool_fill(fs, 1, 0, 0, &none);
	if (err)
		return err == TFS_SHORT ? -ENOSPC : err;
	tfs_ncache_remove(fs, root);
	root = tfs_pool_take(fs);
	root->ptr.seq = fs->seq;
	tfs_node_init(fs, root, 0, tfs_key(0, 0, 0), TFS_KEY_MAX);
	tfs_ncache_insert(fs, root);
	tfs_ncache_dirty(fs, root);
	fs->root = root->ptr;
	return 0;
}

static int put_root_folder(struct tfs_txn *tx, void *arg)
{
	const struct tfs_mkfs *how = arg;
	struct timespec now = tfs_now();
	struct tfs_inode root = {
		.ino = TFS_ROOT_INO,
		.mode = S_IFDIR | 0755,
		.uid = how->root_uid,
		.gid = how->root_gid,
		.nlink = 2,
		.parent = TFS_ROOT_INO,
		.birth = tfs_txn_seq(tx),
		.atime = now, .mtime = now, .ctime = now, .btime = now,
	};

	tfs_txn_count(tx, 1, 0);
	return tfs_inode_put(tx, &root);
}

static int build(struct tfs *fs, struct tfs_mkfs *how)
{
	int err;

	fs->seq = 1;
	fs->next_ino = TFS_FIRST_INO;
	fs->free = how->free;
	err = tfs_setup(fs);
	if (!err)
		err = plant(fs);
	if (!err)
		err = tfs_txn_write(fs, put_root_folder, how, 0);
	if (how->progress)
		how->progress(50);
	/* Both slots: what an older filesystem left there is gone. */
	if (!err)
		err = tfs_ckpt_force(fs, false);
	if (!err)
		err = tfs_ckpt_force(fs, true);
	if (!err)
		err = tfs_fence_format(fs);
	if (!err)
		err = tfs_legs_format(fs);
	if (!err)
		err = tfs_super_write(fs, 1);
	if (how->progress)
		how->progress(100);
	return err;
}

int tfs_mkfs(struct eng_dev *dev, struct tfs_mkfs *how)
{
	struct tfs *fs = tfs_alloc_fs(dev);
	int err;

	if (!fs)
		return -ENOMEM;
	err = plan(fs, how);
	if (!err && getrandom(fs->super.nonce, TFS_NONCE, 0) != TFS_NONCE)
		err = -EIO;
	if (!err && !how->dry_run)
		err = build(fs, how);
	tfs_free_fs(fs);
	return err;
}
