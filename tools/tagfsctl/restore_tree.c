/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_tree.c - every name, directory by directory.
 *
 *  (1) What is there in the target already is left as it is, and no symbolic
 *      link in it is followed.  Of an earlier run only what has MISSING_MARK
 *      is copied again.
 *  (2) A directory gets its attributes when all in it is there, so that its
 *      times are its own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/runs.h"
#include "core/text.h"
#include "ctl.h"
#include "out.h"
#include "restore.h"
#include "tfs.h"

/* ---- links --------------------------------------------------------------------- */

static size_t link_at(const struct restore *r, uint32_t ino)
{
	size_t lo = 0, hi = r->linked_n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (r->linked[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Its other name was copied.  -ENOENT: it was not. */
static int copy_link(struct restore *r, const struct tfs_inode *in)
{
	size_t i = link_at(r, in->ino);

	if (i == r->linked_n || r->linked[i].ino != in->ino)
		return -ENOENT;
	return linkat(r->top, r->linked[i].path + 1, r->top, r->path + 1, 0) ?
		could_not(r, "link") : 0;
}

static int note_link(struct restore *r, const struct tfs_inode *in)
{
	size_t i = link_at(r, in->ino);
	char *path = strdup(r->path);

	if (!path || tfs_array_grow(&r->linked, &r->linked_room,
				    r->linked_n + 1, sizeof(r->linked[0]))) {
		free(path);
		return -ENOMEM;
	}
	memmove(&r->linked[i + 1], &r->linked[i],
		(r->linked_n - i) * sizeof(r->linked[0]));
	r->linked[i] = (struct linked){ in->ino, path };
	r->linked_n++;
	return 0;
}

/* ---- names ----------------------------------------------------------------------- */

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

static void show(struct restore *r, const struct tfs_inode *in)
{
	char line[ENG_LINE];

	eng_text_line(line, r->path);
	printf("%06o %u %u %llu %s%s\n", in->mode, in->uid, in->gid,
	       (unsigned long long)(S_ISDIR(in->mode) ? 0 : in->size), line,
	       S_ISDIR(in->mode) ? "/" : "");
}

/* (1) */
static bool is_done(struct restore *r, int dir, const char *name)
{
	struct stat st;
	int fd;
	bool again;

	if (!r->resume || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	if (!S_ISREG(st.st_mode))
		return true;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	again = fd >= 0 && fgetxattr(fd, MISSING_MARK, NULL, 0) >= 0;
	if (fd >= 0)
		close(fd);
	if (again && unlinkat(dir, name, 0))
		could_not(r, "create");
	return !again;
}

static int one_file(struct restore *r, const struct tfs_inode *in, int dir,
		    const char *name)
{
	int err = -ENOENT;

	if (!wanted(r))
		return 0;
	if (r->list) {
		r->files++;
		show(r, in);
		return 0;
	}
	if (is_done(r, dir, name)) {
		r->kept++;
		return in->nlink > 1 && copy_link(r, in) == -ENOENT ?
			note_link(r, in) : 0;
	}
	if (in->nlink > 1)
		err = copy_link(r, in);
	if (err == -ENOENT) {
		err = S_ISREG(in->mode) ? copy_file(r, in, dir, name) :
			copy_other(r, in, dir, name);
		if (!err && in->nlink > 1)
			err = note_link(r, in);
	}
	r->files += !err;
	return err == GIVEN_UP ? 0 : err;
}

static int one_dir(struct restore *r, const struct tfs_inode *in, int fd);

/* Made even if nothing in it is wanted: it has attributes of its own. */
static int sub_dir(struct restore *r, const struct tfs_inode *in, int dir,
		   const char *name)
{
	int fd, err;

	if (r->list) {
		if (wanted(r))
			show(r, in);
		return one_dir(r, in, -1);
	}
	if (mkdirat(dir, name, 0700) && errno != EEXIST)
		return could_not(r, "create");
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return could_not(r, "open");
	err = one_dir(r, in, fd);
	if (!err)
		put_attributes(r, in, fd);			/* (2) */
	note_end(r);
	close(fd);
	return err;
}

static int one_name(struct restore *r, const struct tfs_dirent *de, int fd)
{
	size_t len = r->len, n = strlen(de->name);
	struct tfs_inode in;
	int err;

	if (len + n + 2 > sizeof(r->path)) {
		note_text(r, "the path of something in it is too long");
		return 0;
	}
	r->path[r->len] = '/';
	memcpy(r->path + r->len + 1, de->name, n + 1);
	r->len += n + 1;
	err = tfs_getattr(r->fs, de->ino, &in);
	if (err) {
		if (wanted(r))
			note_text(r, "its inode can't be read");
		err = 0;
	} else if (S_ISDIR(in.mode)) {
		err = sub_dir(r, &in, fd, de->name);
	} else {
		err = one_file(r, &in, fd, de->name);
	}
	note_end(r);
	r->len = len;
	r->path[len] = '\0';
	return err;
}

/* fd -1: only listed. */
static int one_dir(struct restore *r, const struct tfs_inode *in, int fd)
{
	struct names ns = { .n = 0 };
	size_t i = 0;
	int err = tfs_readdir(r->fs, in->ino, 0, false, take_name, &ns);

	if (err)
		note_text(r, "not all of its names can be read");
	if (next_gap(r, &i, in->ino, TFS_T_DIRENT))
		note_text(r, "names may be missing: the part of the tree that "
			  "had them is lost");
	note_mended(r, in->ino);
	err = 0;
	for (size_t k = 0; k < ns.n && !err; k++)
		err = is_interrupted() ? -EINTR : one_name(r, &ns.de[k], fd);
	free(ns.de);
	return err;
}

int restore_all(struct restore *r, const char *target)
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
