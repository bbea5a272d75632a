/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_medium.c - each copy of what lies beside the tree is looked at: what
 * is bad is named, read-only and not, and put right. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/medium.h"
#include "check/scrub.h"
#include "commit/ckpt.h"
#include "commit/log.h"
#include "commit/super.h"
#include "mount/helper.h"
#include "support/fs_bed.h"

struct result {
	unsigned int	n[TFS_F_KINDS], all, kept;
	char		text[1000];
};

static void found(struct tfs_medium *m, const struct tfs_finding *f)
{
	struct result *r = m->arg;
	size_t n = strlen(r->text);

	r->n[f->kind]++;
	r->all++;
	r->kept += !f->fixable;
	snprintf(r->text + n, sizeof(r->text) - n, "%s %llu: %s\n",
		 tfs_finding_name(f->kind), (unsigned long long)f->cluster,
		 f->text);
}

static struct result look_as(struct bed *b, bool rewrite)
{
	struct result r = { .all = 0 };
	struct tfs_medium m = { .fs = b->fs, .alone = true, .arg = &r,
				.rewrite = rewrite, .found = found };

	ck_assert_int_eq(tfs_medium_begin(&m), 0);
	while (!m.done)
		ck_assert_int_eq(tfs_medium_step(&m), 0);
	ck_assert_uint_eq(m.at, m.all);
	ck_assert_uint_eq(m.problems, r.all);
	tfs_medium_end(&m);
	return r;
}

static struct result look(struct bed *b)
{
	struct result r = look_as(b, false);

	ck_assert_msg(!r.kept, "%s", r.text);
	return r;
}

static void mount_as(struct bed *b, bool rdonly)
{
	b->how = (struct tfs_mount){ .rdonly = rdonly };
	bed_mount(b);
}

/* Many commits, so that the log has been round: all of it is of this life. */
static void make(struct bed *b, unsigned int seed)
{
	char name[16];

	bed_make(b, seed % 2 ? "4096+8" : "512+8", 2048, seed);
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		bed_file(b, name);
		ck_assert_int_eq(tfs_sync(b->fs), 0);
	}
	bed_umount(b);
	mount_as(b, true);
}

/* ---- places --------------------------------------------------------------- */

static uint64_t super_at(struct bed *b, unsigned int i)
{
	return bed_data_at(b, i ? b->fs->super.clusters - TFS_END_SUPER :
			   TFS_AT_SUPER) + 20;
}

static uint64_t slot_at(struct bed *b, unsigned int i)
{
	return bed_data_at(b, tfs_slot_addr(b->fs, i / 2, i % 2)) + 30;
}

/* Behind all that a cut could explain. */
static uint64_t log_at(struct bed *b, unsigned int i)
{
	return bed_data_at(b, tfs_log_addr(b->fs, b->fs->log.head +
					   b->fs->log.room + 2 + i)) + 40;
}

/* The newest commit's. */
static uint64_t newest_at(struct bed *b, unsigned int i)
{
	uint64_t size = b->fs->super.log_clusters;

	(void)i;
	return bed_data_at(b, tfs_log_addr(b->fs, b->fs->log.head + size -
					   1)) + 40;
}

static uint64_t page_at(struct bed *b, unsigned int i)
{
	(void)b;
	return (1 + i) * 4096 + 1000;
}

static uint64_t head_at(struct bed *b, unsigned int i)
{
	return i ? sim_raw(b->sim)->size / 4096 * 4096 - 4096 : 3;
}

static const struct place {
	uint64_t	(*at)(struct bed *b, unsigned int i);
	unsigned int	n;
	enum tfs_finding_kind kind;
} places[] = {
	{ super_at, 2, TFS_F_SUPER },
	{ slot_at, 4, TFS_F_SLOT },
	{ log_at, 3, TFS_F_LOG },
	{ newest_at, 2, TFS_F_LOG },
	{ page_at, 2, TFS_F_CONTAINER },
	{ head_at, 2, TFS_F_CONTAINER },
};

#define PLACES	(sizeof(places) / sizeof(places[0]))

/* Each bad copy is one finding; opened for writing it is put right, for good.
 * What is whole is not found. */
START_TEST(each_copy_is_looked_at)	/* _i: place, profile */
{
	const struct place *p = &places[_i / 2];
	struct bed b;
	struct result r;
	uint64_t at;

	make(&b, _i);
	r = look(&b);
	ck_assert_msg(!r.all, "of a sound one: %s", r.text);
	for (unsigned int i = 0; i < p->n; i++) {
		at = p->at(&b, i);
		bed_umount(&b);
		sim_flip(b.sim, at, 0xff);
		mount_as(&b, true);
		r = look(&b);
		ck_assert_msg(r.all == 1 && r.n[p->kind] == 1, "copy %u: %s",
			      i, r.text);
		r = look(&b);
		ck_assert_msg(r.all == 1, "copy %u, again: %s", i, r.text);
		bed_umount(&b);
		mount_as(&b, false);
		look(&b);
		bed_umount(&b);
		mount_as(&b, true);
		r = look(&b);
		ck_assert_msg(!r.all, "copy %u is left: %s", i, r.text);
	}
	bed_free(&b);
}
END_TEST

struct scrubbed {
	enum tfs_scrub_kind kind;
	unsigned int	n, healed;
	char		text[1000];
};

static void scrub_found(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	struct scrubbed *r = s->arg;
	size_t n = strlen(r->text);

	r->n++;
	r->healed += f->healed;
	r->kind = f->kind;
	snprintf(r->text + n, sizeof(r->text) - n, "%d at %llu: %s\n", f->kind,
		 (unsigned long long)f->cluster, f->why ? f->why : "");
}

static struct scrubbed scrub_beside(struct tfs *fs)
{
	struct scrubbed r = { .n = 0 };
	struct tfs_scrub s = { .fs = fs, .arg = &r, .found = scrub_found,
			       .data = true, .meta = true };

	ck_assert_int_eq(tfs_scrub_begin(&s), 0);
	while (!s.done)
		ck_assert_int_eq(tfs_scrub_step(&s), 0);
	tfs_scrub_end(&s);
	return r;
}

/* What a replay would begin with. */
static uint64_t needed_at(struct bed *b, unsigned int i)
{
	(void)i;
	ck_assert_uint_ge(atomic_load(&b->fs->log.used), 2);
	return bed_data_at(b, tfs_log_addr(b->fs, b->fs->log.head +
					   b->fs->super.log_clusters - 2)) +
		40;
}

static uint64_t idle_at(struct bed *b, unsigned int i)
{
	return log_at(b, i);
}

static const struct online {
	uint64_t	(*at)(struct bed *b, unsigned int i);
	unsigned int	n;
	enum tfs_scrub_kind kind;
} online[] = {
	{ super_at, 2, TFS_SCRUB_SUPER },
	{ slot_at, 4, TFS_SCRUB_SLOT },
	{ idle_at, 3, TFS_SCRUB_LOG },
	{ needed_at, 1, TFS_SCRUB_LOG },
	{ page_at, 2, TFS_SCRUB_DEVICE },
	{ head_at, 2, TFS_SCRUB_DEVICE },
};

#define ONLINE	(sizeof(online) / sizeof(online[0]))

/* A scrub of a mounted one finds each bad copy, and puts it right; what was
 * changed before is there after a crash. */
START_TEST(a_scrub_heals_what_lies_beside)	/* _i: place, profile */
{
	const struct online *p = &online[_i / 2];
	struct scrubbed r;
	struct result left;
	struct bed b;

	make(&b, _i);
	bed_umount(&b);
	mount_as(&b, false);
	/* The checkpoint that a scrub asks for would write over what is bad. */
	tfs_helper_stop(b.fs);
	for (unsigned int i = 0; i < p->n; i++) {
		/* No other one is due soon. */
		ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
		for (unsigned int k = 0; k < 4; k++) {
			char name[16];

			snprintf(name, sizeof(name), "%u.%u", i, k);
			bed_file(&b, name);
			ck_assert_int_eq(tfs_sync(b.fs), 0);
		}
		eng_dev_drop_caches(b.dev);
		sim_flip(b.sim, p->at(&b, i), 0xff);
		r = scrub_beside(b.fs);
		ck_assert_msg(r.n == 1 && r.healed == 1 && r.kind == p->kind,
			      "copy %u: %s", i, r.text);
		ck_assert_int_eq(eng_dev_flush(b.dev), 0);
		r = scrub_beside(b.fs);
		ck_assert_msg(!r.n, "copy %u is left: %s", i, r.text);
	}
	bed_drop(&b);
	sim_crash(b.sim, _i);
	mount_as(&b, true);
	left = look(&b);
	ck_assert_msg(!left.all, "after a crash: %s", left.text);
	for (unsigned int i = 0; i < p->n; i++) {
		struct tfs_inode in;
		char name[16];

		snprintf(name, sizeof(name), "%u.3", i);
		ck_assert_int_eq(tfs_lookup(b.fs, TFS_ROOT_INO, name, &in), 0);
		tfs_unref(b.fs, in.ino, 1);
	}
	bed_free(&b);
}
END_TEST

/* Nothing is written where nothing may be. */
START_TEST(a_read_only_mount_heals_nothing)	/* _i: place */
{
	const struct online *p = &online[_i];
	struct scrubbed r;
	struct bed b;

	if (p->at == needed_at)
		return;
	make(&b, _i);
	for (unsigned int i = 0; i < p->n; i++) {
		uint64_t at = p->at(&b, i);

		sim_flip(b.sim, at, 0xff);
		sim_set_rdonly(b.sim, true);
		r = scrub_beside(b.fs);
		sim_set_rdonly(b.sim, false);
		ck_assert_msg(r.n == 1 && !r.healed && r.kind == p->kind,
			      "copy %u: %s", i, r.text);
		sim_flip(b.sim, at, 0xff);
	}
	bed_free(&b);
}
END_TEST

/* Of zone 1: parts of the log, and nodes. */
#define PAGES_AT	(4096 + 8192 + 63 * 4096)

static void readable_again(void *arg, uint64_t off, uint64_t len)
{
	struct bed *b = arg;

	if (off <= PAGES_AT + 4096 && off + len > PAGES_AT)
		sim_clear_faults(b->sim);
}

/* A version of a tuple page that the medium can't read is left alone, unless
 * it is to be written: then it is, if the medium takes that. */
START_TEST(what_cant_be_read_is_written_anew)	/* _i: page, takes it */
{
	unsigned int page = _i % 2;
	bool takes = _i / 2;
	struct result r;
	struct bed b;

	make(&b, 0);
	bed_umount(&b);
	sim_fault(b.sim, SIM_READ_FAIL, PAGES_AT + page * 4096, 4096, -EIO, 0,
		  0);
	mount_as(&b, true);
	r = look_as(&b, true);
	ck_assert_msg(r.n[TFS_F_UNREAD] == 1 && !r.kept, "page %u: %s", page,
		      r.text);
	bed_umount(&b);
	mount_as(&b, false);
	r = look_as(&b, false);
	ck_assert_msg(r.kept == 1, "page %u: %s", page, r.text);
	/* Where the newer version is lost, places of the log were emptied, and
	 * a zone that was not flushed since is passed over. */
	ck_assert_int_eq(eng_dev_flush(b.dev), 0);
	if (takes)
		sim_on_write(b.sim, readable_again, &b);
	else
		sim_fault(b.sim, SIM_WRITE_FAIL, PAGES_AT + page * 4096, 4096,
			  -EIO, 0, 0);
	r = look_as(&b, true);
	ck_assert_msg(r.n[TFS_F_UNREAD] == 1 && r.kept == !takes,
		      "page %u: %s", page, r.text);
	if (takes)
		bed_umount(&b);
	else	/* what lay there may have to be written */
		bed_drop(&b);
	sim_on_write(b.sim, NULL, NULL);
	mount_as(&b, true);
	r = look_as(&b, false);
	ck_assert_msg(r.n[TFS_F_UNREAD] == !takes && !r.n[TFS_F_CONTAINER],
		      "page %u: %s", page, r.text);
	bed_free(&b);
}
END_TEST

/* What a power cut leaves is none. */
START_TEST(cuts_are_no_damage)		/* _i: seed */
{
	struct result r;
	struct bed b;

	for (unsigned int cut = 0; cut < 60; cut += 4) {
		bed_make(&b, "512+8", 2048, _i);
		sim_power_off_at(b.sim, cut);
		for (unsigned int i = 0; i < 20; i++) {
			struct tfs_new new = { .mode = S_IFREG | 0600 };
			struct tfs_inode in;
			char name[16];

			snprintf(name, sizeof(name), "f%u", i);
			if (tfs_create(b.fs, TFS_ROOT_INO, name, &new, &in))
				break;
			tfs_unref(b.fs, in.ino, 1);
			tfs_sync(b.fs);
			if (i % 5 == 4)
				tfs_ckpt_run(b.fs);
		}
		bed_drop(&b);
		sim_crash(b.sim, _i * 100 + cut);
		mount_as(&b, true);
		r = look(&b);
		ck_assert_msg(!r.all, "seed %d, cut %u: %s", _i, cut, r.text);
		bed_free(&b);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("medium");
	TCase *tc = tcase_create("medium");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, each_copy_is_looked_at, 0, 2 * PLACES);
	tcase_add_loop_test(tc, a_scrub_heals_what_lies_beside, 0, 2 * ONLINE);
	tcase_add_loop_test(tc, a_read_only_mount_heals_nothing, 0, ONLINE);
	tcase_add_loop_test(tc, what_cant_be_read_is_written_anew, 0, 4);
	tcase_add_loop_test(tc, cuts_are_no_damage, 0, BED_LESS(12));
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
