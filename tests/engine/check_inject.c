/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_inject.c - faults on purpose, for programs that test their own
 * handling. */
#include "engine/library_bed.h"

/* ---- faults on purpose ------------------------------------------------ */

static void inject(struct eng_inject_rule rule)
{
	ck_assert_int_eq(eng_inject_add(&mem->dev, &rule), 0);
}

static const struct {
	enum eng_inject_kind kind;
	enum eng_fault_kind found;
	const char *what;
} spoils[] = {
	{ ENG_INJECT_GUARD, ENG_FAULT_GUARD, "guard" },
	{ ENG_INJECT_REF, ENG_FAULT_REF, "ref" },
	{ ENG_INJECT_APP, ENG_FAULT_APP, "app" },
	{ ENG_INJECT_DATA, ENG_FAULT_GUARD, "data" },
	{ ENG_INJECT_ESCAPE, ENG_FAULT_ESCAPE, "escape" },
};

/* A read is spoilt where it was asked for, as often as asked for, and the
 * medium is not. */
START_TEST(read_is_spoilt_exactly)
{
	static const char *const names[] = { "512+8", "4096+64", "4096+16" };

	setup(names[_i]);
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	for (unsigned int k = 0; k < sizeof(spoils) / sizeof(*spoils); k++) {
		for (uint32_t n = 0; n < N; n++) {
			inject((struct eng_inject_rule){
				.kind = spoils[k].kind, .op = ENG_READ,
				.start = n, .count = 1, .bit = 1000 * n + k,
				.times = 2 });
			ck_read_fault(spoils[k].what, spoils[k].found, n);
			ck_read_fault(spoils[k].what, spoils[k].found, n);
			ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
		}
	}
	ck_assert_mem_eq(data, other, (size_t)N * prof->interval);
	ck_assert_uint_eq(eng_inject_hits(&mem->dev), 5 * N * 2);
	teardown();
}
END_TEST

/* A write is spoilt on its way: the medium is wrong, and what the caller gave
 * is his as it was. */
START_TEST(write_is_spoilt_exactly)
{
	static const char *const names[] = { "512+8", "4096+64", "4096+16" };
	struct eng_io *io;
	uint8_t *before;
	size_t len;

	setup(names[_i]);
	len = (size_t)N * prof->interval;
	before = malloc(len);
	memcpy(before, data, len);
	for (unsigned int k = 0; k < sizeof(spoils) / sizeof(*spoils); k++) {
		for (uint32_t n = 0; n < N; n++) {
			inject((struct eng_inject_rule){
				.kind = spoils[k].kind, .op = ENG_WRITE,
				.start = n, .count = 1, .bit = 77 * n,
				.times = 1 });
			io = request(ENG_WRITE, 0, data);
			ck_assert_int_eq(eng_io_run(io), 0);
			ck_assert_ptr_eq(io->iov[0].iov_base, data);
			ck_assert_int_eq(eng_io_verify(io), 0);
			eng_io_put(io);
			ck_read_fault(spoils[k].what, spoils[k].found, n);
			ck_assert_mem_eq(data, before, len);
		}
	}
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	free(before);
	teardown();
}
END_TEST

/* A lost write leaves what was there; one that went elsewhere is missing here
 * and a fault there.  Both ended well. */
START_TEST(writes_get_lost)
{
	struct eng_inject_rule rule = {
		.kind = ENG_INJECT_LOSE, .op = ENG_WRITE, .start = 3,
		.count = 1, .times = 1,
	};
	struct eng_io *io;

	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_int_eq(rw(ENG_WRITE, 100, data), 0);
	inject(rule);
	data[0] ^= 1;
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	ck_assert_uint_eq(other[0], data[0] ^ 1);

	rule.kind = ENG_INJECT_MISDIRECT;
	rule.to = 100;
	inject(rule);
	io = request(ENG_WRITE, 0, data);
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_uint_eq(io->start, 0);
	eng_io_put(io);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	ck_assert_uint_eq(other[0], data[0] ^ 1);
	io = request(ENG_READ, 100, other);
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_REF);
	ck_assert_uint_eq(io->fault.interval, 100);
	ck_assert_uint_eq(io->fault.actual, 0);
	eng_io_put(io);

	rule.op = ENG_READ;	/* of the right place, from a wrong one */
	rule.to = MEM_INTERVALS - 1;
	inject(rule);
	ck_read_fault("misdirected read", ENG_FAULT_ESCAPE, 0);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	teardown();
}
END_TEST

/* A request or a flush fails with the error that was asked for, before
 * anything moves. */
START_TEST(requests_fail)
{
	setup("512+8");
	for (int op = ENG_READ; op <= ENG_WRITE; op++) {
		inject((struct eng_inject_rule){
			.kind = ENG_INJECT_FAIL, .op = op, .err = -ENODEV,
			.start = N - 1, .count = 5, .times = 1 });
		ck_assert_int_eq(rw(op, 0, data), -ENODEV);
	}
	ck_assert_uint_eq(mem->submits, 0);
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	inject((struct eng_inject_rule){
		.kind = ENG_INJECT_FLUSH, .err = -ETIMEDOUT, .times = 1 });
	ck_assert_int_eq(eng_dev_flush(&mem->dev), -ETIMEDOUT);
	ck_assert_uint_eq(mem->flushes, 0);
	ck_assert_int_eq(eng_dev_flush(&mem->dev), -ETIMEDOUT);
	teardown();
}
END_TEST

/* For 200 reads, which of them failed and where. */
static void chance_run(uint64_t seed, uint64_t at[200])
{
	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_int_eq(eng_inject_seed(&mem->dev, seed), 0);
	inject((struct eng_inject_rule){
		.kind = ENG_INJECT_DATA, .op = ENG_READ, .chance = 4 });
	for (int i = 0; i < 200; i++) {
		struct eng_io *io = request(ENG_READ, 0, other);

		at[i] = eng_io_run(io) ? io->fault.interval : UINT64_MAX;
		eng_io_put(io);
	}
	teardown();
}

START_TEST(same_seed_same_faults)
{
	uint64_t a[200], b[200];
	unsigned int hits = 0, places = 0;

	chance_run(42, a);
	chance_run(42, b);
	ck_assert_mem_eq(a, b, sizeof(a));
	for (int i = 0; i < 200; i++) {
		hits += a[i] != UINT64_MAX;
		places |= a[i] != UINT64_MAX ? 1u << a[i] : 0;
	}
	ck_assert_uint_ge(hits, 25);
	ck_assert_uint_le(hits, 80);
	ck_assert_int_ge(__builtin_popcount(places), N / 2);
	chance_run(43, b);
	ck_assert(memcmp(a, b, sizeof(a)));
}
END_TEST

START_TEST(bad_rules_are_refused)
{
	static const struct eng_inject_rule bad[] = {
		{ .kind = ENG_INJECT_FAIL },
		{ .kind = ENG_INJECT_FAIL, .err = EIO },
		{ .kind = ENG_INJECT_FLUSH },
		{ .kind = ENG_INJECT_LOSE, .op = ENG_READ },
		{ .kind = ENG_INJECT_MISDIRECT, .to = MEM_INTERVALS },
		{ .kind = ENG_INJECT_DATA, .start = MEM_INTERVALS, .count = 1 },
		{ .kind = ENG_INJECT_DATA, .start = 1, .count = UINT64_MAX },
		{ .kind = ENG_INJECT_DATA, .op = 7 },
		{ .kind = 99 },
	};

	setup("512+8");
	ck_assert_uint_eq(eng_inject_hits(&mem->dev), 0);
	eng_inject_clear(&mem->dev);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_int_eq(eng_inject_add(&mem->dev, &bad[i]), -EINVAL);
	inject((struct eng_inject_rule){
		.kind = ENG_INJECT_FAIL, .op = ENG_WRITE, .err = -EIO });
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), -EIO);
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), -EIO);
	eng_inject_clear(&mem->dev);
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_uint_eq(eng_inject_hits(&mem->dev), 2);
	teardown();
}
END_TEST

/* Reads its own range again and again; each result is a fault or right. */
static void *reader(void *arg)
{
	struct client *c = arg;
	uint8_t buf[8 * 512];
	struct iovec iov = { buf, sizeof(buf) };
	struct eng_io *io;

	for (int i = 0; i < 400; i++) {
		ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_READ,
					     c->start, &iov, 1), 0);
		for (uint32_t n = 0; n < 8; n++)
			io->tags[n] = tag_of(c->start + n);
		if (eng_io_run(io))
			c->done++;
		else
			ck_assert_mem_eq(buf, data + c->start * 512,
					 sizeof(buf));
		eng_io_put(io);
	}
	return NULL;
}

/* Rules come and go while requests of several threads run, and every fault is
 * counted once. */
START_TEST(rules_change_under_way)
{
	struct client c[3] = { 0 };
	uint64_t seen = 0;

	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	for (unsigned int i = 0; i < 3; i++) {
		c[i].start = i * 8;
		pthread_create(&c[i].thread, NULL, reader, &c[i]);
	}
	for (unsigned int i = 0; i < 300; i++) {
		inject((struct eng_inject_rule){
			.kind = spoils[i % 5].kind, .op = ENG_READ,
			.chance = 3 });
		if (i % 3 == 2)
			eng_inject_clear(&mem->dev);
	}
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(c[i].thread, NULL);
		seen += c[i].done;
	}
	ck_assert_uint_eq(seen, eng_inject_hits(&mem->dev));
	teardown();
}
END_TEST

static TCase *faults_case(void)
{
	TCase *tc = tcase_create("faults");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, read_is_spoilt_exactly, 0, 3);
	tcase_add_loop_test(tc, write_is_spoilt_exactly, 0, 3);
	tcase_add_test(tc, writes_get_lost);
	tcase_add_test(tc, requests_fail);
	tcase_add_test(tc, same_seed_same_faults);
	tcase_add_test(tc, bad_rules_are_refused);
	return tc;
}

static TCase *threads_case(void)
{
	TCase *tc = tcase_create("threads");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, rules_change_under_way);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("inject");

	suite_add_tcase(suite, faults_case());
	suite_add_tcase(suite, threads_case());
	return library_run(suite);
}
