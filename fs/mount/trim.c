/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trim.c - tell the device which clusters are free: all of them, once.
 *
 *  (1) What the device is told about is set aside meanwhile, as places for
 *      nodes are: nobody is given it, and a checkpoint stores it as free.
 *  (2) That is a little at a time, and nothing when space is short, so that no
 *      writer is refused for it.
 *  (3) No I/O under the lock of the tree. */
#include "base/cluster.h"
#include "base/state.h"
#include "commit/ckpt.h"
#include "tree/alloc.h"
#include "tree/fetch.h"

#define AT_ONCE		1024u	/* clusters */

struct piece {
	uint64_t	addr;
	unsigned int	len;
};

/* The next free run of region idx from *bit on.  len 0: there is none. */
static int take(struct tfs *fs, uint64_t idx, unsigned int *bit,
		unsigned int least, struct piece *p, struct tfs_miss *miss)
{
	struct tfs_region *r;
	unsigned int end;
	int err = tfs_region_load(fs, idx, &r, miss);

	p->len = 0;
	if (err || r->lost || r->guessed)
		return err;
	if (fs->free < fs->promised + fs->reserve + 4 * AT_ONCE)	/* (2) */
		return 0;
	while (!p->len && *bit < TFS_REGION_BITS) {
		*bit = tfs_bits_next(r->map, *bit, false);
		end = tfs_bits_next(r->map, *bit, true);
		if (end - *bit >= least)
			p->len = end - *bit < AT_ONCE ? end - *bit : AT_ONCE;
		else
			*bit = end;
	}
	if (!p->len)
		return 0;
	tfs_region_take(fs, r, *bit, p->len);			/* (1) */
	tfs_region_hide(r, *bit, p->len);
	fs->freemap->aside += p->len;
	p->addr = idx * TFS_REGION_BITS + *bit;
	*bit += p->len;
	return 0;
}

static int take_retry(struct tfs *fs, uint64_t idx, unsigned int *bit,
		      unsigned int least, struct piece *p)
{
	struct tfs_miss miss;
	int err;

	do {
		pthread_rwlock_wrlock(&fs->tree);
		err = take(fs, idx, bit, least, p, &miss);
		err = tfs_tree_unlock(fs, err, &miss);
		if (err == TFS_MISS)
			err = tfs_node_fetch(fs, &miss) ?: TFS_MISS;
	} while (err == TFS_MISS);
	return err;
}

static void give_back(struct tfs *fs, const struct piece *p)
{
	uint64_t idx = p->addr / TFS_REGION_BITS;
	unsigned int bit = p->addr % TFS_REGION_BITS;
	struct tfs_region *r;

	pthread_rwlock_wrlock(&fs->tree);
	r = tfs_region_find(fs->freemap, idx);	/* it hides something: there */
	fs->freemap->aside -= p->len;
	fs->free += p->len;
	if (r->lost) {
		tfs_freemap_strand(fs, p->len);
	} else {
		tfs_region_unhide(r, bit, p->len);
		tfs_bits_put(r->map, bit, p->len, false);
		*tfs_region_free(fs, idx) += p->len;
	}
	pthread_rwlock_unlock(&fs->tree);
}

static int trim_region(struct tfs *fs, uint64_t idx, struct tfs_trim *t)
{
	unsigned int least = t->least / fs->csize + !!(t->least % fs->csize);
	unsigned int bit = 0;
	struct piece p = { .len = 0 };
	int err;

	do {
		err = take_retry(fs, idx, &bit, least ? least : 1, &p);
		if (err || !p.len)
			return err;
		err = eng_dev_discard(fs->dev, p.addr * fs->ipc,
				      (uint64_t)p.len * fs->ipc);
		give_back(fs, &p);
		if (!err)
			t->done += (uint64_t)p.len * fs->csize;
	} while (!err && !(t->stop && t->stop(t->arg)));
	return err ? err : -EINTR;
}

int tfs_trim(struct tfs *fs, struct tfs_trim *t)
{
	uint64_t csize = fs->csize, n = tfs_region_count(fs);
	uint64_t idx = t->from / csize / TFS_REGION_BITS;
	uint64_t end = t->len / csize / TFS_REGION_BITS;
	int err;

	t->done = 0;
	if (tfs_rdonly(fs))
		return -EROFS;
	if (t->from / csize >= fs->super.clusters ||
	    t->least / csize >= TFS_REGION_BITS || t->len < csize)
		return -EINVAL;
	end = end < n - idx ? idx + end + 1 : n;
	err = tfs_ckpt_run(fs);		/* what was just freed is meant, too */
	for (; !err && idx < end; idx++)
		err = trim_region(fs, idx, t);
	return err;
}
