/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - fsck.tagfs: is a filesystem whole, and can it be put right?
 *
 * (1) It looks before it writes: opened read-only first, and only if there is
 *     something to do, and it may, for writing.
 * (2) A repair is a transaction, and all of them are one checkpoint at the
 *     end: interrupted anywhere, what is there is no worse than before.
 * (3) What is in use and free in the map is marked before anything is written,
 *     or it could be written over. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <unistd.h>

#include "check/medium.h"
#include "check/rebuild.h"
#include "check/treewalk.h"
#include "commit/super.h"
#include "fds.h"
#include "options.h"
#include "say.h"

#define FENCE_MS	5000u

struct job {
	struct options	opt;
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct tfs	*fs;
	struct tfs_check check;
	bool		stopped;	/* -p met what it must not decide */
	bool		all;		/* the person said: yes to all */
	/* Problems that show before the check, which opening it for writing
	 * puts right. */
	unsigned int	at_open;
	unsigned int	offered, agreed; /* of them: could be, and is to be */
	bool		written;	/* it was opened for writing, so they are */
};

static volatile sig_atomic_t interrupted;
static int wake[2];		/* a pipe: a signal ends the wait for an answer */

static void on_signal(int sig)
{
	int err = errno;

	(void)sig;
	interrupted = 1;
	if (write(wake[1], "", 1) < 0)	/* full: somebody is awake */
		interrupted = 1;
	errno = err;
}

static int catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	return 0;
}

/* ---- findings ---------------------------------------------------------------- */

/* What -p may put right without a person: nothing is lost by it, and there is
 * one way only. */
static bool is_safe(enum tfs_finding_kind kind)
{
	switch (kind) {
	case TFS_F_CONTAINER:
	case TFS_F_SUPER:
	case TFS_F_SLOT:
	case TFS_F_LEGS:
	case TFS_F_LOG:
	case TFS_F_COPY:
	case TFS_F_DIFFER:
	case TFS_F_NEAR:
	case TFS_F_ORPHAN:
	case TFS_F_CLUSTERS:
	case TFS_F_PAST:
	case TFS_F_PARENT:
	case TFS_F_COUNT:
	case TFS_F_LINKS:
	case TFS_F_UNMARKED:
	case TFS_F_UNUSED:
	case TFS_F_COUNTER:
		return true;
	default:
		return false;
	}
}

/* All of a line, of which the beginning counts.  False: there is none. */
static bool get_answer(char *line, int size)
{
	struct pollfd p[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = wake[0], .events = POLLIN },
	};
	int c = '\n';

	while (!interrupted && poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (interrupted || !fgets(line, size, stdin))
		return false;
	if (!strchr(line, '\n'))
		do
			c = getchar();
		while (c != '\n' && c != EOF);
	return true;
}

static bool ask(struct job *j)
{
	char line[16];

	if (j->all)
		return true;
	for (;;) {
		printf("  Put it right ('a': and all others) [y/n/a]? ");
		fflush(stdout);
		if (!get_answer(line, sizeof(line))) {
			printf("\n");	/* nobody has ended the line */
			return false;
		}
		j->all = *line == 'a' || *line == 'A';
		if (j->all || *line == 'y' || *line == 'Y')
			return true;
		if (*line == 'n' || *line == 'N')
			return false;
	}
}

static bool decide(struct job *j, const struct tfs_finding *f)
{
	if (!f->fixable)
		return false;
	switch (j->opt.mode) {
	case MODE_NO:
		return false;
	case MODE_YES:
		return true;
	case MODE_PREEN:
		if (!is_safe(f->kind))
			j->stopped = true;
		return !j->stopped;
	case MODE_ASK:
		return ask(j);
	}
	return false;
}

static bool found(struct tfs_check *c, const struct tfs_finding *f)
{
	struct job *j = c->arg;
	bool asked = j->opt.mode == MODE_ASK && f->fixable && !j->all, fix;

	if (asked)
		say_finding(c->fs, f, NULL);
	fix = decide(j, f);
	if (!asked)
		say_finding(c->fs, f, fix ? "FIXED" : "not fixed");
	return fix;
}

static bool at_open(struct job *j, const struct tfs_finding *f)
{
	bool fix = found(&j->check, f);

	j->at_open++;
	j->offered += f->fixable;
	j->agreed += fix;
	return fix;
}

static bool found_unmarked(struct tfs_check *c, const struct tfs_finding *f)
{
	return at_open(c->arg, f);
}

/* ---- the filesystem ---------------------------------------------------------- */

static int open_dev(struct job *j, bool rdonly)
{
	struct eng_open how = {
		.flags = (rdonly ? ENG_OPEN_RDONLY : 0) |
			(j->opt.rebuild ? ENG_OPEN_RESCUE : 0),
		.pool = j->pool, .id = j->opt.container,
	};

	return legs_open(&j->dev, &j->opt.legs, &how);
}

static bool go_on(struct tfs_check *c, unsigned int step, unsigned int steps,
		  unsigned int done)
{
	(void)c;
	(void)step;
	(void)steps;
	(void)done;
	return !interrupted;
}

/* (3) */
static int mark(void *arg, struct tfs *fs)
{
	struct job *j = arg;
	struct tfs_check c = { .fs = fs, .arg = j, .found = found_unmarked,
			       .progress = go_on };

	j->check.fs = fs;
	return tfs_check_mark(&c);
}

static int open_fs(struct job *j, bool rdonly)
{
	struct tfs_mount how = {
		.rdonly = rdonly, .accept = true, .image = true,
		.ready = rdonly ? NULL : mark, .ready_arg = j,
	};
	int err = open_dev(j, rdonly);

	if (err)
		return err;
	if (eng_dev_geometry(j->dev)->shared)
		how.fence = FENCE_MS;
	err = tfs_open(&j->fs, j->dev, &how);
	if (err || rdonly || !how.rdonly)
		return err;
	return -EROFS;
}

static int close_fs(struct job *j)
{
	int err = tfs_close(j->fs);

	eng_dev_close(j->dev);
	j->fs = NULL;
	j->dev = NULL;
	return err;
}

static void failed(struct tfs_check *c, int err)
{
	(void)c;
	say_line("  that could not be put right: %s", strerror(-err));
}

static bool progress(struct tfs_check *c, unsigned int step,
		     unsigned int steps, unsigned int done)
{
	struct job *j = c->arg;

	if (j->opt.progress >= 0)
		say_progress(j->opt.progress, step + 1, steps + 1, done,
			     j->opt.path);
	return !interrupted && !j->stopped;
}

/* ---- the whole --------------------------------------------------------------- */

static void summary(struct job *j, const struct tfs_check *c, bool clean)
{
	struct statvfs st;

	tfs_statvfs(j->fs, &st);
	say_summary(j->opt.path, c, clean, st.f_blocks - st.f_bfree,
		    st.f_blocks);
}

static int cancelled(const struct job *j, uint64_t fixed)
{
	say_line("%s: interrupted; %llu problems were put right, and what was "
		 "not looked at may have others", j->opt.path,
		 (unsigned long long)fixed);
	return EXIT_CANCELLED;
}

static int exit_of(const struct job *j, int err)
{
	const struct tfs_check *c = &j->check;
	int res = c->fixed ? EXIT_FIXED : 0;

	if (err == -EINTR)
		res |= cancelled(j, c->fixed);
	else if (err)
		res |= EXIT_FAILED;
	if (j->stopped)
		say_line("%s: UNEXPECTED INCONSISTENCY; RUN fsck.tagfs "
			 "MANUALLY (without -a or -p)", j->opt.path);
	return c->problems > c->fixed ? res | EXIT_LEFT : res;
}

static int check(struct job *j)
{
	struct tfs_check *c = &j->check;
	int err, last;

	*c = (struct tfs_check){
		.fs = j->fs, .arg = j, .found = found, .failed = failed,
		.progress = progress, .data = j->opt.data,
	};
	if (c->data && j->fs->super.incompat & TFS_INCOMPAT_IMAGE) {
		say_line("%s: a metadata image: it has no content that could "
			 "be read", j->opt.path);
		c->data = false;
	}
	err = tfs_check(c);
	c->problems += j->at_open;
	c->fixed += j->written ? j->agreed : 0;
	if (err == -EINTR && j->stopped)
		err = 0;
	if (!err)
		summary(j, c, false);
	else if (err != -EINTR)
		say_line("%s: the check failed: %s", j->opt.path,
			 strerror(-err));
	last = close_fs(j);					/* (2) */
	if (last && !err)
		say_line("%s: not everything could be written: %s",
			 j->opt.path, strerror(-last));
	if (c->lost)
		say_line("%s: parts of the tree are lost; --rebuild brings "
			 "back what can be", j->opt.path);
	return exit_of(j, err ? err : last);
}

static void found_beside(struct tfs_medium *m, const struct tfs_finding *f)
{
	at_open(m->arg, f);
}

/* It was said before; but what the medium does not take stays as it is. */
static void mended(struct tfs_medium *m, const struct tfs_finding *f)
{
	struct job *j = m->arg;

	if (f->fixable)
		return;
	j->agreed -= j->agreed > 0;
	say_finding(m->fs, f, "it could not be written; not fixed");
}

/* What there is beside the tree.  Where it is open for writing, it is put
 * right. */
static int look_beside(struct job *j)
{
	struct tfs_medium m = {
		.fs = j->fs, .alone = true, .rewrite = true, .arg = j,
		.found = j->written ? mended : found_beside,
	};
	int err = tfs_medium_begin(&m);

	while (!err && !m.done) {
		err = tfs_medium_step(&m);
		if (!err && !progress(&j->check, 0, 4, m.at * 1000 / m.all))
			err = -EINTR;
	}
	tfs_medium_end(&m);
	return err;
}

/* What opening it for writing puts right, all at once: so all of it must be
 * wanted.  The gravest is asked first. */
static int found_open(struct job *j)
{
	struct tfs_finding f = { .kind = TFS_F_OLDER, .fixable = true };

	if (*j->fs->doubt) {
		snprintf(f.text, sizeof(f.text), "%s: what was done since "
			 "then is lost", j->fs->doubt);
		at_open(j, &f);
	}
	return look_beside(j);
}

/* ---- rebuild ------------------------------------------------------------------- */

static void rebuilt(struct tfs_rebuild *how, const struct tfs_finding *f)
{
	bool left = how->rdonly || (f->kind == TFS_F_LEGS && !f->fixable);

	say_finding(NULL, f, left ? "not fixed" : "FIXED");
}

static bool going(struct tfs_rebuild *how, unsigned int step,
		  unsigned int steps, unsigned int done)
{
	struct job *j = how->arg;

	if (j->opt.progress >= 0)
		say_progress(j->opt.progress, step, steps, done, j->opt.path);
	return !interrupted;
}

static void tell(const struct job *j, const struct tfs_rebuild *how)
{
	say_line("%s: %llu parts of the tree could not be read; %llu leaves "
		 "were found for them, and %llu clusters of content by their "
		 "tags alone, of them %llu files without a name%s",
		 j->opt.path, (unsigned long long)how->lost,
		 (unsigned long long)how->leaves,
		 (unsigned long long)how->clusters,
		 (unsigned long long)how->inodes,
		 how->rdonly ? "; nothing was written" : "");
}

/* The tree is written: the rest, without which a check would not be clean. */
static int mend_beside(struct job *j)
{
	int err;

	close_fs(j);
	err = open_fs(j, false);
	j->written = !err;
	j->check = (struct tfs_check){ .fs = j->fs, .arg = j };
	return err ? err : look_beside(j);
}

static int rebuild(struct job *j)
{
	struct tfs_rebuild how = {
		.rdonly = j->opt.mode == MODE_NO, .image = true, .arg = j,
		.found = rebuilt, .progress = going,
	};
	int err = scratch_begin(&j->opt.scratch);
	bool wrote;

	if (!err)
		err = open_dev(j, how.rdonly);
	if (err && j->opt.legs.n > 1)
		say_line("%s: these legs can't be put together (-v says why); "
			 "where none of a mirror has a superblock left, name "
			 "one alone", j->opt.path);
	if (err)
		return err;
	how.scratch = j->opt.scratch;
	say_line("%s: what can't be read is given up, and what its tags name "
		 "takes its place", j->opt.path);
	if (j->opt.mode == MODE_ASK && !j->all && !ask(j)) {
		close_fs(j);
		return cancelled(j, 0);
	}
	how.dev = j->dev;
	how.nonce = j->opt.has_nonce ? j->opt.nonce : NULL;
	if (eng_dev_geometry(j->dev)->shared)
		how.fence = FENCE_MS;
	err = tfs_rebuild(&how);
	free(how.gap);
	j->fs = how.fs;
	wrote = !err && !how.rdonly;
	if (wrote)
		err = mend_beside(j);
	if (!err)
		tell(j, &how);
	else if (err != -EINTR)
		say_line("%s: it could not be rebuilt: %s", j->opt.path,
			 err == -ENOBUFS ? SCRATCH_FULL : strerror(-err));
	close_fs(j);
	if (err)
		return (wrote ? EXIT_FIXED : 0) |
			(err == -EINTR ? cancelled(j, wrote) : EXIT_FAILED);
	return !how.lost && !how.problems && !how.super_lost ? 0 :
		how.rdonly ? EXIT_LEFT : EXIT_FIXED;
}

static int see_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	*(bool *)w->arg = true;
	return tfs_treewalk_skip(w, at, err);
}

/* Is there a part of the tree that can't be read?  Only a rebuild helps then,
 * and nothing may be written before it. */
static int broken(struct job *j, bool *lost)
{
	struct tfs_treewalk w = { .fs = j->fs, .arg = lost, .lost = see_lost };
	int err = tfs_treewalk_begin(&w);

	*lost = false;
	while (!err && !w.done && !*lost)
		err = interrupted ? -EINTR : tfs_treewalk_step(&w);
	tfs_treewalk_end(&w);
	return err;
}

/* Without a word of a person, -y is one. */
static bool may_rebuild(struct job *j)
{
	if (j->opt.mode == MODE_YES)
		return true;
	if (j->opt.mode != MODE_ASK)
		return false;
	printf("%s: the tree can't be read as a whole.  Bring back what can "
	       "be, from what its tags name?\n", j->opt.path);
	return ask(j);
}

/* Opening it for writing reads nodes, and whoever reads one heals it. */
static void tell_healed(struct job *j)
{
	struct tfs_finding f = { .kind = TFS_F_COPY, .fixable = true };
	unsigned int n = (unsigned int)atomic_load(&j->fs->count.healed);

	if (!n)
		return;
	snprintf(f.text, sizeof(f.text), "tree nodes of which one copy was "
		 "bad, met on the way: %u", n);
	say_finding(j->fs, &f, "FIXED");
	j->at_open += n;
	j->agreed += n;
}

/* (1) */
static int run(struct job *j)
{
	bool read_only = j->opt.mode == MODE_NO, mend, lost = false;
	int err = open_fs(j, true);

	if (err == -EUCLEAN && may_rebuild(j)) {
		close_fs(j);
		return rebuild(j);
	}
	if (err)
		return err;
	j->check = (struct tfs_check){ .fs = j->fs, .arg = j };
	if (!j->opt.force && tfs_was_clean(j->fs)) {
		summary(j, &j->check, true);
		return close_fs(j) ? EXIT_FAILED : 0;
	}
	err = read_only ? 0 : broken(j, &lost);
	if (!err && lost) {
		if (!may_rebuild(j))
			return check(j);
		close_fs(j);
		return rebuild(j);
	}
	if (!err)
		err = found_open(j);
	if (err && !j->stopped)
		return err;
	if (err || read_only || j->agreed < j->offered)
		return check(j);
	close_fs(j);
	mend = j->agreed;
	err = open_fs(j, false);
	j->written = !err;
	if (!err)
		tell_healed(j);
	if (!err && mend)
		err = look_beside(j);
	return err && (err != -EINTR || !j->fs) ? err : check(j);
}

int main(int argc, char **argv)
{
	struct job j = { .dev = NULL };
	int err = fds_fill(), res;

	if (err)
		return EXIT_FAILED;
	res = options_parse(&j.opt, argc, argv);
	if (res >= 0)
		return res;
	fds_close_but(j.opt.progress);
	say_setup(j.opt.json, j.opt.verbose);
	eng_log_to(say_log);
	err = catch_signals();
	if (!err)
		err = eng_pool_create(&j.pool, 0);
	if (!err)
		err = j.opt.rebuild ? rebuild(&j) : run(&j);
	if (err == -EINTR) {
		close_fs(&j);
		err = cancelled(&j, 0) | (j.at_open ? EXIT_LEFT : 0);
	} else if (err < 0) {
		say_line("%s: %s", j.opt.path, strerror(-err));
		close_fs(&j);
		err = EXIT_FAILED;
	}
	eng_pool_destroy(j.pool);
	return err;
}
