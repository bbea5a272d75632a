/* SPDX-License-Identifier: GPL-2.0-or-later */
/* namei.c - names: find, make, link, remove, move.
 *  (1) One transaction per call.  Looks see the tree as it was before, so an
 *      inode is loaded once, changed in memory, and put once: struct set.
 *  (2) A directory's nlink is 2 and one for each directory in it, its size
 *      one for each entry, its parent the one directory that names it.
 *  (3) An inode without names has an orphan item, put or deleted by the
 *      transaction that takes the last name or gives the first.
 *  (4) A reference on a found inode is taken under the tree lock: nobody can
 *      remove and reclaim it in between. */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "base/about.h"
#include "tfs.h"
#include "file/orphan.h"
#include "file/refs.h"
#include "name/acl.h"
#include "name/dir.h"

#define SET_MAX	4u	/* a rename: two directories, two inodes */

struct set {
	struct tfs_inode	in[SET_MAX];
	unsigned int		n;
};

/* Load an inode that an item names, unless it is there already. (1) */
static int set_load(struct tfs_txn *tx, struct set *set, uint32_t ino,
		    struct tfs_inode **out)
{
	int err;

	for (unsigned int i = 0; i < set->n; i++) {
		if (set->in[i].ino == ino) {
			*out = &set->in[i];
			return 0;
		}
	}
	*out = &set->in[set->n];
	err = tfs_inode_named(tx, ino, *out);
	if (!err)
		set->n++;
	return err;
}

/* Load a directory that the caller names. */
static int set_load_dir(struct tfs_txn *tx, struct set *set, uint32_t ino,
			struct tfs_inode **out)
{
	struct tfs_item item;
	int err;

	err = tfs_txn_get(tx, tfs_key(ino, TFS_T_INODE, 0), &item);
	if (err)
		return err;
	err = set_load(tx, set, ino, out);
	if (!err && !S_ISDIR((*out)->mode))
		err = -ENOTDIR;
	return err;
}

static int set_put(struct tfs_txn *tx, const struct set *set)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < set->n; i++)
		err = tfs_inode_put(tx, &set->in[i]);
	return err;
}

static int damage(const struct tfs_inode *in, const char *what)
{
	tfs_log_about(LOG_ERR, &(struct tfs_about){
			.ino = in->ino, .check = "structure" },
		      "inode %u: %s", in->ino, what);
	return -EUCLEAN;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* dots: the error that "." and ".." are to this call. */
static int name_check(const char *name, int dots)
{
	size_t len = strlen(name);

	if (!len)
		return -ENOENT;
	if (len > TFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (strchr(name, '/'))
		return -EINVAL;
	return is_dots(name) ? dots : 0;
}

static void touch(struct tfs_inode *dir, struct timespec now)
{
	dir->mtime = now;
	dir->ctime = now;
}

/* ---- links, in memory -------------------------------------------------- */

static int gain_entry(struct tfs_inode *dir, const struct tfs_inode *in)
{
	if (dir->size == UINT32_MAX)
		return -ENOSPC;
	if (S_ISDIR(in->mode) && dir->nlink == UINT32_MAX)
		return -EMLINK;
	dir->size++;
	dir->nlink += S_ISDIR(in->mode);
	return 0;
}

static int lose_entry(struct tfs_inode *dir, const struct tfs_inode *in)
{
	if (!dir->size)
		return damage(dir, "more entries than it counts");
	dir->size--;
	if (!S_ISDIR(in->mode))
		return 0;
	if (in->parent != dir->ino)
		return damage(in, "in a directory that is not its parent");
	if (dir->nlink <= 2)
		return damage(dir, "more directories than it counts");
	dir->nlink--;
	return 0;
}

/* One name less; the last one makes it an orphan. */
static int lose_name(struct tfs_txn *tx, struct tfs_inode *in,
		     struct timespec now)
{
	if (!in->nlink)
		return damage(in, "has a name but no links");
	in->ctime = now;
	in->nlink = S_ISDIR(in->mode) ? 0 : in->nlink - 1;
	if (in->nlink)
		return 0;
	return tfs_orphan_put(tx, in->ino);
}

/* Its last name is gone: now, or when its last user is. */
static void orphaned(struct tfs *fs, uint32_t ino)
{
	if (!tfs_refs_orphan(fs, ino))
		tfs_orphan_reclaim(fs, ino);
}

/* ---- lookup ------------------------------------------------------------ */

struct lookup_arg {
	uint32_t		dir;
	const char		*name;
	struct tfs_inode	*out;
	struct tfs_inuse	*spare;	/* for its reference */
};

/* "." asks for any inode by number, as network exports do, which may have it
 * from long ago. */
static int lookup_dots(struct tfs_txn *tx, const struct lookup_arg *arg)
{
	int err = tfs_inode_get(tx, arg->dir, arg->out);

	if (err == -ENOENT)
		err = -ESTALE;
	if (err || !arg->name[1])
		return err;
	if (!S_ISDIR(arg->out->mode))
		return -ENOTDIR;
	return tfs_inode_named(tx, arg->out->parent, arg->out);
}

static int lookup_name(struct tfs_txn *tx, const struct lookup_arg *arg)
{
	struct tfs_entry entry;
	int err = tfs_inode_get(tx, arg->dir, arg->out);

	if (err)
		return err;
	if (!S_ISDIR(arg->out->mode))
		return -ENOTDIR;
	err = tfs_entry_find(tx, arg->dir, arg->name, &entry);
	if (!err)
		err = tfs_inode_named(tx, entry.ino, arg->out);
	if (!err && !arg->out->nlink)
		err = damage(arg->out, "has a name but no links");
	return err;
}

static int lookup_fn(struct tfs_txn *tx, void *p)
{
	struct lookup_arg *arg = p;
	int err = is_dots(arg->name) ? lookup_dots(tx, arg) :
		lookup_name(tx, arg);

	if (!err && !arg->out->nlink)
		err = -ESTALE;
	if (!err)						/* (4) */
		tfs_ref_with(tfs_txn_fs(tx), arg->out->ino, 1, &arg->spare);
	return err;
}

int tfs_lookup(struct tfs *fs, uint32_t dir, const char *name,
	       struct tfs_inode *out)
{
	struct lookup_arg arg = { .dir = dir, .name = name, .out = out };
	int err = name_check(name, 0);

	if (err)
		return err;
	arg.spare = tfs_ref_spare();
	err = arg.spare ? tfs_txn_read(fs, lookup_fn, &arg) : -ENOMEM;
	free(arg.spare);
	return err;
}

/* ---- create ------------------------------------------------------------ */

struct create_arg {
	uint32_t		dir;
	const char		*name;
	const struct tfs_new	*how;
	struct timespec		now;
	uint32_t		ino;	/* 0, or got by an earlier run */
	struct tfs_inuse	*spare;	/* for its reference */
	struct tfs_inode	*out;
};

/* A number for it, once.  It is referenced before anybody can find it. */
static int create_ino(struct tfs_txn *tx, struct create_arg *arg)
{
	int err;

	if (arg->ino)
		return 0;
	err = tfs_txn_new_ino(tx, &arg->ino);
	if (err)
		arg->ino = 0;
	else
		tfs_ref_with(tfs_txn_fs(tx), arg->ino, 1, &arg->spare);
	return err;
}

static struct tfs_inode create_inode(struct tfs_txn *tx,
				     const struct create_arg *arg,
				     const struct tfs_inode *dir)
{
	const struct tfs_new *how = arg->how;
	struct tfs_inode in = {
		.ino = arg->ino, .mode = how->mode & (S_IFMT | 07777),
		.uid = how->uid, .gid = how->gid,
		.nlink = arg->name ? 1 : 0, .birth = tfs_txn_seq(tx),
		.atime = arg->now, .mtime = arg->now,
		.ctime = arg->now, .btime = arg->now,
		.parent = dir->ino, .flags = dir->flags & TFS_INODE_HEIRLOOMS,
	};

	if (dir->mode & S_ISGID) {
		in.gid = dir->gid;
		if (S_ISDIR(in.mode))
			in.mode |= S_ISGID;
	}
	if (S_ISDIR(in.mode)) {
		in.nlink = 2;
	} else if (S_ISLNK(in.mode)) {
		in.mode = S_IFLNK | 0777;
		in.size = strlen(how->target);
	} else if (S_ISCHR(in.mode) || S_ISBLK(in.mode)) {
		in.rdev_major = how->rdev_major;
		in.rdev_minor = how->rdev_minor;
	}
	return in;
}

static int create_target(struct tfs_txn *tx, const struct tfs_inode *in,
			 const char *target)
{
	uint64_t off, len;
	int err = 0;

	for (off = 0; !err && off < in->size; off += len) {
		len = in->size - off;
		if (len > TFS_INLINE_MAX)
			len = TFS_INLINE_MAX;
		err = tfs_txn_put(tx, tfs_key(in->ino, TFS_T_INLINE, off),
				  target + off, (unsigned int)len);
	}
	return err;
}

/* Its name, or the mark that it has none. (3) */
static int create_name(struct tfs_txn *tx, const struct create_arg *arg,
		       struct tfs_inode *dir, const struct tfs_inode *in,
		       uint64_t off)
{
	int err;

	if (!arg->name)
		return tfs_orphan_put(tx, in->ino);
	err = gain_entry(dir, in);
	if (err)
		return err;
	touch(dir, arg->now);
	err = tfs_entry_put(tx, dir->ino, off, arg->name, in->ino, in->mode);
	return err ? err : tfs_inode_put(tx, dir);
}

/* Where the name goes; *off is 0 if there is none. */
static int create_slot(struct tfs_txn *tx, const struct create_arg *arg,
		       uint64_t *off)
{
	struct tfs_entry entry = { 0 };
	int err;

	*off = 0;
	if (!arg->name)
		return 0;
	err = tfs_entry_find(tx, arg->dir, arg->name, &entry);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	*off = entry.off;
	return entry.off ? 0 : -ENOSPC;
}

static int create_fn(struct tfs_txn *tx, void *p)
{
	struct create_arg *arg = p;
	struct set set = { .n = 0 };
	struct tfs_inode *dir, in;
	uint64_t off;
	int err;

	err = set_load_dir(tx, &set, arg->dir, &dir);
	if (!err && !dir->nlink)
		err = -ENOENT;
	if (!err)
		err = create_slot(tx, arg, &off);
	if (!err && !arg->how->force)
		err = tfs_mutable(dir);
	if (!err)
		err = create_ino(tx, arg);
	if (err)
		return err;
	in = create_inode(tx, arg, dir);
	err = tfs_acl_inherit(tx, dir, &in, arg->how->umask);
	if (!err)
		err = create_name(tx, arg, dir, &in, off);
	if (!err && S_ISLNK(in.mode))
		err = create_target(tx, &in, arg->how->target);
	if (!err)
		err = tfs_inode_put(tx, &in);
	if (err)
		return err;
	tfs_txn_count(tx, 1, 0);
	*arg->out = in;
	return 0;
}

static int create_check(const char *name, const struct tfs_new *how)
{
	size_t len;

	switch (how->mode & S_IFMT) {
	case S_IFREG:
		break;
	case S_IFLNK:
		len = how->target ? strlen(how->target) : 0;
		if (!len)
			return -ENOENT;
		if (len > TFS_LINK_MAX)
			return -ENAMETOOLONG;
		/* fallthrough */
	case S_IFDIR: case S_IFCHR: case S_IFBLK: case S_IFIFO: case S_IFSOCK:
		if (!name)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	return name ? name_check(name, -EEXIST) : 0;
}

int tfs_create(struct tfs *fs, uint32_t dir, const char *name,
	       const struct tfs_new *how, struct tfs_inode *out)
{
	struct create_arg arg = {
		.dir = dir, .name = name, .how = how, .now = tfs_now(),
		.out = out,
	};
	int err = create_check(name, how);

	if (err)
		return err;
	arg.spare = tfs_ref_spare();
	if (!arg.spare)
		return -ENOMEM;
	err = tfs_txn_write(fs, create_fn, &arg, 0);
	free(arg.spare);
	if (err && arg.ino)
		tfs_unref(fs, arg.ino, 1);
	if (!err && !name)
		orphaned(fs, arg.ino);
	return err;
}

/* ---- link -------------------------------------------------------------- */

struct link_arg {
	uint32_t		ino, dir;
	const char		*name;
	struct timespec		now;
	struct tfs_inode	*out;
};

static int link_inode(struct tfs_txn *tx, struct tfs_inode *in,
		      struct timespec now)
{
	if (S_ISDIR(in->mode))
		return -EPERM;
	if (in->nlink >= TFS_NLINK_MAX)
		return -EMLINK;
	in->ctime = now;
	/* A truncate cut short keeps the item. */
	if (in->nlink++ || in->flags & TFS_INODE_CUT)
		return 0;
	return tfs_orphan_del(tx, in->ino);			/* (3) */
}

static int link_fn(struct tfs_txn *tx, void *p)
{
	struct link_arg *arg = p;
	struct set set = { .n = 0 };
	struct tfs_inode *dir, *in;
	struct tfs_entry entry;
	int err;

	err = set_load_dir(tx, &set, arg->dir, &dir);
	if (err)
		return err;
	if (!dir->nlink)
		return -ENOENT;
	err = tfs_entry_find(tx, arg->dir, arg->name, &entry);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	err = set_load(tx, &set, arg->ino, &in);
	if (!err)
		err = tfs_mutable(dir) ?: tfs_unlocked(in);
	if (!err)
		err = link_inode(tx, in, arg->now);
	if (!err)
		err = entry.off ? gain_entry(dir, in) : -ENOSPC;
	if (err)
		return err;
	in->parent = dir->ino;
	touch(dir, arg->now);
	err = tfs_entry_put(tx, arg->dir, entry.off, arg->name, in->ino,
			    in->mode);
	*arg->out = *in;
	return err ? err : set_put(tx, &set);
}

int tfs_link(struct tfs *fs, uint32_t ino, uint32_t dir, const char *name,
	     struct tfs_inode *out)
{
	struct link_arg arg = {
		.ino = ino, .dir = dir, .name = name, .now = tfs_now(),
		.out = out,
	};
	int err = name_check(name, -EEXIST);
	struct tfs_inuse *spare;

	if (err)
		return err;
	spare = tfs_ref_spare();
	err = spare ? tfs_txn_write(fs, link_fn, &arg, 0) : -ENOMEM;
	if (!err)
		tfs_ref_with(fs, ino, 1, &spare);
	free(spare);
	return err;
}

/* ---- unlink and rmdir -------------------------------------------------- */

struct remove_arg {
	uint32_t	dir;
	const char	*name;
	bool		rmdir;
	struct timespec	now;
	uint32_t	orphan;		/* 0: it has other names */
};

static int may_remove(struct tfs_txn *tx, const struct tfs_inode *in,
		      bool rmdir)
{
	int empty;

	if (!rmdir)
		return S_ISDIR(in->mode) ? -EISDIR : 0;
	if (!S_ISDIR(in->mode))
		return -ENOTDIR;
	empty = tfs_dir_empty(tx, in->ino);
	if (empty < 0)
		return empty;
	return empty ? 0 : -ENOTEMPTY;
}

static int remove_fn(struct tfs_txn *tx, void *p)
{
	struct remove_arg *arg = p;
	struct set set = { .n = 0 };
	struct tfs_inode *dir, *in;
	struct tfs_entry entry;
	int err;

	err = set_load_dir(tx, &set, arg->dir, &dir);
	if (!err)
		err = tfs_entry_find(tx, arg->dir, arg->name, &entry);
	if (!err)
		err = set_load(tx, &set, entry.ino, &in);
	if (!err)
		err = tfs_unlocked(dir) ?: tfs_unlocked(in);
	if (!err)
		err = may_remove(tx, in, arg->rmdir);
	if (!err)
		err = lose_entry(dir, in);
	if (!err)
		err = lose_name(tx, in, arg->now);
	if (!err)
		err = tfs_txn_del(tx, tfs_key(arg->dir, TFS_T_DIRENT,
					      entry.off));
	if (err)
		return err;
	touch(dir, arg->now);
	arg->orphan = in->nlink ? 0 : in->ino;
	return set_put(tx, &set);
}

static int name_remove(struct tfs *fs, struct remove_arg *arg)
{
	int err;

	arg->now = tfs_now();
	err = tfs_txn_write(fs, remove_fn, arg, TFS_TXN_FREES);
	if (!err && arg->orphan)
		orphaned(fs, arg->orphan);
	return err;
}

int tfs_unlink(struct tfs *fs, uint32_t dir, const char *name)
{
	struct remove_arg arg = { .dir = dir, .name = name };
	int err = name_check(name, -EISDIR);

	return err ? err : name_remove(fs, &arg);
}

int tfs_rmdir(struct tfs *fs, uint32_t dir, const char *name)
{
	struct remove_arg arg = { .dir = dir, .name = name, .rmdir = true };
	int err = name_check(name,
			     strcmp(name, ".") ? -ENOTEMPTY : -EINVAL);

	return err ? err : name_remove(fs, &arg);
}

/* ---- rename ------------------------------------------------------------ */

struct rename_arg {
	uint32_t	dir, newdir;
	const char	*name, *newname;
	unsigned int	flags;
	struct timespec	now;
	uint32_t	orphan;		/* 0: nothing lost its last name */
	struct create_arg white;	/* what stays at the old name */
};

struct move {
	struct set		set;
	struct tfs_inode	*from, *to;	/* the directories */
	struct tfs_inode	*src, *dst;	/* dst NULL: the name is new */
	struct tfs_entry	old, new;
};

static int move_load(struct tfs_txn *tx, const struct rename_arg *arg,
		     struct move *mv)
{
	int err = set_load_dir(tx, &mv->set, arg->dir, &mv->from);

	if (!err)
		err = set_load_dir(tx, &mv->set, arg->newdir, &mv->to);
	if (!err && !mv->to->nlink)
		err = -ENOENT;
	if (!err)
		err = tfs_entry_find(tx, arg->dir, arg->name, &mv->old);
	if (!err)
		err = set_load(tx, &mv->set, mv->old.ino, &mv->src);
	if (err)
		return err;
	mv->dst = NULL;
	err = tfs_entry_find(tx, arg->newdir, arg->newname, &mv->new);
	if (err == -ENOENT)
		return 0;
	return err ? err : set_load(tx, &mv->set, mv->new.ino, &mv->dst);
}

/* Is dir below (or the same as) top?  1, 0 or an error.  Brent's algorithm
 * tells a loop of parents, which would be damage, from a deep tree. */
static int is_below(struct tfs_txn *tx, uint32_t dir, uint32_t top)
{
	uint32_t mark = 0;
	uint64_t steps = 0, power = 1;
	struct tfs_inode in;
	int err;

	for (; dir != top; dir = in.parent) {
		if (dir == TFS_ROOT_INO)
			return 0;
		err = tfs_inode_named(tx, dir, &in);
		if (err)
			return err;
		if (dir == mark || !S_ISDIR(in.mode))
			return damage(&in, "lies outside of the root");
		if (++steps == power) {
			power *= 2;
			mark = dir;
		}
	}
	return 1;
}

/* No directory may come to lie within itself. */
static int move_check_loop(struct tfs_txn *tx, const struct move *mv,
			   bool exchange)
{
	bool same = mv->from == mv->to;
	int below = 0;

	if (S_ISDIR(mv->src->mode))
		below = same ? mv->src == mv->to :
			is_below(tx, mv->to->ino, mv->src->ino);
	if (below)
		return below < 0 ? below : -EINVAL;
	if (mv->dst && S_ISDIR(mv->dst->mode))
		below = same ? mv->dst == mv->from :
			is_below(tx, mv->from->ino, mv->dst->ino);
	if (below)
		return below < 0 ? below : exchange ? -EINVAL : -ENOTEMPTY;
	return 0;
}

/* What the flags of all four say. */
static int move_unlocked(const struct move *mv)
{
	int err = tfs_unlocked(mv->from) ?: tfs_unlocked(mv->src);

	if (!err)
		err = tfs_mutable(mv->to);
	if (!err && mv->dst)
		err = tfs_unlocked(mv->to) ?: tfs_unlocked(mv->dst);
	return err;
}

static int move_check(struct tfs_txn *tx, const struct move *mv,
		      unsigned int flags)
{
	int err;

	if (mv->dst && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!mv->dst && flags & RENAME_EXCHANGE)
		return -ENOENT;
	err = move_check_loop(tx, mv, flags & RENAME_EXCHANGE);
	if (!err && mv->src != mv->dst)
		err = move_unlocked(mv);
	if (err || !mv->dst || mv->src == mv->dst || flags & RENAME_EXCHANGE)
		return err;
	return may_remove(tx, mv->dst, S_ISDIR(mv->src->mode));
}

static int relink(struct tfs_inode *in, struct tfs_inode *from,
		  struct tfs_inode *to)
{
	int err = lose_entry(from, in);

	if (!err)
		err = gain_entry(to, in);
	in->parent = to->ino;
	return err;
}

static int move_exchange(struct tfs_txn *tx, const struct rename_arg *arg,
			 struct move *mv)
{
	int err = relink(mv->src, mv->from, mv->to);

	if (!err)
		err = relink(mv->dst, mv->to, mv->from);
	if (!err)
		err = tfs_entry_put(tx, arg->dir, mv->old.off, arg->name,
				    mv->dst->ino, mv->dst->mode);
	if (!err)
		err = tfs_entry_put(tx, arg->newdir, mv->new.off, arg->newname,
				    mv->src->ino, mv->src->mode);
	mv->dst->ctime = arg->now;
	return err;
}

/* The old name goes, or is a whiteout's from now on. */
static int move_leave(struct tfs_txn *tx, struct rename_arg *arg,
		      struct move *mv)
{
	struct tfs_inode in;
	int err;

	if (!(arg->flags & RENAME_WHITEOUT))
		return tfs_txn_del(tx, tfs_key(arg->dir, TFS_T_DIRENT,
					       mv->old.off));
	err = create_ino(tx, &arg->white);
	if (err)
		return err;
	in = create_inode(tx, &arg->white, mv->from);
	err = gain_entry(mv->from, &in);
	if (!err)
		err = tfs_entry_put(tx, arg->dir, mv->old.off, arg->name,
				    in.ino, in.mode);
	if (!err)
		err = tfs_inode_put(tx, &in);
	if (!err)
		tfs_txn_count(tx, 1, 0);
	return err;
}

/* What had the new name loses it; its entry, cookie included, is taken. */
static int move_replace(struct tfs_txn *tx, struct rename_arg *arg,
			struct move *mv)
{
	int err = 0;

	if (!mv->new.off)
		return -ENOSPC;
	if (mv->dst) {
		err = lose_entry(mv->to, mv->dst);
		if (!err)
			err = lose_name(tx, mv->dst, arg->now);
		arg->orphan = mv->dst->nlink ? 0 : mv->dst->ino;
	}
	if (!err)
		err = relink(mv->src, mv->from, mv->to);
	if (!err)
		err = move_leave(tx, arg, mv);
	if (!err)
		err = tfs_entry_put(tx, arg->newdir, mv->new.off, arg->newname,
				    mv->src->ino, mv->src->mode);
	return err;
}

static int rename_fn(struct tfs_txn *tx, void *p)
{
	struct rename_arg *arg = p;
	struct move mv = { .set.n = 0 };
	int err;

	arg->orphan = 0;
	err = move_load(tx, arg, &mv);
	if (!err)
		err = move_check(tx, &mv, arg->flags);
	if (err || mv.src == mv.dst)
		return err;
	if (arg->flags & RENAME_EXCHANGE)
		err = move_exchange(tx, arg, &mv);
	else
		err = move_replace(tx, arg, &mv);
	if (err)
		return err;
	mv.src->ctime = arg->now;
	touch(mv.from, arg->now);
	touch(mv.to, arg->now);
	return set_put(tx, &mv.set);
}

static bool rename_flags_ok(unsigned int flags)
{
	const unsigned int known = RENAME_NOREPLACE | RENAME_EXCHANGE |
		RENAME_WHITEOUT;

	return !(flags & ~known) &&
		(!(flags & RENAME_EXCHANGE) || flags == RENAME_EXCHANGE);
}

int tfs_rename(struct tfs *fs, uint32_t dir, const char *name,
	       uint32_t newdir, const char *newname, unsigned int flags,
	       const struct tfs_new *white)
{
	const struct tfs_new how = {
		.mode = S_IFCHR, .uid = white ? white->uid : 0,
		.gid = white ? white->gid : 0,
	};
	struct rename_arg arg = {
		.dir = dir, .name = name, .newdir = newdir,
		.newname = newname, .flags = flags, .now = tfs_now(),
		.white = { .dir = dir, .name = name, .how = &how },
	};
	int err;

	if (!rename_flags_ok(flags))
		return -EINVAL;
	arg.white.now = arg.now;
	err = name_check(name, -EBUSY);
	if (!err)
		err = name_check(newname, -EBUSY);
	if (!err && flags & RENAME_WHITEOUT) {
		arg.white.spare = tfs_ref_spare();
		err = arg.white.spare ? 0 : -ENOMEM;
	}
	if (!err)
		err = tfs_txn_write(fs, rename_fn, &arg, 0);
	free(arg.white.spare);
	if (arg.white.ino)
		tfs_unref(fs, arg.white.ino, 1);
	if (!err && arg.orphan)
		orphaned(fs, arg.orphan);
	return err;
}

/* ---- symbolic links ---------------------------------------------------- */

struct readlink_arg {
	uint32_t	ino;
	char		text[TFS_LINK_MAX + 1];
};

static int readlink_fn(struct tfs_txn *tx, void *p)
{
	struct readlink_arg *arg = p;
	struct tfs_inode in;
	struct tfs_item item;
	struct tfs_key key;
	uint64_t off, left;
	int err = tfs_inode_get(tx, arg->ino, &in);

	if (err)
		return err;
	if (!S_ISLNK(in.mode))
		return -EINVAL;
	for (off = 0; off < in.size; off += item.len) {
		left = in.size - off;
		key = tfs_key(in.ino, TFS_T_INLINE, off);
		err = tfs_txn_get(tx, key, &item);
		if (err && err != -ENOENT)
			return err;
		if (err || item.len != (left < TFS_INLINE_MAX ? left :
					TFS_INLINE_MAX) ||
		    memchr(item.val, '\0', item.len))
			return tfs_item_bad(&key, "bad piece of a link");
		memcpy(arg->text + off, item.val, item.len);
	}
	arg->text[in.size] = '\0';
	return 0;
}

int tfs_readlink(struct tfs *fs, uint32_t ino, char **out)
{
	struct readlink_arg arg = { .ino = ino };
	int err = tfs_txn_read(fs, readlink_fn, &arg);

	*out = NULL;
	if (err)
		return err;
	*out = strdup(arg.text);
	return *out ? 0 : -ENOMEM;
}
