/* SPDX-License-Identifier: GPL-2.0-or-later */
/* twice.c - clusters that several extents map.  The tags of a cluster name its
 * owner: who is not it loses the cluster, and finds a hole there.
 *
 *  (1) What is taken from an extent is not freed: somebody else has it. */
#include <string.h>

#include "base/cluster.h"
#include "base/runs.h"
#include "check/check_priv.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

typedef unsigned long long ull;

/* The next cluster of [addr, end) that has several owners; end: none. */
static uint64_t next_twice(const struct tfs_checking *ck, uint64_t addr,
			   uint64_t end)
{
	while (addr < end) {
		uint64_t region = addr / TFS_REGION_BITS;
		unsigned int bit = addr % TFS_REGION_BITS;
		const uint64_t *map = ck->twice[region];

		bit = map ? tfs_bits_next(map, bit, true) : TFS_REGION_BITS;
		addr = region * TFS_REGION_BITS + bit;
		if (bit < TFS_REGION_BITS)
			break;
	}
	return addr < end ? addr : end;
}

static int put_part(struct tfs_txn *tx, uint32_t ino,
		    const struct tfs_extent *ext)
{
	return ext->len ? tfs_extent_map(tx, ino, ext, false) : 0;
}

struct cut {
	uint32_t	ino;
	struct tfs_extent ext;
	uint64_t	at;		/* logical cluster to be taken out */
};

static int cut_fn(struct tfs_txn *tx, void *arg)
{
	struct cut *c = arg;
	uint64_t end = c->ext.lc + c->ext.len;
	struct tfs_extent left = tfs_extent_slice(&c->ext, c->ext.lc,
						  c->at - c->ext.lc);
	struct tfs_extent right = tfs_extent_slice(&c->ext, c->at + 1,
						   end - c->at - 1);
	struct tfs_inode in;
	int err = tfs_inode_get(tx, c->ino, &in);

	if (!err)
		err = tfs_txn_del(tx, tfs_key(c->ino, TFS_T_EXTENT,
					      c->ext.lc));
	if (!err)
		err = put_part(tx, c->ino, &left);
	if (!err)
		err = put_part(tx, c->ino, &right);	/* (1) */
	if (err)
		return err;
	in.clusters--;
	return tfs_inode_put(tx, &in);
}

/* Do the tags of the cluster say that it is this one's? */
static int is_owner(struct tfs *fs, uint32_t ino,
		    const struct tfs_extent *ext, uint64_t lc, void *buf)
{
	struct tfs_record rec = { .kind = TFS_K_DATA, .owner = ino,
				  .index = lc, .seq = ext->seq };
	struct eng_fault fault;
	int err = tfs_cluster_try(fs, ext->addr + (lc - ext->lc), &rec, buf,
				  &fault);

	return err == -ENOMEM ? err : !err;
}

struct owners {
	struct tfs_checking *ck;
	struct tfs_node	*buf;
};

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct owners *o = w->arg;
	struct tfs_checking *ck = o->ck;
	struct cut c = { .ino = item->key.obj };
	uint64_t addr, end;
	int err = 0;

	if (!c.ino || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(ck->fs, item, &c.ext) || !c.ext.addr)
		return 0;
	end = c.ext.addr + c.ext.len;
	addr = next_twice(ck, c.ext.addr, end);
	for (; !err && addr < end; addr = next_twice(ck, addr + 1, end)) {
		c.at = c.ext.lc + (addr - c.ext.addr);
		err = tfs_check_progress(ck, 1, 1000);
		if (!err)
			err = is_owner(ck->fs, c.ino, &c.ext, c.at,
				       o->buf->buf);
		if (err) {
			err = err < 0 ? err : 0;
			continue;
		}
		if (!tfs_found(ck, TFS_F_TWICE, c.ino, addr, true,
			       "cluster %llu of the file is somebody else's, "
			       "as its tags say", (ull)c.at))
			continue;
		err = tfs_fix(ck, cut_fn, &c);
		if (!err)
			c.ext = tfs_extent_slice(&c.ext, c.at + 1, c.ext.lc +
						 c.ext.len - c.at - 1);
		err = tfs_found_fixed(ck, err);
	}
	return err;
}

int tfs_check_twice(struct tfs_checking *ck)
{
	struct owners o = { .ck = ck, .buf = tfs_node_alloc(ck->fs) };
	struct tfs_treewalk w = { .fs = ck->fs, .arg = &o,
				  .item = see_item, .lost = tfs_treewalk_skip };
	int err = o.buf ? tfs_treewalk_begin(&w) : -ENOMEM;

	while (!err && !w.done) {
		err = tfs_treewalk_step(&w);
		if (!err)
			err = tfs_check_progress(ck, 1, 1000);
	}
	tfs_treewalk_end(&w);
	tfs_node_free(o.buf);
	return err;
}
