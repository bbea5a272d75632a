/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_open.c - the superblock and the slots of a filesystem that may have
 * neither, and what can be said about it then. */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cluster.h"
#include "base/fence.h"
#include "check/rebuild_priv.h"
#include "mount/helper.h"
#include "mount/mount.h"

/* Is there a fence?  It says so itself. */
static int guess_fence(struct tfs *fs)
{
	uint64_t at = fs->super.clusters - TFS_END_FENCE;
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	const struct tfs_disk_fence *d = (const void *)buf;

	if (!buf)
		return -ENOMEM;
	if (!eng_dev_bypass(fs->dev, ENG_READ, at * fs->ipc, buf, fs->csize,
			    NULL) &&
	    le32toh(d->magic) == TFS_FENCE_MAGIC &&
	    !memcmp(d->nonce, fs->super.nonce, TFS_NONCE))
		fs->super.ro_compat |= TFS_RO_COMPAT_FENCE;
	eng_buf_put(fs->dev, buf, fs->csize);
	return 0;
}

/* As mkfs would have made it on this device, with so many tags in each
 * interval.  -EMEDIUMTYPE: nothing of it is there, or there can't be.  Whoever
 * names the nonce has seen it somewhere: that tells nothing about tags, so it is
 * looked for all the same. */
static int guess_tags(void *arg, unsigned int tags, enum tfs_nonce_at *at)
{
	struct rebuild *rb = arg;
	struct tfs *fs = rb->fs;
	struct tfs_super *s = &fs->super;
	uint64_t n;
	int err = eng_dev_set_tags(fs->dev, tags);

	err = err == -EOPNOTSUPP ? -EMEDIUMTYPE : err ?: tfs_measure(fs, &n);
	if (err)
		return err;
	*s = (struct tfs_super){
		.seq = 1, .cluster_size = fs->csize,
		.interval = fs->geo->profile->interval,
		.log_start = TFS_AT_LOG,
		.incompat = TFS_INCOMPAT_LOG | TFS_INCOMPAT_LOCKS |
			TFS_INCOMPAT_MARKS |
			(tags > 1 ? TFS_INCOMPAT_TAGS : 0),
		.created = (uint64_t)time(NULL),
		.clusters = fs->geo->intervals / fs->ipc,
	};
	if (s->clusters > TFS_CLUSTERS_MAX)
		s->clusters = TFS_CLUSTERS_MAX;
	s->log_clusters = tfs_log_size(s->clusters, fs->csize);
	if (!rb->how->nonce || tags > 1)
		err = tfs_nonce_find(fs, s->nonce, at);
	if (rb->how->nonce)
		memcpy(s->nonce, rb->how->nonce, TFS_NONCE);
	rb->unsure = *at == TFS_NONCE_NODES && !rb->how->nonce;
	if (!err)
		err = guess_fence(fs);
	tfs_record_key_init(&fs->key, s->nonce);
	if (!err && getrandom(s->uuid, sizeof(s->uuid), 0) < 0)
		err = -EIO;
	if (fs->geo->image)
		s->incompat |= TFS_INCOMPAT_IMAGE;
	fs->super_outdated = 0;
	return err;
}

/* Other hosts stay away, if a superblock says where the fence is. */
static int keep_out(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	bool waited;
	int err;

	fs->opt.fence = rb->how->fence;
	err = tfs_fence_take(fs, &waited);
	if (!err && waited) {
		eng_dev_drop_caches(fs->dev);
		err = tfs_super_read(fs);
	}
	return err ? err : tfs_fence_start(fs);
}

/* What is not there can't be written. */
static int cut_short(const struct tfs *fs)
{
	eng_log(LOG_ERR, "the filesystem has %llu clusters, and here are "
		"%llu: it can be copied out, but not rebuilt where it is",
		(unsigned long long)fs->super.clusters,
		(unsigned long long)(fs->geo->intervals / fs->ipc));
	return -EFBIG;
}

int tfs_rb_open(struct rebuild *rb)
{
	struct tfs_rebuild *how = rb->how;
	struct tfs *fs = rb->fs;
	int err = tfs_super_read(fs);

	if (!err && fs->super.clusters > fs->geo->intervals / fs->ipc &&
	    !how->rdonly)
		return cut_short(fs);
	if (!err && !how->rdonly)
		err = keep_out(rb);
	if (err == -EBUSY)
		return err;

	how->super_lost = err == -EUCLEAN || err == -EMEDIUMTYPE ||
		err == -EIO || err == -EBADMSG || err == -EILSEQ;
	if (how->super_lost)
		err = tfs_nonce_tags(guess_tags, rb);
	if (!err && !how->image)
		err = tfs_super_whole(fs);
	if (!err)
		err = tfs_slot_read(fs, &rb->slot, &rb->odd);
	how->slots_lost = err == -EUCLEAN;
	if (!err || how->slots_lost)
		err = tfs_setup(fs);
	if (!err && !how->slots_lost)
		tfs_take_slot(fs, &rb->slot);
	return err;
}
