/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_state.c - see fs_state.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "format.h"
#include "support/fs_state.h"

#define DEPTH		6
#define LINES		5000	/* damaged directories may hold each other */
#define CONTENT_MAX	(32u << 20)

/* ---- the state ----------------------------------------------------------- */

struct walk {
	struct tfs	*fs;
	FILE		*f;
	char		path[1024];
	size_t		len;
	unsigned int	depth, lines;
};

struct names {
	struct tfs_dirent *de;
	size_t		n;
};

static void show_content(struct walk *w, uint32_t ino, uint64_t size)
{
	uint8_t *buf;
	ssize_t n;

	if (size > CONTENT_MAX)
		size = CONTENT_MAX;
	buf = malloc(size + 1);
	n = tfs_read_sync(w->fs, ino, 0, buf, size);
	if (n < 0 || (uint64_t)n != size)
		fprintf(w->f, " ERROR read: %zd", n);
	else
		fprintf(w->f, " %016llx", (unsigned long long)
			bed_hash(0xcbf29ce484222325ull, buf, size));
	free(buf);
}

static void show_attributes(struct walk *w, uint32_t ino)
{
	char list[4096], *name;
	ssize_t n = tfs_listxattr(w->fs, ino, list, sizeof(list), true), len;
	uint8_t value[4096];

	if (n < 0)
		fprintf(w->f, " ERROR attributes: %zd", n);
	for (name = list; n > 0 && name < list + n; name += strlen(name) + 1) {
		len = tfs_getxattr(w->fs, ino, name, value, sizeof(value));
		if (len < 0)
			fprintf(w->f, " ERROR attribute %s: %zd", name, len);
		else
			fprintf(w->f, " %s=%zd:%016llx", name, len,
				(unsigned long long)bed_hash(0, value, len));
	}
}

static void show(struct walk *w, uint32_t ino, struct tfs_inode *in)
{
	char *target = NULL;
	int err = tfs_getattr(w->fs, ino, in);

	fprintf(w->f, "%s", w->len ? w->path : "/");
	if (err) {
		fprintf(w->f, " ERROR %d\n", err);
		in->mode = 0;
		return;
	}
	fprintf(w->f, " %o %u:%u +%x links %u size %llu clusters %llu",
		in->mode, in->uid, in->gid, in->flags & TFS_INODE_USER,
		in->nlink, (unsigned long long)in->size,
		(unsigned long long)in->clusters);
	if (in->rdev_major)
		fprintf(w->f, " %u:%u", in->rdev_major, in->rdev_minor);
	if (S_ISREG(in->mode))
		show_content(w, ino, in->size);
	if (S_ISLNK(in->mode) && tfs_readlink(w->fs, ino, &target))
		fprintf(w->f, " ERROR link");
	fprintf(w->f, "%s", target ? target : "");
	free(target);
	show_attributes(w, ino);
	fprintf(w->f, "\n");
}

static int take_name(void *arg, const struct tfs_dirent *de)
{
	struct names *names = arg;
	void *p;

	if (de->cookie < 3)		/* . and .. */
		return 0;
	p = realloc(names->de, (names->n + 1) * sizeof(names->de[0]));
	if (!p)
		return 1;
	names->de = p;
	names->de[names->n++] = *de;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tfs_dirent *)a)->name,
		      ((const struct tfs_dirent *)b)->name);
}

static void walk_dir(struct walk *w, uint32_t ino)
{
	struct names names = { NULL, 0 };
	struct tfs_inode in;
	size_t len = w->len;
	int err;

	show(w, ino, &in);
	if (!S_ISDIR(in.mode) || w->depth == DEPTH || w->lines++ > LINES)
		return;
	err = tfs_readdir(w->fs, ino, 0, false, take_name, &names);
	if (err)
		fprintf(w->f, "%s ERROR list: %d\n", w->path, err);
	if (names.n)
		qsort(names.de, names.n, sizeof(names.de[0]), by_name);
	for (size_t i = 0; i < names.n; i++) {
		w->len = len + snprintf(w->path + len, sizeof(w->path) - len,
					"/%s", names.de[i].name);
		w->depth++;
		walk_dir(w, names.de[i].ino);
		w->depth--;
		w->len = len;
		w->path[len] = '\0';
	}
	free(names.de);
}

char *fs_state(struct tfs *fs)
{
	struct walk w = { .fs = fs };
	char *text = NULL;
	size_t size;

	w.f = open_memstream(&text, &size);
	walk_dir(&w, TFS_ROOT_INO);
	fclose(w.f);
	return text;
}

bool fs_state_sound(const char *state)
{
	return !strstr(state, "ERROR");
}

/* ---- a life -------------------------------------------------------------- */

static unsigned int pick(uint64_t *rand, unsigned int n)
{
	return sim_rand(rand) % n;
}

/* What users hear about without anything being wrong. */
static int tolerate(int err)
{
	switch (err) {
	case -ENOENT: case -EEXIST: case -ENOTDIR: case -EISDIR:
	case -ENOTEMPTY: case -EINVAL: case -ENOSPC: case -EPERM:
	case -ENODATA: case -ENXIO: case -EMLINK:
		return 0;
	default:
		return err;
	}
}

/* The root, or a directory in it. */
static uint32_t some_dir(struct tfs *fs, uint64_t *rand)
{
	char name[4] = { 'D', '0' + pick(rand, 2), 0 };
	struct tfs_inode in;

	if (pick(rand, 2) || tfs_lookup(fs, TFS_ROOT_INO, name, &in))
		return TFS_ROOT_INO;
	tfs_unref(fs, in.ino, 1);
	return S_ISDIR(in.mode) ? in.ino : TFS_ROOT_INO;
}

static int step_create(struct tfs *fs, uint32_t dir, const char *name,
		       uint64_t *rand)
{
	static const uint32_t type[] = {
		S_IFREG, S_IFREG, S_IFREG, S_IFLNK, S_IFDIR, S_IFIFO,
	};
	struct tfs_new new = {
		.mode = type[pick(rand, 6)] | 0644, .target = "some/where",
	};
	struct tfs_inode in;
	int err;

	if (S_ISDIR(new.mode))
		name = pick(rand, 2) ? "D0" : "D1";
	err = tfs_create(fs, S_ISDIR(new.mode) ? TFS_ROOT_INO : dir, name,
			 &new, &in);
	if (!err)
		tfs_unref(fs, in.ino, 1);
	return err;
}

static int step_write(struct tfs *fs, const struct tfs_inode *in,
		      uint64_t *rand)
{
	static uint8_t buf[60000];
	uint64_t off = pick(rand, 3) ? in->size : pick(rand, 50000);
	size_t len = 1 + pick(rand, 1u << (4 + pick(rand, 12)));

	if (in->size > 200000)
		off = 0;
	bed_fill(buf, len, sim_rand(rand));
	return tfs_write(fs, in->ino, off, buf, len, 0);
}

static int step_content(struct tfs *fs, struct tfs_inode *in, uint64_t *rand)
{
	switch (pick(rand, 6)) {
	case 0:
		in->size = pick(rand, in->size + 5000);
		return tfs_setattr(fs, in->ino, TFS_SET_SIZE, in);
	case 1:
		return tfs_fallocate(fs, in->ino, FALLOC_FL_PUNCH_HOLE |
				     FALLOC_FL_KEEP_SIZE, pick(rand, 50000),
				     1 + pick(rand, 50000));
	case 2:
		return tfs_fallocate(fs, in->ino, pick(rand, 2) ? 0 :
				     FALLOC_FL_KEEP_SIZE, pick(rand, 50000),
				     1 + pick(rand, 50000));
	default:
		return step_write(fs, in, rand);
	}
}

static int step_attribute(struct tfs *fs, uint32_t ino, uint64_t *rand)
{
	const char *name = pick(rand, 2) ? "user.a" : "user.b";
	uint8_t value[3000];
	size_t len = pick(rand, sizeof(value));

	bed_fill(value, sizeof(value), sim_rand(rand));
	if (!pick(rand, 4))
		return tfs_removexattr(fs, ino, name);
	return tfs_setxattr(fs, ino, name, value, len, 0, false);
}

static int step_names(struct tfs *fs, uint32_t dir, const char *name,
		      const struct tfs_inode *in, uint64_t *rand)
{
	char other[4] = { 'a' + pick(rand, 8), 0 };
	uint32_t to = some_dir(fs, rand);
	struct tfs_inode out;
	int err;

	switch (pick(rand, 4)) {
	case 0:
		err = tfs_link(fs, in->ino, to, other, &out);
		if (!err)
			tfs_unref(fs, in->ino, 1);
		return err;
	case 1:
		return tfs_rename(fs, dir, name, to, other, pick(rand, 3) ? 0 :
				  RENAME_EXCHANGE, NULL);
	case 2:
		return tfs_rename(fs, dir, name, to, other, 0, NULL);
	default:
		if (!S_ISDIR(in->mode))
			return tfs_unlink(fs, dir, name);
		return tfs_rmdir(fs, dir, name);
	}
}

int fs_step(struct tfs *fs, uint64_t *rand)
{
	char name[4] = { 'a' + pick(rand, 8), 0 };
	uint32_t dir = some_dir(fs, rand);
	struct tfs_inode in;
	int err;

	if (!pick(rand, 20))
		strcpy(name, "D0");
	err = tfs_lookup(fs, dir, name, &in);
	if (err == -ENOENT)
		return tolerate(step_create(fs, dir, name, rand));
	if (err)
		return tolerate(err);
	if (!pick(rand, 6))
		err = step_attribute(fs, in.ino, rand);
	else if (S_ISREG(in.mode) && pick(rand, 4))
		err = step_content(fs, &in, rand);
	else
		err = step_names(fs, dir, name, &in, rand);
	tfs_unref(fs, in.ino, 1);
	return tolerate(err);
}
