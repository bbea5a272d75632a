/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.c - copy out what can be read, and write nothing to where it is.
 *
 *  (1) The device is opened read-only.  What can't be walked is brought back
 *      in memory, as fsck.tagfs --rebuild would.
 *  (2) Nothing that does not verify is copied: it is a hole, or the file is
 *      left out, or all of it ends; the report names each such range.
 *  (3) What is there in the target already is left as it is, and no symbolic
 *      link in it is followed. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/runs.h"
#include "check/check.h"
#include "check/rebuild.h"
#include "ctl.h"
#include "mount/mount.h"
#include "out.h"

#define CHUNK	(256u << 10)

enum on_error { AS_HOLE, SKIP_FILE, STOP };

struct linked {
	uint32_t	ino;
	char		*path;
};

struct restore {
	struct tfs	*fs;
	int		top;		/* the target */
	bool		list;
	enum on_error	on_error;
	char		**pattern;
	int		patterns;
	FILE		*report;
	bool		first;		/* nothing in its list yet */
	struct linked	*linked;
	size_t		linked_n, linked_room;
	uint8_t		*buf;
	char		path[8192];
	size_t		len;
	uint64_t	files, bytes, missing, failed;
};

/* ---- what is wrong ------------------------------------------------------------- */

static void note(struct restore *r, uint64_t off, uint64_t len,
		 const char *why)
{
	r->missing += len;
	r->failed++;
	say("%s: %s", r->path, why);
	if (!r->report)
		return;
	fputs(r->first ? "\n  {\"path\": " : ",\n  {\"path\": ", r->report);
	out_json_to(r->report, r->path);
	fprintf(r->report, ", \"offset\": %llu, \"length\": %llu, \"why\": ",
		(unsigned long long)off, (unsigned long long)len);
	out_json_to(r->report, why);
	fputc('}', r->report);
	r->first = false;
}

static int could_not(struct restore *r, const char *what)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	note(r, 0, 0, text);
	return errno == ENOSPC || errno == EROFS ? -errno : 0;
}

/* ---- attributes ------------------------------------------------------------------ */

static void put_xattr(struct restore *r, const struct tfs_inode *in, int fd,
		      const char *name)
{
	static uint8_t value[65536];
	ssize_t n = tfs_getxattr(r->fs, in->ino, name, value, sizeof(value));

	if (n < 0)
		note(r, 0, 0, "an attribute can't be read");
	else if (fsetxattr(fd, name, value, (size_t)n, 0))
		could_not(r, name);
}

static void put_xattrs(struct restore *r, const struct tfs_inode *in, int fd)
{
	ssize_t n = tfs_listxattr(r->fs, in->ino, NULL, 0, true);
	char *list = n > 0 ? malloc((size_t)n) : NULL;

	if (n > 0 && !list)
		n = -ENOMEM;
	if (n > 0)
		n = tfs_listxattr(r->fs, in->ino, list, (size_t)n, true);
	if (n < 0)
		note(r, 0, 0, "the attributes can't be read");
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
		put_xattr(r, in, fd, list + at);
	free(list);
}

/* Owners are for root alone; others own what they copy. */
static void put_attributes(struct restore *r, const struct tfs_inode *in,
			   int fd)
{
	const struct timespec times[2] = { in->atime, in->mtime };

	put_xattrs(r, in, fd);
	if (!geteuid() && fchown(fd, in->uid, in->gid))
		could_not(r, "owner");
	if (fchmod(fd, in->mode & 07777) || futimens(fd, times))
		could_not(r, "mode and times");
}

/* ---- content --------------------------------------------------------------------- */

static int write_all(int fd, const uint8_t *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -errno;
		buf += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* (2) One cluster at a time where a larger read fails. */
static int copy_part(struct restore *r, const struct tfs_inode *in, int fd,
		     uint64_t off, size_t len)
{
	uint32_t csize = tfs_cluster_size(r->fs);
	ssize_t n = tfs_read_sync(r->fs, in->ino, off, r->buf, len);
	int err = 0;

	if (n >= 0) {
		r->bytes += (uint64_t)n;
		return write_all(fd, r->buf, (size_t)n, off);
	}
	if (len <= csize) {
		note(r, off, off + len > in->size ? in->size - off : len,
		     "can't be read, or does not verify");
		return r->on_error == AS_HOLE ? 0 : -EIO;
	}
	for (uint64_t at = off; at < off + len && !err; at += csize)
		err = copy_part(r, in, fd, at, csize);
	return err;
}

static int copy_content(struct restore *r, const struct tfs_inode *in, int fd)
{
	uint64_t at = 0, end, mask = tfs_cluster_size(r->fs) - 1;
	int64_t next;
	int err = ftruncate(fd, (off_t)in->size) ? -errno : 0;

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

			err = copy_part(r, in, fd, at, n);
			at += n;
		}
	}
	return err;
}

static int copy_file(struct restore *r, const struct tfs_inode *in, int dir,
		     const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
			O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return could_not(r, "create");
	err = copy_content(r, in, fd);
	if (!err)
		put_attributes(r, in, fd);
	if (close(fd) && !err)
		err = -errno;
	if (err)
		unlinkat(dir, name, 0);
	return err == -EIO && r->on_error == SKIP_FILE ? 0 : err;
}

static int copy_other(struct restore *r, const struct tfs_inode *in, int dir,
		      const char *name)
{
	const struct timespec times[2] = { in->atime, in->mtime };
	char *target = NULL;
	int err = 0;

	if (S_ISLNK(in->mode)) {
		if (tfs_readlink(r->fs, in->ino, &target)) {
			note(r, 0, in->size, "the link can't be read");
			return 0;
		}
		err = symlinkat(target, dir, name);
	} else {
		err = mknodat(dir, name, in->mode,
			      makedev(in->rdev_major, in->rdev_minor));
	}
	free(target);
	if (err)
		return could_not(r, "create");
	if (!geteuid() && fchownat(dir, name, in->uid, in->gid,
				   AT_SYMLINK_NOFOLLOW))
		could_not(r, "owner");
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW))
		could_not(r, "times");
	return 0;
}

/* Its other name was copied.  -ENOENT: it was not. */
static int copy_link(struct restore *r, const struct tfs_inode *in)
{
	for (size_t i = 0; i < r->linked_n; i++) {
		if (r->linked[i].ino != in->ino)
			continue;
		return linkat(r->top, r->linked[i].path + 1, r->top,
			      r->path + 1, 0) ? could_not(r, "link") : 0;
	}
	return -ENOENT;
}

static int note_link(struct restore *r, const struct tfs_inode *in)
{
	if (tfs_array_grow(&r->linked, &r->linked_room, r->linked_n + 1,
			   sizeof(r->linked[0])))
		return -ENOMEM;
	r->linked[r->linked_n].path = strdup(r->path);
	r->linked[r->linked_n].ino = in->ino;
	return r->linked[r->linked_n++].path ? 0 : -ENOMEM;
}

/* ---- names ------------------------------------------------------------------------- */

struct names {
	struct tfs_dirent *de;
	size_t		n, room;
};

static int take_name(void *arg, const struct tfs_dirent *de)
{
	struct names *ns = arg;

	if (!strcmp(de->name, ".") || !strcmp(de->name, ".."))
		return 0;
	if (tfs_array_grow(&ns->de, &ns->room, ns->n + 1, sizeof(ns->de[0])))
		return 1;
	ns->de[ns->n++] = *de;
	return 0;
}

static bool wanted(const struct restore *r)
{
	for (int i = 0; i < r->patterns; i++)
		if (!fnmatch(r->pattern[i], r->path, 0) ||
		    !fnmatch(r->pattern[i], r->path + 1, 0))
			return true;
	return !r->patterns;
}

static int one_file(struct restore *r, const struct tfs_inode *in, int dir,
		    const char *name)
{
	int err = -ENOENT;

	if (!wanted(r))
		return 0;
	r->files++;
	if (r->list) {
		printf("%o %u %u %llu %s\n", in->mode, in->uid, in->gid,
		       (unsigned long long)in->size, r->path);
		return 0;
	}
	if (in->nlink > 1)
		err = copy_link(r, in);
	if (err != -ENOENT)
		return err;
	err = S_ISREG(in->mode) ? copy_file(r, in, dir, name) :
		copy_other(r, in, dir, name);
	return !err && in->nlink > 1 ? note_link(r, in) : err;
}

static int one_dir(struct restore *r, const struct tfs_inode *in, int fd);

/* Made even if nothing in it is wanted: it has attributes of its own. */
static int sub_dir(struct restore *r, const struct tfs_inode *in, int dir,
		   const char *name)
{
	int fd, err;

	if (r->list) {
		if (wanted(r))
			printf("%o %u %u 0 %s/\n", in->mode, in->uid, in->gid,
			       r->path);
		return one_dir(r, in, -1);
	}
	if (mkdirat(dir, name, 0700) && errno != EEXIST)
		return could_not(r, "create");
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return could_not(r, "open");
	err = one_dir(r, in, fd);
	put_attributes(r, in, fd);
	close(fd);
	return err;
}

static int one_name(struct restore *r, const struct tfs_dirent *de, int fd)
{
	size_t len = r->len, n = strlen(de->name);
	struct tfs_inode in;
	int err;

	if (len + n + 2 > sizeof(r->path)) {
		note(r, 0, 0, "the path is too long");
		return 0;
	}
	r->path[r->len] = '/';
	memcpy(r->path + r->len + 1, de->name, n + 1);
	r->len += n + 1;
	err = tfs_getattr(r->fs, de->ino, &in);
	if (err) {
		note(r, 0, 0, "its inode can't be read");
		err = 0;
	} else if (S_ISDIR(in.mode)) {
		err = sub_dir(r, &in, fd, de->name);
	} else {
		err = one_file(r, &in, fd, de->name);
	}
	r->len = len;
	r->path[len] = '\0';
	return err;
}

/* fd -1: only listed. */
static int one_dir(struct restore *r, const struct tfs_inode *in, int fd)
{
	struct names ns = { .n = 0 };
	int err = tfs_readdir(r->fs, in->ino, 0, false, take_name, &ns);

	if (err)
		note(r, 0, 0, "not all of its names can be read");
	err = 0;
	for (size_t i = 0; i < ns.n && !err; i++)
		err = one_name(r, &ns.de[i], fd);
	free(ns.de);
	return err;
}

/* ---- the filesystem ------------------------------------------------------------------ */

static bool no(struct tfs_check *c, const struct tfs_finding *f)
{
	(void)c;
	(void)f;
	return false;
}

/* (1) Is the whole tree there? */
static bool is_walkable(struct tfs *fs)
{
	struct tfs_check c = { .fs = fs, .found = no, .one_copy = true,
			       .no_space = true };

	return !tfs_check(&c) && !c.lost;
}

static int open_any(struct image *im, const char *path, bool scan)
{
	struct tfs_rebuild how = { .rdonly = true };
	int err = scan ? -EUCLEAN : image_open(im, path, true);

	if (!err && is_walkable(im->fs))
		return 0;
	if (!scan) {
		if (!im->dev)
			return err;
		tfs_close(im->fs);
		im->fs = NULL;
	} else {
		err = image_open(im, path, false);
		tfs_free_fs(im->fs);
		im->fs = NULL;
		if (!im->dev)
			return err;
	}
	say("%s: not all of the tree can be walked; reading all of it", path);
	how.dev = im->dev;
	err = tfs_rebuild(&how);
	im->fs = how.fs;
	im->open = true;
	return err;
}

static int copy_all(struct restore *r, const char *target)
{
	struct tfs_inode root;
	int err = tfs_getattr(r->fs, TFS_ROOT_INO, &root);

	if (err || r->list)
		return err ? err : one_dir(r, &root, -1);
	if (mkdir(target, 0700) && errno != EEXIST)
		return -errno;
	r->top = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->top < 0)
		return -errno;
	err = one_dir(r, &root, r->top);
	close(r->top);
	return err;
}

static int run(struct restore *r, const char *path, const char *target,
	       bool scan)
{
	struct image im = { .open = false };
	int err = open_any(&im, path, scan);

	r->fs = im.fs;
	r->buf = malloc(CHUNK);
	r->first = true;
	if (!err && !r->buf)
		err = -ENOMEM;
	if (r->report)
		fprintf(r->report, "{\"missing\": [");
	if (!err)
		err = copy_all(r, target);
	if (r->report)
		fprintf(r->report, "],\n \"files\": %llu, \"bytes\": %llu, "
			"\"bytes_missing\": %llu, \"complete\": %s}\n",
			(unsigned long long)r->files,
			(unsigned long long)r->bytes,
			(unsigned long long)r->missing,
			err || r->failed ? "false" : "true");
	for (size_t i = 0; i < r->linked_n; i++)
		free(r->linked[i].path);
	free(r->linked);
	free(r->buf);
	image_close(&im);
	return err;
}

static bool parse_on_error(struct restore *r, const char *text)
{
	static const char *const words[] = { "hole", "skip", "stop" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(text, words[i])) {
			r->on_error = (enum on_error)i;
			return true;
		}
	return false;
}

int verb_restore(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "on-error", required_argument, NULL, 'e' },
		{ "report", required_argument, NULL, 'r' },
		{ "scan", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct restore r = { .top = -1 };
	const char *report = NULL;
	bool scan = false;
	int c, err;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'l')
			r.list = true;
		else if (c == 's')
			scan = true;
		else if (c == 'r')
			report = optarg;
		else if (c != 'e' || !parse_on_error(&r, optarg))
			return bad_usage(argv[0], "wrong option");
	}
	if (argc - optind < (r.list ? 1 : 2))
		return bad_usage(argv[0], "a device and a directory are needed");
	r.pattern = argv + optind + (r.list ? 1 : 2);
	r.patterns = argc - optind - (r.list ? 1 : 2);
	if (report && !(r.report = fopen(report, "we")))
		return fail(report, -errno);
	err = run(&r, argv[optind], r.list ? NULL : argv[optind + 1], scan);
	if (r.report && fclose(r.report) && !err)
		err = -errno;
	if (err)
		return fail(argv[optind], err);
	return r.failed ? EXIT_BAD : EXIT_OK;
}
