/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mend.c - see mend.h.  The order of steps is that of fsck.tagfs. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"
#include "check/medium.h"
#include "check/rebuild.h"
#include "check/treewalk.h"
#include "soft/dev_soft.h"
#include "support/fs_state.h"
#include "support/mend.h"

struct job {
	struct bed	*b;
	struct mend	*m;
	bool		written;	/* what shows at opening is put right */
	uint64_t	at_open, agreed;
};

static void note(struct mend *m, const struct tfs_finding *f)
{
	size_t n = strlen(m->text);

	m->orphans += f->kind == TFS_F_ORPHAN;
	snprintf(m->text + n, sizeof(m->text) - n, "%s: inode %u, cluster "
		 "%llu: %s\n", tfs_finding_name(f->kind), f->ino,
		 (unsigned long long)f->cluster, f->text);
	if (getenv("CHECK_LOG"))
		fprintf(stderr, "%s: inode %u, cluster %llu: %s\n",
			tfs_finding_name(f->kind), f->ino,
			(unsigned long long)f->cluster, f->text);
}

static bool found(struct tfs_check *c, const struct tfs_finding *f)
{
	struct job *j = c->arg;

	note(j->m, f);
	return !j->m->rdonly && f->fixable;
}

static bool at_open(struct job *j, const struct tfs_finding *f)
{
	bool fix = !j->m->rdonly && f->fixable;

	note(j->m, f);
	j->at_open++;
	j->agreed += fix;
	return fix;
}

static bool unmarked(struct tfs_check *c, const struct tfs_finding *f)
{
	return at_open(c->arg, f);
}

static int mark(void *arg, struct tfs *fs)
{
	struct tfs_check c = { .fs = fs, .arg = arg, .found = unmarked };

	return tfs_check_mark(&c);
}

static int open_as(struct job *j, bool rdonly, unsigned int flags,
		   bool mount)
{
	struct tfs_mount how = {
		.rdonly = rdonly, .accept = true,
		.ready = rdonly ? NULL : mark, .ready_arg = j,
	};
	struct eng_open open = {
		.pool = j->b->pool, .cache = BED_CACHE,
		.flags = flags | (rdonly ? ENG_OPEN_RDONLY : 0),
	};
	int err = eng_soft_open(&j->b->dev, sim_raw(j->b->sim), &open);

	if (!err && mount)
		err = tfs_open(&j->b->fs, j->b->dev, &how);
	return err || rdonly || !how.rdonly ? err : -EROFS;
}

static int shut(struct bed *b)
{
	int err = tfs_close(b->fs);

	b->fs = NULL;
	eng_dev_close(b->dev);
	b->dev = NULL;
	return err;
}

static void found_beside(struct tfs_medium *m, const struct tfs_finding *f)
{
	struct job *j = m->arg;

	if (!j->written)
		at_open(j, f);
	else if (f->kind == TFS_F_UNREAD && !f->fixable)
		j->agreed -= j->agreed > 0;
}

static int look_beside(struct job *j)
{
	struct tfs_medium m = {
		.fs = j->b->fs, .alone = true, .rewrite = true, .arg = j,
		.found = found_beside,
	};
	int err = tfs_medium_begin(&m);

	while (!err && !m.done)
		err = tfs_medium_step(&m);
	tfs_medium_end(&m);
	return err;
}

static int found_open(struct job *j)
{
	struct tfs_finding f = { .kind = TFS_F_OLDER, .fixable = true };

	if (*j->b->fs->doubt) {
		snprintf(f.text, sizeof(f.text), "%s", j->b->fs->doubt);
		at_open(j, &f);
	}
	return look_beside(j);
}

static int check(struct job *j)
{
	struct tfs_check c = { .fs = j->b->fs, .arg = j, .found = found };
	int err = tfs_check(&c), last;

	j->m->problems = c.problems + j->at_open;
	j->m->fixed = c.fixed + (j->written ? j->agreed : 0);
	last = shut(j->b);
	return err ? err : last;
}

static void rebuilt(struct tfs_rebuild *how, const struct tfs_finding *f)
{
	note(((struct job *)how->arg)->m, f);
}

static int rebuild(struct job *j)
{
	struct tfs_rebuild how = { .rdonly = j->m->rdonly, .arg = j,
				   .found = rebuilt };
	int err, last;

	shut(j->b);
	j->m->rebuilt = true;
	err = open_as(j, how.rdonly, ENG_OPEN_RESCUE, false);
	if (err)
		return err;
	how.dev = j->b->dev;
	err = tfs_rebuild(&how);
	free(how.gap);
	j->b->fs = how.fs;
	last = shut(j->b);
	err = err ? err : last;
	if (!err && !j->m->rdonly)
		err = open_as(j, false, ENG_OPEN_RESCUE, true);
	j->written = !err;
	if (!err && !j->m->rdonly)
		err = look_beside(j);
	last = shut(j->b);
	j->m->problems = 1 + how.problems;
	j->m->fixed = j->m->rdonly ? 0 : j->m->problems;
	return err ? err : last;
}

static bool broken(struct tfs *fs)
{
	unsigned int lost;

	tfs_treewalk_lost(fs, &lost);
	return lost;
}

static int run(struct job *j)
{
	bool mends;
	int err = open_as(j, true, 0, true);

	if (err == -EUCLEAN && !j->m->rdonly)
		return rebuild(j);
	if (err)
		return err;
	if (!j->m->rdonly && broken(j->b->fs))
		return rebuild(j);
	err = found_open(j);
	if (err || j->m->rdonly)
		return err ? err : check(j);
	shut(j->b);
	mends = j->agreed;
	err = open_as(j, false, 0, true);
	j->written = !err;
	if (!err && mends)
		err = look_beside(j);
	return err ? err : check(j);
}

int mend(struct bed *b, struct mend *m)
{
	struct job j = { .b = b, .m = m };
	int err;

	*m = (struct mend){ .rdonly = m->rdonly, .rebuild = m->rebuild };
	err = m->rebuild ? rebuild(&j) : run(&j);
	shut(b);
	return err;
}

void mend_anything(struct bed *b)
{
	struct mend look = { .rdonly = true }, first = { .fixed = 0 };
	struct mend again = { .fixed = 0 };
	bool rdonly = b->how.rdonly;
	int err;

	sim_set_rdonly(b->sim, true);		/* who writes, dies */
	mend(b, &look);
	sim_set_rdonly(b->sim, false);
	err = mend(b, &first);
	if (!err) {
		err = mend(b, &again);
		ck_assert_msg(!err, "%s: -y once more: %s; before: %s",
			      b->where, strerror(-err), first.text);
		ck_assert_msg(again.problems <= first.problems - first.fixed,
			      "%s: -y once more finds %s\nbefore, %llu of "
			      "%llu fixed: %s", b->where, again.text,
			      (unsigned long long)first.fixed,
			      (unsigned long long)first.problems, first.text);
		err = first.problems > first.fixed;
	} else {
		err = -1;
	}
	b->how.rdonly = false;
	if (!bed_open(b))
		free(fs_state(b->fs));
	else
		ck_assert_msg(err, "%s: no mount after -y: %s", b->where,
			      first.text);
	bed_drop(b);
	b->how.rdonly = rdonly;
}

void mend_cut(struct sim *crashed, const char *where)
{
	struct bed b;

	bed_take(&b, sim_clone(crashed), 0);
	snprintf(b.where, sizeof(b.where), "%.95s", where);
	for (unsigned int i = 0; i < 2; i++) {
		struct mend m = { .rdonly = !i };
		int err;

		sim_set_rdonly(b.sim, m.rdonly);	/* who writes, dies */
		err = mend(&b, &m);
		ck_assert_msg(!err && m.problems == m.orphans, "%s: -%c after a cut: %s, "
			      "%s", b.where, i ? 'y' : 'n', strerror(-err),
			      m.text);
	}
	bed_mount(&b);
	bed_free(&b);
}

bool mend_due(uint64_t n, unsigned int one_in)
{
	return getenv("TAGFS_TEST_FULL") || n % (one_in * BED_STRIDE) == 0;
}
