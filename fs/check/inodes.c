/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inodes.c - every node, and every inode with what belongs to it alone.
 *
 *  (1) Items come in the order of keys: what the filesystem has for itself
 *      first, then inode by inode, each before its attributes, entries,
 *      content and extents.  So one inode at a time is looked at.
 *  (2) A repair changes items that the walk has passed, or the one that it is
 *      at, of which it has a copy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/runs.h"
#include "check/check_priv.h"
#include "check/kept.h"
#include "check/resilver.h"
#include "file/flaw.h"
#include "name/acl.h"
#include "name/dir.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

#define PIECES		0xffull		/* of an attribute's key */

/* The inode that the walk is at. */
struct current {
	struct tfs_checking *ck;
	struct tfs_inode in;
	bool		any;		/* there is one */
	bool		stray;		/* its own item is missing */
	uint64_t	mapped, end;	/* clusters; of the last extent */
	uint64_t	stop;		/* of the last one that is mapped */
	uint64_t	oldest;		/* sequence of any */
	uint64_t	inline_bytes, entries;
	uint32_t	subdirs;
	bool		has_inline, has_acl, revived;
	/* The attribute that the walk is at, and what it lacks. */
	uint64_t	attr, piece, left;
};

typedef unsigned long long ull;

/* ---- repairs --------------------------------------------------------------- */

static int del_fn(struct tfs_txn *tx, void *arg)
{
	const struct tfs_key *key = arg;

	return tfs_txn_del(tx, *key);
}

static int delete(struct tfs_checking *ck, struct tfs_key key)
{
	return tfs_found_fixed(ck, tfs_fix(ck, del_fn, &key));
}

static int put_fn(struct tfs_txn *tx, void *arg)
{
	return tfs_inode_put(tx, arg);
}

static int put_inode(struct current *cur)
{
	return tfs_found_fixed(cur->ck, tfs_fix(cur->ck, put_fn, &cur->in));
}

static int del_attr_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_key *from = arg, end = *from;
	bool done;

	end.off |= PIECES;
	if (!++end.off)			/* which stays itself */
		end.type++;
	return tfs_txn_del_range(tx, *from, end, 256, &done);
}

static int delete_attr(struct current *cur, uint64_t off)
{
	struct tfs_key key = tfs_key(cur->in.ino, TFS_T_XATTR, off & ~PIECES);

	return tfs_found_fixed(cur->ck, tfs_fix(cur->ck, del_attr_fn, &key));
}

static int orphan_fn(struct tfs_txn *tx, void *arg)
{
	const struct tfs_inode *in = arg;

	return tfs_txn_put(tx, tfs_key(0, TFS_T_ORPHAN, in->ino), NULL, 0);
}

/* Whatever flags it has: a user could not. */
static int drop_acl_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_inode *in = arg;
	int err = tfs_acl_set(tx, in, TFS_ACL_ACCESS, NULL, 0, false);

	return err ? err : tfs_inode_put(tx, in);
}

/* An inode for items that have none: nobody but root may look. */
static int revive_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_inode *in = arg;

	if (!in->birth)
		in->birth = tfs_txn_seq(tx);
	tfs_txn_count(tx, 1, 0);
	return tfs_inode_put(tx, in);
}

static int bad_item(struct current *cur, const struct tfs_item *item,
		    const char *what)
{
	if (tfs_found(cur->ck, TFS_F_ITEM, item->key.obj, 0, true,
		      "%s at offset %llu makes no sense", what,
		      (ull)item->key.off))
		return delete(cur->ck, item->key);
	return 0;
}

/* ---- the end of an inode ---------------------------------------------------- */

static bool has_orphan(const struct tfs_checking *ck, uint32_t ino)
{
	size_t lo = 0, hi = ck->orphans;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (ck->orphan[mid] == ino)
			return true;
		if (ck->orphan[mid] < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

struct relink {
	uint32_t	ino;
	char		target[40];
};

/* A link that leads nowhere is one that can be seen and removed. */
static int relink_fn(struct tfs_txn *tx, void *arg)
{
	struct relink *r = arg;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, r->ino, &in);

	if (err)
		return err;
	in.size = strlen(r->target);
	err = tfs_inode_put(tx, &in);
	return err ? err : tfs_txn_put(tx, tfs_key(r->ino, TFS_T_INLINE, 0),
				       r->target, in.size);
}

static int check_target(struct current *cur)
{
	struct tfs_inode *in = &cur->in;
	struct relink r = { .ino = in->ino };
	int err;

	if (cur->inline_bytes || !S_ISLNK(in->mode) ||
	    !tfs_found(cur->ck, TFS_F_INLINE, in->ino, 0, true,
		       "a symbolic link without its target"))
		return 0;
	snprintf(r.target, sizeof(r.target), "target-of-%u-is-lost", in->ino);
	err = tfs_fix(cur->ck, relink_fn, &r);
	if (!err)
		in->size = cur->inline_bytes = strlen(r.target);
	return tfs_found_fixed(cur->ck, err);
}

/* Content in the tree, and the size that the inode says: how many fixes. */
static unsigned int check_inline_size(struct current *cur)
{
	struct tfs_inode *in = &cur->in;
	bool link = S_ISLNK(in->mode) && cur->inline_bytes &&
		cur->inline_bytes != in->size;
	bool file = S_ISREG(in->mode) && cur->has_inline &&
		!has_orphan(cur->ck, in->ino) && cur->inline_bytes > in->size;

	if ((!link && !file) ||
	    !tfs_found(cur->ck, TFS_F_INLINE, in->ino, 0, true,
		       "%llu bytes in the tree, the size is %llu",
		       (ull)cur->inline_bytes, (ull)in->size))
		return 0;
	in->size = cur->inline_bytes;
	return 1;
}

static unsigned int check_clusters(struct current *cur)
{
	struct tfs_inode *in = &cur->in;

	if (!S_ISREG(in->mode) || in->clusters == cur->mapped ||
	    !tfs_found(cur->ck, TFS_F_CLUSTERS, in->ino, 0, true,
		       "%llu clusters are mapped or reserved, the inode says "
		       "%llu", (ull)cur->mapped, (ull)in->clusters))
		return 0;
	in->clusters = cur->mapped;
	return 1;
}

/* All that is wrong with it is put right at once. */
static int check_size(struct current *cur)
{
	struct tfs_inode *in = &cur->in;
	uint64_t csize = cur->ck->fs->csize;
	const struct tfs_item both = {
		.key = tfs_key(in->ino, TFS_T_INLINE, 0),
	};
	unsigned int fixes;
	int err = check_target(cur);

	if (!err && S_ISREG(in->mode) && cur->has_inline && cur->mapped) {
		err = bad_item(cur, &both, "content beside clusters");
		cur->has_inline = false;
	}
	if (err)
		return err;
	fixes = check_clusters(cur) + check_inline_size(cur);
	if (fixes)
		err = tfs_fix(cur->ck, put_fn, in);
	for (int last = 0; fixes-- && !last; )
		last = tfs_found_fixed(cur->ck, err);
	if (err)
		return err == -ENOMEM || err == -EROFS ? err : 0;
	if (S_ISREG(in->mode) && !has_orphan(cur->ck, in->ino) &&
	    cur->stop > (in->size + csize - 1) / csize &&
	    tfs_found(cur->ck, TFS_F_PAST, in->ino, 0, true,
		      "clusters are mapped up to %llu, past the size of %llu",
		      (ull)cur->stop, (ull)in->size))
		return tfs_found_fixed(cur->ck, tfs_fix(cur->ck, orphan_fn,
							in));
	return 0;
}

static int check_acl(struct current *cur)
{
	struct tfs_inode *in = &cur->in;
	uint32_t mode = in->mode;
	uint8_t *acl = malloc(TFS_XATTR_VALUE_MAX);
	ssize_t n = acl ? tfs_getxattr(cur->ck->fs, in->ino, TFS_ACL_ACCESS,
				       acl, TFS_XATTR_VALUE_MAX) : -ENOMEM;
	int err = n == -ENOMEM ? n : 0;

	if (n > 0 && !tfs_acl_check(acl, n)) {
		tfs_acl_equiv(acl, n, &mode);
		if (mode != in->mode &&
		    tfs_found(cur->ck, TFS_F_ACL, in->ino, 0, true,
			      "the access list means mode %o, the inode has "
			      "%o", mode & 07777, in->mode & 07777)) {
			in->mode = mode;
			err = put_inode(cur);
		}
	} else if (n > 0 && tfs_found(cur->ck, TFS_F_ACL, in->ino, 0, true,
				      "the access list can't be obeyed")) {
		in->ctime = tfs_now();
		err = tfs_found_fixed(cur->ck, tfs_fix(cur->ck, drop_acl_fn,
						       in));
	}
	free(acl);
	return err;
}

static int check_attr_end(struct current *cur)
{
	int err = 0;

	if (cur->left && tfs_found(cur->ck, TFS_F_XATTR, cur->in.ino, 0, true,
				   "an attribute lacks %llu bytes",
				   (ull)cur->left))
		err = delete_attr(cur, cur->attr);
	cur->left = 0;
	return err;
}

/* Without its own item: what it was is told by what it has. */
static int revive(struct current *cur)
{
	struct tfs_inode *in = &cur->in;
	struct timespec now = tfs_now();
	uint64_t csize = cur->ck->fs->csize;
	int err;

	in->mode = cur->entries ? S_IFDIR | 0700 : S_IFREG | 0600;
	in->nlink = cur->entries ? 2 + cur->subdirs : 1;
	in->size = cur->entries ? cur->entries :
		cur->stop ? cur->stop * csize : cur->inline_bytes;
	in->clusters = cur->mapped;
	in->birth = cur->oldest;
	in->parent = cur->entries ? TFS_ROOT_INO : 0;
	in->atime = in->mtime = in->ctime = in->btime = now;
	if (!tfs_found(cur->ck, TFS_F_STRAY, in->ino, 0, true,
		       "%s without its inode: owner, mode and times are lost",
		       cur->entries ? "a directory" : "content"))
		return 0;
	err = tfs_fix(cur->ck, revive_fn, in);
	cur->stray = err;
	cur->revived = !err;
	return tfs_found_fixed(cur->ck, err);
}

static int remember(struct current *cur)
{
	struct tfs_check *c = cur->ck->c;
	struct tfs_inode *in = &cur->in;
	struct tfs_known *k = tfs_known_add(cur->ck, in->ino);

	if (!k)
		return -ENOMEM;
	cur->ck->top_ino = in->ino;
	k->mode = in->mode;
	k->nlink = in->nlink;
	k->parent = in->parent;
	k->size = in->size;
	k->entries = cur->entries;
	k->subdirs = cur->subdirs;
	k->orphan = has_orphan(cur->ck, in->ino);
	k->revived = cur->revived;
	if (S_ISREG(in->mode))
		c->files++;
	else if (S_ISDIR(in->mode))
		c->directories++;
	else
		c->others++;
	return 0;
}

static int end_inode(struct current *cur)
{
	int err = 0;

	if (!cur->any)
		return 0;
	err = check_attr_end(cur);
	if (!err && cur->stray)
		err = revive(cur);
	if (!err && !cur->stray)
		err = check_size(cur);
	if (!err && !cur->stray && cur->has_acl)
		err = check_acl(cur);
	if (!err && !cur->stray)
		err = remember(cur);
	return err;
}

/* ---- its items --------------------------------------------------------------- */

static int see_extent(struct current *cur, const struct tfs_item *item)
{
	struct tfs_checking *ck = cur->ck;
	struct tfs_extent ext;
	bool wrong = !cur->stray && !S_ISREG(cur->in.mode);
	int err;

	if (wrong || tfs_extent_decode(ck->fs, item, &ext))
		return bad_item(cur, item, "the extent");
	if (ext.lc < cur->end) {
		if (tfs_found(ck, TFS_F_EXTENT, cur->in.ino, ext.addr, true,
			      "extents overlap at cluster %llu of the file",
			      (ull)ext.lc))
			return delete(ck, item->key);
		return 0;
	}
	if (ext.addr) {
		err = tfs_check_refer(ck, ext.addr, ext.len);
		if (err)
			return err == -EUCLEAN ?
				bad_item(cur, item, "the extent") : err;
	}
	cur->end = ext.lc + ext.len;
	cur->mapped += ext.len;
	if (!ext.addr) {
		ck->reserved += ext.len;
		return 0;
	}
	cur->stop = cur->end;
	if (!cur->oldest || ext.seq < cur->oldest)
		cur->oldest = ext.seq;
	return 0;
}

static int see_inline(struct current *cur, const struct tfs_item *item)
{
	bool link = !cur->stray && S_ISLNK(cur->in.mode);

	if ((!cur->stray && !link && !S_ISREG(cur->in.mode)) ||
	    item->key.off != cur->inline_bytes || (item->key.off && !link) ||
	    item->len > TFS_INLINE_MAX)
		return bad_item(cur, item, "content in the tree");
	cur->has_inline = true;
	cur->inline_bytes += item->len;
	return 0;
}

static int see_entry(struct current *cur, const struct tfs_item *item)
{
	struct tfs_entry e;

	if ((!cur->stray && !S_ISDIR(cur->in.mode)) ||
	    tfs_entry_decode(item, &e))
		return bad_item(cur, item, "the entry");
	cur->entries++;
	cur->subdirs += S_ISDIR(e.type);
	return 0;
}

static int see_attr(struct current *cur, const struct tfs_item *item)
{
	struct tfs_disk_xattr head;
	uint64_t off = item->key.off;
	unsigned int room, first;
	const char *name = (const char *)item->val + sizeof(head);
	int err;

	if (off & PIECES && cur->left && off == cur->piece + 1) {
		first = cur->left < TFS_INLINE_MAX ? cur->left :
			TFS_INLINE_MAX;
		if (item->len == first) {
			cur->piece = off;
			cur->left -= first;
			return 0;
		}
	}
	err = check_attr_end(cur);
	if (err)
		return err;
	if (off & PIECES || item->len < sizeof(head))
		goto bad;
	memcpy(&head, item->val, sizeof(head));
	room = TFS_INLINE_MAX - sizeof(head) - head.name_len;
	first = le32toh(head.value_len) < room ? le32toh(head.value_len) :
		room;
	if (!head.name_len || head.pad[0] || head.pad[1] || head.pad[2] ||
	    le32toh(head.value_len) > TFS_XATTR_VALUE_MAX ||
	    item->len != sizeof(head) + head.name_len + first ||
	    memchr(name, 0, head.name_len))
		goto bad;
	cur->attr = cur->piece = off;
	cur->left = le32toh(head.value_len) - first;
	cur->has_acl |= head.name_len == strlen(TFS_ACL_ACCESS) &&
		!memcmp(name, TFS_ACL_ACCESS, head.name_len);
	return 0;
bad:
	if (tfs_found(cur->ck, TFS_F_XATTR, cur->in.ino, 0, true,
		      "the attribute at %llx makes no sense", (ull)off))
		return delete_attr(cur, off);
	return 0;
}

static int see_inode(struct current *cur, const struct tfs_item *item)
{
	if (item->key.off)
		return bad_item(cur, item, "the inode");
	if (!tfs_inode_decode(cur->ck->fs, item, &cur->in)) {
		cur->stray = false;	/* an unknown type came before it */
		return 0;
	}
	cur->in = (struct tfs_inode){ .ino = item->key.obj };
	cur->stray = true;
	return bad_item(cur, item, "the inode");
}

static int see_flaw(struct tfs_checking *ck, const struct tfs_item *item)
{
	struct current none = { .ck = ck };
	struct tfs_flaw f;

	if (tfs_flaw_decode(ck->fs, item, &f))
		return bad_item(&none, item, "an entry of the list of errors");
	if (++ck->flaws > TFS_FLAWS_MAX)
		return bad_item(&none, item, "one entry too many of the list "
				"of errors");
	return 0;
}

static int see_orphan(struct tfs_checking *ck, const struct tfs_item *item)
{
	struct current none = { .ck = ck };

	if (item->len || !item->key.off || item->key.off > UINT32_MAX)
		return bad_item(&none, item, "an orphan item");
	if (tfs_array_grow(&ck->orphan, &ck->orphan_room, ck->orphans + 1,
			   sizeof(ck->orphan[0])))
		return -ENOMEM;
	ck->orphan[ck->orphans++] = item->key.off;
	return 0;
}

/* What belongs to no inode. */
static int see_own(struct tfs_checking *ck, const struct tfs_item *item)
{
	struct current none = { .ck = ck };
	uint64_t regions = tfs_region_count(ck->fs);
	uint64_t groups = (regions + TFS_GROUP_REGIONS - 1) /
		TFS_GROUP_REGIONS;
	struct tfs_kept kept;
	int err;

	switch (item->key.type) {
	case TFS_T_ORPHAN:
		return see_orphan(ck, item);
	case TFS_T_FLAW:
	case TFS_T_SPOT:
		return see_flaw(ck, item);
	case TFS_T_UNLISTED:
		if (item->key.off || item->len != sizeof(__le64))
			return bad_item(&none, item, "a count of errors");
		return 0;
	case TFS_T_SCRUB:
		if (tfs_kept_decode(ck->fs, item, &kept))
			return bad_item(&none, item, "the state of a scrub");
		return 0;
	case TFS_T_SUSPECT:
		if (tfs_kept_suspects(ck->fs, item, NULL, &err))
			return bad_item(&none, item, "a part of the state of "
					"a scrub");
		return 0;
	case TFS_T_RESILVER:
		if (tfs_resilver_item(item))
			return bad_item(&none, item, "the state of a resilver");
		return 0;
	case TFS_T_REGION:
		if (item->key.off >= regions || item->len != TFS_REGION_BYTES)
			return bad_item(&none, item, "a bitmap");
		ck->has_item[item->key.off] = 1;
		return 0;
	case TFS_T_SUMMARY:
		if (item->key.off >= groups ||
		    item->len != sizeof(struct tfs_disk_summary))
			return bad_item(&none, item, "a summary");
		return 0;
	}
	return 0;		/* of a newer program: SPEC says, skip */
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct current *cur = w->arg;
	int err = 0;

	if (item->key.type >= 128 && cur->ck->c->foreign_items)
		return 0;
	if (!item->key.obj)
		return see_own(cur->ck, item);
	if (!cur->any || item->key.obj != cur->in.ino) {	/* (1) */
		err = end_inode(cur);
		*cur = (struct current){ .ck = cur->ck, .any = true,
					 .in.ino = item->key.obj,
					 .stray = item->key.off ||
						item->key.type !=
						TFS_T_INODE };
	}
	if (err)
		return err;
	switch (item->key.type) {
	case TFS_T_INODE:
		return see_inode(cur, item);
	case TFS_T_XATTR:
		return see_attr(cur, item);
	case TFS_T_DIRENT:
		return see_entry(cur, item);
	case TFS_T_INLINE:
		return see_inline(cur, item);
	case TFS_T_EXTENT:
		return see_extent(cur, item);
	}
	return 0;
}

/* ---- nodes -------------------------------------------------------------------- */

static int rewrite(struct tfs_checking *ck, const struct tfs_miss *at)
{
	pthread_rwlock_wrlock(&ck->fs->tree);
	tfs_ncache_heal_note(ck->fs, at);
	ck->fs->dirty = true;
	pthread_rwlock_unlock(&ck->fs->tree);
	return tfs_found_fixed(ck, 0);
}

/* Where there was nothing else, they may be. */
static bool too_near(const struct tfs_checking *ck, const struct tfs_ptr *ptr)
{
	uint64_t a = ptr->addr[0], b = ptr->addr[1];

	return (a > b ? a - b : b - a) < TFS_COPY_GAP &&
		!ck->c->near_copies && ck->fs->free > ck->fs->reserve &&
		!atomic_load(&ck->fs->count.near_copies);
}

static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct current *cur = w->arg;
	struct tfs_checking *ck = cur->ck;
	char why[160];

	for (int i = 0; i < 2; i++) {
		const struct tfs_treewalk_copy *c = &n->copy[i];

		if (tfs_check_refer(ck, n->at.ptr.addr[i], 1) == -ENOMEM)
			return -ENOMEM;
		if (!c->err || ck->c->one_copy)
			continue;
		tfs_fault_text(c->err, &c->fault, why, sizeof(why));
		if (tfs_found(ck, TFS_F_COPY, 0, n->at.ptr.addr[i], true,
			      "copy %d of a tree node of level %u is bad: %s",
			      i, n->at.level, c->why ? c->why : why) &&
		    rewrite(ck, &n->at))
			return -ENOMEM;
	}
	if (too_near(ck, &n->at.ptr) &&
	    tfs_found(ck, TFS_F_NEAR, 0, n->at.ptr.addr[0], true,
		      "the copies of a tree node of level %u are at clusters "
		      "%llu and %llu: one bad spot may hit both", n->at.level,
		      (ull)n->at.ptr.addr[0], (ull)n->at.ptr.addr[1]))
		return rewrite(ck, &n->at);
	if (n->differ && tfs_found(ck, TFS_F_DIFFER, 0, n->at.ptr.addr[0],
				   true, "the copies of a tree node of level "
				   "%u are not the same, at cluster %llu, too",
				   n->at.level, (ull)n->at.ptr.addr[1]))
		return rewrite(ck, &n->at);
	return 0;
}

static int see_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	struct current *cur = w->arg;

	cur->ck->c->lost++;
	tfs_found(cur->ck, TFS_F_LOST, at->low.obj, at->ptr.addr[0], false,
		  "a tree node of level %u can't be read (%s): what inodes "
		  "%u to %u have there", at->level, strerror(-err),
		  at->low.obj, at->high.obj);
	return 0;
}

/* Numbers are given in order, and from the first again after the last: then
 * there is nothing to compare. */
#define INO_LATE	0xf0000000u

static int check_next(struct tfs_checking *ck)
{
	struct tfs *fs = ck->fs;

	if (ck->top_ino < fs->next_ino || ck->top_ino >= INO_LATE ||
	    !tfs_found(ck, TFS_F_COUNTER, 0, 0, true, "inode %u is in use, and "
		       "the next new one is %u", ck->top_ino, fs->next_ino))
		return 0;
	pthread_rwlock_wrlock(&fs->tree);
	fs->next_ino = ck->top_ino + 1;
	fs->dirty = true;
	pthread_rwlock_unlock(&fs->tree);
	return tfs_found_fixed(ck, 0);
}

int tfs_check_inodes(struct tfs_checking *ck)
{
	struct current cur = { .ck = ck };
	struct tfs_treewalk w = {
		.fs = ck->fs, .arg = &cur,
		.node = see_node, .item = see_item, .lost = see_lost,
		.unwritten = ck->fs->replaying || tfs_rdonly(ck->fs),
	};
	int err = tfs_treewalk_begin(&w);

	while (!err && !w.done) {
		err = tfs_treewalk_step(&w);
		if (!err)
			err = tfs_check_at(ck, 1, w.key.obj);
	}
	if (!err)
		err = end_inode(&cur);
	tfs_treewalk_end(&w);
	return err ? err : check_next(ck);
}
