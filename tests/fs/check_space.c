/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_space.c - what the tree promises about places: a node stays where a
 * reader was told to look. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/mem_dev.h"

#define FILES		9000u
#define READS		BED_LESS(6000)	/* of nodes */
#define READERS		12
#define WRITERS		3

/* ---- a medium that loses what is freed ------------------------------------ */

struct churn {
	struct eng_pool	*pool;
	struct mem_dev	*mem;
	struct tfs	*fs;
	atomic_bool	stop;
};

struct worker {
	struct churn	*c;
	uint64_t	rand;
	unsigned int	index;
	pthread_t	thread;
};

static void name_of(char *name, unsigned int i)
{
	sprintf(name, "a-name-that-fills-nodes-%u", i);
}

static void make(struct tfs *fs, unsigned int i)
{
	struct tfs_new new = { .mode = S_IFREG | 0644 };
	struct tfs_inode in;
	char name[64];
	int err;

	name_of(name, i);
	err = tfs_create(fs, TFS_ROOT_INO, name, &new, &in);
	ck_assert_msg(!err, "create %s: %s", name, strerror(-err));
	tfs_unref(fs, in.ino, 1);
}

static void churn_open(struct churn *c)
{
	struct tfs_mkfs mkfs = { .label = "churn" };
	struct tfs_mount how = { .discard = true, .cache = 1 };

	memset(c, 0, sizeof(*c));
	ck_assert_int_eq(eng_pool_create_serial(&c->pool), 0);
	c->mem = mem_open_size("512+8", c->pool, false, 8 * 32768);
	c->mem->discards = true;
	ck_assert_int_eq(tfs_mkfs(&c->mem->dev, &mkfs), 0);
	ck_assert_int_eq(tfs_open(&c->fs, &c->mem->dev, &how), 0);
	for (unsigned int i = 0; i < FILES; i++)
		make(c->fs, i);
	ck_assert_int_eq(tfs_ckpt_run(c->fs), 0);
	c->mem->delay = 3000;
}

static void churn_close(struct churn *c)
{
	ck_assert_int_eq(tfs_close(c->fs), 0);
	eng_dev_close(&c->mem->dev);
	eng_pool_destroy(c->pool);
}

static void *look_up(void *arg)
{
	struct worker *w = arg;
	struct tfs_inode in;
	char name[64];
	int err;

	while (!atomic_load(&w->c->stop)) {
		name_of(name, sim_rand(&w->rand) % FILES);
		err = tfs_lookup(w->c->fs, TFS_ROOT_INO, name, &in);
		ck_assert_msg(!err || err == -ENOENT, "lookup %s: %s", name,
			      strerror(-err));
		if (!err)
			tfs_unref(w->c->fs, in.ino, 1);
	}
	return NULL;
}

/* Each writer has files of its own. */
static void *make_and_remove(void *arg)
{
	struct worker *w = arg;
	char name[64];
	int err;

	while (!atomic_load(&w->c->stop)) {
		unsigned int i = sim_rand(&w->rand) % (FILES / WRITERS) *
			WRITERS + w->index;

		name_of(name, i);
		err = tfs_unlink(w->c->fs, TFS_ROOT_INO, name);
		ck_assert_msg(!err, "unlink %s: %s", name, strerror(-err));
		make(w->c->fs, i);
	}
	return NULL;
}

/* The cache is small, freed clusters are overwritten at once, and reads are
 * slow: nobody may be told of damage that is not there. */
START_TEST(a_place_is_kept_while_it_is_read)
{
	struct worker w[READERS + WRITERS];
	const char *wrong;
	struct churn c;

	churn_open(&c);
	for (unsigned int i = 0; i < READERS + WRITERS; i++) {
		w[i] = (struct worker){ &c, _i * 100 + i, i, 0 };
		pthread_create(&w[i].thread, NULL, i < WRITERS ?
			       make_and_remove : look_up, &w[i]);
	}
	while (atomic_load(&c.fs->count.node_reads) < READS)
		ck_assert_int_eq(tfs_ckpt_force(c.fs, false), 0);
	atomic_store(&c.stop, true);
	for (unsigned int i = 0; i < READERS + WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	ck_assert_uint_eq(atomic_load(&c.fs->count.fault_guard), 0);
	c.mem->delay = 0;
	wrong = fs_check(c.fs, 0);
	ck_assert_msg(!wrong, "seed %d: %s", _i, wrong);
	churn_close(&c);
}
END_TEST

static Suite *space_suite(void)
{
	Suite *s = suite_create("space");
	TCase *tc = tcase_create("places");

	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, a_place_is_kept_while_it_is_read, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(space_suite());
}
