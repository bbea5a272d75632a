/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_tree.c - every name, directory by directory.
 *
 *  (1) What is there in the target already is left as it is, and no symbolic
 *      link in it is followed.  Of an earlier run only what has MISSING_MARK
 *      is copied again.
 *  (2) A directory gets its attributes when all in it is there, so that its
 *      times are its own.
 *  (3) A directory is entered once.  In a tree that lies it may be in several
 *      others, or within itself.
 *  (4) A file with several names gets i and a of chattr when all of them are
 *      there; what is not whole never does, since the next run replaces it. */
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

/* Where that inode is, or belongs, in the table, which has room. */
static struct linked *link_at(const struct restore *r, uint32_t ino)
{
	size_t mask = r->linked_room - 1;
	size_t i = ino * 0x9e3779b97f4a7c15ull >> 32 & mask;

	while (r->linked[i].path && r->linked[i].ino != ino)
		i = (i + 1) & mask;
	return &r->linked[i];
}

/* Of what was copied.  NULL: it was not. */
static const char *other_name(const struct restore *r, uint32_t ino)
{
	return r->linked_room ? link_at(r, ino)->path : NULL;
}

/* Its other name was copied.  -ENOENT: it was not. */
static int copy_link(struct restore *r, const struct tfs_inode *in)
{
	const char *path = other_name(r, in->ino);

	if (!path)
		return -ENOENT;
	return linkat(r->top, path + 1, r->top, r->path + 1, 0) ?
		could_not(r, "link") : 0;
}

/* Half of the table is empty, at least. */
static int grow_links(struct restore *r)
{
	struct linked *old = r->linked;
	size_t n = r->linked_room;

	if (2 * (r->linked_n + 1) <= n)
		return 0;
	r->linked = calloc(n ? 2 * n : 64, sizeof(r->linked[0]));
	if (!r->linked) {
		r->linked = old;
		return -ENOMEM;
	}
	r->linked_room = n ? 2 * n : 64;
	for (size_t i = 0; i < n; i++)
		if (old[i].path)
			*link_at(r, old[i].ino) = old[i];
	free(old);
	return 0;
}

static int note_link(struct restore *r, const struct tfs_inode *in, bool whole)
{
	char *path = strdup(r->path);

	if (!path || grow_links(r)) {
		free(path);
		return -ENOMEM;
	}
	*link_at(r, in->ino) = (struct linked){ in->ino, path, whole };
	r->linked_n++;
	return 0;
}

/* (4) */
static void lock_linked(struct restore *r)
{
	struct tfs_inode in;

	for (size_t i = 0; i < r->linked_room; i++) {
		const struct linked *l = &r->linked[i];

		if (l->path && l->whole && !tfs_getattr(r->fs, l->ino, &in))
			put_flags_at(r, &in, r->top, l->path + 1, true);
	}
}

/* ---- names ----------------------------------------------------------------------- */

/* Of one directory: each is its inode's number, and the name with its end. */
struct names {
	char		*at;
	size_t		n, room;
	bool		cut;		/* there was no memory for more */
};

static int take_name(void *arg, const struct tfs_dirent *de)
{
	struct names *ns = arg;
	size_t len = strlen(de->name) + 1;
	uint32_t ino = de->ino;

	if (!strcmp(de->name, ".") || !strcmp(de->name, ".."))
		return 0;
	if (tfs_array_grow(&ns->at, &ns->room, ns->n + sizeof(ino) + len, 1)) {
		ns->cut = true;
		return 1;
	}
	memcpy(ns->at + ns->n, &ino, sizeof(ino));
	memcpy(ns->at + ns->n + sizeof(ino), de->name, len);
	ns->n += sizeof(ino) + len;
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
		put_flags_at(r, in, dir, name, in->nlink == 1);
		return in->nlink > 1 && !other_name(r, in->ino) ?
			note_link(r, in, true) : 0;
	}
	if (in->nlink > 1)
		err = copy_link(r, in);
	if (err == -ENOENT) {
		err = S_ISREG(in->mode) ? copy_file(r, in, dir, name) :
			copy_other(r, in, dir, name);
		if (!err && in->nlink > 1)
			err = note_link(r, in, !r->missing_here);
	}
	r->files += !err;
	return err == GIVEN_UP ? 0 : err;
}

static int one_dir(struct restore *r, const struct tfs_inode *in, int fd);

/* (3)  1: it was. */
static int enter(struct restore *r, const struct tfs_inode *in)
{
	if (other_name(r, in->ino)) {
		note_text(r, "it is a directory that has another name");
		return 1;
	}
	return note_link(r, in, false);
}

/* Made even if nothing in it is wanted: it has attributes of its own. */
static int sub_dir(struct restore *r, const struct tfs_inode *in, int dir,
		   const char *name)
{
	uint64_t failed = r->failed;
	int fd, err = enter(r, in);

	if (err)
		return err < 0 ? err : 0;
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
	if (r->resume && in->flags & TFS_INODE_LOCKS)
		take_locks(fd);
	err = one_dir(r, in, fd);
	if (!err)
		put_attributes(r, in, fd);			/* (2) */
	note_end(r);
	if (!err)
		put_flags(r, in, fd, r->failed == failed);	/* (4) */
	close(fd);
	return err;
}

static int one_name(struct restore *r, uint32_t ino, const char *name, int fd)
{
	size_t len = r->len, n = strlen(name);
	struct tfs_inode in;
	int err;

	if (len + n + 2 > sizeof(r->path)) {
		note_text(r, "the path of something in it is too long");
		return 0;
	}
	r->path[r->len] = '/';
	memcpy(r->path + r->len + 1, name, n + 1);
	r->len += n + 1;
	err = tfs_getattr(r->fs, ino, &in);
	if (err) {
		if (wanted(r))
			note_text(r, "its inode can't be read");
		err = 0;
	} else if (S_ISDIR(in.mode)) {
		err = sub_dir(r, &in, fd, name);
	} else {
		err = one_file(r, &in, fd, name);
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
	size_t i = 0, at = 0;
	int err = tfs_readdir(r->fs, in->ino, 0, false, take_name, &ns);

	if (err)
		note_text(r, "not all of its names can be read");
	if (next_gap(r, &i, in->ino, TFS_T_DIRENT))
		note_text(r, "names may be missing: the part of the tree that "
			  "had them is lost");
	note_mended(r, in->ino);
	err = ns.cut ? -ENOMEM : 0;
	while (at < ns.n && !err) {
		const char *name = ns.at + at + sizeof(uint32_t);
		uint32_t ino;

		memcpy(&ino, ns.at + at, sizeof(ino));
		at += sizeof(ino) + strlen(name) + 1;
		err = is_interrupted() ? -EINTR : one_name(r, ino, name, fd);
	}
	free(ns.at);
	return err;
}

int restore_all(struct restore *r, const char *target)
{
	struct tfs_inode root;
	int err = tfs_getattr(r->fs, TFS_ROOT_INO, &root);

	if (!err)
		err = note_link(r, &root, false);
	if (err || r->list)
		return err ? err : one_dir(r, &root, -1);
	if (mkdir(target, 0700) && errno != EEXIST)
		return -errno;
	r->top = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->top < 0)
		return -errno;
	err = one_dir(r, &root, r->top);
	if (!err)
		lock_linked(r);
	close(r->top);
	return err;
}
