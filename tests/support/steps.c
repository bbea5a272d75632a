/* SPDX-License-Identifier: GPL-2.0-or-later */
/* steps.c - see steps.h. */
#include <check.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "support/steps.h"

#define PUNCH	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

const struct step_mix mix_any = {
	.weight = {
		[DO_CREATE] = 16, [DO_TMPFILE] = 2, [DO_LINK] = 5,
		[DO_UNLINK] = 7, [DO_RMDIR] = 2, [DO_RENAME] = 9,
		[DO_CHMOD] = 2, [DO_CHOWN] = 2, [DO_SETXATTR] = 5,
		[DO_RMXATTR] = 2, [DO_WRITE] = 26, [DO_TRUNCATE] = 6,
		[DO_FALLOCATE] = 7, [DO_READ] = 5, [DO_OPEN] = 3,
		[DO_CLOSE] = 3, [DO_FSYNC] = 6, [DO_SYNC] = 2,
	},
	.names = 10, .size = 120000, .len = 40000,
};

const struct step_mix mix_names = {
	.weight = {
		[DO_CREATE] = 30, [DO_TMPFILE] = 3, [DO_LINK] = 14,
		[DO_UNLINK] = 16, [DO_RMDIR] = 5, [DO_RENAME] = 24,
		[DO_CHMOD] = 3, [DO_SETXATTR] = 4, [DO_WRITE] = 3,
		[DO_OPEN] = 4, [DO_CLOSE] = 4, [DO_FSYNC] = 7,
	},
	.names = 200, .size = 3000, .len = 2000,
};

const struct step_mix mix_data = {
	.weight = {
		[DO_CREATE] = 5, [DO_UNLINK] = 3, [DO_WRITE] = 40,
		[DO_TRUNCATE] = 12, [DO_FALLOCATE] = 16, [DO_READ] = 6,
		[DO_OPEN] = 2, [DO_CLOSE] = 2, [DO_FSYNC] = 9,
	},
	.names = 3, .size = 500000, .len = 90000,
};

/* ---- chance -------------------------------------------------------------- */

static uint64_t pick(uint64_t *rand, uint64_t n)
{
	return n ? sim_rand(rand) % n : 0;
}

static bool one_in(uint64_t *rand, unsigned int n)
{
	return !pick(rand, n);
}

static uint32_t some_ino(struct model *m, uint64_t *rand)
{
	return model_nth(m, pick(rand, model_inodes(m)))->in.ino;
}

static uint32_t some_dir(struct model *m, uint64_t *rand)
{
	for (unsigned int i = 0; i < 5; i++) {
		struct model_node *n = model_nth(m, pick(rand,
						 model_inodes(m)));

		if (S_ISDIR(n->in.mode))
			return n->in.ino;
	}
	return TFS_ROOT_INO;
}

/* A file with content, if one is found: other inodes only get an error. */
static uint32_t some_file(struct model *m, uint64_t *rand)
{
	uint32_t ino = 0;

	for (unsigned int i = 0; i < 8; i++) {
		ino = some_ino(m, rand);
		if (S_ISREG(model_node(m, ino)->in.mode) || one_in(rand, 30))
			break;
	}
	return ino;
}

static void fresh_name(char *name, const struct step_mix *mix, uint64_t *rand)
{
	static const char *const odd[] = { ".", "..", "", "a/b" };
	unsigned int n = (unsigned int)pick(rand, mix->names);

	if (one_in(rand, 100))
		strcpy(name, odd[pick(rand, 4)]);
	else if (n % 8 == 7)
		sprintf(name, "%0*u", n % 16 == 7 ? 255 : 100, n);
	else
		sprintf(name, "n%u", n);
}

/* A name that is there, or perhaps isn't. */
static void some_name(struct model *m, const struct step_mix *mix,
		      uint64_t *rand, uint32_t *dir, char *name)
{
	if (!one_in(rand, 4) &&
	    model_nth_name(m, pick(rand, model_names(m)), dir, name))
		return;
	*dir = some_dir(m, rand);
	fresh_name(name, mix, rand);
}

static uint64_t some_off(const struct step_mix *mix, uint64_t *rand,
			 uint64_t size)
{
	uint64_t off = pick(rand, size < mix->size ? size + 6000 : mix->size);

	switch (pick(rand, 4)) {
	case 0:
		return size < mix->size ? size : off;
	case 1:
		return off & ~4095ull;
	case 2:
		return pick(rand, 1100);
	default:
		return off;
	}
}

static uint64_t some_len(const struct step_mix *mix, uint64_t *rand)
{
	switch (pick(rand, 5)) {
	case 0:
		return 1 + pick(rand, 100);
	case 1:
		return 1 + pick(rand, 2000);
	case 2:
		return 4096 * (1 + pick(rand, mix->len / 4096));
	default:
		return 1 + pick(rand, mix->len);
	}
}

static uint32_t some_mode(uint64_t *rand)
{
	static const uint32_t type[] = { S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO,
					 S_IFCHR, S_IFSOCK };
	static const uint32_t mode[] = { 0644, 0600, 04755, 02775, 0777 };

	return (one_in(rand, 3) ? type[pick(rand, 6)] : S_IFREG) |
		mode[pick(rand, 5)];
}

static void random_name_step(struct model *m, const struct step_mix *mix,
			     uint64_t *rand, struct step *s)
{
	static const int flags[] = { 0, 0, 0, RENAME_EXCHANGE,
				     RENAME_NOREPLACE };

	s->mode = some_mode(rand);
	s->uid = (uint32_t)pick(rand, 3);
	s->dir = some_dir(m, rand);
	if (s->kind == DO_TMPFILE) {
		s->mode = S_IFREG | 0600;
	} else if (s->kind == DO_CREATE || s->kind == DO_LINK) {
		s->ino = some_ino(m, rand);
		fresh_name(s->name, mix, rand);
		strcpy(s->newname, "some/where");
	} else {
		some_name(m, mix, rand, &s->dir, s->name);
		some_name(m, mix, rand, &s->newdir, s->newname);
		s->flags = one_in(rand, 200) ? 8 : flags[pick(rand, 5)];
	}
}

static void random_content_step(struct model *m, const struct step_mix *mix,
				uint64_t *rand, struct step *s)
{
	static const int mode[] = {
		0, FALLOC_FL_KEEP_SIZE, PUNCH, PUNCH, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE,
	};

	s->ino = some_file(m, rand);
	s->off = some_off(mix, rand, model_node(m, s->ino)->in.size);
	s->len = some_len(mix, rand);
	if (s->kind == DO_FALLOCATE)
		s->flags = mode[pick(rand, 7)];
	else if (s->kind == DO_WRITE)
		s->flags = one_in(rand, 5) ? TFS_WRITE_KILL_PRIV :
			one_in(rand, 3) ? TFS_WRITE_CACHED : 0;
	else if (s->kind == DO_READ &&
		 !S_ISREG(model_node(m, s->ino)->in.mode))
		s->kind = DO_FSYNC;
}

static void random_attr_step(struct model *m, uint64_t *rand, struct step *s)
{
	static const int flags[] = { 0, 0, 0, XATTR_CREATE, XATTR_REPLACE };

	s->ino = some_ino(m, rand);
	s->mode = (uint32_t)pick(rand, 010000);
	s->uid = (uint32_t)pick(rand, 3);
	sprintf(s->name, "user.%c", 'a' + (int)pick(rand, 4));
	s->flags = flags[pick(rand, 5)];
	s->len = one_in(rand, 12) ? pick(rand, 66000) : pick(rand, 1500);
	if (s->kind == DO_OPEN || s->kind == DO_CLOSE)
		s->kind = model_node(m, s->ino)->open ? DO_CLOSE : DO_OPEN;
}

static enum step_kind some_kind(const struct step_mix *mix, uint64_t *rand)
{
	unsigned int sum = 0, k = 0;
	uint64_t at;

	for (unsigned int i = 0; i < STEP_KINDS; i++)
		sum += mix->weight[i];
	for (at = pick(rand, sum); at >= mix->weight[k]; k++)
		at -= mix->weight[k];
	return (enum step_kind)k;
}

void step_random(struct model *m, const struct step_mix *mix, uint64_t *rand,
		 struct step *s)
{
	memset(s, 0, sizeof(*s));
	s->kind = some_kind(mix, rand);
	s->seed = sim_rand(rand);
	switch (s->kind) {
	case DO_CREATE: case DO_TMPFILE: case DO_LINK: case DO_UNLINK:
	case DO_RMDIR: case DO_RENAME:
		random_name_step(m, mix, rand, s);
		break;
	case DO_WRITE: case DO_TRUNCATE: case DO_FALLOCATE: case DO_READ:
		random_content_step(m, mix, rand, s);
		break;
	default:
		random_attr_step(m, rand, s);
	}
}

/* ---- scripts ------------------------------------------------------------- */

static const struct word {
	const char	*word;
	enum step_kind	kind;
	/* f, F: a path (its inode; its directory and name), g: a second one,
	 * n: a name, @: a letter, o, l, m, u: off, len, mode, uid */
	const char	*args;
	uint32_t	mode;
	int		flags;
} words[] = {
	{ "create", DO_CREATE, "F", S_IFREG | 0644, 0 },
	{ "mkdir", DO_CREATE, "F", S_IFDIR | 0755, 0 },
	{ "symlink", DO_CREATE, "F", S_IFLNK, 0 },
	{ "fifo", DO_CREATE, "F", S_IFIFO | 0600, 0 },
	{ "tmpfile", DO_TMPFILE, "d@", S_IFREG | 0600, 0 },
	{ "open", DO_OPEN, "f@", 0, 0 },
	{ "close", DO_CLOSE, "f", 0, 0 },
	{ "link", DO_LINK, "fF", 0, 0 },
	{ "rename", DO_RENAME, "Fg", 0, 0 },
	{ "exchange", DO_RENAME, "Fg", 0, RENAME_EXCHANGE },
	{ "noreplace", DO_RENAME, "Fg", 0, RENAME_NOREPLACE },
	{ "unlink", DO_UNLINK, "F", 0, 0 },
	{ "rmdir", DO_RMDIR, "F", 0, 0 },
	{ "chmod", DO_CHMOD, "fm", 0, 0 },
	{ "chown", DO_CHOWN, "fu", 0, 0 },
	{ "setxattr", DO_SETXATTR, "fnl", 0, 0 },
	{ "rmxattr", DO_RMXATTR, "fn", 0, 0 },
	{ "write", DO_WRITE, "fol", 0, 0 },
	{ "append", DO_WRITE, "fl", 0, 0 },
	{ "read", DO_READ, "fol", 0, 0 },
	{ "truncate", DO_TRUNCATE, "fo", 0, 0 },
	{ "punch", DO_FALLOCATE, "fol", 0, PUNCH },
	{ "zero", DO_FALLOCATE, "fol", 0, FALLOC_FL_ZERO_RANGE },
	{ "falloc", DO_FALLOCATE, "fol", 0, 0 },
	{ "keep", DO_FALLOCATE, "fol", 0, FALLOC_FL_KEEP_SIZE },
	{ "fsync", DO_FSYNC, "f", 0, 0 },
	{ "sync", DO_SYNC, "", 0, 0 },
	{ "remount", DO_REMOUNT, "", 0, 0 },
};

/* The next word of this step; false: there is none. */
static bool next_word(struct script *sc, char *out, size_t size)
{
	size_t n = 0;

	sc->at += strspn(sc->at, " \t");
	for (; *sc->at && !strchr(" \t\n;", *sc->at); sc->at++) {
		ck_assert_uint_lt(n + 12, size);
		if (*sc->at == '#')
			n += (size_t)sprintf(out + n, "%u", sc->round);
		else
			out[n++] = *sc->at;
	}
	out[n] = '\0';
	return n;
}

static uint64_t next_number(struct script *sc, int base)
{
	char word[64];

	sc->at += strspn(sc->at, " \t");
	if (sc->at[0] == '#' && sc->at[1] > ' ' && sc->at[1] != ';')
		return strtoull(sc->at + 1, (char **)&sc->at, base) *
			sc->round;
	ck_assert(next_word(sc, word, sizeof(word)));
	return strtoull(word, NULL, base);
}

/* The directory of a path, and its last part. */
static uint32_t walk(struct model *m, char *path, char *name)
{
	uint32_t dir = TFS_ROOT_INO;
	char *part = path, *slash;

	for (; (slash = strchr(part, '/')); part = slash + 1) {
		*slash = '\0';
		dir = model_find(m, dir, part);
		ck_assert_msg(dir, "script: no directory %s", part);
	}
	strcpy(name, part);
	return dir;
}

static uint32_t walk_ino(struct model *m, struct script *sc, char *path)
{
	char text[256], name[256];
	uint32_t dir, ino;

	if (path[0] == '@')
		return sc->tag[path[1] - 'a'];
	if (!strcmp(path, "."))
		return TFS_ROOT_INO;
	strcpy(text, path);
	dir = walk(m, text, name);
	ino = model_find(m, dir, name);
	ck_assert_msg(ino, "script: no file %s", path);
	return ino;
}

static void script_arg(struct model *m, struct script *sc, char arg,
		       struct step *s)
{
	char word[256];

	if (arg == 'o')
		s->off = next_number(sc, 10);
	else if (arg == 'l')
		s->len = next_number(sc, 10);
	else if (arg == 'm')
		s->mode = (uint32_t)next_number(sc, 8);
	else if (arg == 'u')
		s->uid = (uint32_t)next_number(sc, 10);
	else if (!next_word(sc, word, sizeof(word)))
		ck_assert_msg(arg == '@', "script: too short");
	else if (arg == 'f')
		s->ino = walk_ino(m, sc, word);
	else if (arg == 'd')
		s->dir = walk_ino(m, sc, word);
	else if (arg == 'F')
		s->dir = walk(m, word, s->name);
	else if (arg == 'g')
		s->newdir = walk(m, word, s->newname);
	else if (arg == 'n')
		sprintf(s->name, "user.%.100s", word);
	else
		s->uid = (uint32_t)word[1];	/* for step_made() */
}

bool step_script(struct model *m, struct script *sc, struct step *s)
{
	const struct word *w = words;
	char word[256];

	sc->at += strspn(sc->at, " \t\n;");
	if (!*sc->at)
		return false;
	next_word(sc, word, sizeof(word));
	while (w < words + sizeof(words) / sizeof(*words) &&
	       strcmp(w->word, word))
		w++;
	ck_assert_msg(w < words + sizeof(words) / sizeof(*words),
		      "script: what is %s?", word);
	*s = (struct step){ .kind = w->kind, .mode = w->mode,
			    .flags = w->flags, .seed = ++sc->seed };
	for (const char *arg = w->args; *arg; arg++)
		script_arg(m, sc, *arg, s);
	if (s->kind == DO_CREATE)
		strcpy(s->newname, "a/target");
	if (!strcmp(word, "append"))
		s->off = model_node(m, s->ino)->in.size;
	return true;
}

void step_made(struct script *sc, const struct step *s, uint32_t ino)
{
	if ((s->kind == DO_TMPFILE || s->kind == DO_OPEN) && s->uid)
		sc->tag[s->uid - 'a'] = ino;
}
