/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_copy.c - one file, its attributes and its content.
 *
 *  (1) A file has its name when it is whole: until then it is PART, at the top
 *      of the target.  So what an interrupted run left can be told from what
 *      it finished.
 *  (2) Where a read fails, less is read, down to one interval: a bad interval
 *      costs itself alone.
 *  (3) A file of which bytes are missing has MISSING_MARK, so that the next run
 *      tries again.
 *  (4) What is immutable or append-only gets no other name and can't be made
 *      anew, so that comes last of all, and not to what is not whole. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ctl.h"
#include "restore.h"
#include "tfs.h"

#define CHUNK	(256u << 10)

/* ---- attributes ------------------------------------------------------------- */

static void put_xattr(struct restore *r, const struct tfs_inode *in, int fd,
		      const char *name)
{
	static uint8_t value[65536];
	ssize_t n = tfs_getxattr(r->fs, in->ino, name, value, sizeof(value));

	if (n < 0)
		note_text(r, "an attribute can't be read");
	else if (fsetxattr(fd, name, value, (size_t)n, 0))
		could_not(r, name);
}

static void put_xattrs(struct restore *r, const struct tfs_inode *in, int fd)
{
	ssize_t n = tfs_listxattr(r->fs, in->ino, NULL, 0, true);
	char *list = n > 0 ? malloc((size_t)n) : NULL;
	size_t i = 0;

	if (n > 0 && !list)
		n = -ENOMEM;
	if (n > 0)
		n = tfs_listxattr(r->fs, in->ino, list, (size_t)n, true);
	if (n < 0)
		note_text(r, "the attributes can't be read");
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
		put_xattr(r, in, fd, list + at);
	free(list);
	if (next_gap(r, &i, in->ino, TFS_T_XATTR))
		note_text(r, "attributes may be missing: the part of the tree "
			  "that had them is lost");
}

/* Owners are for root alone; others own what they copy.  They come first,
 * since a change of them takes capabilities and set-user bits away. */
void put_attributes(struct restore *r, const struct tfs_inode *in, int fd)
{
	const struct timespec times[2] = { in->atime, in->mtime };

	if (!geteuid() && fchown(fd, in->uid, in->gid))
		could_not(r, "owner");
	put_xattrs(r, in, fd);
	if (fchmod(fd, in->mode & 07777) || futimens(fd, times))
		could_not(r, "mode and times");
}

/* ---- flags of chattr ------------------------------------------------------- */

static int change_flags(int fd, uint32_t set, uint32_t clear)
{
	int flags = 0, want;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return -errno;
	want = (flags & ~(int)tfs_flags_out(clear, false)) |
		(int)tfs_flags_out(set, false);
	return want == flags || !ioctl(fd, FS_IOC_SETFLAGS, &want) ? 0 : -errno;
}

/* (4) */
void put_flags(struct restore *r, const struct tfs_inode *in, int fd,
	       bool locks)
{
	uint32_t set = in->flags & (locks ? TFS_INODE_USER :
				    TFS_INODE_HEIRLOOMS);

	if (set && change_flags(fd, set, 0))
		r->flagless++;
}

void put_flags_at(struct restore *r, const struct tfs_inode *in, int dir,
		  const char *name, bool locks)
{
	int fd;

	if (!(in->flags & TFS_INODE_USER) || !S_ISREG(in->mode))
		return;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		r->flagless++;
		return;
	}
	put_flags(r, in, fd, locks);
	close(fd);
}

void take_locks(int fd)
{
	change_flags(fd, 0, TFS_INODE_LOCKS);
}

/* ---- content ------------------------------------------------------------------ */

static int write_all(struct restore *r, int fd, const uint8_t *buf, size_t len,
		     uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR && !is_interrupted())
			continue;
		if (n <= 0)
			return could_not(r, "write") ? -errno : GIVEN_UP;
		buf += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int lose(struct restore *r, const struct tfs_inode *in, uint64_t off,
		uint64_t len, const char *why)
{
	note(r, off, off + len > in->size ? in->size - off : len, why);
	return r->on_error == AS_HOLE ? 0 : GIVEN_UP;
}

/* (2) */
static int copy_part(struct restore *r, const struct tfs_inode *in, int fd,
		     uint64_t off, size_t len)
{
	static const char why[] = "can't be read, or does not verify";
	uint32_t csize = tfs_cluster_size(r->fs), isize = csize / r->fs->ipc;
	uint32_t step = len > csize ? csize : isize;
	ssize_t n = tfs_read_sync(r->fs, in->ino, off, r->buf, len);
	int err = 0;

	if (n >= 0) {
		r->bytes += (uint64_t)n;
		return write_all(r, fd, r->buf, (size_t)n, off);
	}
	if (len <= isize)
		return lose(r, in, off, len, why);
	for (uint64_t at = off; at < off + len && at < in->size && !err;
	     at += step)
		err = copy_part(r, in, fd, at, step);
	return err;
}

static int copy_data(struct restore *r, const struct tfs_inode *in, int fd)
{
	uint64_t at = 0, end, mask = tfs_cluster_size(r->fs) - 1;
	int64_t next;
	int err = 0;

	while (!err && at < in->size) {
		next = tfs_lseek(r->fs, in->ino, at, SEEK_DATA);
		if (next == -ENXIO)
			break;
		if (next > (int64_t)at)
			at = (uint64_t)next & ~mask;
		next = tfs_lseek(r->fs, in->ino, at, SEEK_HOLE);
		end = next <= (int64_t)at || (uint64_t)next > in->size ?
			in->size : (uint64_t)next;
		while (at < end && !err) {
			size_t n = end - at < CHUNK ? end - at : CHUNK;

			err = is_interrupted() ? -EINTR :
				copy_part(r, in, fd, at, n);
			at += n;
		}
		if (!err && r->map)
			err = map_save(r->map, false);
	}
	return err;
}

/* Where nothing is, and nobody knows whether something was. */
static int lose_unknown(struct restore *r, const struct tfs_inode *in,
			uint64_t at, uint64_t end)
{
	static const char why[] = "not known: the part of the tree that said "
		"what is there is lost";
	int err = 0;

	while (at < end && !err) {
		int64_t data = tfs_lseek(r->fs, in->ino, at, SEEK_DATA);
		int64_t hole;

		if (data < 0 || (uint64_t)data >= end)
			return lose(r, in, at, end - at, why);
		if ((uint64_t)data > at)
			err = lose(r, in, at, (uint64_t)data - at, why);
		hole = tfs_lseek(r->fs, in->ino, (uint64_t)data, SEEK_HOLE);
		if (hole <= data)
			return err;
		at = (uint64_t)hole;
	}
	return err;
}

static int check_gaps(struct restore *r, const struct tfs_inode *in)
{
	uint32_t csize = tfs_cluster_size(r->fs);
	uint64_t last = (in->size + csize - 1) / csize;
	const struct tfs_gap *g;
	size_t i = 0;
	int err = 0;

	if (!in->size)
		return 0;
	if (!in->clusters && next_gap(r, &i, in->ino, TFS_T_INLINE))
		return lose(r, in, 0, in->size, "the part of the tree that "
			    "had it is lost");
	i = 0;
	while (!err && (g = next_gap(r, &i, in->ino, TFS_T_EXTENT))) {
		struct tfs_key first = tfs_key(in->ino, TFS_T_EXTENT, 0);
		uint64_t from = tfs_key_cmp(&g->low, &first) > 0 ?
			g->low.off : 0;
		uint64_t to = g->high.obj == in->ino &&
			g->high.type == TFS_T_EXTENT && g->high.off < last ?
			g->high.off : last;

		if (from < to)
			err = lose_unknown(r, in, from * csize,
					   to == last ? in->size :
					   to * csize);
	}
	return err;
}

/* (3) */
static void mark(struct restore *r, int fd)
{
	char text[80];

	note_end(r);
	if (!r->missing_here)
		return;
	snprintf(text, sizeof(text), "%llu ranges or attributes; see the "
		 "report", (unsigned long long)r->missing_here);
	if (fsetxattr(fd, MISSING_MARK, text, strlen(text), 0))
		could_not(r, MISSING_MARK);
}

static int fill(struct restore *r, const struct tfs_inode *in, int fd)
{
	int err = 0;

	r->missing_here = 0;
	if (ftruncate(fd, (off_t)in->size))
		return could_not(r, "size") ? -errno : GIVEN_UP;
	note_mended(r, in->ino);
	err = copy_data(r, in, fd);
	if (!err)
		err = check_gaps(r, in);
	if (!err) {
		put_attributes(r, in, fd);
		mark(r, fd);
	}
	return err;
}

/* (1) */
static int give_name(struct restore *r, int dir, const char *name)
{
	if (!renameat2(r->top, PART, dir, name, RENAME_NOREPLACE))
		return 0;
	if (errno == EINVAL && faccessat(dir, name, F_OK,
					 AT_SYMLINK_NOFOLLOW) &&
	    !renameat(r->top, PART, dir, name))
		return 0;
	return could_not(r, "create") ? -errno : GIVEN_UP;
}

int copy_file(struct restore *r, const struct tfs_inode *in, int dir,
	      const char *name)
{
	int fd, err;

	if (unlinkat(r->top, PART, 0) && errno != ENOENT)
		return could_not(r, "create") ? -errno : GIVEN_UP;
	fd = openat(r->top, PART, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
		    O_CLOEXEC, 0600);
	if (fd < 0)
		return could_not(r, "create") ? -errno : GIVEN_UP;
	err = fill(r, in, fd);
	if (close(fd) && !err)
		err = could_not(r, "write") ? -errno : GIVEN_UP;
	if (!err)
		err = give_name(r, dir, name);
	if (!err)
		put_flags_at(r, in, dir, name, in->nlink == 1 &&
			     !r->missing_here);			/* (4) */
	if (err)
		unlinkat(r->top, PART, 0);
	if (err != GIVEN_UP)
		return err;
	return r->on_error == STOP ? -EIO : GIVEN_UP;
}

int copy_other(struct restore *r, const struct tfs_inode *in, int dir,
	       const char *name)
{
	const struct timespec times[2] = { in->atime, in->mtime };
	char *target = NULL;
	int err = 0;

	note_mended(r, in->ino);
	if (S_ISLNK(in->mode)) {
		if (tfs_readlink(r->fs, in->ino, &target) || !*target) {
			free(target);
			note(r, 0, in->size, "the link can't be read");
			return GIVEN_UP;
		}
		err = symlinkat(target, dir, name);
	} else {
		err = mknodat(dir, name, in->mode,
			      makedev(in->rdev_major, in->rdev_minor));
	}
	free(target);
	if (err)
		return could_not(r, "create") ? -errno : GIVEN_UP;
	if (!geteuid() && fchownat(dir, name, in->uid, in->gid,
				   AT_SYMLINK_NOFOLLOW))
		could_not(r, "owner");
	if (!S_ISLNK(in->mode) && fchmodat(dir, name, in->mode & 07777, 0))
		could_not(r, "mode");
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW))
		could_not(r, "times");
	return 0;
}
