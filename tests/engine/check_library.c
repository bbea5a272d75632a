/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_library.c - what the engine promises to programs beside tagfs.
 *
 * Tag strings, windows, clones and switches.  The cases of
 * "defects" are one for each error that the block integrity layer of Linux
 * was born with: none of them may be true here. */
#include "engine/library_bed.h"

/* ---- what was wrong elsewhere ----------------------------------------- */

/* An escape ends neither the verification of what follows it, ... */
START_TEST(escape_does_not_end_verification)
{
	struct eng_io *io;

	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	memset(tuple_at(8), 0xff, 8);
	memset(tuple_at(9), 0xff, 8);
	io = request(ENG_READ, 0, other);
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_ESCAPE);
	ck_assert_uint_eq(io->fault.interval, 8);
	/* ... also for a caller to whom escapes are none. */
	io->flags = ENG_IO_ESCAPES;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_NONE);
	for (unsigned int bad = 0; bad < N; bad += bad == 7 ? 3 : 1) {
		mem->data[bad * 512 + 7] ^= 8;
		ck_assert_int_eq(eng_io_run(io), -EBADMSG);
		ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
		ck_assert_uint_eq(io->fault.interval, bad);
		mem->data[bad * 512 + 7] ^= 8;
	}
	mem->data[9 * 512] ^= 1;	/* nothing is known of this one */
	ck_assert_int_eq(eng_io_run(io), 0);
	io->flags |= ENG_IO_TAGS_OUT;
	ck_assert_int_eq(eng_io_run(io), 0);
	for (unsigned int i = 0; i < N; i++)
		ck_assert_uint_eq(io->tags[i], i == 8 || i == 9 ? 0xffff :
					       tag_of(i));
	eng_io_put(io);
	teardown();
}
END_TEST

/* Tag strings of type 3 go on by what an interval holds: application and
 * reference tag, 6 bytes, or 8 with the long tuple. */
START_TEST(type3_strings_have_their_stride)
{
	static const char *const names[] = {
		"512+8:type3", "4096+8:type3:ip", "4096+16:type3"
	};
	uint8_t *set, got[N * 8];
	struct eng_io *io;
	size_t size;

	for (int k = 0; k < 3; k++) {
		setup(names[k]);
		size = k < 2 ? 6 : 8;
		io = request(ENG_WRITE, 0, data);
		ck_assert_uint_eq(eng_io_tag_size(io), N * size);
		set = tag_string(io, 5);
		ck_assert_int_eq(eng_io_set_tag(io, set, N * size), 0);
		ck_assert_int_eq(run_and_put(io), 0);
		for (unsigned int i = 0; i < N; i++)
			ck_assert_mem_eq(tuple_at(i + 1) - size,
					 set + i * size, size);
		io = request(ENG_READ, 0, other);
		io->flags = ENG_IO_TAGS_OUT;
		ck_assert_int_eq(eng_io_run(io), 0);
		ck_assert_int_eq(eng_io_get_tag(io, got, N * size), 0);
		ck_assert_mem_eq(got, set, N * size);
		eng_io_put(io);
		free(set);
		teardown();
	}
}
END_TEST

/* On the medium a tag is big-endian, and a string is as on the medium; the
 * number in memory is the machine's. */
START_TEST(app_tag_has_a_byte_order)
{
	static const uint8_t set[] = { 0x12, 0x34, 0x56, 0x78 };
	struct eng_io *io;
	uint8_t got[4];

	setup("512+8");
	io = request(ENG_WRITE, 0, data);
	io->tags[5] = 0xabcd;
	ck_assert_int_eq(run_and_put(io), 0);
	ck_assert_uint_eq(tuple_at(5)[2], 0xab);
	ck_assert_uint_eq(tuple_at(5)[3], 0xcd);

	io = request(ENG_WRITE, 0, data);
	ck_assert_int_eq(eng_io_set_tag(io, set, 4), 0);
	ck_assert_uint_eq(io->tags[0], 0x1234);
	ck_assert_uint_eq(io->tags[1], 0x5678);
	ck_assert_uint_eq(io->tags[2], 0);
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_mem_eq(tuple_at(0) + 2, set, 2);
	ck_assert_mem_eq(tuple_at(1) + 2, set + 2, 2);
	ck_assert_int_eq(eng_io_get_tag(io, got, 4), 0);
	ck_assert_mem_eq(got, set, 4);
	eng_io_put(io);
	teardown();
}
END_TEST

/* A count of intervals is one already: a string over N intervals of 4096
 * bytes reaches all of them, not an eighth. */
START_TEST(counts_are_converted_once)
{
	uint64_t count;
	struct eng_io *io;
	uint8_t *set;

	setup("4096+8");
	ck_assert_int_eq(eng_profile_intervals(prof, N * 8, &count), 0);
	ck_assert_uint_eq(count, N);
	io = request(ENG_WRITE, 0, data);
	ck_assert_uint_eq(eng_io_tag_size(io), count * 2);
	set = tag_string(io, 6);
	ck_assert_int_eq(eng_io_set_tag(io, set, count * 2), 0);
	ck_assert_int_eq(run_and_put(io), 0);
	for (unsigned int i = 0; i < N; i++)
		ck_assert_mem_eq(tuple_at(i) + 2, set + 2 * i, 2);
	ck_assert_uint_eq(tuple_at(N)[2], 0xff);
	free(set);
	teardown();
}
END_TEST

static void ck_window(const struct eng_io *io, const struct eng_io *whole,
		      uint32_t first, uint32_t count)
{
	size_t bytes = 0;

	ck_assert_uint_eq(io->count, count);
	ck_assert_uint_eq(io->start, whole->start + first);
	ck_assert_ptr_eq(io->tags, whole->tags + first);
	ck_assert_ptr_eq(io->tuples, whole->tuples +
			 (size_t)first * prof->meta_size);
	if (count)
		ck_assert_ptr_eq(io->iov[0].iov_base,
				 data + (size_t)first * prof->interval);
	for (unsigned int i = 0; i < io->niov; i++)
		bytes += io->iov[i].iov_len;
	ck_assert_uint_eq(bytes, (size_t)count * prof->interval);
}

/* Wherever it is cut: data, tags, tuples and address are cut alike, in
 * intervals, of whatever size these are. */
START_TEST(trim_and_split_have_one_unit)
{
	static const char *const names[] = { "512+8", "4096+8", "4096+64" };
	struct eng_io *io, *part;

	for (int k = 0; k < 3; k++) {
		setup(names[k]);
		io = request(ENG_WRITE, 64, data);
		for (uint32_t first = 0; first < N; first++) {
			for (uint32_t n = 1; first + n <= N; n++) {
				ck_assert_int_eq(eng_io_clone(&part, io, 0, N),
						 0);
				ck_assert_int_eq(eng_io_trim(part, first, n),
						 0);
				ck_window(part, io, first, n);
				eng_io_put(part);
			}
		}
		for (uint32_t n = 1; n < N; n++) {
			struct eng_io *head, *tail;

			ck_assert_int_eq(eng_io_clone(&tail, io, 0, N), 0);
			ck_assert_int_eq(eng_io_split(&head, tail, n), 0);
			ck_window(head, io, 0, n);
			ck_window(tail, io, n, N - n);
			eng_io_put(tail);
			eng_io_put(head);
		}
		eng_io_put(io);
		teardown();
	}
}
END_TEST

/* A segment that can't be attached is an error of prep, with nothing left
 * behind; and of the request, if whoever added it did not look. */
START_TEST(prep_fails_when_a_segment_does)
{
	struct eng_io *io = (struct eng_io *)&io;
	struct iovec iov[] = { { NULL, 512 }, { NULL, 513 }, { NULL, 1023 } };

	setup("512+8");
	for (int i = 0; i < 3; i++)
		iov[i].iov_base = data + i * 2048;
	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_WRITE, 0, iov, 3),
			 -EINVAL);
	ck_assert_ptr_null(io);
	iov[1].iov_len = iov[2].iov_len = 512;
	mem->dev.geo.align = 512;
	iov[2].iov_base = (char *)iov[2].iov_base + 4;
	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_WRITE, 0, iov, 3),
			 -EINVAL);
	mem->dev.geo.align = 1;
	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_WRITE, 0, iov, 0),
			 -EINVAL);
	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_READ,
				     MEM_INTERVALS - 2, iov, 3), -EINVAL);
	iov[1].iov_len = (size_t)(MEM_MAX_IO + 1) * 512;
	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_READ, 0, iov, 3),
			 -EINVAL);
	ck_assert_ptr_null(io);

	io = eng_io_get(&mem->dev, 2, 2);
	ck_assert_int_eq(eng_io_add(io, data, 512), 0);
	ck_assert_int_eq(eng_io_add(io, data, 1024), -ENOSPC);
	ck_assert_int_eq(eng_io_add(io, data, 512), 0);
	io->op = ENG_READ;
	ck_assert_int_eq(eng_io_run(io), -ENOSPC);
	ck_assert_uint_eq(mem->submits, 0);
	eng_io_put(io);
	teardown();
}
END_TEST

/* Which check failed, where, what was expected and what was there: different
 * for each, and for an error of the transfer. */
START_TEST(faults_are_facts)
{
	struct eng_io *io;

	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 32, data), 0);
	io = request(ENG_READ, 32, other);
	for (int kind = ENG_FAULT_GUARD; kind <= ENG_FAULT_ESCAPE; kind++) {
		uint8_t *t = tuple_at(32 + 7), saved[8];
		uint64_t guard = (uint64_t)t[0] << 8 | t[1];
		uint64_t expected[] = { 0, guard, 39, tag_of(39), tag_of(39) };
		uint64_t actual[] = { 0, guard ^ 1, 38, tag_of(39) ^ 1,
				      0xffff };

		memcpy(saved, t, 8);
		if (kind == ENG_FAULT_ESCAPE)
			memset(t, 0xff, 8);
		else
			t[kind == ENG_FAULT_GUARD ? 1 :
			  kind == ENG_FAULT_REF ? 7 : 3] ^= 1;
		ck_assert_int_eq(eng_io_run(io), -EBADMSG);
		ck_assert_int_eq(io->fault.kind, kind);
		ck_assert_uint_eq(io->fault.interval, 39);
		ck_assert_uint_eq(io->fault.expected, expected[kind]);
		ck_assert_uint_eq(io->fault.actual, actual[kind]);
		memcpy(t, saved, 8);
	}
	mem->err = -EREMOTEIO;
	ck_assert_int_eq(eng_io_run(io), -EREMOTEIO);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_NONE);
	eng_io_put(io);
	teardown();
}
END_TEST

/* ---- tag strings ------------------------------------------------------ */

/* Every byte that is the caller's comes back as it was set, in every format,
 * and the medium holds each in its place: nothing of the rest changes. */
START_TEST(tag_strings_come_back)
{
	const struct eng_profile *p;
	struct eng_io *io;
	uint8_t *set, *got;
	size_t size;

	for_each_profile(p) {
		setup(p->name);
		ck_assert_uint_eq(mem->dev.geo.tag_size,
				  eng_profile_tag_size(p));
		ck_assert_str_eq(mem->dev.geo.format, eng_profile_format(p));
		io = request(ENG_WRITE, 9, data);
		size = eng_io_tag_size(io);
		set = tag_string(io, i_);
		got = malloc(size);
		ck_assert_int_eq(eng_io_set_tag(io, set, size), 0);
		ck_assert_int_eq(run_and_put(io), 0);
		io = request(ENG_READ, 9, other);
		io->flags = ENG_IO_TAGS_OUT;
		ck_assert_int_eq(eng_io_run(io), 0);
		ck_assert_mem_eq(data, other, (size_t)N * p->interval);
		for (size_t len = 0; len <= size; len += len < 70 ? 1 : 61) {
			memset(got, 0xee, size);
			ck_assert_int_eq(eng_io_get_tag(io, got, len), 0);
			ck_assert_mem_eq(got, set, len);
			ck_assert(len == size || got[len] == 0xee);
		}
		ck_assert_int_eq(eng_io_get_tag(io, got, size + 1), -ENOSPC);
		eng_io_put(io);
		free(got);
		free(set);
		teardown();
	}
}
END_TEST

/* Application tag, reference tag, what is before the tuple, what is behind:
 * to the byte, with the tuple in front and at the end. */
START_TEST(tag_strings_lie_in_order)
{
	uint8_t set[62], *meta;
	struct eng_io *io;

	for (uint8_t i = 0; i < sizeof(set); i++)
		set[i] = i;
	setup("4096+64:type3");
	io = request(ENG_WRITE, 0, data);
	ck_assert_int_eq(eng_io_set_tag(io, set, 62), 0);
	ck_assert_int_eq(run_and_put(io), 0);
	ck_assert_mem_eq(meta_at(0) + 58, set, 6);
	ck_assert_mem_eq(meta_at(0), set + 6, 56);
	teardown();
	setup("4096+64:type3:first:crc64");
	io = request(ENG_WRITE, 0, data);
	ck_assert_int_eq(eng_io_set_tag(io, set, 56), 0);
	ck_assert_int_eq(run_and_put(io), 0);
	meta = meta_at(0);
	ck_assert_mem_eq(meta + 8, set, 8);
	ck_assert_mem_eq(meta + 16, set + 8, 48);
	teardown();
}
END_TEST

static struct eng_dev *open_file(const char *path)
{
	struct eng_open how = { .pool = pool };
	struct eng_dev *dev;

	ck_assert_int_eq(eng_dev_open(&dev, path, &how), 0);
	ck_assert_ptr_eq(eng_dev_geometry(dev)->profile, prof);
	return dev;
}

/* One string over the intervals that iov has room for: set, or compared. */
static void ck_string(struct eng_dev *dev, enum eng_op op, struct iovec iov)
{
	struct eng_io *io;
	uint8_t *tag, *got;
	size_t size;

	ck_assert_int_eq(eng_io_prep(&io, dev, op, 3, &iov, 1), 0);
	size = eng_io_tag_size(io);
	tag = tag_string(io, 77);
	got = malloc(size);
	if (op == ENG_WRITE)
		ck_assert_int_eq(eng_io_set_tag(io, tag, size), 0);
	else
		io->flags = ENG_IO_TAGS_OUT;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_int_eq(eng_io_get_tag(io, got, size), 0);
	ck_assert_mem_eq(got, tag, size);
	eng_io_put(io);
	free(got);
	free(tag);
}

/* A container in a file keeps them, in every format. */
START_TEST(container_keeps_tag_strings)
{
	char path[] = "check_library.XXXXXX";
	struct eng_dev *dev;
	int fd = mkstemp(path);

	setup(eng_profile_at(_i)->name);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	ck_assert_int_eq(eng_soft_format(path, prof), 0);
	dev = open_file(path);
	ck_string(dev, ENG_WRITE, (struct iovec){ data, N * prof->interval });
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	eng_dev_close(dev);
	dev = open_file(path);
	ck_string(dev, ENG_READ, (struct iovec){ other, N * prof->interval });
	ck_assert_mem_eq(data, other, (size_t)N * prof->interval);
	eng_dev_close(dev);
	unlink(path);
	close(fd);
	teardown();
}
END_TEST

/* A string too long, one with an escape, and those of requests that have no
 * tags to give are refused, and change nothing. */
START_TEST(bad_tag_strings_are_refused)
{
	uint8_t set[2 * N + 1] = { 0 };
	struct eng_io *io;

	setup("512+8");
	io = request(ENG_WRITE, 0, data);
	ck_assert_int_eq(eng_io_set_tag(io, set, 2 * N + 1), -ENOSPC);
	set[2 * N - 1] = set[2 * N - 2] = 0xff;
	ck_assert_int_eq(eng_io_set_tag(io, set, 2 * N), -EINVAL);
	ck_assert_int_eq(eng_io_set_tag(io, set, 2 * N - 1), 0);
	ck_assert_uint_eq(io->tags[N - 1], 0xff00);
	set[0] = 0x11;	/* 11ff is none, ff11 neither */
	set[1] = set[2] = 0xff;
	ck_assert_int_eq(eng_io_set_tag(io, set, 4), 0);
	ck_assert_uint_eq(io->tags[0], 0x11ff);
	ck_assert_uint_eq(io->tags[1], 0xff00);
	ck_assert_int_eq(eng_io_get_tag(io, set, 2), -EINVAL);
	ck_assert_int_eq(eng_io_generate(io), 0);
	ck_assert_int_eq(eng_io_get_tag(io, set, 2), 0);
	ck_assert_int_eq(eng_io_set_tag(io, set, 2), -EINVAL);
	eng_io_put(io);

	io = request(ENG_READ, 0, other);
	ck_assert_int_eq(eng_io_set_tag(io, set, 2), -EINVAL);
	ck_assert_int_eq(eng_io_get_tag(io, set, 2), -EINVAL);
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(eng_io_get_tag(io, set, 2), -EBADMSG);
	eng_io_put(io);
	teardown();
}
END_TEST

/* Metadata before the tuple is under the guard, whoever set it. */
START_TEST(opaque_tags_are_guarded)
{
	struct eng_io *io;
	uint8_t *set;

	setup("4096+64");
	io = request(ENG_WRITE, 0, data);
	set = tag_string(io, 3);
	ck_assert_int_eq(eng_io_set_tag(io, set, eng_io_tag_size(io)), 0);
	ck_assert_int_eq(run_and_put(io), 0);
	free(set);
	io = request(ENG_READ, 0, other);
	io->flags = ENG_IO_TAGS_OUT;
	ck_assert_int_eq(eng_io_run(io), 0);
	meta_at(4)[17] ^= 2;
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
	ck_assert_uint_eq(io->fault.interval, 4);
	eng_io_put(io);
	teardown();
}
END_TEST

/* ---- who protects ----------------------------------------------------- */

/* Generated early is as generated late, and is not done twice. */
START_TEST(generate_then_submit)
{
	uint8_t *early;
	struct eng_io *io;

	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 5, data), 0);
	early = malloc((size_t)N * 8);
	memcpy(early, meta_at(5), (size_t)N * 8);
	io = request(ENG_WRITE, 5, data);
	ck_assert(eng_io_enabled(io));
	ck_assert_int_eq(eng_io_verify(io), -EINVAL);
	ck_assert_int_eq(eng_io_generate(io), 0);
	ck_assert(!eng_io_enabled(io));
	ck_assert_int_eq(eng_io_verify(io), 0);
	ck_assert_mem_eq(io->tuples, early, (size_t)N * 8);
	ck_assert_int_eq(eng_io_generate(io), -EINVAL);
	ck_assert_int_eq(eng_io_add(io, data, 512), -EINVAL);
	io->add_err = 0;
	data[512 * 2] ^= 1;	/* after that: the tuple stays */
	ck_assert_int_eq(eng_io_verify(io), -EBADMSG);
	ck_assert_uint_eq(io->fault.interval, 7);
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_mem_eq(meta_at(5), early, (size_t)N * 8);
	eng_io_put(io);
	ck_assert_int_eq(rw(ENG_READ, 5, other), -EBADMSG);
	free(early);
	teardown();
}
END_TEST

/* Tuples of the caller's own are stored as they are, but for an escape; and a
 * read for a caller who checks himself comes as it is. */
START_TEST(caller_may_protect)
{
	struct eng_io *io;

	setup("512+8");
	io = request(ENG_WRITE, 0, data);
	memset(io->tuples, 0x5a, (size_t)N * 8);
	io->flags = ENG_IO_PROTECTED;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_mem_eq(meta_at(0), io->tuples, (size_t)N * 8);
	io->tuples[8 * (N - 1) + 2] = io->tuples[8 * (N - 1) + 3] = 0xff;
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	eng_io_put(io);
	ck_assert_uint_eq(mem->submits, 1);

	io = request(ENG_READ, 0, other);
	io->flags = ENG_IO_PROTECTED | ENG_IO_TAGS_OUT;
	ck_assert(!eng_io_enabled(io));
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_uint_eq(io->tags[N - 1], 0x5a5a);
	ck_assert_int_eq(eng_io_verify(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
	eng_io_put(io);
	teardown();
}
END_TEST

/* A device may count from elsewhere, as a part of another does: reference
 * tags are from there, faults from here.  And when something below replaced
 * those of a write, they can be put back, with all else left alone. */
START_TEST(reference_tags_have_a_base)
{
	static const char *const names[] = { "512+8", "4096+64:crc64" };
	struct eng_io *io;
	uint8_t *before;
	size_t len;

	setup(names[_i]);
	mem->dev.ref_base = 0xffffff00;
	len = (size_t)N * prof->meta_size;
	before = malloc(len);
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	ck_assert_uint_eq(tuple_at(5)[prof->pi_size - 1], 5);
	ck_assert_uint_eq(tuple_at(5)[prof->pi_size - 2], 0xff);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	mem->data[7 * prof->interval] ^= 1;
	ck_read_fault("base", ENG_FAULT_GUARD, 7);

	io = request(ENG_WRITE, 0, data);
	memset(io->tags, 0x11, N * sizeof(*io->tags));
	ck_assert_int_eq(eng_io_generate(io), 0);
	memcpy(before, io->tuples, len);
	for (unsigned int i = 0; i < N; i++)
		io->tuples[i * prof->meta_size + prof->pi_offset +
			   prof->pi_size - 4] ^= 0x80;
	ck_assert_int_eq(eng_io_verify(io), -EBADMSG);
	eng_io_restore_refs(io);
	ck_assert_mem_eq(io->tuples, before, len);
	eng_io_put(io);
	free(before);
	teardown();
}
END_TEST

/* Switches: what is off is not done, and no write goes without tuples. */
START_TEST(switches)
{
	struct eng_io *io;

	setup("512+8");
	ck_assert(eng_dev_enabled(&mem->dev, ENG_READ));
	ck_assert(eng_dev_enabled(&mem->dev, ENG_WRITE));
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	mem->data[100] ^= 1;
	eng_dev_enable(&mem->dev, ENG_READ, false);
	ck_assert(!eng_dev_enabled(&mem->dev, ENG_READ));
	ck_assert(eng_dev_enabled(&mem->dev, ENG_WRITE));
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	io = request(ENG_READ, 0, other);
	io->flags = ENG_IO_TAGS_OUT;
	io->tags[N - 1] = 0;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_uint_eq(io->tags[N - 1], tag_of(N - 1));
	ck_assert_int_eq(eng_io_verify(io), -EBADMSG);
	eng_io_put(io);
	eng_dev_enable(&mem->dev, ENG_READ, true);
	ck_assert_int_eq(rw(ENG_READ, 0, other), -EBADMSG);

	eng_dev_enable(&mem->dev, ENG_WRITE, false);
	mem->submits = 0;
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), -EINVAL);
	ck_assert_uint_eq(mem->submits, 0);
	io = request(ENG_WRITE, 0, data);
	ck_assert(!eng_io_enabled(io));
	ck_assert_int_eq(eng_io_generate(io), 0);
	ck_assert_int_eq(run_and_put(io), 0);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	teardown();
}
END_TEST

/* ---- windows ---------------------------------------------------------- */

/* However a write is cut, and whether tuples are made before or after, the
 * medium holds the same; and so do the pieces of a read. */
START_TEST(pieces_make_the_whole)
{
	const struct eng_profile *p;
	uint8_t *want;
	size_t bytes;

	for_each_profile(p) {
		setup(p->name);
		bytes = (size_t)N * p->meta_size;
		want = malloc(bytes);
		ck_assert_int_eq(rw(ENG_WRITE, 40, data), 0);
		memcpy(want, meta_at(40), bytes);
		for (int early = 0; early < 2; early++) {
			struct eng_io *io = request(ENG_WRITE, 40, data), *head;

			memset(meta_at(40), 0, bytes);
			memset(mem->data, 0, (size_t)64 * p->interval);
			if (early)
				ck_assert_int_eq(eng_io_generate(io), 0);
			for (uint32_t n = 1; n < 7; n++) {	/* 21 of 24 */
				ck_assert_int_eq(eng_io_split(&head, io, n),
						 0);
				ck_assert_int_eq(run_and_put(head), 0);
			}
			ck_assert_int_eq(run_and_put(io), 0);
			ck_assert_mem_eq(meta_at(40), want, bytes);
			ck_assert_mem_eq(mem->data + (size_t)40 * p->interval,
					 data, (size_t)N * p->interval);
		}
		free(want);
		teardown();
	}
}
END_TEST

/* A transfer that got only so far goes on behind what it did. */
START_TEST(partial_completion)
{
	struct eng_io *io, *part;

	setup("4096+8");
	io = request(ENG_WRITE, 0, data);
	ck_assert_int_eq(eng_io_clone(&part, io, 0, 7), 0);
	ck_assert_int_eq(run_and_put(part), 0);
	ck_assert_int_eq(eng_io_advance(io, N + 1), -EINVAL);
	ck_assert_int_eq(eng_io_advance(io, 7), 0);
	ck_assert_int_eq(eng_io_advance(io, 0), 0);
	ck_assert_uint_eq(io->count, N - 7);
	ck_assert_uint_eq(io->start, 7);
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_int_eq(rw(ENG_READ, 0, other), 0);
	ck_assert_mem_eq(data, other, (size_t)N * 4096);
	ck_assert_int_eq(eng_io_advance(io, N - 7), 0);
	ck_assert_uint_eq(io->niov, 0);
	ck_assert_int_eq(eng_io_run(io), -EINVAL);	/* nothing is left */
	eng_io_put(io);
	teardown();
}
END_TEST

START_TEST(windows_have_bounds)
{
	struct eng_io *io, *part = NULL;

	setup("512+8");
	io = request(ENG_READ, 0, data);
	ck_assert_int_eq(eng_io_trim(io, 0, N + 1), -EINVAL);
	ck_assert_int_eq(eng_io_trim(io, N, 1), -EINVAL);
	ck_assert_int_eq(eng_io_trim(io, UINT32_MAX, 2), -EINVAL);
	ck_assert_int_eq(eng_io_clone(&part, io, 1, N), -EINVAL);
	ck_assert_int_eq(eng_io_clone(&part, io, 0, 0), -EINVAL);
	ck_assert_int_eq(eng_io_split(&part, io, 0), -EINVAL);
	ck_assert_int_eq(eng_io_split(&part, io, N), -EINVAL);
	ck_assert_ptr_null(part);
	ck_assert_uint_eq(io->count, N);
	ck_assert_int_eq(eng_io_clone(&part, io, 2, 3), 0);
	ck_assert_int_eq(eng_io_add(part, data, 512), -ENOSPC);
	eng_io_put(part);
	ck_assert_int_eq(eng_io_trim(io, 3, 4), 0);
	ck_assert_uint_eq(io->count, 4);
	eng_io_put(io);
	teardown();
}
END_TEST

/* Tags and tuples stay for as long as a clone uses them, whoever is put
 * first, and go to their pool once. */
START_TEST(clone_frees_only_its_own)
{
	struct eng_io *io, *a, *b, *again;

	setup("512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, data), 0);
	io = request(ENG_READ, 0, other);
	ck_assert_int_eq(eng_io_clone(&a, io, 2, 8), 0);
	ck_assert_int_eq(eng_io_clone(&b, a, 3, 2), 0);	/* of a clone */
	eng_io_put(a);
	eng_io_put(io);
	again = request(ENG_READ, 100, data);
	ck_assert_ptr_ne(again, io);
	ck_assert_uint_eq(b->start, 5);
	ck_assert_uint_eq(b->tags[0], tag_of(5));
	ck_assert_int_eq(run_and_put(b), 0);
	a = request(ENG_READ, 0, other);
	ck_assert_ptr_eq(a, io);	/* now it is free again */
	eng_io_put(a);
	eng_io_put(again);
	teardown();
}
END_TEST

/* ---- memory ----------------------------------------------------------- */

static int no_memory(void **out, size_t align, size_t bytes)
{
	(void)align;
	(void)bytes;
	*out = NULL;
	return ENOMEM;
}

/* One whole request in two parts, of a size by seed. */
static void client_once(struct client *c, uint8_t *buf)
{
	uint32_t n = 2 + (uint32_t)rand_r(&c->seed) % 62;
	struct iovec iov = { buf, (size_t)n * 512 };
	struct eng_io *io, *head;

	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, ENG_WRITE,
				     c->start, &iov, 1), 0);
	memset(io->tags, 0, n * sizeof(*io->tags));
	ck_assert_int_eq(eng_io_split(&head, io, n / 2), 0);
	ck_assert_int_eq(run_and_put(head), 0);
	ck_assert_int_eq(run_and_put(io), 0);
	c->done++;
}

static void *client(void *arg)
{
	static uint8_t buf[64 * 512];

	for (int i = 0; i < 500; i++)
		client_once(arg, buf);
	return NULL;
}

/* With no memory at all, every request of every thread is served in turn,
 * clones included. */
START_TEST(requests_go_on_without_memory)
{
	struct client c[4] = { 0 };

	setup("512+8");
	eng_bufs_alloc = no_memory;
	ck_assert_ptr_null(eng_io_get(&mem->dev, 8, 1));
	for (unsigned int i = 0; i < 4; i++) {
		c[i].seed = i;
		c[i].start = i * 64;
		pthread_create(&c[i].thread, NULL, client, &c[i]);
	}
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(c[i].thread, NULL);
		ck_assert_uint_eq(c[i].done, 500);
	}
	eng_bufs_alloc = posix_memalign;
	teardown();
}
END_TEST

static TCase *defects_case(void)
{
	TCase *tc = tcase_create("defects");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, escape_does_not_end_verification);
	tcase_add_test(tc, type3_strings_have_their_stride);
	tcase_add_test(tc, app_tag_has_a_byte_order);
	tcase_add_test(tc, counts_are_converted_once);
	tcase_add_test(tc, trim_and_split_have_one_unit);
	tcase_add_test(tc, prep_fails_when_a_segment_does);
	tcase_add_test(tc, faults_are_facts);
	return tc;
}

static unsigned int count_profiles(void)
{
	unsigned int n = 0;

	while (eng_profile_at(n))
		n++;
	return n;
}

static TCase *requests_case(void)
{
	TCase *tc = tcase_create("requests");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, tag_strings_come_back);
	tcase_add_test(tc, tag_strings_lie_in_order);
	tcase_add_loop_test(tc, container_keeps_tag_strings, 0,
			    (int)count_profiles());
	tcase_add_test(tc, bad_tag_strings_are_refused);
	tcase_add_test(tc, opaque_tags_are_guarded);
	tcase_add_test(tc, generate_then_submit);
	tcase_add_test(tc, caller_may_protect);
	tcase_add_loop_test(tc, reference_tags_have_a_base, 0, 2);
	tcase_add_test(tc, switches);
	tcase_add_test(tc, pieces_make_the_whole);
	tcase_add_test(tc, partial_completion);
	tcase_add_test(tc, windows_have_bounds);
	tcase_add_test(tc, clone_frees_only_its_own);
	return tc;
}

static TCase *threads_case(void)
{
	TCase *tc = tcase_create("threads");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, requests_go_on_without_memory);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("library");

	suite_add_tcase(suite, defects_case());
	suite_add_tcase(suite, requests_case());
	suite_add_tcase(suite, threads_case());
	return library_run(suite);
}
