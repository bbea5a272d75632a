/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ruin.c - see ruin.h.
 *
 *  (1) What is destroyed is of the disk as it would be after a cut: there is a
 *      log to be replayed. */
#include <check.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/state.h"
#include "check/treewalk.h"
#include "file/extent.h"
#include "format.h"
#include "soft/dev_soft.h"
#include "soft/soft_priv.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "support/ruin.h"
#include "tree/node.h"

#define CSIZE	4096u

/* ---- a past ------------------------------------------------------------------ */

static void put(struct tfs *fs, uint32_t ino, uint64_t off, size_t len,
		uint64_t seed)
{
	uint8_t *buf = malloc(len);

	bed_fill(buf, len, seed);
	ck_assert_int_eq(tfs_write(fs, ino, off, buf, len, 0), 0);
	free(buf);
}

static uint32_t make(struct tfs *fs, uint32_t dir, const char *name,
		     uint32_t mode)
{
	struct tfs_new new = { .mode = mode, .uid = 1000, .gid = 100,
			       .target = "to/somewhere/else" };
	struct tfs_inode in;

	ck_assert_int_eq(tfs_create(fs, dir, name, &new, &in), 0);
	tfs_unref(fs, in.ino, 1);
	return in.ino;
}

/* An access list as setfacl writes it: rw- for user 7. */
static void put_acl(struct tfs *fs, uint32_t ino, const char *name)
{
	static const uint8_t acl[] = {
		2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255,
		2, 0, 6, 0, 7, 0, 0, 0,
		4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255,
		32, 0, 4, 0, 255, 255, 255, 255,
	};

	ck_assert_int_eq(tfs_setxattr(fs, ino, name, acl, sizeof(acl), 0,
				      false), 0);
}

static void put_flags(struct tfs *fs, uint32_t ino, uint32_t flags)
{
	struct tfs_inode in;

	ck_assert_int_eq(tfs_setflags(fs, ino, flags, &in), 0);
}

static void one_file(struct tfs *fs, uint32_t dir, unsigned int i)
{
	char name[64];
	struct tfs_inode in;
	uint32_t ino;

	snprintf(name, sizeof(name), "a file with number %u", i);
	ino = make(fs, dir, name, i % 50 == 9 ? S_IFLNK | 0777 :
		   S_IFREG | 0644);
	if (i % 50 == 9)
		return;
	put(fs, ino, i % 7 == 3 ? 5 * CSIZE + 77 : 0, i % 3 ? 300 :
	    CSIZE * (1 + i % 9) + 100 * (i % 2), i);
	if (i % 5 == 1)
		ck_assert_int_eq(tfs_setxattr(fs, ino, "user.some", name,
					      40, 0, false), 0);
	if (i % 20 == 4)
		put_acl(fs, ino, "system.posix_acl_access");
	if (i % 30 == 6) {
		snprintf(name, sizeof(name), "a link to number %u", i);
		ck_assert_int_eq(tfs_ref(fs, ino, 1), 0);
		ck_assert_int_eq(tfs_link(fs, ino, TFS_ROOT_INO, name, &in),
				 0);
		tfs_unref(fs, ino, 2);
	}
	if (i % 12 == 8)	/* nobody deletes it; each of the four */
		put_flags(fs, ino, TFS_INODE_IMMUTABLE << i / 12 % 4);
}

static void live(struct tfs *fs, unsigned int from, unsigned int to)
{
	uint32_t dir = TFS_ROOT_INO;
	char name[64];

	for (unsigned int i = from; i < to; i++) {
		if (i % 40 == 0) {
			snprintf(name, sizeof(name), "dir %u", i);
			dir = make(fs, i % 200 ? dir : TFS_ROOT_INO, name,
				   S_IFDIR | 0755);
			if (i % 200 == 160)
				put_flags(fs, dir, TFS_INODE_HEIRLOOMS);
		}
		one_file(fs, dir, i);
		if (i % 6 == 5) {	/* what was deleted is reused */
			snprintf(name, sizeof(name), "a file with number %u",
				 i);
			ck_assert_int_eq(tfs_unlink(fs, dir, name), 0);
		}
		if (i % 100 == 99)
			ck_assert_int_eq(tfs_sync(fs), 0);
	}
}

/* One line is one name, but the root's. */
static uint64_t count_names(const char *state)
{
	uint64_t n = 0;

	for (; *state; state++)
		n += *state == '\n';
	return n - 1;
}

/* Directories of which no name may go. */
static void still(struct tfs *fs)
{
	uint32_t dir = make(fs, TFS_ROOT_INO, "still", S_IFDIR | 0755);
	uint32_t ino = make(fs, dir, "log", S_IFREG | 0600);

	put(fs, ino, 0, 3 * CSIZE, 800);
	put_flags(fs, ino, TFS_INODE_APPEND);
	put_flags(fs, make(fs, dir, "grows", S_IFDIR | 0755),
		  TFS_INODE_APPEND);
	put_flags(fs, dir, TFS_INODE_IMMUTABLE | TFS_INODE_NODUMP);
}

/* In several pieces, with holes. */
static void large(struct tfs *fs)
{
	uint32_t ino = make(fs, TFS_ROOT_INO, "large", S_IFREG | 0600);

	for (unsigned int i = 0; i < 8; i++)
		put(fs, ino, (uint64_t)(i * 150 + i % 3) * CSIZE, 130 * CSIZE,
		    900 + i);
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct ruin *st = w->arg;
	struct tfs_extent ext;

	if (!item->key.obj || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(w->fs, item, &ext) || !ext.addr)
		return 0;
	for (uint64_t i = 0; i < ext.len; i++) {
		ck_assert_int_eq(tfs_array_grow(&st->data, &st->data_room,
						st->datas + 1,
						sizeof(st->data[0])), 0);
		st->data[st->datas++] = ext.addr + i;
	}
	return 0;
}

/* What is no file of bytes; space that is promised; a list for new names. */
static void others(struct tfs *fs)
{
	struct tfs_new disk = { .mode = S_IFBLK | 0660, .rdev_major = 8,
				.rdev_minor = 17 };
	uint32_t dir = make(fs, TFS_ROOT_INO, "others", S_IFDIR | 0755);
	uint32_t ino = make(fs, dir, "reserved", S_IFREG | 0600);
	struct tfs_inode in;

	put(fs, ino, 3 * CSIZE, 2 * CSIZE, 801);
	ck_assert_int_eq(tfs_fallocate(fs, ino, FALLOC_FL_KEEP_SIZE, 0,
				       40 * CSIZE), 0);
	ck_assert_int_eq(tfs_create(fs, dir, "disk", &disk, &in), 0);
	tfs_unref(fs, in.ino, 1);
	make(fs, dir, "pipe", S_IFIFO | 0600);
	put_acl(fs, dir, "system.posix_acl_default");
	make(fs, dir, "heir", S_IFREG | 0666);
}

/* A file without a name, that somebody has open. */
static uint32_t nameless(struct tfs *fs, uint64_t seed)
{
	struct tfs_new new = { .mode = S_IFREG | 0600 };
	struct tfs_inode in;

	ck_assert_int_eq(tfs_create(fs, TFS_ROOT_INO, NULL, &new, &in), 0);
	put(fs, in.ino, 0, 3 * CSIZE, seed);
	return in.ino;
}

/* The log has the inode, and says that nobody may change it. */
static void protect_large(struct tfs *fs)
{
	struct tfs_inode in;

	ck_assert_int_eq(tfs_lookup(fs, TFS_ROOT_INO, "large", &in), 0);
	put_flags(fs, in.ino, TFS_INODE_IMMUTABLE);
	tfs_unref(fs, in.ino, 1);
}

static void find_data(struct ruin *st)
{
	struct tfs_treewalk w = { .fs = st->b.fs, .arg = st,
				  .item = see_item };

	ck_assert_int_eq(tfs_treewalk_begin(&w), 0);
	ck_assert_int_eq(tfs_treewalk_run(&w), 0);
	tfs_treewalk_end(&w);
}

void ruin_make(struct ruin *st, uint64_t seed)
{
	ruin_make_in(st, RUIN_PROFILE, seed);
}

void ruin_make_in(struct ruin *st, const char *profile, uint64_t seed)
{
	struct bed *b = &st->b;
	uint32_t open[2];

	*st = (struct ruin){ .profile = eng_profile_find(profile) };
	bed_make(b, profile, 24000, seed);
	large(b->fs);
	still(b->fs);
	others(b->fs);
	live(b->fs, 0, RUIN_FILES / 2);
	bed_remount(b, 0);
	open[0] = nameless(b->fs, 802);
	live(b->fs, RUIN_FILES / 2, RUIN_FILES);
	st->nodes = fs_nodes(b->fs, &st->node);
	st->older = fs_state(b->fs);
	st->next_older = b->fs->next_ino;
	st->names_older = count_names(st->older);
	live(b->fs, RUIN_FILES, RUIN_FILES + 60);
	protect_large(b->fs);
	open[1] = nameless(b->fs, 803);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
	st->state = fs_state(b->fs);
	st->names = count_names(st->state);
	st->disk = sim_clone(b->sim);
	sim_settle(st->disk, true);
	for (unsigned int i = 0; i < 2; i++)
		tfs_unref(b->fs, open[i], 1);
	st->log_start = b->fs->super.log_start;
	st->log_end = st->log_start + b->fs->super.log_clusters;
	st->clusters = b->fs->super.clusters;
	for (size_t i = 0; i < st->nodes; i++)
		st->inner += !!st->node[i].level;
	ck_assert_uint_gt(st->inner, 1);
	find_data(st);
}

void ruin_free(struct ruin *st)
{
	free(st->data);
	sim_destroy(st->disk);
	free(st->state);
	free(st->older);
	free(st->node);
	bed_free(&st->b);
}

/* ---- damage ------------------------------------------------------------------ */

static void spoil(struct ruin *st, struct sim *sim, uint64_t addr)
{
	sim_flip(sim, bed_data_at(&st->b, addr) + 99, 1);
}

static void wipe(struct sim *sim, uint64_t off)
{
	static const uint8_t junk[CSIZE] = { 0x55, 0xaa };

	sim_poke(sim, off, junk, sizeof(junk));
}

struct choice {
	const struct ruin_how *how;
	uint64_t	rand;
	bool		had_one;
};

static bool hit(struct choice *c)
{
	if (c->how->percent)
		return sim_rand(&c->rand) % 100 < c->how->percent;
	if (c->had_one)
		return false;
	c->had_one = true;
	return true;
}

/* One structure with two copies, at these clusters. */
static void pair(struct ruin *st, struct sim *sim, struct choice *c,
		 uint64_t a, uint64_t b)
{
	unsigned int which;

	if (!hit(c))
		return;
	which = c->how->copies > 1 ? 3 : 1 + sim_rand(&c->rand) % 2;
	if (which & 1)
		spoil(st, sim, a);
	if (which & 2)
		spoil(st, sim, b);
}

static void spoil_nodes(struct ruin *st, struct sim *sim, struct choice *c,
			bool inner, bool root)
{
	for (size_t i = 0; i < st->nodes; i++) {
		const struct tfs_miss *n = &st->node[i];

		if (root ? i == 0 : inner == !!n->level)
			pair(st, sim, c, n->ptr.addr[0], n->ptr.addr[1]);
	}
}

static void spoil_pages(struct ruin *st, struct sim *sim, struct choice *c)
{
	const struct eng_profile *p = st->profile;
	struct soft_layout lay;

	ck_assert_int_eq(soft_layout(&lay, p, sim_raw(sim)->size), 0);
	for (uint64_t z = 0; z < lay.zones; z++) {
		uint64_t newer;

		if (!hit(c))
			continue;
		newer = bed_page_at(st->disk, p, z * lay.zone_intervals *
				    p->tags / TFS_LANES);
		if (c->how->copies > 1)
			wipe(sim, newer);
		wipe(sim, newer == soft_zone_off(&lay, z) ?
		     newer + SOFT_BLOCK : soft_zone_off(&lay, z));
	}
}

static void spoil_list(struct ruin *st, struct sim *sim, struct choice *c,
		       const uint64_t *at, uint64_t from, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (hit(c))
			spoil(st, sim, at ? at[i] : from + i);
}

static void spoil_headers(struct sim *sim, const struct choice *c)
{
	uint64_t last = sim_raw(sim)->size / SOFT_BLOCK * SOFT_BLOCK -
		SOFT_BLOCK;

	if (c->how->copies > 1 || c->rand % 2)
		wipe(sim, 0);
	if (c->how->copies > 1 || !(c->rand % 2))
		wipe(sim, last);
}

static void damage(struct ruin *st, struct sim *sim,
		   const struct ruin_how *how, uint64_t seed)
{
	struct choice c = { .how = how, .rand = seed * 77 + how->what };
	uint64_t end = st->clusters;

	sim_rand(&c.rand);
	if (how->what & RUIN_INNER)
		spoil_nodes(st, sim, &c, true, false);
	if (how->what & RUIN_LEAVES)
		spoil_nodes(st, sim, &c, false, false);
	if (how->what & RUIN_ROOT)
		spoil_nodes(st, sim, &c, true, true);
	if (how->what & RUIN_SUPERS)
		pair(st, sim, &c, 0, end - TFS_END_SUPER);
	for (unsigned int i = 0; i < 2 && how->what & RUIN_SLOTS; i++)
		pair(st, sim, &c, TFS_AT_SLOT + i, end - TFS_END_SLOT + i);
	if (how->what & RUIN_LOG)
		spoil_list(st, sim, &c, NULL, st->log_start,
			   st->log_end - st->log_start);
	if (how->what & RUIN_DATA)
		spoil_list(st, sim, &c, st->data, 0, st->datas);
	if (how->what & RUIN_PAGES)
		spoil_pages(st, sim, &c);
	if (how->what & RUIN_HEADERS)
		spoil_headers(sim, &c);
}

struct sim *ruin_damaged(struct ruin *st, const struct ruin_how *how,
			 size_t n, uint64_t seed)
{
	struct sim *sim = sim_clone(st->disk);

	for (size_t i = 0; i < n; i++)
		damage(st, sim, &how[i], seed);
	return sim;
}

/* ---- bringing it back ----------------------------------------------------------- */

void ruin_beneath(struct bed *b, const struct ruin_how *how, uint64_t seed)
{
	struct ruin now = {
		.b = *b, .disk = b->sim, .profile = b->fs->geo->profile,
	};

	now.nodes = fs_nodes(b->fs, &now.node);
	now.log_start = b->fs->super.log_start;
	now.log_end = now.log_start + b->fs->super.log_clusters;
	now.clusters = b->fs->super.clusters;
	find_data(&now);
	damage(&now, b->sim, how, seed);
	eng_dev_drop_caches(b->dev);
	free(now.node);
	free(now.data);
}

static void say(struct tfs_rebuild *how, const struct tfs_finding *f)
{
	(void)how;
	if (getenv("CHECK_LOG"))
		fprintf(stderr, "%s: inode %u, cluster %llu: %s\n",
			tfs_finding_name(f->kind), f->ino,
			(unsigned long long)f->cluster, f->text);
}

int ruin_rebuild(struct bed *b, struct tfs_rebuild *how)
{
	struct eng_open open = {
		.pool = b->pool,
		.flags = ENG_OPEN_RESCUE | (how->rdonly ? ENG_OPEN_RDONLY : 0),
	};
	int err = eng_soft_open(&b->dev, sim_raw(b->sim), &open);

	how->dev = b->dev;
	how->found = say;
	if (!err)
		err = tfs_rebuild(how);
	free(how->gap);
	how->gap = NULL;
	b->fs = how->fs;
	if (!b->fs) {
		eng_dev_close(b->dev);
		b->dev = NULL;
	}
	return err;
}

void ruin_must_rebuild(struct bed *b, struct tfs_rebuild *how)
{
	int err = ruin_rebuild(b, how);

	ck_assert_msg(!err, "%s: rebuild: %s", b->where, strerror(-err));
	bed_mount(b);
	bed_check(b, FS_CHECK_WAS_FULL);
}

/* ---- what came back --------------------------------------------------------------- */

void ruin_same(struct bed *b, const char *want)
{
	char *got = fs_state(b->fs);
	size_t i = 0;

	while (want[i] && want[i] == got[i])
		i++;
	while (i && want[i - 1] != '\n')
		i--;
	ck_assert_msg(!strcmp(want, got), "%s: wanted '%.200s', got '%.200s'",
		      b->where, want + i, got + i);
	free(got);
}

static bool only_zeros(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

/* Every cluster is as it was, or not there. */
static void compare(struct ruin *st, struct bed *b, uint32_t ino,
		    struct ruin_share *sh)
{
	uint8_t was[CSIZE], is[CSIZE];
	struct tfs_inode old, new;

	if (tfs_getattr(st->b.fs, ino, &old) || !S_ISREG(old.mode) ||
	    !old.clusters)
		return;
	sh->bytes += old.size;
	if (tfs_getattr(b->fs, ino, &new) || !S_ISREG(new.mode))
		return;
	for (uint64_t at = 0; at < old.size; at += CSIZE) {
		ssize_t n = tfs_read_sync(st->b.fs, ino, at, was, CSIZE);
		ssize_t m = tfs_read_sync(b->fs, ino, at, is, CSIZE);

		ck_assert_int_gt(n, 0);
		if (m < 0)
			continue;
		if (m > n)
			m = n;
		if (!memcmp(was, is, m))
			sh->back += m;
		else
			ck_assert_msg(only_zeros(is, m), "%s: inode %u has "
				      "other bytes at %llu", b->where, ino,
				      (unsigned long long)at);
	}
}

struct names {
	struct ruin	*st;
	struct bed	*b;
	uint32_t	dir, todo[4096];
	size_t		n;
	uint64_t	right;
};

static int see_name(void *arg, const struct tfs_dirent *de)
{
	struct names *ns = arg;
	struct tfs_inode in;
	int err;

	if (de->cookie < 3)
		return 0;
	if (!strcmp(de->name, "lost+found") || de->name[0] == '#') {
		if (S_ISDIR(de->type) && ns->n < 4096)
			ns->todo[ns->n++] = de->ino;
		return 0;
	}
	err = tfs_lookup(ns->st->b.fs, ns->dir, de->name, &in);
	if (!err)
		tfs_unref(ns->st->b.fs, in.ino, 1);
	ck_assert_msg(!err && in.ino == de->ino, "%s: the name '%s' in %u "
		      "leads to %u: %d", ns->b->where, de->name, ns->dir,
		      de->ino, err);
	ns->right++;
	if (S_ISDIR(de->type) && ns->n < 4096)
		ns->todo[ns->n++] = de->ino;
	return 0;
}

/* No name leads where it did not. */
static uint64_t compare_names(struct ruin *st, struct bed *b)
{
	struct names *ns = calloc(1, sizeof(*ns));
	uint64_t right;

	ns->st = st;
	ns->b = b;
	ns->todo[ns->n++] = TFS_ROOT_INO;
	while (ns->n) {
		ns->dir = ns->todo[--ns->n];
		ck_assert_int_eq(tfs_readdir(b->fs, ns->dir, 0, false,
					     see_name, ns), 0);
	}
	right = ns->right;
	free(ns);
	return right;
}

void ruin_look(struct ruin *st, struct bed *b, struct ruin_share *sh,
	       bool older)
{
	uint32_t end = older ? st->next_older : st->b.fs->next_ino;

	*sh = (struct ruin_share){ 0 };
	sh->names = older ? st->names_older : st->names;
	sh->named = compare_names(st, b);
	for (uint32_t ino = 1; ino < end; ino++)
		compare(st, b, ino, sh);
}
