/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_faultgrid.c - every class of fault at every kind of place: what is
 * read is right, or an error.
 *
 * A filesystem of files that are rewritten as a whole, version by version.
 * A case is a copy of its disk, as a power cut would leave it, with one fault:
 * on the medium before it is mounted, or in a request while it is read and
 * rewritten.  Then it ends properly or crashes, and is mounted again.
 *
 *  (1) What can be read of a file is of one version, none older than the last
 *      that was synced.  The log is the exception: that its newest blocks are
 *      gone can't be told from a crash before they were written; and if older
 *      ones are, what they changed is older, and the mount read-only.  So are
 *      the tuple pages over the log.
 *  (2) One place is hit.  Metadata and what holds it is there twice, so that
 *      names, attributes and the mount never suffer; content only from what
 *      hits content or the tuples of content.
 *  (3) A misdirected write hits two places, which may be both copies: then an
 *      error is right, but nothing false.
 *  (4) After a failed write of metadata or flush, everything may be refused,
 *      until it is mounted anew. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit/ckpt.h"
#include "commit/commit.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/mend.h"
#include "tree/node.h"
#include "soft/soft_format.h"

#define FILES	10u
#define CLUSTERS_MAX 12u
#define VERSIONS 60u		/* places are used several times */
#define PAST	40u		/* of the older disk */
#define ROUNDS	4u		/* of a life with a fault in it */

enum kind { HEADER, PAGE, SUPER, SLOT, LOG, NODE, DATA, KINDS };

static const char *const kind_name[KINDS] = {
	"header", "tuple page", "superblock", "slot", "log", "node", "data",
};

enum fault {
	ROT, STALE_SECTORS, REST_LOST, REST_LOST_TUPLES,	/* at rest */
	REST_MISDIRECTED,
	WRITE_LOST, WRITE_MISDIRECTED, WRITE_TORN, WRITE_ERROR, FLUSH_ERROR,
	READ_MISDIRECTED, READ_STALE, READ_ERROR,
	FAULTS
};

static const char *const fault_name[FAULTS] = {
	"rot", "stale sectors", "lost before", "lost with its tuples",
	"misdirected before",
	"lost write", "misdirected write", "torn write", "write error",
	"flush error", "misdirected read", "stale read", "read error",
};

struct spot {
	uint64_t	off, len;
	uint64_t	addr;		/* of a cluster */
};

static struct {
	const char	*profile;
	uint32_t	csize;
	uint64_t	size;		/* of the disk */
	struct sim	*now, *past;
	uint32_t	ino[FILES];
	unsigned int	version[FILES];
	struct spot	*spot[KINDS];
	size_t		n[KINDS];
} base;

static size_t size_of(unsigned int file)
{
	if (file % 5 == 0)
		return 700 + file;	/* in the tree */
	return (1 + file % CLUSTERS_MAX) * (size_t)base.csize;
}

static void fill(uint8_t *buf, unsigned int file, unsigned int version)
{
	bed_fill(buf, size_of(file), file * 1000003ull + version);
}

static unsigned int amount(unsigned int full, unsigned int normal)
{
	return BED_LESS(getenv("TAGFS_TEST_FULL") ? full : normal);
}

/* ---- where things are ---------------------------------------------------- */

/* What a cluster is for, by where it is: the tree has nodes and data. */
static enum kind kind_of_cluster(const struct tfs *fs, uint64_t addr)
{
	const struct tfs_super *s = &fs->super;
	uint64_t end = s->clusters - addr;

	if (addr == TFS_AT_SUPER || end == TFS_END_SUPER)
		return SUPER;
	if (addr < TFS_AT_LOG || end <= TFS_END_SLOT)
		return SLOT;
	if (addr >= s->log_start && addr < s->log_start + s->log_clusters)
		return LOG;
	return DATA;
}

/* syncing: what is written now is no data. */
static enum kind kind_at(struct bed *b, uint64_t off, bool syncing)
{
	enum kind kind;
	uint64_t addr;

	if (off < SOFT_BLOCK || off >= base.size - SOFT_BLOCK)
		return HEADER;
	if (!bed_cluster_at(b, off, &addr))
		return PAGE;
	kind = kind_of_cluster(b->fs, addr);
	return kind == DATA && syncing ? NODE : kind;
}

static void add_spot(enum kind kind, uint64_t off, uint64_t len,
		     uint64_t addr)
{
	struct spot *last = base.n[kind] ? &base.spot[kind][base.n[kind] - 1] :
		NULL;

	if (last && last->off == off)
		return;
	base.spot[kind] = realloc(base.spot[kind], (base.n[kind] + 1) *
				  sizeof(struct spot));
	base.spot[kind][base.n[kind]++] = (struct spot){ off, len, addr };
}

static void add_cluster(struct bed *b, enum kind kind, uint64_t addr)
{
	const struct eng_profile *p = eng_profile_find(base.profile);

	add_spot(kind, bed_data_at(b, addr), base.csize, addr);
	add_spot(PAGE, bed_page_at(b->sim, p, addr), SOFT_BLOCK, 0);
}

/* Of the tree that was just checkpointed. */
static void find_nodes(struct bed *b)
{
	struct tfs_miss *node;
	size_t n = fs_nodes(b->fs, &node);

	for (size_t i = 0; i < n; i++)
		for (int copy = 0; copy < 2; copy++)
			add_cluster(b, NODE, node[i].ptr.addr[copy]);
	free(node);
}

static void find_spots(struct bed *b, const bool *data)
{
	const struct tfs_super *s = &b->fs->super;

	add_spot(HEADER, 0, SOFT_BLOCK, 0);
	add_spot(HEADER, base.size - SOFT_BLOCK, SOFT_BLOCK, 0);
	for (uint64_t addr = 0; addr < s->clusters; addr++) {
		enum kind kind = kind_of_cluster(b->fs, addr);

		if (kind != DATA || data[addr])
			add_cluster(b, kind, addr);
	}
}

/* ---- a filesystem with a past -------------------------------------------- */

struct watch {
	struct bed	*b;
	bool		*data;		/* clusters written now */
};

static void watch_data(void *arg, uint64_t off, uint64_t len)
{
	struct watch *w = arg;
	uint64_t addr;

	for (uint64_t end = off + len; off < end; off += base.csize)
		if (bed_cluster_at(w->b, off, &addr))
			w->data[addr] = true;
}

static int rewrite(struct bed *b, unsigned int file, unsigned int version)
{
	uint8_t *buf = malloc(size_of(file));
	int err;

	fill(buf, file, version);
	err = tfs_write(b->fs, base.ino[file], 0, buf, size_of(file), 0);
	free(buf);
	return err;
}

/* And quiet for long enough that the log says so. */
static int make_durable(struct bed *b)
{
	int err = tfs_fsync(b->fs, base.ino[0], false);

	if (!err)
		tfs_commit_mark(b->fs, b->fs->log.content);
	return err;
}

static void make_past(struct bed *b, struct watch *w)
{
	char name[16];

	for (unsigned int i = 0; i < FILES; i++) {
		sprintf(name, "file%u", i);
		base.ino[i] = bed_file(b, name);
	}
	for (unsigned int v = 1; v <= VERSIONS; v++) {
		if (v == VERSIONS)
			sim_on_write(b->sim, watch_data, w);
		for (unsigned int i = 0; i < FILES; i++)
			ck_assert_int_eq(rewrite(b, i, v), 0);
		sim_on_write(b->sim, NULL, NULL);
		ck_assert_int_eq(make_durable(b), 0);
		if (v == PAST)
			base.past = sim_clone(b->sim);
		if (v == VERSIONS - 1) {	/* the rest is in the log */
			ck_assert_int_eq(tfs_ckpt_run(b->fs), 0);
			find_nodes(b);
		}
	}
}

static void setup(const char *profile)
{
	struct watch w;
	struct bed b;

	memset(&base, 0, sizeof(base));
	base.profile = profile;
	bed_make(&b, profile, 1024, 1);
	base.csize = tfs_cluster_size(b.fs);
	base.size = sim_raw(b.sim)->size;
	sim_keep_old(b.sim);
	w.b = &b;
	w.data = calloc(b.fs->super.clusters, sizeof(bool));
	make_past(&b, &w);
	for (unsigned int i = 0; i < FILES; i++)
		base.version[i] = VERSIONS;
	base.now = sim_clone(b.sim);	/* no clean end */
	sim_settle(base.now, true);
	sim_settle(base.past, true);
	find_spots(&b, w.data);
	free(w.data);
	bed_free(&b);
}

static void setup_512(void)
{
	setup("512+8");
}

static void setup_4096(void)
{
	setup("4096+8");
}

static void teardown(void)
{
	for (unsigned int i = 0; i < KINDS; i++)
		free(base.spot[i]);
	sim_destroy(base.now);
	sim_destroy(base.past);
}

/* ---- one fault ----------------------------------------------------------- */

struct one {
	struct bed	bed;
	enum kind	kind;
	enum fault	fault;
	uint64_t	seed, rand;
	bool		syncing;
	unsigned int	wait;		/* so many writes of the kind first */
	unsigned int	armed;
	bool		failed;		/* (4) */
	bool		crashed;
	bool		log_hit;	/* itself or its tuples */
	unsigned int	synced[FILES], latest[FILES];
	uint8_t		*got, *want;
};

static uint64_t pick(struct one *c, uint64_t n)
{
	return n ? sim_rand(&c->rand) % n : 0;
}

__attribute__((format(printf, 2, 3)))
static void wrong(const struct one *c, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ck_abort_msg("%s, %s in a %s, TAGFS_CASE=%u:%u:%llu: %s",
		     base.profile, fault_name[c->fault], kind_name[c->kind],
		     c->kind, c->fault, (unsigned long long)c->seed, text);
}

/* (2), (3) */
static bool harmless(const struct one *c)
{
	return c->fault != WRITE_MISDIRECTED;
}

static bool content_is_hit(const struct one *c)
{
	return c->kind == DATA || c->kind == PAGE || !harmless(c);
}

/* The newest blocks of the log share tuple pages, and their marks, too. */
static bool holds_log(struct one *c, uint64_t off)
{
	const struct eng_profile *p = eng_profile_find(base.profile);
	uint64_t first = bed_page_at(base.now, p, TFS_AT_LOG);
	uint64_t last = bed_page_at(base.now, p, TFS_AT_LOG + 63);

	return c->kind == LOG || (c->kind == PAGE &&
		off + SOFT_BLOCK >= first && off <= last + SOFT_BLOCK);
}

static const struct spot *some_spot(struct one *c)
{
	return &base.spot[c->kind][pick(c, base.n[c->kind])];
}

/* How far to go astray, by sectors, and stay on the disk. */
static int64_t astray(struct one *c, uint64_t off, uint64_t len)
{
	uint64_t to = pick(c, (base.size - len) / 512 + 1) * 512;

	return (int64_t)(to - off);
}

static void rot(struct one *c, const struct spot *at)
{
	for (unsigned int i = 1 + (unsigned int)pick(c, 12); i; i--)
		sim_flip(c->bed.sim, at->off + pick(c, at->len),
			 (uint8_t)(1u << pick(c, 8)));
}

/* What was there before, the whole of it or some sectors. */
static void put_past(struct one *c, const struct spot *at, bool whole)
{
	uint8_t sector[512];

	for (uint64_t off = 0; off < at->len; off += sizeof(sector)) {
		if (!whole && pick(c, 2))
			continue;
		sim_peek(base.past, at->off + off, sector, sizeof(sector));
		sim_poke(c->bed.sim, at->off + off, sector, sizeof(sector));
	}
}

/* The same with its tuples, as a device loses it that keeps both together:
 * nothing but the tags says so. */
static void put_past_cluster(struct one *c, const struct spot *at)
{
	const struct eng_profile *p = eng_profile_find(base.profile);
	static struct bed_cluster cl;

	if (c->kind == HEADER || c->kind == PAGE) {
		put_past(c, at, true);
		return;
	}
	bed_peek(base.past, p, at->addr, &cl);
	bed_poke(c->bed.sim, p, at->addr, &cl);
}

static void put_another(struct one *c, const struct spot *at)
{
	uint8_t *buf = malloc(at->len);
	const struct spot *from = some_spot(c);

	sim_peek(c->bed.sim, from->len < at->len ? at->off : from->off, buf,
		 at->len);
	sim_poke(c->bed.sim, at->off, buf, at->len);
	free(buf);
}

static void arm_read(struct one *c, const struct spot *at)
{
	static const enum sim_fault what[] = {
		[READ_MISDIRECTED] = SIM_READ_MISDIRECTED,
		[READ_STALE] = SIM_READ_STALE, [READ_ERROR] = SIM_READ_FAIL,
	};
	/* Requests may be long; what a disk gets wrong is one of them. */
	uint64_t room = base.size - 64 * (uint64_t)base.csize;
	int64_t arg = c->fault == READ_ERROR ? -EIO :
		(int64_t)(pick(c, (at->off < room ? room - at->off : 1) / 512) *
			  512) - (at->off < room ? 0 : (int64_t)room);

	sim_fault(c->bed.sim, what[c->fault], at->off, at->len, arg, 0,
		  1 + (unsigned int)pick(c, 3));
	c->armed++;
}

/* Called before each write: the fault hits this one. */
static void arm_write(void *arg, uint64_t off, uint64_t len)
{
	static const enum sim_fault what[] = {
		[WRITE_LOST] = SIM_WRITE_LOST, [WRITE_TORN] = SIM_WRITE_TORN,
		[WRITE_MISDIRECTED] = SIM_WRITE_MISDIRECTED,
		[WRITE_ERROR] = SIM_WRITE_FAIL, [FLUSH_ERROR] = SIM_FLUSH_FAIL,
	};
	struct one *c = arg;

	if (c->armed || !c->bed.fs ||
	    kind_at(&c->bed, off, c->syncing) != c->kind || c->wait--)
		return;
	c->log_hit = holds_log(c, off);
	sim_fault(c->bed.sim, what[c->fault], off, len,
		  c->fault == WRITE_MISDIRECTED ? astray(c, off, len) : -EIO,
		  0, 1);
	c->armed++;
}

static void put_fault(struct one *c)
{
	const struct spot *at = some_spot(c);

	c->wait = (unsigned int)pick(c, 12);
	c->log_hit = holds_log(c, at->off);
	switch (c->fault) {
	case ROT:
		rot(c, at);
		break;
	case STALE_SECTORS: case REST_LOST:
		put_past(c, at, c->fault == REST_LOST);
		break;
	case REST_LOST_TUPLES:
		put_past_cluster(c, at);
		break;
	case REST_MISDIRECTED:
		put_another(c, at);
		break;
	case READ_MISDIRECTED: case READ_STALE: case READ_ERROR:
		arm_read(c, at);
		break;
	default:
		sim_on_write(c->bed.sim, arm_write, c);
	}
	c->armed += c->fault <= REST_MISDIRECTED;
}

/* ---- what is read (1) ---------------------------------------------------- */

/* The version that these bytes are of, between the bounds; 0: of none. */
static unsigned int version_of(struct one *c, unsigned int file, uint64_t off,
			       size_t len)
{
	unsigned int from = c->log_hit ? 1 : c->synced[file];

	for (unsigned int v = c->latest[file]; v >= from && v; v--) {
		fill(c->want, file, v);
		if (!memcmp(c->got, c->want + off, len))
			return v;
	}
	return 0;
}

/* For the message. */
static unsigned int any_version(struct one *c, unsigned int file, size_t len)
{
	unsigned int v = VERSIONS + ROUNDS;

	for (; v; v--) {
		fill(c->want, file, v);
		if (!memcmp(c->got, c->want, len))
			break;
	}
	return v;
}

static void read_clusters(struct one *c, unsigned int file)
{
	unsigned int version = 0, bad = 0, v;

	for (uint64_t off = 0; off < size_of(file); off += base.csize) {
		size_t len = size_of(file) - off;
		ssize_t n;

		if (len > base.csize)
			len = base.csize;
		n = tfs_read_sync(c->bed.fs, base.ino[file], off, c->got, len);
		bad += n < 0;
		if (n < 0)
			continue;
		v = version_of(c, file, off, (size_t)n);
		if ((size_t)n != len || !v || (version && v != version))
			wrong(c, "file %u, offset %llu: WRONG BYTES", file,
			      (unsigned long long)off);
		version = v;
	}
	if (bad && !content_is_hit(c) && !c->failed)
		wrong(c, "file %u: %u clusters can't be read", file, bad);
}

static void read_file(struct one *c, unsigned int file)
{
	struct tfs_inode in;
	char name[16];
	ssize_t n;
	int err;

	sprintf(name, "file%u", file);
	err = tfs_lookup(c->bed.fs, TFS_ROOT_INO, name, &in);
	if (err == -ENOENT || (err && harmless(c) && !c->failed))
		wrong(c, "%s: %s", name, strerror(-err));
	if (err)
		return;
	tfs_unref(c->bed.fs, in.ino, 1);
	if (in.ino != base.ino[file] || in.size != size_of(file))
		wrong(c, "%s: another inode", name);
	n = tfs_read_sync(c->bed.fs, in.ino, 0, c->got, size_of(file) + 1);
	if (n < 0)
		read_clusters(c, file);
	else if ((size_t)n != in.size || !version_of(c, file, 0, in.size))
		wrong(c, "%s: WRONG BYTES, of version %u", name,
		      any_version(c, file, (size_t)n));
}

static void read_all(struct one *c)
{
	for (unsigned int i = 0; i < FILES; i++)
		read_file(c, i);
}

/* ---- one case ------------------------------------------------------------ */

static bool mount(struct one *c)
{
	int err;

	c->failed = false;
	err = bed_open(&c->bed);
	if (err && harmless(c))
		wrong(c, "mount: %s", strerror(-err));
	return !err;
}

static void sync_all(struct one *c, bool checkpoint)
{
	int err;

	c->syncing = true;
	err = checkpoint ? tfs_ckpt_run(c->bed.fs) : make_durable(&c->bed);
	c->syncing = false;
	if (!err)
		memcpy(c->synced, c->latest, sizeof(c->synced));
	else if (harmless(c) && c->kind != LOG && c->fault != WRITE_ERROR &&
		 c->fault != FLUSH_ERROR && c->fault != READ_ERROR)
		wrong(c, "sync: %s", strerror(-err));
	c->failed |= err;
}

static void live(struct one *c)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int i = 0; i < FILES; i++) {
			if (pick(c, 2))
				continue;
			c->latest[i]++;
			c->failed |= rewrite(&c->bed, i, c->latest[i]) != 0;
		}
		read_all(c);
		sync_all(c, round % 2);
		read_all(c);
	}
}

/* A proper end, or the power goes. */
static void end(struct one *c)
{
	c->crashed = pick(c, 2);
	c->syncing = true;
	if (c->crashed)
		sim_power_off_at(c->bed.sim, pick(c, 8));
	bed_drop(&c->bed);
	c->syncing = false;
	sim_on_write(c->bed.sim, NULL, NULL);
	sim_clear_faults(c->bed.sim);
	if (c->crashed || sim_is_off(c->bed.sim))
		sim_crash(c->bed.sim, c->rand);
}

static void must_be_whole(struct one *c)
{
	const char *bad;

	if (!harmless(c) || tfs_rdonly(c->bed.fs))
		return;
	bad = fs_check(c->bed.fs, FS_CHECK_ONE_COPY);
	if (bad)
		wrong(c, "%s", bad);
}

/* True: the fault came to pass. */
static bool one_case(enum kind kind, enum fault fault, uint64_t seed)
{
	struct one c = {
		.kind = kind, .fault = fault, .seed = seed,
		.rand = seed * 1009 + kind * 31 + fault,
	};
	bool hit = false;

	bed_take(&c.bed, sim_clone(base.now), seed);
	memcpy(c.synced, base.version, sizeof(c.synced));
	memcpy(c.latest, base.version, sizeof(c.latest));
	c.got = malloc((CLUSTERS_MAX + 1) * (size_t)base.csize);
	c.want = malloc((CLUSTERS_MAX + 1) * (size_t)base.csize);
	put_fault(&c);
	if (mount(&c)) {
		read_all(&c);
		hit = sim_faults_hit(c.bed.sim);
		/* Its place may be one of content from now on. */
		if (fault >= READ_MISDIRECTED && !content_is_hit(&c))
			sim_clear_faults(c.bed.sim);
		live(&c);
	}
	hit |= c.armed && (fault <= REST_MISDIRECTED ||
			   sim_faults_hit(c.bed.sim));
	end(&c);
	if (mount(&c)) {
		read_all(&c);
		must_be_whole(&c);
	}
	bed_drop(&c.bed);
	if (mend_due(seed + kind * FAULTS + fault, 32))
		mend_anything(&c.bed);
	free(c.got);
	free(c.want);
	bed_free(&c.bed);
	return hit;
}

static void one_cell(enum kind kind, enum fault fault)
{
	unsigned int hits = 0, cases = amount(300, 11);

	for (uint64_t seed = 0; seed < cases; seed++)
		hits += one_case(kind, fault, seed);
	/* Superblocks and headers are not written; of a few cases all may be
	 * at places that nobody looks at. */
	if (cases > 8 && (fault <= REST_MISDIRECTED || kind == NODE ||
			  kind == DATA))
		ck_assert_msg(hits > cases / 8, "%s, %s in a %s: %u cases",
			      base.profile, fault_name[fault],
			      kind_name[kind], hits);
}

/* All of a kind in one process: a process costs more than a case. */
START_TEST(no_fault_anywhere_is_a_lie)	/* _i: kind */
{
	unsigned int only[3];

	if (!getenv("TAGFS_CASE")) {
		for (unsigned int fault = 0; fault < FAULTS; fault++)
			one_cell((enum kind)_i, (enum fault)fault);
		return;
	}
	/* kind:fault:seed, by number */
	if (sscanf(getenv("TAGFS_CASE"), "%u:%u:%u", &only[0], &only[1],
		   &only[2]) == 3 && only[0] == (unsigned int)_i)
		one_case((enum kind)_i, (enum fault)only[1], only[2]);
}
END_TEST

static TCase *grid(const char *name, void (*set_up)(void))
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 900);
	tcase_add_unchecked_fixture(tc, set_up, teardown);
	tcase_add_loop_test(tc, no_fault_anywhere_is_a_lie, 0, KINDS);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("faultgrid");

	suite_add_tcase(s, grid("512+8", setup_512));
	suite_add_tcase(s, grid("4096+8", setup_4096));
	return bed_run_suite(s);
}
