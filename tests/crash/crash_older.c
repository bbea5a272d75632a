/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash_older.c - an older state is never served without a word.
 *
 * A filesystem lives several lives and is synced now and then.  Then much of
 * its medium is destroyed or taken back to what it was earlier, as if the
 * writes since had been lost, all over it or in the places of one kind.
 *
 *  (1) A mount that can write has the newest state that was synced, or one
 *      after it.  What can't be read is an error, and what can is of such a
 *      state.
 *  (2) Any other mount is refused or read-only, and a line says so.
 *  (3) Not if nothing is left of the log since the checkpoint: then that it
 *      once was there may be told from a cut, or not.
 *
 * TAGFS_CASE=SEED runs one case and shows what was done and found. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/ckpt.h"
#include "commit/commit.h"
#include "commit/super.h"
#include "support/fs_bed.h"
#include "support/fs_state.h"
#include "support/mend.h"
#include "support/story.h"

#define PAST	16u		/* older disks, at most */
#define STATES	64u		/* since the last sync */
#define CLUSTERS 1024u

enum kind { SUPER, SLOT, LOG, REST, KINDS };

enum damage { GARBAGE, ONE_SECTOR, ESCAPE, OLDER, DAMAGES };

struct history {
	struct bed	b;
	uint64_t	rand;
	uint64_t	log_end;
	uint64_t	from, to;	/* positions of what is only in the log */
	bool		spoilt[CLUSTERS];
	struct sim	*past[PAST];
	unsigned int	pasts;
	char		*state[STATES];	/* the newest synced one, and later */
	unsigned int	states;
};

static unsigned int draw(struct history *h, unsigned int n)
{
	return sim_rand(&h->rand) % n;
}

/* ---- a history ------------------------------------------------------------ */

static void note_state(struct history *h)
{
	ck_assert_uint_lt(h->states, STATES);
	h->state[h->states++] = fs_state(h->b.fs);
}

static void forget_states(struct history *h)
{
	while (h->states)
		free(h->state[--h->states]);
}

/* All that was done is durable now. */
static void acknowledged(struct history *h)
{
	forget_states(h);
	note_state(h);
}

static void keep_disk(struct history *h)
{
	if (h->pasts == PAST)
		return;
	h->past[h->pasts] = sim_clone(h->b.sim);
	sim_settle(h->past[h->pasts++], true);
}

static void work(struct history *h)
{
	for (unsigned int n = 1 + draw(h, 4); n; n--) {
		ck_assert_int_eq(fs_step(h->b.fs, &h->rand), 0);
		note_state(h);
	}
}

/* Quiet for so long that the log says what is durable. */
static void quiet(struct history *h)
{
	tfs_commit_mark(h->b.fs, h->b.fs->log.content);
}

static void sync_all(struct history *h)
{
	ck_assert_int_eq(tfs_sync(h->b.fs), 0);
	acknowledged(h);
	if (draw(h, 4))
		quiet(h);
}

static void new_life(struct history *h)
{
	if (draw(h, 2)) {
		bed_umount(&h->b);
		bed_mount(&h->b);
	} else {
		ck_assert_int_eq(tfs_sync(h->b.fs), 0);
		story_power_cut(&h->b, draw(h, 2));
		bed_mount(&h->b);
	}
	acknowledged(h);
}

static void live(struct history *h)
{
	for (unsigned int n = 4 + draw(h, 30); n; n--) {
		work(h);
		switch (draw(h, 8)) {
		case 0:
			new_life(h);
			break;
		case 1:
			ck_assert_int_eq(tfs_ckpt_run(h->b.fs), 0);
			acknowledged(h);
			break;
		case 2:
			break;
		default:
			sync_all(h);
		}
		if (!draw(h, 3))
			keep_disk(h);
	}
	sync_all(h);
	quiet(h);
}

static void note_log(struct history *h)
{
	struct tfs_slot slot;
	unsigned int odd;

	ck_assert_int_eq(tfs_slot_read(h->b.fs, &slot, &odd), 0);
	h->from = slot.log_pos;
	h->to = h->b.fs->log.head;
}

/* Does anything tell of a commit after the checkpoint? */
static bool log_is_left(const struct history *h)
{
	uint64_t first = TFS_AT_LOG, size = h->log_end - first;

	for (uint64_t pos = h->from; pos != h->to; pos = (pos + 1) % size)
		if (!h->spoilt[first + pos])
			return true;
	return h->from == h->to;
}

static void begin(struct history *h, uint64_t seed)
{
	memset(h, 0, sizeof(*h));
	h->rand = seed;
	bed_make(&h->b, "512+8", CLUSTERS, seed);
	h->log_end = h->b.fs->super.log_start + h->b.fs->super.log_clusters;
	note_state(h);
	live(h);
	note_log(h);
	if (!draw(h, 3))
		bed_umount(&h->b);
	else
		story_power_cut(&h->b, draw(h, 2));
}

static void end(struct history *h)
{
	forget_states(h);
	while (h->pasts)
		sim_destroy(h->past[--h->pasts]);
	bed_free(&h->b);
}

/* ---- damage --------------------------------------------------------------- */

static enum kind kind_of(const struct history *h, uint64_t addr)
{
	uint64_t left = CLUSTERS - addr;

	if (addr == TFS_AT_SUPER || left == TFS_END_SUPER)
		return SUPER;
	if (addr < TFS_AT_LOG || left <= TFS_END_SLOT)
		return SLOT;
	return addr < h->log_end ? LOG : REST;
}

static void spoil(struct history *h, uint64_t addr, enum damage how,
		  struct sim *past)
{
	const struct eng_profile *p = eng_profile_find("512+8");
	struct bed_cluster cl;

	bed_peek(how == OLDER ? past : h->b.sim, p, addr, &cl);
	if (how == GARBAGE)
		bed_fill(cl.data, 4096, h->rand);
	if (how == ONE_SECTOR)
		bed_fill(cl.data + 512 * draw(h, 8), 512, h->rand);
	if (how == ESCAPE)
		memset(cl.tuples, 0xff, 64);
	bed_poke(h->b.sim, p, addr, &cl);
	h->spoilt[addr] = true;
}

/* How many of a thousand clusters of each kind. */
static void destroy(struct history *h)
{
	static const unsigned int often[] = { 0, 0, 100, 300, 600, 1000 };
	unsigned int share[KINDS];
	struct sim *past = h->pasts ? h->past[draw(h, h->pasts)] : NULL;
	enum damage how = draw(h, past ? DAMAGES : OLDER);
	bool mixed = draw(h, 2);

	for (unsigned int i = 0; i < KINDS; i++)
		share[i] = often[draw(h, 6)];
	share[SUPER] = share[SUPER] > 300 ? 0 : share[SUPER];
	share[REST] /= 10;
	if (how == OLDER && !mixed)	/* else it is simply an older disk */
		share[draw(h, 2) ? SLOT : LOG] = 0;
	if (getenv("TAGFS_CASE"))
		fprintf(stderr, "damage %s%d, of 1000: superblock %u, slots "
			"%u, log %u, rest %u\n", mixed ? "mixed " : "", how,
			share[SUPER], share[SLOT], share[LOG], share[REST]);
	for (uint64_t addr = 0; addr < CLUSTERS; addr++) {
		if (draw(h, 1000) >= share[kind_of(h, addr)])
			continue;
		if (mixed) {
			how = draw(h, h->pasts ? DAMAGES : OLDER);
			past = h->pasts ? h->past[draw(h, h->pasts)] : NULL;
		}
		spoil(h, addr, how, past);
	}
}

/* Writes of slots alone were lost: some copies are as they were, all of them
 * at one time or each at its own. */
static void lose_slots(struct history *h)
{
	bool all = draw(h, 2);
	unsigned int at = draw(h, h->pasts);

	for (uint64_t addr = 0; addr < CLUSTERS; addr++) {
		if (kind_of(h, addr) != SLOT || (!all && !draw(h, 3)))
			continue;
		if (!all)
			at = draw(h, h->pasts);
		spoil(h, addr, OLDER, h->past[at]);
	}
}

/* ---- what is found -------------------------------------------------------- */

/* Is the line, up to its end, one of the text? */
static bool has_line(const char *text, const char *line, size_t len)
{
	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (!strncmp(text, line, len) &&
		    (text[len] == '\n' || !text[len]))
			return true;
		if (!*text)
			return false;
	}
	return false;
}

/* What can be read of it is of that state. */
static bool part_of(const char *found, const char *state)
{
	while (*found) {
		size_t len = strcspn(found, "\n");
		char line[len + 1];

		memcpy(line, found, len);
		line[len] = 0;
		if (fs_state_sound(line) && !has_line(state, line, len))
			return false;
		found += len + (found[len] == '\n');
	}
	return true;
}

static bool is_new(const struct history *h, const char *found)
{
	bool sound = fs_state_sound(found);

	for (unsigned int i = 0; i < h->states; i++)
		if (sound ? !strcmp(found, h->state[i]) :
		    part_of(found, h->state[i]))
			return true;
	return false;
}

static unsigned int complaints(void)
{
	return bed_log_lines(LOG_ERR) + bed_log_lines(LOG_CRIT) +
		bed_log_lines(LOG_WARNING);
}

static void look(struct history *h, uint64_t seed)
{
	unsigned int before = complaints();
	int err = bed_open(&h->b);
	char *found;

	if (err) {
		ck_assert_msg(complaints() > before, "seed %llu: refused "
			      "without a line", (unsigned long long)seed);
		return;
	}
	if (tfs_rdonly(h->b.fs)) {
		ck_assert_msg(complaints() > before, "seed %llu: read-only "
			      "without a line", (unsigned long long)seed);
		return;
	}
	found = fs_state(h->b.fs);
	if (!is_new(h, found) && !log_is_left(h)) {		/* (3) */
		free(found);
		return;
	}
	if (getenv("TAGFS_CASE") && !is_new(h, found))
		fprintf(stderr, "expected:\n%s\nfound:\n%s\n", h->state[0],
			found);
	ck_assert_msg(is_new(h, found), "TAGFS_CASE=%llu: an older state",
		      (unsigned long long)seed);
	free(found);
}

static void one_case(uint64_t seed, void (*damage)(struct history *h))
{
	struct history h;

	begin(&h, seed);
	if (h.pasts || damage == destroy)
		damage(&h);
	look(&h, seed);
	bed_drop(&h.b);
	if (mend_due(seed, 8))
		mend_anything(&h.b);
	end(&h);
}

/* ---- promises ------------------------------------------------------------- */

#define AT_ONCE	20

static bool chosen(uint64_t seed)
{
	const char *one = getenv("TAGFS_CASE");

	return !one || strtoull(one, NULL, 0) == seed;
}

START_TEST(lost_writes_of_slots_are_noticed)
{
	for (uint64_t seed = AT_ONCE * _i; seed < AT_ONCE * (_i + 1ull); seed++)
		if (chosen(seed))
			one_case(seed, lose_slots);
}
END_TEST

START_TEST(heavy_damage_is_noticed)
{
	for (uint64_t seed = AT_ONCE * _i; seed < AT_ONCE * (_i + 1ull); seed++)
		if (chosen(seed))
			one_case(seed, destroy);
}
END_TEST

static int amount(int normal, int full)
{
	if (getenv("TAGFS_TEST_FULL"))
		return full;
	return BED_LESS(getenv("TAGFS_TEST_QUICK") ? normal / 8 + 1 : normal);
}

static Suite *older_suite(void)
{
	Suite *s = suite_create("older");
	TCase *tc = tcase_create("older");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, lost_writes_of_slots_are_noticed, 0,
			    amount(16, 500));
	tcase_add_loop_test(tc, heavy_damage_is_noticed, 0, amount(40, 1000));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return bed_run_suite(older_suite());
}
