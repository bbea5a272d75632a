/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_rebuild.c - what comes back after what kind of damage.
 * TAGFS_RECOVERY_TABLE in the environment prints the table of
 * doc/RECOVERY.md. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "check/rebuild.h"
#include "soft/dev_soft.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "tree/node.h"

#define PROFILE	"512+8"
#define FILES	1200u
#define CSIZE	4096u

/* A filesystem with a past, as it is and as its disk would be after a cut. */
struct story {
	struct bed	b;		/* mounted, for comparing */
	struct sim	*disk;		/* settled, not unmounted */
	char		*state;		/* as the log has it */
	char		*older;		/* as the checkpoint has it */
	struct tfs_miss	*node;
	size_t		nodes, inner;
	uint64_t	log_start, log_end, clusters;
	uint32_t	next_older;	/* inode numbers below: in the older */
	uint64_t	names, names_older;
};

enum { SUPERS = 1, SLOTS = 2, LOG = 4, INNER = 8, LEAVES = 16 };

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
static void put_acl(struct tfs *fs, uint32_t ino)
{
	static const uint8_t acl[] = {
		2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255,
		2, 0, 6, 0, 7, 0, 0, 0,
		4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255,
		32, 0, 4, 0, 255, 255, 255, 255,
	};

	ck_assert_int_eq(tfs_setxattr(fs, ino, "system.posix_acl_access", acl,
				      sizeof(acl), 0, false), 0);
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
		put_acl(fs, ino);
	if (i % 30 == 6) {
		snprintf(name, sizeof(name), "a link to number %u", i);
		ck_assert_int_eq(tfs_ref(fs, ino, 1), 0);
		ck_assert_int_eq(tfs_link(fs, ino, TFS_ROOT_INO, name, &in),
				 0);
		tfs_unref(fs, ino, 2);
	}
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

static void story_make(struct story *st, uint64_t seed)
{
	struct bed *b = &st->b;

	bed_make(b, PROFILE, 24000, seed);
	live(b->fs, 0, FILES / 2);
	bed_remount(b, 0);
	live(b->fs, FILES / 2, FILES);
	st->nodes = fs_nodes(b->fs, &st->node);
	st->older = fs_state(b->fs);
	st->next_older = b->fs->next_ino;
	st->names_older = count_names(st->older);
	live(b->fs, FILES, FILES + 60);
	ck_assert_int_eq(tfs_sync(b->fs), 0);
	st->state = fs_state(b->fs);
	st->names = count_names(st->state);
	st->disk = sim_clone(b->sim);
	sim_settle(st->disk, true);
	st->log_start = b->fs->super.log_start;
	st->log_end = st->log_start + b->fs->super.log_clusters;
	st->clusters = b->fs->super.clusters;
	for (size_t i = 0; i < st->nodes; i++)
		st->inner += !!st->node[i].level;
	ck_assert_uint_gt(st->inner, 1);
}

static void story_free(struct story *st)
{
	sim_destroy(st->disk);
	free(st->state);
	free(st->older);
	free(st->node);
	bed_free(&st->b);
}

static void spoil(struct story *st, struct sim *sim, uint64_t addr)
{
	sim_flip(sim, bed_data_at(&st->b, addr) + 99, 1);
}

static void spoil_range(struct story *st, struct sim *sim, uint64_t at,
			uint64_t end)
{
	for (; at < end; at++)
		spoil(st, sim, at);
}

/* percent: of the leaves. */
static struct sim *damaged(struct story *st, unsigned int what,
			   unsigned int percent, uint64_t seed)
{
	struct sim *sim = sim_clone(st->disk);

	for (size_t i = 0; i < st->nodes; i++) {
		const struct tfs_miss *n = &st->node[i];
		bool hit = n->level ? what & INNER : what & LEAVES &&
			sim_rand(&seed) % 100 < percent;

		for (int k = 0; k < 2 && hit; k++)
			spoil(st, sim, n->ptr.addr[k]);
	}
	if (what & SUPERS) {
		spoil(st, sim, 0);
		spoil(st, sim, st->clusters - TFS_END_SUPER);
	}
	if (what & SLOTS) {
		spoil_range(st, sim, TFS_AT_SLOT, TFS_AT_SLOT + 2);
		spoil_range(st, sim, st->clusters - TFS_END_SLOT,
			    st->clusters - TFS_END_SLOT + 2);
	}
	if (what & LOG)
		spoil_range(st, sim, st->log_start, st->log_end);
	return sim;
}

static void say(struct tfs_rebuild *how, const struct tfs_finding *f)
{
	(void)how;
	if (getenv("CHECK_LOG"))
		fprintf(stderr, "%s: inode %u, cluster %llu: %s\n",
			tfs_finding_name(f->kind), f->ino,
			(unsigned long long)f->cluster, f->text);
}

static int rebuild(struct bed *b, struct tfs_rebuild *how)
{
	struct eng_open open = { .pool = b->pool };
	int err = eng_soft_open(&b->dev, sim_raw(b->sim), &open);

	*how = (struct tfs_rebuild){ .dev = b->dev, .found = say };
	if (!err)
		err = tfs_rebuild(how);
	eng_dev_close(b->dev);
	b->dev = NULL;
	return err;
}

static void must_rebuild(struct bed *b, struct tfs_rebuild *how)
{
	int err = rebuild(b, how);

	ck_assert_msg(!err, "%s: rebuild: %s", b->where, strerror(-err));
	bed_mount(b);
	bed_check(b, FS_CHECK_WAS_FULL);
}

static void same(struct bed *b, const char *want)
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

/* What of the files came back. */
struct share {
	uint64_t	names, named, bytes, back;
};

static bool only_zeros(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

/* Every cluster is as it was, or not there. */
static void compare(struct story *st, struct bed *b, uint32_t ino,
		    struct share *sh)
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
	struct story	*st;
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
static uint64_t compare_names(struct story *st, struct bed *b)
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

static void report(const char *what, const struct share *sh,
		   const struct tfs_rebuild *how)
{
	if (!getenv("TAGFS_RECOVERY_TABLE"))
		return;
	printf("| %s | %.1f %% | %.1f %% | %llu | %llu |\n", what,
	       100.0 * sh->back / (sh->bytes ? sh->bytes : 1),
	       100.0 * sh->named / sh->names,
	       (unsigned long long)how->leaves,
	       (unsigned long long)how->inodes);
}

static void look(struct story *st, struct bed *b, const char *what,
		 const struct tfs_rebuild *how, struct share *sh, bool older)
{
	uint32_t end = older ? st->next_older : st->b.fs->next_ino;

	*sh = (struct share){ 0 };
	sh->names = older ? st->names_older : st->names;
	sh->named = compare_names(st, b);
	for (uint32_t ino = 1; ino < end; ino++)
		compare(st, b, ino, sh);
	report(what, sh, how);
}

struct kind {
	const char	*name;
	unsigned int	what, percent;
	bool		all, older;	/* comes back; as of the checkpoint */
};

static const struct kind kinds[] = {
	{ "nothing", 0, 0, true, false },
	{ "all inner nodes", INNER, 0, true, false },
	{ "superblocks", SUPERS, 0, true, false },
	{ "inner nodes, superblocks, slots, log",
	  INNER | SUPERS | SLOTS | LOG, 0, true, true },
	{ "superblocks and slots", SUPERS | SLOTS, 0, true, false },
	{ "slots, inner nodes", INNER | SLOTS, 0, true, false },
	{ "1 % of the leaves", LEAVES, 1, false, false },
	{ "10 % of the leaves", LEAVES, 10, false, false },
	{ "50 % of the leaves", LEAVES, 50, false, false },
	{ "inner nodes, 10 % of the leaves", INNER | LEAVES, 10, false,
	  false },
	{ "all nodes, slots, log", INNER | LEAVES | SLOTS | LOG, 100, false,
	  true },
};

#define CUTS	16
#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

START_TEST(what_can_come_back_does)
{
	const struct kind *k = &kinds[_i];
	struct tfs_rebuild how;
	struct share sh;
	struct story st;
	struct bed b;

	story_make(&st, _i);
	bed_take(&b, damaged(&st, k->what, k->percent, _i), _i);
	snprintf(b.where, sizeof(b.where), "%s", k->name);
	must_rebuild(&b, &how);
	if (k->all)
		same(&b, k->older ? st.older : st.state);
	look(&st, &b, k->name, &how, &sh, k->older);
	bed_umount(&b);
	must_rebuild(&b, &how);
	ck_assert_uint_eq(how.lost, 0);
	bed_free(&b);
	story_free(&st);
}
END_TEST

/* _i: of the cuts. */
START_TEST(a_rebuild_that_is_cut_can_be_done_again)
{
	struct sim_counts before, after;
	struct tfs_rebuild how;
	struct story st;
	struct sim *sim;
	struct bed b;
	uint64_t n;

	story_make(&st, _i);
	sim = damaged(&st, _i % 2 ? INNER : INNER | SLOTS | SUPERS, 0, _i);
	bed_take(&b, sim_clone(sim), _i);
	sim_counts(b.sim, &before);
	must_rebuild(&b, &how);
	sim_counts(b.sim, &after);
	n = (after.writes - before.writes) * (_i + 1) / (CUTS + 1);
	bed_free(&b);
	bed_take(&b, sim, _i);
	snprintf(b.where, sizeof(b.where), "cut %d, at write %llu", _i,
		 (unsigned long long)n);
	sim_power_off_at(sim, n);
	rebuild(&b, &how);
	if (sim_is_off(sim))
		sim_crash(sim, _i);
	must_rebuild(&b, &how);
	same(&b, st.state);
	bed_free(&b);
	story_free(&st);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rebuild");
	TCase *t = tcase_create("matrix");

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, what_can_come_back_does, 0, KINDS);
	tcase_add_loop_test(t, a_rebuild_that_is_cut_can_be_done_again, 0,
			    CUTS);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
