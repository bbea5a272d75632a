/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inode.c - inodes across the byte-order line.
 *  (1) Every field is checked in tfs_inode_decode(); past it nobody does.
 *  (2) size of a directory counts its entries, of a symbolic link the bytes
 *      of its target, and is 0 for all that has no content. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/about.h"
#include "tfs.h"
#include "file/inode.h"

/* The clock that the kernel stamps files with: a finer one would run ahead of
 * it. */
struct timespec tfs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return ts;
}

int tfs_item_bad(const struct tfs_key *key, const char *what)
{
	tfs_log_about(LOG_ERR, &(struct tfs_about){
			.ino = key->obj, .check = "structure" },
		      "inode %u, item type %u, offset %#llx: %s", key->obj,
		      key->type, (unsigned long long)key->off, what);
	return -EUCLEAN;
}

static struct tfs_disk_time time_encode(struct timespec ts)
{
	return (struct tfs_disk_time){
		.sec = htole64((uint64_t)(int64_t)ts.tv_sec),
		.nsec = htole32((uint32_t)ts.tv_nsec),
	};
}

static bool time_decode(const struct tfs_disk_time *t, struct timespec *out)
{
	out->tv_sec = (time_t)(int64_t)le64toh(t->sec);
	out->tv_nsec = le32toh(t->nsec);
	return le32toh(t->nsec) < 1000000000u && !t->pad;
}

void tfs_inode_encode(const struct tfs_inode *in, struct tfs_disk_inode *di)
{
	*di = (struct tfs_disk_inode){
		.mode = htole32(in->mode),
		.uid = htole32(in->uid),
		.gid = htole32(in->gid),
		.nlink = htole32(in->nlink),
		.size = htole64(in->size),
		.clusters = htole64(in->clusters),
		.birth = htole64(in->birth),
		.rdev_major = htole32(in->rdev_major),
		.rdev_minor = htole32(in->rdev_minor),
		.parent = htole32(in->parent),
		.flags = htole32(in->flags),
		.atime = time_encode(in->atime),
		.mtime = time_encode(in->mtime),
		.ctime = time_encode(in->ctime),
		.btime = time_encode(in->btime),
	};
}

/* What the type allows; NULL or what is wrong. */
static const char *check_type(const struct tfs_inode *in, uint64_t size_max)
{
	bool dev = S_ISCHR(in->mode) || S_ISBLK(in->mode);

	switch (in->mode & S_IFMT) {
	case S_IFREG:
		if (in->size > size_max)
			return "file too large";
		break;
	case S_IFDIR:
		if (in->size > UINT32_MAX)
			return "too many entries";
		break;
	case S_IFLNK:
		if (!in->size || in->size > TFS_LINK_MAX)
			return "bad length of a link";
		break;
	case S_IFCHR: case S_IFBLK: case S_IFIFO: case S_IFSOCK:
		if (in->size)
			return "size without content";
		break;
	default:
		return "no such type";
	}
	if (!dev && (in->rdev_major || in->rdev_minor))
		return "device number of no device";
	if (!S_ISREG(in->mode) && in->clusters)
		return "clusters without content";
	return NULL;
}

static const char *check_inode(const struct tfs_inode *in, uint64_t size_max)
{
	bool dir = S_ISDIR(in->mode);

	if (in->mode & ~(uint32_t)(S_IFMT | 07777))
		return "bad mode";
	if (dir ? in->nlink == 1 : in->nlink > TFS_NLINK_MAX)
		return "bad link count";
	if (dir && !in->parent)
		return "bad parent";
	if (in->clusters > TFS_FILE_CLUSTERS)
		return "bad cluster count";
	if (in->birth > TFS_SEQ_MAX)
		return "bad birth";
	if (in->flags & ~(TFS_INODE_CUT | TFS_INODE_USER) ||
	    (in->flags & TFS_INODE_CUT && !S_ISREG(in->mode)) ||
	    (in->flags & TFS_INODE_LOCKS && !S_ISREG(in->mode) && !dir))
		return "bad flags";
	return check_type(in, size_max);
}

int tfs_inode_decode(struct tfs *fs, const struct tfs_item *item,
		     struct tfs_inode *out)
{
	struct tfs_disk_inode di;
	const char *bad;
	bool times;

	if (item->len != sizeof(di) || item->key.off)
		return tfs_item_bad(&item->key, "bad shape of an inode");
	memcpy(&di, item->val, sizeof(di));
	*out = (struct tfs_inode){
		.ino = item->key.obj,
		.mode = le32toh(di.mode),
		.uid = le32toh(di.uid),
		.gid = le32toh(di.gid),
		.nlink = le32toh(di.nlink),
		.parent = le32toh(di.parent),
		.flags = le32toh(di.flags),
		.size = le64toh(di.size),
		.clusters = le64toh(di.clusters),
		.birth = le64toh(di.birth),
		.rdev_major = le32toh(di.rdev_major),
		.rdev_minor = le32toh(di.rdev_minor),
	};
	times = time_decode(&di.atime, &out->atime) &&
		time_decode(&di.mtime, &out->mtime) &&
		time_decode(&di.ctime, &out->ctime) &&
		time_decode(&di.btime, &out->btime);
	bad = check_inode(out, TFS_FILE_CLUSTERS * tfs_cluster_size(fs));
	if (!bad && !times)
		bad = "bad time";
	return bad ? tfs_item_bad(&item->key, bad) : 0;
}

int tfs_inode_get(struct tfs_txn *tx, uint32_t ino, struct tfs_inode *out)
{
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(ino, TFS_T_INODE, 0), &item);

	return err ? err : tfs_inode_decode(tfs_txn_fs(tx), &item, out);
}

int tfs_inode_named(struct tfs_txn *tx, uint32_t ino, struct tfs_inode *out)
{
	int err = tfs_inode_get(tx, ino, out);

	if (err == -ENOENT) {
		tfs_log_about(LOG_ERR, &(struct tfs_about){
				.ino = ino, .check = "structure" },
			      "inode %u is named but not there", ino);
		err = -EUCLEAN;
	}
	return err;
}

int tfs_inode_put(struct tfs_txn *tx, const struct tfs_inode *in)
{
	struct tfs_disk_inode di;

	tfs_inode_encode(in, &di);
	return tfs_txn_put(tx, tfs_key(in->ino, TFS_T_INODE, 0), &di,
			   sizeof(di));
}

int tfs_unlocked(const struct tfs_inode *in)
{
	return in->flags & TFS_INODE_LOCKS ? -EPERM : 0;
}

int tfs_mutable(const struct tfs_inode *in)
{
	return in->flags & TFS_INODE_IMMUTABLE ? -EPERM : 0;
}

bool tfs_kill_priv(struct tfs_inode *in)
{
	uint32_t old = in->mode;

	if (S_ISDIR(in->mode))
		return false;
	in->mode &= ~(uint32_t)S_ISUID;
	if (in->mode & S_IXGRP)
		in->mode &= ~(uint32_t)S_ISGID;
	return in->mode != old;
}

int tfs_orphan_put(struct tfs_txn *tx, uint32_t ino)
{
	return tfs_txn_put(tx, tfs_key(0, TFS_T_ORPHAN, ino), NULL, 0);
}

int tfs_orphan_del(struct tfs_txn *tx, uint32_t ino)
{
	return tfs_txn_del(tx, tfs_key(0, TFS_T_ORPHAN, ino));
}
