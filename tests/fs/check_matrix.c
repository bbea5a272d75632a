/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_matrix.c - each kind of structure, destroyed in part or as a whole,
 * and what fsck.tagfs -y, a rebuild, a restore and a scrub make of it: what
 * must come back does, and nothing that is wrong.
 *
 * Some rows, unless TAGFS_MATRIX or TAGFS_RECOVERY_TABLE is in the
 * environment; the latter prints the table of doc/RECOVERY.md.  TAGFS_CASE=N
 * is one row alone. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"
#include "check/scrub.h"
#include "commit/ckpt.h"
#include "soft/dev_soft.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "support/ruin.h"

/* How much has to come back. */
enum due {
	ALL,		/* as after the last sync */
	OLDER,		/* the names of the checkpoint at least: a commit of
			 * which not all is there may never have been */
	RIGHT,		/* nothing wrong */
};

enum amount { ONE_COPY, BOTH, WHOLE, P1, P10, P50, AMOUNTS };

static const char *const amounts[] = {
	"one copy of one", "one", "all", "1 %", "10 %", "50 %",
};

static const struct kind {
	const char	*name;
	unsigned int	what;
	bool		few;		/* too few for percents */
	bool		single;		/* there is one copy */
	enum due	due[AMOUNTS];
} kinds[] = {
	{ "container header", RUIN_HEADERS, true, false,
	  { ALL, ALL, ALL } },
	{ "tuple page", RUIN_PAGES, false, false,
	  { ALL, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT } },
	{ "superblock", RUIN_SUPERS, true, false, { ALL, ALL, ALL } },
	{ "slot", RUIN_SLOTS, true, false, { ALL, ALL, ALL } },
	{ "log cluster", RUIN_LOG, false, true,
	  { OLDER, OLDER, OLDER, OLDER, OLDER, OLDER } },
	{ "inner node", RUIN_INNER, false, false,
	  { ALL, ALL, ALL, ALL, ALL, ALL } },
	{ "root", RUIN_ROOT, true, false, { ALL, ALL, ALL } },
	{ "leaf", RUIN_LEAVES, false, false,
	  { ALL, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT } },
	{ "data", RUIN_DATA, false, true,
	  { OLDER, OLDER, OLDER, OLDER, OLDER, OLDER } },
};

#define ROWS ((int)(sizeof(kinds) / sizeof(kinds[0])) * AMOUNTS)

static struct ruin past;	/* made once; nobody changes it */

static void make_past(void)
{
	ruin_make(&past, 3);
}

static void free_past(void)
{
	ruin_free(&past);
}

/* ---- one case ------------------------------------------------------------------ */

struct row {
	const struct kind *k;
	enum amount	amount;
	char		cell[4][64];
};

static struct ruin_how how_of(const struct row *row)
{
	static const unsigned int percent[] = { 0, 0, 100, 1, 10, 50 };

	return (struct ruin_how){
		.what = row->k->what, .percent = percent[row->amount],
		.copies = row->amount == ONE_COPY ? 1 : 2,
	};
}

static struct sim *damaged(const struct row *row, uint64_t seed)
{
	const struct ruin_how how = how_of(row);

	return ruin_damaged(&past, &how, 1, seed);
}

static void begin(struct row *row, struct bed *b, const char *tool)
{
	bed_take(b, damaged(row, 7), 7);
	snprintf(b->where, sizeof(b->where), "%s of %s, %s",
		 amounts[row->amount], row->k->name, tool);
}

/* b->fs is there, whole. */
static void judge(struct row *row, struct bed *b, char *cell)
{
	enum due due = row->k->due[row->amount];
	bool older = due == OLDER;
	struct ruin_share sh;

	if (due == ALL)
		ruin_same(b, past.state);
	ruin_look(&past, b, &sh, older);
	if (older)
		ck_assert_msg(sh.named >= sh.names, "%s: %llu of %llu names",
			      b->where, (unsigned long long)sh.named,
			      (unsigned long long)sh.names);
	if (sh.named > sh.names)
		sh.named = sh.names;
	snprintf(cell, 64, "%.1f %% / %.1f %%",
		 100.0 * sh.back / (sh.bytes ? sh.bytes : 1),
		 100.0 * sh.named / sh.names);
}

/* Nothing is there that verifies: only where no tuple is left. */
static void gone(const struct row *row, const struct bed *b, int err,
		 char *cell)
{
	ck_assert_msg(row->k->what == RUIN_PAGES && row->amount == WHOLE,
		      "%s: %s", b->where, strerror(-err));
	snprintf(cell, 64, "nothing");
}

static void must_be_clean(struct row *row, struct bed *b)
{
	struct tfs_rebuild how = { .rdonly = false };
	int err;

	(void)row;
	bed_umount(b);
	err = ruin_rebuild(b, &how);
	ck_assert_msg(!err && !how.lost && !how.problems, "%s: again: %d, "
		      "%llu parts lost, %llu problems", b->where, err,
		      (unsigned long long)how.lost,
		      (unsigned long long)how.problems);
}

/* ---- the tools ------------------------------------------------------------------- */

static void with_rebuild(struct row *row)
{
	struct tfs_rebuild how = { .rdonly = false };
	struct bed b;
	int err;

	begin(row, &b, "rebuild");
	err = ruin_rebuild(&b, &how);
	if (err) {
		gone(row, &b, err, row->cell[1]);
	} else {
		bed_mount(&b);
		bed_check(&b, FS_CHECK_WAS_FULL);
		judge(row, &b, row->cell[1]);
		must_be_clean(row, &b);
	}
	bed_free(&b);
}

static bool is_walkable(struct tfs *fs)
{
	unsigned int lost;

	tfs_treewalk_lost(fs, &lost);
	return !lost;
}

static int open_as(struct bed *b, bool rdonly, unsigned int flags)
{
	struct tfs_mount how = { .rdonly = rdonly, .accept = true,
				 .rescue = rdonly };
	struct eng_open open = {
		.pool = b->pool,
		.flags = (rdonly ? ENG_OPEN_RDONLY : 0) | flags,
	};
	int err = eng_soft_open(&b->dev, sim_raw(b->sim), &open);

	return err ? err : tfs_open(&b->fs, b->dev, &how);
}

/* Nothing is written: the disk says so if somebody tries. */
static void with_restore(struct row *row)
{
	struct tfs_rebuild how = { .rdonly = true };
	struct bed b;
	int err;

	begin(row, &b, "restore");
	sim_set_rdonly(b.sim, true);
	err = open_as(&b, true, ENG_OPEN_RESCUE);
	if (err || !is_walkable(b.fs)) {
		bed_drop(&b);
		err = ruin_rebuild(&b, &how);
	}
	if (err)
		gone(row, &b, err, row->cell[2]);
	else
		judge(row, &b, row->cell[2]);
	bed_free(&b);
}

static bool yes(struct tfs_check *c, const struct tfs_finding *f)
{
	(void)c;
	(void)f;
	return true;
}

static int put_right(struct bed *b)
{
	struct tfs_check c = { .found = yes };
	int err = open_as(b, false, 0), last;

	if (err)
		return err;
	c.fs = b->fs;
	err = tfs_check(&c);
	last = tfs_close(b->fs);
	b->fs = NULL;
	eng_dev_close(b->dev);
	b->dev = NULL;
	return err ? err : last;
}

/* As the program does it: look first, then one or the other. */
static void with_fsck(struct row *row)
{
	struct tfs_rebuild how = { .rdonly = false };
	bool broken;
	struct bed b;
	int err;

	begin(row, &b, "fsck -y");
	err = open_as(&b, true, 0);
	if (err && !b.dev) {
		snprintf(row->cell[0], 64, "refused");
		bed_free(&b);
		return;
	}
	broken = err || !is_walkable(b.fs);
	bed_drop(&b);
	if (err == -EMEDIUMTYPE) {
		snprintf(row->cell[0], 64, "refused");
		bed_free(&b);
		return;
	}
	err = broken ? ruin_rebuild(&b, &how) : put_right(&b);
	if (err) {
		gone(row, &b, err, row->cell[0]);
	} else {
		bed_mount(&b);
		bed_check(&b, FS_CHECK_WAS_FULL);
		judge(row, &b, row->cell[0]);
		must_be_clean(row, &b);
	}
	bed_free(&b);
}

static void note(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	unsigned int *n = s->arg;

	n[f->healed ? 0 : 1]++;
}

/* What a scrub must heal: there is another copy, or memory has it. */
static bool must_heal(const struct row *row)
{
	return row->amount == ONE_COPY || row->k->what & (RUIN_HEADERS |
			RUIN_SUPERS | RUIN_SLOTS);
}

/* Of what is destroyed beneath a mount: one that is mounted afterwards has put
 * some of it right by then, or can't be. */
static void with_scrub(struct row *row)
{
	const struct ruin_how how = how_of(row);
	unsigned int n[2] = { 0, 0 };
	struct tfs_scrub s = { .arg = n, .found = note, .data = true,
			       .meta = true };
	struct bed b;
	int err = 0;

	bed_take(&b, sim_clone(past.disk), 7);
	bed_mount(&b);
	snprintf(b.where, sizeof(b.where), "%s of %s, scrub",
		 amounts[row->amount], row->k->name);
	ck_assert_int_eq(tfs_ckpt_run(b.fs), 0);
	ruin_beneath(&b, &how, 7);
	s.fs = b.fs;
	ck_assert_int_eq(tfs_scrub_begin(&s), 0);
	while (!s.done && !err)
		err = tfs_scrub_step(&s);
	tfs_scrub_end(&s);
	ck_assert_int_eq(err, 0);
	if (n[0] + n[1])
		snprintf(row->cell[3], 64, "%u healed, %u reported", n[0],
			 n[1]);
	else
		snprintf(row->cell[3], 64, "nothing found");
	if (must_heal(row))
		ck_assert_msg(n[0] && !n[1], "%s: %u healed, %u not", b.where,
			      n[0], n[1]);
	bed_drop(&b);
	bed_free(&b);
}

/* ---- all of it ------------------------------------------------------------------- */

/* One a kind, and every amount at least once. */
static bool in_sample(int i)
{
	return i % AMOUNTS == (i / AMOUNTS * 5 + 1) % AMOUNTS ||
		kinds[i / AMOUNTS].few;
}

START_TEST(what_must_come_back_does)	/* _i: row */
{
	struct row row = { .k = &kinds[_i / AMOUNTS],
			   .amount = _i % AMOUNTS };

	if (getenv("TAGFS_CASE") && atoi(getenv("TAGFS_CASE")) != _i)
		return;
	if ((row.k->few && row.amount > WHOLE) ||
	    (row.k->single && row.amount == ONE_COPY))
		return;
	if (!getenv("TAGFS_MATRIX") && !getenv("TAGFS_RECOVERY_TABLE") &&
	    !in_sample(_i))
		return;
	with_fsck(&row);
	with_rebuild(&row);
	with_restore(&row);
	with_scrub(&row);
	if (getenv("TAGFS_RECOVERY_TABLE"))
		printf("| %s | %s | %s | %s | %s | %s |\n", row.k->name,
		       amounts[row.amount], row.cell[0], row.cell[1],
		       row.cell[2], row.cell[3]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("matrix");
	TCase *t = tcase_create("rows");

	if (getenv("TAGFS_RECOVERY_TABLE"))
		puts("| destroyed | how many | fsck -y | rebuild | restore | "
		     "scrub |\n| --- | --- | --- | --- | --- | --- |");
	fflush(stdout);
	tcase_set_timeout(t, 300);
	tcase_add_unchecked_fixture(t, make_past, free_past);
	tcase_add_loop_test(t, what_must_come_back_does, 0, ROWS);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
