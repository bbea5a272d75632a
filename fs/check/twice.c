/* SPDX-License-Identifier: GPL-2.0-or-later */
/* twice.c - clusters that several extents map.  The tags of a cluster name its
 * owner: who is not it loses the cluster, and finds a hole there.
 *
 *  (1) What is taken from an extent is not freed: somebody else has it. */
#include <string.h>

#include "base/cluster.h"
#include "base/runs.h"
#include "check/check_priv.h"
#include "tree/ncache.h"

typedef unsigned long long ull;

static bool is_twice(const struct tfs_checking *ck, uint64_t addr)
{
	for (size_t i = 0; i < ck->twice.n; i++)
		if (addr >= ck->twice.run[i].addr &&
		    addr - ck->twice.run[i].addr < ck->twice.run[i].len)
			return true;
	return false;
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
	int err = 0;

	if (!c.ino || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(ck->fs, item, &c.ext) || !c.ext.addr)
		return 0;
	for (c.at = c.ext.lc; !err && c.at < c.ext.lc + c.ext.len; c.at++) {
		uint64_t addr = c.ext.addr + (c.at - c.ext.lc);

		if (!is_twice(ck, addr))
			continue;
		err = is_owner(ck->fs, c.ino, &c.ext, c.at, o->buf->buf);
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

	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	tfs_node_free(o.buf);
	return err;
}
