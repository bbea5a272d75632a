/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_soft_damage.c - the software container after power cuts, and under
 * rot. */
#include "engine/soft_bed.h"

/* ---- power cuts ------------------------------------------------------- */

static uint64_t cuts;	/* pages that were being written */

static int alarms(void)
{
	int n = 0;

	for (int level = 0; level <= LOG_WARNING; level++)
		n += __atomic_load_n(&log_lines[level], __ATOMIC_RELAXED);
	return n;
}

/* The power goes during write n of the second part, after a first part that
 * left live groups; then once more, later. */
static bool cut_power_at(int profile, uint64_t seed, uint64_t n)
{
	struct bed b;
	int before;
	bool off;

	bed_format(&b, profile, bed_size(profile, 2), seed);
	b.mode = seed % 2 ? SIM_MANUAL : SIM_INLINE;
	bed_open(&b);
	ck_assert_int_eq(some_work(&b, 30, 1), 0);
	must_flush(&b);
	sim_power_off_at(b.sim, n);
	some_work(&b, 60, 1000);
	off = sim_is_off(b.sim);
	for (int again = 0; again < 3; again++) {
		snprintf(b.where, sizeof(b.where), "%s, seed %llu, write %llu"
			 ", cut %d", b.lay.profile->name,
			 (unsigned long long)seed, (unsigned long long)n,
			 again);
		bed_close(&b);
		sim_crash(b.sim, mix(seed, n) + again);
		forget_new(&b);
		before = alarms();
		bed_open(&b);
		must_be_intact(&b);
		ck_assert_msg(alarms() == before, "%s: called damage: %s",
			      b.where, log_last);
		cuts += stat_of(&b, "interrupted");
		sim_power_off_at(b.sim, sim_rand(&b.rand) % 12);
		some_work(&b, 12, 2000 + 1000 * again);
	}
	bed_free(&b);
	return off;
}

/* Whatever unflushed writes survive, what was flushed is intact, and a power
 * cut is never logged as damage. */
START_TEST(flushed_survives_power_cut)	/* _i: seed, profile */
{
	uint64_t n = 0;

	cuts = 0;
	while (cut_power_at(_i % NPROFILES, (uint64_t)_i / NPROFILES, n))
		n++;
	ck_assert_uint_gt(n, 5);
	if (_i % NPROFILES == 0)	/* else there are few sectors to tear */
		ck_assert_uint_gt(cuts, 0);
}
END_TEST

/* A process is killed before its flush is over, and another one goes on with
 * what it finds: that is durable by then.  Then the power goes, too. */
START_TEST(successor_of_killed_keeps_flushed)	/* _i: seed, profile */
{
	struct sim_counts counts;
	struct bed b;

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 2),
		   (uint64_t)_i);
	bed_open(&b);
	ck_assert_int_eq(some_work(&b, 30, 1), 0);
	must_flush(&b);
	for (int i = 0; i < 3; i++) {
		snprintf(b.where, sizeof(b.where), "%s, seed %d, life %d",
			 b.lay.profile->name, _i, i);
		some_work(&b, 8, 1000 * (i + 1));
		sim_fault(b.sim, SIM_FLUSH_FAIL, 0, 0, -EIO, 0, 1);
		try_flush(&b);
		bed_close(&b);
		sim_clear_faults(b.sim);
		bed_open(&b);
		sim_counts(b.sim, &counts);
		ck_assert_msg(!counts.unflushed, "%s: %llu writes", b.where,
			      (unsigned long long)counts.unflushed);
		some_work(&b, 3, 1000 * (i + 1) + 500);
		sim_power_off_at(b.sim, sim_rand(&b.rand) % 4);
		some_work(&b, 20, 1000 * (i + 1) + 600);
		try_flush(&b);
		bed_close(&b);
		sim_crash(b.sim, 2 + sim_rand(&b.rand));
		forget_new(&b);
		bed_open(&b);
		must_be_intact(&b);
	}
	bed_free(&b);
}
END_TEST

/* Whatever sectors of a page arrive, with its data or without, neighbours
 * live on, and so they do when the next page is torn as well. */
START_TEST(torn_page_leaves_neighbours)	/* _i: sectors that arrive */
{
	uint8_t old[SOFT_PAGES], new[SOFT_PAGES];
	struct bed b;

	for (int i = 0; i < 2; i++) {
		bed_generations(&b, i ? 1 + _i % (NPROFILES - 1) : 0);
		for (int round = 0; round < 3; round++) {
			sim_peek(b.sim, SOFT_BLOCK, old, sizeof(old));
			must_write(&b, (uint64_t)(1 + 2 * round) * b.group,
				   b.group, 100);
			must_flush(&b);
			sim_peek(b.sim, SOFT_BLOCK, new, sizeof(new));
			for (int s = 0; s < 16; s++)
				if (_i >> s % 8 & 1)
					memcpy(old + s * 512, new + s * 512,
					       512);
			bed_close(&b);
			sim_poke(b.sim, SOFT_BLOCK, old, sizeof(old));
			memset(b.fate + (1 + 2 * round) * b.group, FREE,
			       b.group);
			bed_open(&b);
			snprintf(b.where, sizeof(b.where),
				 "%s, sectors %02x, round %d",
				 b.lay.profile->name, _i, round);
			must_be_intact(&b);
		}
		bed_free(&b);
	}
}
END_TEST

/* ---- rot -------------------------------------------------------------- */

/* After one flush or two everything is whole again: no warnings. */
static void must_heal(struct bed *b)
{
	must_flush(b);
	must_flush(b);
	bed_reopen(b);
	must_be_intact(b);
	ck_assert_msg(!stat_of(b, "repairs"), "%s: not healed", b->where);
}

/* One flipped bit in a tuple page costs nothing, wherever it is; it is said
 * and put right. */
START_TEST(flipped_bit_costs_nothing)	/* _i: profile */
{
	unsigned int step = thinned(1, 7);
	struct bed base, b;
	uint64_t pages[2] = { SOFT_BLOCK, 0 };

	bed_rot_base(&base, _i);
	pages[1] = soft_zone_off(&base.lay, 1);
	for (uint32_t at = 0; at < 2 * SOFT_PAGES;
	     at += at % SOFT_BLOCK < 80 ? step : 61 * step) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, byte %u",
			 b.lay.profile->name, at);
		sim_flip(b.sim, pages[at / SOFT_PAGES] + at % SOFT_PAGES,
			 (uint8_t)(1 << at % 8));
		bed_open(&b);
		ck_assert_msg(!count_lost(&b), "%s: lost", b.where);
		if (at / SOFT_BLOCK != 2)	/* that one is blank */
			ck_assert_msg(stat_of(&b, "repairs") == 1,
				      "%s: unnoticed", b.where);
		must_heal(&b);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* A destroyed byte costs at most the group that it belongs to. */
START_TEST(destroyed_byte_costs_one_group)	/* _i: profile */
{
	unsigned int step = thinned(1, 5);
	struct bed base, b;

	bed_rot_base(&base, _i);
	for (uint32_t at = 0; at < SOFT_PAGES;
	     at += at % SOFT_BLOCK < 80 ? 3 * step : 61 * step) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, byte %u",
			 b.lay.profile->name, at);
		sim_flip(b.sim, SOFT_BLOCK + at, 0xff);
		bed_open(&b);
		ck_assert_msg(count_lost(&b) <= 1, "%s: lost %u", b.where,
			      count_lost(&b));
		must_flush(&b);
		must_flush(&b);
		bed_reopen(&b);
		ck_assert_msg(count_lost(&b) <= 1, "%s: lost", b.where);
		ck_assert_msg(!stat_of(&b, "repairs"), "%s: heal", b.where);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* Without a header the tuples are what their data proves them to be. */
START_TEST(destroyed_header_costs_nothing)	/* _i: profile */
{
	uint8_t junk[sizeof(struct soft_disk_page)] = { 0 };
	struct bed base, b;

	bed_rot_base(&base, _i);
	for (int how = 0; how < 8; how++) {
		uint64_t off = SOFT_BLOCK + how % 2 * SOFT_BLOCK;

		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, case %d",
			 b.lay.profile->name, how);
		if (how / 2 % 2)
			make_data(junk, 64, how, 1);
		if (how / 4)	/* only the id is left */
			sim_peek(b.sim, off + 8, junk + 8, 8);
		sim_poke(b.sim, off, junk, 64);
		bed_open(&b);
		ck_assert_msg(!count_lost(&b), "%s: lost", b.where);
		ck_assert_uint_eq(stat_of(&b, "repairs"), 1);
		must_heal(&b);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* A page that is gone costs what only its generation had: generations 1 to 3
 * have one group each, 3 is in page 1. */
START_TEST(lost_page_costs_its_generation)	/* _i: profile */
{
	uint8_t junk[SOFT_BLOCK];
	struct bed base, b;

	bed_rot_base(&base, _i);
	for (int how = 0; how < 8; how++) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, case %d",
			 b.lay.profile->name, how);
		make_data(junk, sizeof(junk), 1, 1);
		if (how / 2 % 2)
			memset(junk, 0, sizeof(junk));
		if (how / 4)
			sim_fault(b.sim, SIM_READ_FAIL, SOFT_BLOCK +
				  how % 2 * SOFT_BLOCK, SOFT_BLOCK, -EIO, 0,
				  how / 2 % 2);
		else
			sim_poke(b.sim, SOFT_BLOCK + how % 2 * SOFT_BLOCK,
				 junk, SOFT_BLOCK);
		bed_open(&b);
		if (how == 6 || how == 7)	/* it passed */
			ck_assert_uint_eq(count_lost(&b), 0);
		else
			ck_assert_msg(count_lost(&b) == how % 2u, "%s: %u",
				      b.where, count_lost(&b));
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* A sector of a tuple page that was written over is damage, and said to be:
 * nothing in it was ever of this place. */
START_TEST(destroyed_sector_is_damage)	/* _i: profile */
{
	uint8_t junk[SOFT_SECTOR];
	struct bed base, b;
	int before;

	bed_rot_base(&base, _i);
	for (unsigned int i = 0; i < 2 * SOFT_SECTORS; i++) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "%s, sector %u",
			 b.lay.profile->name, i);
		make_data(junk, sizeof(junk), i, 1);
		sim_poke(b.sim, SOFT_BLOCK + i * SOFT_SECTOR, junk,
			 sizeof(junk));
		before = alarms();
		bed_open(&b);
		count_lost(&b);
		ck_assert_msg(alarms() == before + 1, "%s: %d lines", b.where,
			      alarms() - before);
		ck_assert_uint_eq(stat_of(&b, "repairs"), 1);
		ck_assert_uint_eq(stat_of(&b, "interrupted"), 0);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* What a host's cache has made of a page is no news of the medium. */
START_TEST(second_look_is_at_the_medium)
{
	struct bed b;

	bed_rot_base(&b, 0);
	bed_open(&b);
	sim_fault(b.sim, SIM_READ_CACHE, SOFT_BLOCK, SOFT_PAGES, 0, 0, 0);
	must_read(&b, 2 * b.group, b.group);
	ck_assert_uint_gt(sim_faults_hit(b.sim), 0);
	ck_assert_uint_eq(stat_of(&b, "repairs"), 0);
	bed_free(&b);
}
END_TEST

/* A read of tuple pages that goes astray once is no damage: nothing is lost,
 * and nothing is written on that account. */
START_TEST(page_misread_once_is_no_damage)
{
	struct bed b;
	uint32_t ver = 1;
	int err;

	bed_format(&b, 0, bed_size(0, 2), _i);
	bed_open(&b);
	must_write(&b, 0, 64, 1);
	must_flush(&b);
	must_write(&b, 64, 64, 2);
	must_flush(&b);
	bed_reopen(&b);
	sim_fault(b.sim, _i ? SIM_READ_MISDIRECTED : SIM_READ_FAIL,
		  SOFT_BLOCK, SOFT_PAGES, _i ? 512 * (int64_t)_i : -EIO, 0,
		  _i ? 1 : 3);
	/* Data may come with the pages, and then are astray as well. */
	err = try_read(&b, 0, 1, &ver, 0, NULL, &b.rand);
	ck_assert(!err || err == -EBADMSG);
	ck_assert_uint_gt(sim_faults_hit(b.sim), 0);
	sim_clear_faults(b.sim);
	must_read(&b, 0, 128);
	ck_assert_uint_eq(stat_of(&b, "repairs"), 0);
	bed_reopen(&b);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* With nothing to go by it is an I/O error, and nothing is overwritten. */
START_TEST(unreadable_pages_are_an_error)
{
	struct bed b;
	uint32_t ver = 1;

	bed_generations(&b, 0);
	bed_reopen(&b);
	sim_fault(b.sim, SIM_READ_FAIL, SOFT_BLOCK, SOFT_PAGES, -EIO, 0, 0);
	ck_assert_int_eq(try_read(&b, 0, 1, &ver, 0, NULL, &b.rand), -EIO);
	ck_assert_int_eq(try_write(&b, 8, 8, 9, &b.rand), -EIO);
	must_flush(&b);
	sim_clear_faults(b.sim);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* A page that is written elsewhere damages neither zone. */
START_TEST(misdirected_page_is_told)
{
	struct bed b;

	bed_generations(&b, 0);
	must_write(&b, zone_start(&b, 1), 8, 5);
	must_flush(&b);
	must_write(&b, 8, 8, 6);
	sim_fault(b.sim, SIM_WRITE_MISDIRECTED, SOFT_BLOCK, SOFT_PAGES,
		  (int64_t)b.lay.zone_bytes, 0, 1);
	must_flush(&b);
	ck_assert_uint_eq(sim_faults_hit(b.sim), 1);
	bed_reopen(&b);
	/* The new group is lost with its page; nothing else is. */
	ck_assert_uint_eq(count_lost(&b), 1);
	memset(b.fate + 8, FREE, 8);
	must_heal(&b);
	bed_free(&b);
}
END_TEST

/* A storage that loses, misdirects and tears writes and reads old data gets
 * errors out of us, but never one wrong byte. */
START_TEST(lies_are_told)	/* _i: seed */
{
	static const enum sim_fault lies[] = {
		SIM_READ_STALE, SIM_WRITE_LOST, SIM_WRITE_MISDIRECTED,
		SIM_WRITE_TORN, SIM_FLUSH_LOST, SIM_READ_FAIL,
	};
	struct bed b;

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 2),
		   (uint64_t)_i);
	sim_keep_old(b.sim);
	for (int round = 1; round < 30; round++) {
		enum sim_fault lie = lies[sim_rand(&b.rand) % 6];
		/* Not the headers: those must open. */
		uint64_t room = b.lay.size - 3 * SOFT_BLOCK;
		uint64_t off = SOFT_BLOCK + sim_rand(&b.rand) % room;

		snprintf(b.where, sizeof(b.where), "%s, seed %d, round %d",
			 b.lay.profile->name, _i, round);
		bed_open(&b);
		if (lie == SIM_WRITE_MISDIRECTED)
			off = SOFT_BLOCK + room / 2;
		sim_fault(b.sim, lie, off, room / 4,
			  lie == SIM_READ_FAIL ? -EIO : -4096,
			  sim_rand(&b.rand) % 8, 1 + sim_rand(&b.rand) % 4);
		some_work(&b, 20, 1000 * round);
		count_lost(&b);
		bed_close(&b);
		sim_crash(b.sim, sim_rand(&b.rand));
		sim_clear_faults(b.sim);
	}
	bed_open(&b);
	count_lost(&b);
	bed_free(&b);
}
END_TEST

/* Pages whose checksums are right and whose headers are nonsense. */
START_TEST(forged_pages_do_no_harm)
{
	static const uint64_t gens[] = {
		0, 1, 2, 3, 4, 5, 6, 1ull << 61, (1ull << 62) - 1, 1ull << 62,
		1ull << 63, -1ull
	};
	struct soft_disk_page d;
	struct bed base, b;

	bed_rot_base(&base, 0);
	for (int i = 0; i < 12 * 2 * 2; i++) {
		uint64_t off = SOFT_BLOCK + i / 12 % 2 * SOFT_BLOCK;

		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "case %d", i);
		sim_peek(b.sim, off, &d, sizeof(d));
		d.gen = put_le64(gens[i % 12]);
		d.zone = put_le64(i / 24);
		d.crc[0] = 0;
		d.crc[0] = put_le32(soft_crc(&d, SOFT_SECTOR));
		sim_poke(b.sim, off, &d, sizeof(d));
		bed_open(&b);
		count_lost(&b);
		must_write(&b, 3 * b.group, b.group, 77);
		must_flush(&b);
		must_flush(&b);
		bed_reopen(&b);
		must_read(&b, 3 * b.group, b.group);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* Rot in the data is a guard error, here and not at neighbours. */
START_TEST(rotten_data_is_a_guard_error)	/* _i: profile */
{
	struct eng_fault f;
	struct bed b;

	bed_generations(&b, _i);
	bed_reopen(&b);
	sim_flip(b.sim, soft_data_off(&b.lay, 0, 1) + 100, 4);
	ck_assert_int_eq(try_read(&b, 0, 2, b.ver, 0, &f, &b.rand), -EBADMSG);
	ck_assert_int_eq(f.kind, ENG_FAULT_GUARD);
	ck_assert_uint_eq(f.interval, 1);
	must_read(&b, 0, 1);
	must_read(&b, 2 * b.group, b.group);
	bed_free(&b);
}
END_TEST

/* Read-only: all of the above in memory, not a byte is written. */
START_TEST(rdonly_writes_nothing)
{
	struct bed b;

	bed_generations(&b, 0);
	bed_close(&b);
	sim_flip(b.sim, SOFT_BLOCK + SOFT_BLOCK + 0x18, 1);
	sim_flip(b.sim, 20, 1);
	b.how.flags = ENG_OPEN_RDONLY;
	sim_set_rdonly(b.sim, true);
	bed_open(&b);
	must_be_intact(&b);
	ck_assert_int_eq(try_write(&b, 8, 8, 1, &b.rand), -EROFS);
	ck_assert_int_eq(eng_dev_discard(b.dev, 0, 8), -EROFS);
	ck_assert_int_eq(eng_dev_flush(b.dev), 0);
	bed_free(&b);
}
END_TEST

/* ENG_IO_MEDIUM and dropped caches show the medium; dirty tuples stay. */
START_TEST(medium_is_read)
{
	uint8_t zeros[SOFT_PAGES] = { 0 };
	struct eng_fault f;
	struct bed b;

	bed_generations(&b, 0);
	must_write(&b, zone_start(&b, 1), 8, 1);
	sim_poke(b.sim, SOFT_BLOCK, zeros, sizeof(zeros));
	must_read(&b, 0, 8);
	ck_assert_int_eq(try_read(&b, 0, 8, b.ver, ENG_IO_MEDIUM, &f, &b.rand),
			 -EBADMSG);
	ck_assert_int_eq(f.kind, ENG_FAULT_ESCAPE);
	ck_assert_int_eq(try_read(&b, zone_start(&b, 1), 8,
				  b.ver + zone_start(&b, 1), ENG_IO_MEDIUM,
				  &f, &b.rand), 0);
	must_flush(&b);
	sim_poke(b.sim, soft_zone_off(&b.lay, 1), zeros, sizeof(zeros));
	must_read(&b, zone_start(&b, 1), 8);
	eng_dev_drop_caches(b.dev);
	must_escape(&b, zone_start(&b, 1), 8);
	bed_free(&b);
}
END_TEST

struct audited {
	unsigned int	n;
	struct eng_spare last;
};

static void audited(struct eng_audit *a, const struct eng_spare *s)
{
	struct audited *to = a->arg;

	to->n++;
	to->last = *s;
}

static struct audited audit(struct bed *b)
{
	struct audited all = { 0 };
	struct eng_audit a = { .found = audited, .arg = &all };

	do
		ck_assert_int_eq(eng_dev_audit(b->dev, &a), 0);
	while (a.at < a.all);
	ck_assert_uint_eq(a.all, 1 + b->lay.zones);
	return all;
}

/* Each page and header that is no good is named by an audit, whichever copy it
 * is, also where the other one alone would do; a flush mends it.  Opened
 * read-only it is named as often as one looks. */
START_TEST(audit_finds_each_copy)	/* _i: profile, mode */
{
	struct bed base, b;
	uint64_t at[4] = { SOFT_BLOCK + 70, 2 * SOFT_BLOCK + 70, 100, 0 };
	struct audited all;

	bed_rot_base(&base, _i % NPROFILES);
	at[3] = base.lay.size - SOFT_BLOCK + 9;
	for (unsigned int i = 0; i < 8; i++) {
		bed_clone(&b, &base);
		b.mode = _i / NPROFILES ? SIM_MANUAL : SIM_INLINE;
		snprintf(b.where, sizeof(b.where), "%s, byte %llu",
			 b.lay.profile->name, (unsigned long long)at[i % 4]);
		bed_open(&b);
		ck_assert_msg(!audit(&b).n, "%s: found where nothing is",
			      b.where);
		sim_flip(b.sim, at[i % 4], 0xff);
		if (i >= 4) {
			bed_close(&b);
			sim_set_rdonly(b.sim, true);
			bed_open(&b);
			audit(&b);
		}
		all = audit(&b);
		ck_assert_msg(all.n == 1, "%s: %u found", b.where, all.n);
		ck_assert_uint_eq(all.last.byte, at[i % 4] / SOFT_BLOCK *
				  SOFT_BLOCK);
		ck_assert(!all.last.cut && !all.last.kept && !all.last.err);
		if (i < 4) {
			must_flush(&b);
			ck_assert_msg(!audit(&b).n, "%s: not mended",
				      b.where);
			must_heal(&b);
			ck_assert_uint_eq(audit(&b).n, 0);
		}
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

/* What can't be read is said, and not written over. */
START_TEST(audit_tells_of_what_cannot_be_read)
{
	struct audited all;
	struct bed b;

	bed_rot_base(&b, 0);
	bed_open(&b);
	sim_fault(b.sim, SIM_READ_FAIL, SOFT_BLOCK, SOFT_BLOCK, -EIO, 0, 0);
	all = audit(&b);
	ck_assert_uint_eq(all.n, 1);
	ck_assert(all.last.kept && !all.last.err);
	sim_fault(b.sim, SIM_READ_FAIL, SOFT_BLOCK, SOFT_PAGES, -EIO, 0, 0);
	all = audit(&b);
	ck_assert_uint_eq(all.n, 1);
	ck_assert_int_eq(all.last.err, -EIO);
	ck_assert_uint_eq(all.last.count, b.lay.zone_intervals);
	sim_clear_faults(b.sim);
	ck_assert_uint_eq(audit(&b).n, 0);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

static TCase *damage_case(void)
{
	TCase *tc = tcase_create("damage");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, flushed_survives_power_cut, 0,
			    seeds() * NPROFILES);
	tcase_add_loop_test(tc, successor_of_killed_keeps_flushed, 0,
			    2 * NPROFILES);
	tcase_add_loop_test(tc, torn_page_leaves_neighbours, 0,
			    (int)thinned(256, 32));
	tcase_add_loop_test(tc, flipped_bit_costs_nothing, 0, NPROFILES);
	tcase_add_loop_test(tc, destroyed_byte_costs_one_group, 0, NPROFILES);
	tcase_add_loop_test(tc, destroyed_header_costs_nothing, 0, NPROFILES);
	tcase_add_loop_test(tc, lost_page_costs_its_generation, 0, NPROFILES);
	tcase_add_loop_test(tc, page_misread_once_is_no_damage, 0, 8);
	tcase_add_loop_test(tc, destroyed_sector_is_damage, 0, NPROFILES);
	tcase_add_test(tc, second_look_is_at_the_medium);
	tcase_add_test(tc, unreadable_pages_are_an_error);
	tcase_add_test(tc, misdirected_page_is_told);
	tcase_add_loop_test(tc, lies_are_told, 0, 10 * seeds());
	tcase_add_test(tc, forged_pages_do_no_harm);
	tcase_add_loop_test(tc, rotten_data_is_a_guard_error, 0, NPROFILES);
	tcase_add_loop_test(tc, audit_finds_each_copy, 0, 2 * NPROFILES);
	tcase_add_test(tc, audit_tells_of_what_cannot_be_read);
	tcase_add_test(tc, rdonly_writes_nothing);
	tcase_add_test(tc, medium_is_read);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("soft damage");

	suite_add_tcase(suite, damage_case());
	return soft_run(suite);
}
