/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names.c - every name against its inode, every inode against its names, and
 * whether a way leads from the root to each.
 *
 *  (1) A directory has one name, and says in which directory that is.
 *  (2) What no name leads to gets one in lost+found.  Names are given last,
 *      when all others are right.
 *  (3) No name is moved while they are walked, or it would be met again. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/runs.h"
#include "check/check_priv.h"
#include "file/orphan.h"
#include "name/dir.h"
#include "name/pseudonym.h"

#define TRIES	1000u	/* names in lost+found for one inode */

typedef unsigned long long ull;

/* ---- entries ----------------------------------------------------------------- */

struct entry_fix {
	struct tfs_key	key;
	struct tfs_entry e;
	char		name[TFS_NAME_MAX + 1];
	uint32_t	mode;
};

static int unname_fn(struct tfs_txn *tx, void *arg)
{
	struct entry_fix *f = arg;

	return tfs_txn_del(tx, f->key);
}

static int retype_fn(struct tfs_txn *tx, void *arg)
{
	struct entry_fix *f = arg;

	return tfs_entry_put(tx, f->key.obj, f->key.off, f->name, f->e.ino,
			     f->mode);
}

/* Where its hash says; if the name is there, too, it goes: e.len is 0 then.  It
 * may have gone already. */
static int rehash_fn(struct tfs_txn *tx, void *arg)
{
	struct entry_fix *f = arg;
	struct tfs_entry there;
	struct tfs_item item;
	int err = tfs_txn_get(tx, f->key, &item);

	f->e.ino = 0;
	if (err)
		return err == -ENOENT ? 0 : err;
	err = tfs_entry_decode(&item, &f->e);
	if (err)
		return err;
	memcpy(f->name, f->e.name, f->e.len);
	f->name[f->e.len] = '\0';
	err = tfs_entry_find(tx, f->key.obj, f->name, &there);
	if (err && err != -ENOENT)
		return err;
	if (!err || !there.off)
		f->e.len = 0;
	else
		err = tfs_entry_put(tx, f->key.obj, there.off, f->name,
				    f->e.ino, f->e.type);
	f->e.off = there.off;
	return err && err != -ENOENT ? err : tfs_txn_del(tx, f->key);
}

static bool hashed_right(struct tfs *fs, const struct entry_fix *f)
{
	uint64_t hash = tfs_name_hash(fs, f->name, f->e.len);

	if (tfs_pseudonym_place(hash) == (f->key.off & ~255ull))
		return true;
	return fs->super.incompat & TFS_INCOMPAT_IMAGE &&
		tfs_is_pseudonym(&f->key, f->name, f->e.len);
}

/* The entry goes, and is not counted any more. */
static int remove_entry(struct tfs_checking *ck, struct entry_fix *f)
{
	struct tfs_known *dir = tfs_known_find(ck, f->key.obj);
	int err = tfs_fix(ck, unname_fn, f);

	if (!err && dir) {
		dir->entries--;
		dir->subdirs -= S_ISDIR(f->e.type);
	}
	return tfs_found_fixed(ck, err);
}

/* The name that stays is the one in the directory that it says it is in. */
static int second_name(struct tfs_checking *ck, struct entry_fix *f,
		       struct tfs_known *to)
{
	struct entry_fix first = {
		.key = tfs_key(to->namer, TFS_T_DIRENT, to->namer_off),
		.e.type = S_IFDIR,
	};
	bool other = to->parent == f->key.obj && to->namer != to->parent;

	if (!tfs_found(ck, TFS_F_ENTRY, other ? to->namer : f->key.obj, 0,
		       true, "directory %u has a second name there, beside "
		       "that in directory %u", to->ino,
		       other ? f->key.obj : to->namer))
		return 0;
	if (!other)
		return remove_entry(ck, f);
	to->namer = f->key.obj;
	to->namer_off = f->key.off;
	return remove_entry(ck, &first);
}

/* What it was is in its name alone, if what it has can be that. */
static int type_fn(struct tfs_txn *tx, void *arg)
{
	struct entry_fix *f = arg;
	uint32_t type = f->e.type;
	struct tfs_inode in;
	struct tfs_item item;
	int err = tfs_inode_get(tx, f->e.ino, &in);

	if (err)
		return err;
	err = tfs_txn_get(tx, tfs_key(in.ino, TFS_T_INLINE, 0), &item);
	if (err && err != -ENOENT)
		return err;
	if (type == S_IFLNK ? err || in.clusters :
	    !err || in.clusters || in.size || (type != S_IFDIR &&
	    type != S_IFIFO && type != S_IFSOCK))
		return -EINVAL;
	in.mode = type | (type == S_IFLNK ? 0777 : type == S_IFDIR ? 0700 :
			  0600);
	if (type == S_IFDIR) {
		in.nlink = 2;
		in.parent = f->key.obj;
	}
	f->mode = in.mode;
	return tfs_inode_put(tx, &in);
}

/* -ENOMEM, or 0, also where the name is what is wrong. */
static int take_type(struct tfs_checking *ck, struct entry_fix *f,
		     struct tfs_known *to)
{
	int err = S_ISREG(to->mode) ? tfs_fix(ck, type_fn, f) : -EINVAL;

	if (err)
		return err == -ENOMEM ? err : 0;
	to->mode = f->mode;
	if (S_ISDIR(to->mode)) {
		to->nlink = 2;
		to->parent = f->key.obj;
		ck->c->directories++;
	} else {
		ck->c->others++;
	}
	ck->c->files--;
	return 0;
}

static int misplaced(struct tfs_checking *ck, const struct tfs_key *key)
{
	int err = tfs_array_grow(&ck->misplaced, &ck->misplaced_room,
				 ck->misplaced_n + 1,
				 sizeof(ck->misplaced[0]));

	if (!err)
		ck->misplaced[ck->misplaced_n++] = *key;
	return err;
}

static int put_in_place(struct tfs_checking *ck, const struct tfs_key *key)
{
	struct entry_fix f = { .key = *key };
	struct tfs_known *dir = tfs_known_find(ck, key->obj), *to;
	int err = tfs_fix(ck, rehash_fn, &f);

	to = err || !f.e.ino ? NULL : tfs_known_find(ck, f.e.ino);
	if (to && !f.e.len) {
		to->names--;
		if (dir) {
			dir->entries--;
			dir->subdirs -= S_ISDIR(f.e.type);
		}
	} else if (to && to->namer == key->obj && to->namer_off == key->off) {
		to->namer_off = f.e.off;
	}
	return tfs_found_fixed(ck, err);
}

static int check_entry(struct tfs_checking *ck, struct entry_fix *f)
{
	struct tfs_known *to = tfs_known_find(ck, f->e.ino), *dir;
	uint32_t ino = f->key.obj;

	if (!to || (!to->nlink && to->orphan) || to->ino == TFS_ROOT_INO) {
		if (tfs_found(ck, TFS_F_ENTRY, ino, 0, true, "the entry "
			      "'%.80s' names inode %u, which is %s", f->name,
			      f->e.ino, !to ? "not there" :
			      to->ino == TFS_ROOT_INO ? "the root" :
			      "deleted"))
			return remove_entry(ck, f);
		return 0;
	}
	if (S_ISDIR(to->mode) && to->names)			/* (1) */
		return second_name(ck, f, to);
	if (to->revived && (to->mode & S_IFMT) != f->e.type &&
	    take_type(ck, f, to))
		return -ENOMEM;
	f->mode = to->mode;
	if ((to->mode & S_IFMT) != f->e.type &&
	    tfs_found(ck, TFS_F_ENTRY, ino, 0, true, "the entry '%.80s' says "
		      "type %o, inode %u has %o", f->name, f->e.type, to->ino,
		      to->mode & S_IFMT)) {
		dir = tfs_known_find(ck, ino);
		if (dir)
			dir->subdirs += S_ISDIR(to->mode) -
				S_ISDIR(f->e.type);
		if (tfs_found_fixed(ck, tfs_fix(ck, retype_fn, f)))
			return -ENOMEM;
	}
	to->names++;
	to->namer = ino;
	to->namer_off = f->key.off;
	if (!hashed_right(ck->fs, f) &&
	    tfs_found(ck, TFS_F_ENTRY, ino, 0, true, "the entry '%.80s' is "
		      "not where its name belongs", f->name))
		return misplaced(ck, &f->key);			/* (3) */
	return 0;
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct tfs_checking *ck = w->arg;
	struct entry_fix f = { .key = item->key };

	if (!item->key.obj || item->key.type != TFS_T_DIRENT ||
	    tfs_entry_decode(item, &f.e) ||
	    !tfs_known_find(ck, item->key.obj))
		return 0;
	memcpy(f.name, f.e.name, f.e.len);
	return check_entry(ck, &f);
}

static int check_entries(struct tfs_checking *ck)
{
	struct tfs_treewalk w = { .fs = ck->fs, .arg = ck,
				  .item = see_item, .lost = tfs_treewalk_skip };
	int err = tfs_treewalk_begin(&w);

	while (!err && !w.done) {
		err = tfs_treewalk_step(&w);
		if (!err)
			err = tfs_check_at(ck, 2, w.key.obj);
	}
	tfs_treewalk_end(&w);
	for (size_t i = 0; i < ck->misplaced_n && !err; i++)
		err = put_in_place(ck, &ck->misplaced[i]);
	return err;
}

/* ---- counts ------------------------------------------------------------------ */

struct inode_fix {
	uint32_t	ino;
	uint32_t	nlink, parent;
	uint64_t	size;
	bool		dir;
};

static int inode_fn(struct tfs_txn *tx, void *arg)
{
	struct inode_fix *f = arg;
	struct tfs_inode in;
	int err = tfs_inode_get(tx, f->ino, &in);

	if (err)
		return err;
	in.nlink = f->nlink;
	if (f->dir) {
		in.parent = f->parent;
		in.size = f->size;
	}
	return tfs_inode_put(tx, &in);
}

static int store(struct tfs_checking *ck, const struct tfs_known *k)
{
	struct inode_fix f = {
		.ino = k->ino, .nlink = k->nlink, .parent = k->parent,
		.size = k->size, .dir = S_ISDIR(k->mode),
	};

	return tfs_fix(ck, inode_fn, &f);
}

/* Several problems of one directory are put right at once. */
static int check_directory(struct tfs_checking *ck, struct tfs_known *k)
{
	bool root = k->ino == TFS_ROOT_INO;
	uint32_t parent = root ? k->ino : k->namer;
	unsigned int fixes = 0;
	int err = 0;

	if (k->size != k->entries &&
	    tfs_found(ck, TFS_F_COUNT, k->ino, 0, true, "%llu entries, the "
		      "directory says %llu", (ull)k->entries, (ull)k->size)) {
		k->size = k->entries;
		fixes++;
	}
	if ((k->nlink || k->names) && k->nlink != 2 + k->subdirs &&
	    tfs_found(ck, TFS_F_LINKS, k->ino, 0, true, "%u directories in "
		      "it, and %u links", k->subdirs, k->nlink)) {
		k->nlink = 2 + k->subdirs;
		fixes++;
	}
	if ((root || k->names) && k->parent != parent &&
	    tfs_found(ck, TFS_F_PARENT, k->ino, 0, true, "it is in directory "
		      "%u, and says %u", parent, k->parent)) {
		k->parent = parent;
		fixes++;
	}
	if (fixes)
		err = store(ck, k);
	for (int last = 0; fixes-- && !last; )
		last = tfs_found_fixed(ck, err);
	return err == -ENOMEM || err == -EROFS ? err : 0;
}

static int check_counts(struct tfs_checking *ck)
{
	int err = 0;

	for (size_t i = 0; i < ck->n && !err; i++) {
		struct tfs_known *k = &ck->known[i];

		if (S_ISDIR(k->mode)) {
			err = check_directory(ck, k);
		} else if (k->names && k->nlink != k->names &&
			   tfs_found(ck, TFS_F_LINKS, k->ino, 0, true,
				     "%u names, and %u links", k->names,
				     k->nlink)) {
			k->nlink = k->names;
			err = tfs_found_fixed(ck, store(ck, k));
		}
	}
	return err;
}

/* ---- what nothing leads to ---------------------------------------------------- */

struct attach {
	struct tfs_checking *ck;
	struct tfs_known *k;
	uint32_t	dir;
	char		name[24];
};

static int attach_fn(struct tfs_txn *tx, void *arg)
{
	struct attach *a = arg;
	struct tfs_inode dir, in;
	struct tfs_entry e;
	int err = tfs_inode_get(tx, a->dir, &dir);

	if (!err)
		err = tfs_inode_get(tx, a->k->ino, &in);
	if (err)
		return err;
	err = tfs_entry_find(tx, a->dir, a->name, &e);
	if (!err || !e.off)
		return -EEXIST;
	if (err != -ENOENT)
		return err;
	dir.size++;
	dir.nlink += S_ISDIR(in.mode);
	in.parent = a->dir;
	in.nlink = S_ISDIR(in.mode) ? 2 + a->k->subdirs : 1;
	err = tfs_entry_put(tx, a->dir, e.off, a->name, in.ino, in.mode);
	if (!err)
		err = tfs_inode_put(tx, &dir);
	return err ? err : tfs_inode_put(tx, &in);
}

/* It was not there; the steps before know nothing of it. */
static int made_lost_found(struct tfs_checking *ck, const struct tfs_inode *in)
{
	struct tfs_known *k = tfs_known_add(ck, in->ino);

	if (!k)
		return -ENOMEM;
	k->mode = in->mode;
	k->nlink = 2;
	k->parent = k->namer = TFS_ROOT_INO;
	k->names = 1;
	k->way = TFS_WAY_ROOT;
	return 0;
}

/* A directory of that name, made where it is missing.  -ENOTDIR: something
 * else has it. */
static int find_lost_found(struct tfs_checking *ck, const char *name)
{
	struct tfs_new new = { .mode = S_IFDIR | 0700, .force = true };
	struct tfs_inode in;
	int err = tfs_lookup(ck->fs, TFS_ROOT_INO, name, &in);

	if (err == -ENOENT) {
		err = tfs_create(ck->fs, TFS_ROOT_INO, name, &new, &in);
		if (!err)
			err = made_lost_found(ck, &in);
	}
	if (err)
		return err == -EUCLEAN ? -ENOTDIR : err;
	tfs_unref(ck->fs, in.ino, 1);
	if (!S_ISDIR(in.mode))
		return -ENOTDIR;
	ck->lost_found = in.ino;
	return 0;
}

/* What has the name and is no directory keeps it: another one will do. */
static int lost_found(struct tfs_checking *ck)
{
	char name[24] = "lost+found";
	int err = ck->lost_found ? 0 : find_lost_found(ck, name);

	for (unsigned int i = 1; err == -ENOTDIR && i < TRIES; i++) {
		snprintf(name, sizeof(name), "lost+found.%u", i);
		err = find_lost_found(ck, name);
	}
	return err;
}

static int attach(struct tfs_checking *ck, uint32_t ino)
{
	struct attach a = { .ck = ck };
	int err = lost_found(ck);

	a.k = tfs_known_find(ck, ino);
	a.dir = ck->lost_found;
	snprintf(a.name, sizeof(a.name), "#%u", ino);
	if (!err)
		err = tfs_fix(ck, attach_fn, &a);
	for (unsigned int i = 1; err == -EEXIST && i < TRIES; i++) {
		snprintf(a.name, sizeof(a.name), "#%u.%u", ino, i);
		err = tfs_fix(ck, attach_fn, &a);
	}
	if (!err) {
		a.k->names = 1;
		a.k->nlink = S_ISDIR(a.k->mode) ? 2 + a.k->subdirs : 1;
		a.k->namer = a.k->parent = a.dir;
	}
	return tfs_found_fixed(ck, err);
}

static int check_nameless(struct tfs_checking *ck, uint32_t ino)
{
	struct tfs_known *k = tfs_known_find(ck, ino);
	int err;

	if (k->names || ino == TFS_ROOT_INO)
		return 0;
	if (!k->nlink) {
		if ((ck->c->orphans_in_use && k->orphan) ||
		    !tfs_found(ck, TFS_F_ORPHAN, ino, 0, true,
			       "it was deleted, and is still there"))
			return 0;
		err = tfs_orphan_reclaim(ck->fs, ino);
		ck->reclaimed += !err;
		return tfs_found_fixed(ck, err);
	}
	if (tfs_found(ck, TFS_F_UNREACHED, ino, 0, true, "a %s without a name",
		      S_ISDIR(k->mode) ? "directory" : "file"))
		return attach(ck, ino);
	return 0;
}

/* An orphan item belongs to who has no links, or a truncate to finish. */
static int check_orphans(struct tfs_checking *ck)
{
	int err = 0;

	for (size_t i = 0; i < ck->orphans && !err; i++) {
		struct tfs_known *k = tfs_known_find(ck, ck->orphan[i]);
		struct entry_fix f = {
			.key = tfs_key(0, TFS_T_ORPHAN, ck->orphan[i]),
		};

		if (k && (!k->nlink || S_ISREG(k->mode)))
			continue;
		if (tfs_found(ck, TFS_F_ORPHAN, ck->orphan[i], 0, true,
			      "an orphan item, and %s",
			      k ? "it has names" : "no such inode"))
			err = tfs_found_fixed(ck, tfs_fix(ck, unname_fn, &f));
	}
	return err;
}

/* All that is on the way up from k, and was not looked at yet. */
static void mark_way(struct tfs_checking *ck, struct tfs_known *k,
		     enum tfs_way way)
{
	while (k && k->way == TFS_WAY_HERE) {
		k->way = way;
		k = tfs_known_find(ck, k->namer);
	}
}

/* The way up from k, whose directories are marked.  Where it comes upon
 * itself: one of the directories that lie in each other, the first one by
 * number; what merely hangs off them is none.  Else NULL. */
static struct tfs_known *find_circle(struct tfs_checking *ck,
				     struct tfs_known *k)
{
	struct tfs_known *at = k, *first, *end;

	while (at && at->ino != TFS_ROOT_INO && at->names &&
	       at->way == TFS_WAY_UNKNOWN) {
		at->way = TFS_WAY_HERE;
		at = tfs_known_find(ck, at->namer);
	}
	if (!at || at->way != TFS_WAY_HERE) {
		bool root = at && (at->ino == TFS_ROOT_INO ||
				   at->way == TFS_WAY_ROOT);

		mark_way(ck, k, root ? TFS_WAY_ROOT : TFS_WAY_NONE);
		return NULL;
	}
	first = end = at;
	do {
		at = tfs_known_find(ck, at->namer);
		if (at->ino < first->ino)
			first = at;
	} while (at != end);
	return first;
}

struct detach {
	uint32_t	dir, ino;
	bool		found;
};

static int detach_fn(struct tfs_txn *tx, void *arg)
{
	struct detach *d = arg;
	struct tfs_key key = tfs_key(d->dir, TFS_T_DIRENT, 0);
	struct tfs_item item;
	struct tfs_entry e;
	struct tfs_inode dir;
	int err;

	for (;;) {
		err = tfs_txn_next(tx, key, &item);
		if (err)
			return err;
		if (item.key.obj != d->dir || item.key.type != TFS_T_DIRENT)
			return -ENOENT;
		if (!tfs_entry_decode(&item, &e) && e.ino == d->ino)
			break;
		key.off = item.key.off + 1;
	}
	err = tfs_inode_get(tx, d->dir, &dir);
	if (err)
		return err;
	dir.size--;
	dir.nlink--;
	err = tfs_inode_put(tx, &dir);
	return err ? err : tfs_txn_del(tx, item.key);
}

/* It is taken out of the circle, and gets a name that can be reached. */
static int break_circle(struct tfs_checking *ck, uint32_t ino)
{
	struct tfs_known *k = tfs_known_find(ck, ino), *dir;
	struct detach d = { .dir = k->namer, .ino = ino };
	int err = tfs_fix(ck, detach_fn, &d);

	if (err)
		return tfs_found_fixed(ck, err);
	dir = tfs_known_find(ck, d.dir);
	if (dir) {
		dir->entries--;
		dir->size--;
		dir->subdirs--;
		dir->nlink--;
	}
	k->names = 0;
	return attach(ck, ino);
}

/* Directories that lie in each other.  Each is looked at once: what hangs off
 * a way that was looked at shares its end. */
static int check_reached(struct tfs_checking *ck, uint32_t ino)
{
	struct tfs_known *k = tfs_known_find(ck, ino), *circle;
	bool fix;
	int err = 0;

	if (!S_ISDIR(k->mode) || !k->names || k->way != TFS_WAY_UNKNOWN)
		return 0;
	circle = find_circle(ck, k);
	if (!circle)
		return 0;
	fix = tfs_found(ck, TFS_F_UNREACHED, circle->ino, 0, true,
			"a directory that is in itself, by way of directory "
			"%u", circle->namer);
	mark_way(ck, k, fix ? TFS_WAY_ROOT : TFS_WAY_NONE);
	if (fix)
		err = break_circle(ck, circle->ino);
	return err;
}

/* Numbers are looked up again: an attachment may add lost+found itself. */
static int each_inode(struct tfs_checking *ck,
		      int (*fn)(struct tfs_checking *ck, uint32_t ino))
{
	uint32_t ino;
	int err = 0;

	for (size_t i = 0; i < ck->n && !err; i++) {
		ino = ck->known[i].ino;
		err = fn(ck, ino);
		while (i < ck->n && ck->known[i].ino < ino)
			i++;
	}
	return err;
}

int tfs_check_names(struct tfs_checking *ck)
{
	int err = check_entries(ck);

	if (!err)
		err = check_counts(ck);
	if (!err)
		err = check_orphans(ck);
	if (!err)
		err = each_inode(ck, check_nameless);		/* (2) */
	return err ? err : each_inode(ck, check_reached);
}
