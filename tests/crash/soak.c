/* SPDX-License-Identifier: GPL-2.0-or-later */
/* soak.c - lives with power cuts, one seed after the other, for as long as
 * asked.
 *
 *	soak [SECONDS [SEED]]
 *
 * Every ten seconds, and at the end, a line says how many crashes were looked
 * at.  It stops at the first that breaks the promise of life.h; the message
 * gives the case, and TAGFS_CASE=CASE soak runs only that one. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/life.h"

static struct timespec began;
static double limit = 600, said;
static uint64_t first_seed, seed;

static double elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began.tv_sec) +
		(double)(now.tv_nsec - began.tv_nsec) / 1e9;
}

static void say(void)
{
	double t = elapsed();

	printf("%7.0f s: %lu crashes, %.0f per second, %lu steps, seeds %llu "
	       "to %llu\n", t, life_crashes(), (double)life_crashes() / t,
	       life_steps(), (unsigned long long)first_seed,
	       (unsigned long long)seed);
	fflush(stdout);
}

static void progress(void)
{
	if (elapsed() < said + 10)
		return;
	said = elapsed();
	say();
}

/* What a seed is a story of. */
static struct story story_of(uint64_t n)
{
	static const struct step_mix *const mix[] = {
		&mix_any, &mix_names, &mix_data, &mix_any,
	};
	static const uint64_t clusters[] = { 1024, 1500, 2048, 8192 };
	uint64_t rand = n;
	bool lengthy = sim_rand(&rand) % 4 == 0;

	return (struct story){
		.name = "soak", .prepare = "create n0",
		.profile = sim_rand(&rand) % 5 ? "512+8" : "4096+8",
		.clusters = clusters[sim_rand(&rand) % 4],
		.discard = sim_rand(&rand) % 2,
		.mix = mix[sim_rand(&rand) % 4],
		.prepare_steps = (unsigned int)(sim_rand(&rand) % 200),
		.steps = (lengthy ? 500 : 20) +
			(unsigned int)(sim_rand(&rand) % 60),
		.one_in = lengthy ? 20 : 1,
		.crashes = 2 + (unsigned int)(sim_rand(&rand) % 6),
		.real = lengthy ? 0 : 5 + (unsigned int)(sim_rand(&rand) % 20),
		.others = lengthy && sim_rand(&rand) % 2,
	};
}

/* TAGFS_CASE=soak:SEED:... */
static bool one_case(uint64_t *n)
{
	const char *env = getenv("TAGFS_CASE");
	unsigned long long value;

	if (!env || sscanf(env, "soak:%llu", &value) != 1)
		return false;
	*n = value;
	return true;
}

START_TEST(state_after_any_crash_is_that_of_a_step)
{
	struct story st;
	bool one = one_case(&first_seed);

	for (seed = first_seed; ; seed++) {
		st = story_of(seed);
		life_tell(&st, seed);
		if (one || elapsed() >= limit)
			break;
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("soak");
	TCase *tc = tcase_create("soak");
	SRunner *sr;
	int failed;

	if (argc > 1)
		limit = atof(argv[1]);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &began);
	tcase_add_test(tc, state_after_any_crash_is_that_of_a_step);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	bed_quiet();
	life_progress = progress;
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	say();
	srunner_free(sr);
	return failed != 0;
}
