/* SPDX-License-Identifier: GPL-2.0-or-later */
/* medium.c - look at tuples on a medium, and change them, without the engine.
 *
 *	medium FILE FORMAT tags START COUNT	application tags, as they lie
 *	medium FILE FORMAT check START COUNT [REF]	guards and references
 *	medium FILE FORMAT flip START data|guard|app|ref
 *	medium FILE FORMAT get START COUNT	data and metadata, to stdout
 *	medium FILE FORMAT put START		the same from stdin
 *
 * FORMAT is as for vm/run: DATA+META with :first, :crc64, :ip, :type3; and
 * :tags8, where an interval's tags are eight, seven of them beside the tuple.
 *
 * (1) Nothing of engine/ is used: what the two agree on is in the standards.
 * (2) FILE is what QEMU stores a namespace in, all data and then all metadata;
 *     or a block device, which is asked to check nothing (NVMe obeys).
 * (3) REF is the reference tag of interval 0. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	int		fd;
	bool		device, ip, crc64, type3, tags8;
	unsigned int	data, meta, at, size;	/* tuple: size bytes at at */
	uint64_t	blocks;
	struct io_uring	ring;
} m;

/* ---- checksums, as the standards define them --------------------------- */

static uint64_t crc16(uint64_t crc, const uint8_t *p, size_t n)
{
	while (n--) {
		crc ^= (uint64_t)*p++ << 8;
		for (int i = 0; i < 8; i++)
			crc = (crc << 1 ^ (crc & 0x8000 ? 0x8bb7 : 0)) & 0xffff;
	}
	return crc;
}

static uint64_t crc64(uint64_t crc, const uint8_t *p, size_t n)
{
	for (crc = ~crc; n--; )
		for (int i = (crc ^= *p++, 0); i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x9a6c9329ac4bc9b5 : 0);
	return ~crc;
}

static uint64_t ip_sum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (; n; n -= 2, p += 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static uint64_t guard_of(const uint8_t *data, const uint8_t *meta)
{
	if (m.ip)
		return ip_sum(data, m.data);
	if (m.crc64)
		return crc64(crc64(0, data, m.data), meta, m.at);
	return crc16(crc16(0, data, m.data), meta, m.at);
}

static uint64_t number(const uint8_t *p, unsigned int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* ---- access ------------------------------------------------------------ */

/* (2) On a device: the kernel's attribute, with no check asked for. */
static void device_io(bool write, uint64_t start, uint32_t count, uint8_t *data,
		      uint8_t *meta)
{
	struct {
		uint16_t flags, app;
		uint32_t len;
		uint64_t addr, seed, rsvd;
	} attr = {
		.len = count * m.meta, .addr = (uintptr_t)meta, .seed = start,
	};
	uint64_t words[2] = { (uintptr_t)&attr, 1 };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&m.ring);
	struct io_uring_cqe *cqe;

	if (write)
		io_uring_prep_write(sqe, m.fd, data, count * m.data,
				    start * m.data);
	else
		io_uring_prep_read(sqe, m.fd, data, count * m.data,
				   start * m.data);
	memcpy((char *)sqe + 48, words, sizeof(words));
	io_uring_submit(&m.ring);
	if (io_uring_wait_cqe(&m.ring, &cqe))
		errx(99, "io_uring");
	if (cqe->res != (int)(count * m.data))
		errx(99, "block %llu: %s", (unsigned long long)start,
		     strerror(-cqe->res));
	io_uring_cqe_seen(&m.ring, cqe);
}

static void image_io(bool write, off_t off, uint8_t *p, size_t n)
{
	ssize_t got = write ? pwrite(m.fd, p, n, off) : pread(m.fd, p, n, off);

	if (got != (ssize_t)n)
		err(99, "image");
}

static void transfer(bool write, uint64_t start, uint32_t count, uint8_t *data,
		     uint8_t *meta)
{
	if (start > m.blocks || count > m.blocks - start)
		errx(99, "beyond the end");
	if (m.device) {
		device_io(write, start, count, data, meta);
		return;
	}
	image_io(write, (off_t)(start * m.data), data, (size_t)count * m.data);
	image_io(write, (off_t)(m.blocks * m.data + start * m.meta), meta,
		 (size_t)count * m.meta);
}

static void parse_format(const char *s)
{
	char *end;

	m.data = (unsigned int)strtoul(s, &end, 10);
	m.meta = *end == '+' ? (unsigned int)strtoul(end + 1, NULL, 10) : 0;
	m.crc64 = strstr(s, ":crc64");
	m.ip = strstr(s, ":ip");
	m.type3 = strstr(s, ":type3");
	m.tags8 = strstr(s, ":tags8");
	m.size = m.crc64 ? 16 : 8;
	if (m.data < 512 || m.meta < m.size)
		errx(99, "format %s", s);
	m.at = strstr(s, ":first") ? 0 : m.meta - m.size;
}

static void open_medium(const char *name)
{
	struct io_uring_params p = { 0 };
	struct stat st;
	uint64_t size;

	if (stat(name, &st))
		err(99, "%s", name);
	m.device = S_ISBLK(st.st_mode);
	m.fd = open(name, O_RDWR | (m.device ? O_DIRECT : 0));
	if (m.fd < 0)
		err(99, "%s", name);
	m.blocks = (uint64_t)st.st_size / (m.data + m.meta);
	if (!m.device)
		return;
	if (ioctl(m.fd, BLKGETSIZE64, &size))
		err(99, "%s", name);
	m.blocks = size / m.data;
	if (io_uring_queue_init_params(4, &m.ring, &p) ||
	    !(p.features & 1 << 16))
		errx(77, "this kernel passes no tuples");
}

/* ---- commands ---------------------------------------------------------- */

static bool is_good(const uint8_t *data, const uint8_t *meta, uint64_t ref)
{
	unsigned int guard = m.crc64 ? 8 : 2, refs = m.crc64 ? 6 : 4;
	const uint8_t *tuple = meta + m.at;
	uint64_t mask = m.crc64 ? (1ull << 48) - 1 : UINT32_MAX;

	return number(tuple, guard) == guard_of(data, meta) &&
		number(tuple + guard, 2) != 0xffff &&
		(m.type3 || number(tuple + guard + 2, refs) == (ref & mask));
}

static void flip(uint64_t start, const char *what, uint8_t *data, uint8_t *meta)
{
	unsigned int guard = m.crc64 ? 8 : 2;
	uint8_t *tuple = meta + m.at;

	transfer(false, start, 1, data, meta);
	if (!strcmp(what, "data"))
		data[m.data / 3] ^= 0x10;
	else if (!strcmp(what, "guard"))
		tuple[guard - 1] ^= 0x10;
	else if (!strcmp(what, "app"))
		tuple[guard + 1] ^= 0x10;
	else
		tuple[m.size - 1] ^= 0x10;
	transfer(true, start, 1, data, meta);
}

static int check(uint64_t start, uint32_t count, uint64_t ref,
		 const uint8_t *data, const uint8_t *meta)
{
	unsigned int bad = 0;

	for (uint32_t i = 0; i < count; i++)
		bad += !is_good(data + (size_t)i * m.data,
				meta + (size_t)i * m.meta, ref + start + i);
	if (bad)
		printf("# from block %llu on: %u of %u are bad\n",
		       (unsigned long long)start, bad, count);
	return bad ? 1 : 0;
}

static void print_tags(uint32_t count, const uint8_t *meta)
{
	for (uint32_t i = 0; i < count; i++, meta += m.meta) {
		fwrite(meta + m.at + (m.crc64 ? 8 : 2), 2, 1, stdout);
		if (m.tags8)
			fwrite(meta + (m.at ? 0 : m.size), 2, 7, stdout);
	}
}

static int run(int argc, char **argv, uint64_t start, uint32_t count,
	       uint8_t *data)
{
	uint8_t *meta = data + (size_t)count * m.data;

	if (!strcmp(argv[3], "flip")) {
		flip(start, argv[5], data, meta);
		return 0;
	}
	if (!strcmp(argv[3], "put")) {
		while (fread(data, m.data + m.meta, 1, stdin))
			transfer(true, start++, 1, data, data + m.data);
		return 0;
	}
	if (!strcmp(argv[3], "get")) {
		for (uint32_t i = 0; i < count; i++) {
			transfer(false, start + i, 1, data, data + m.data);
			fwrite(data, m.data + m.meta, 1, stdout);
		}
		return 0;
	}
	transfer(false, start, count, data, meta);
	if (!strcmp(argv[3], "check"))
		return check(start, count, argc > 6 ?
			     strtoull(argv[6], NULL, 10) : 0, data, meta);
	print_tags(count, meta);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t start;
	uint32_t count = 1;
	void *mem;
	int res;

	if (argc < 5)
		errx(99, "medium FILE FORMAT COMMAND START ...");
	parse_format(argv[2]);
	open_medium(argv[1]);
	start = strtoull(argv[4], NULL, 10);
	if (argc > 5 && strcmp(argv[3], "flip"))
		count = (uint32_t)strtoul(argv[5], NULL, 10);
	if (posix_memalign(&mem, 4096, (size_t)count * (m.data + m.meta)))
		errx(99, "memory");
	res = run(argc, argv, start, count, mem);
	free(mem);
	if (m.device)
		io_uring_queue_exit(&m.ring);
	return res;
}
