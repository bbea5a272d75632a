/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz.c - what a fuzzer makes of an image.
 *
 * The input is a list of edits of a small image.  Each names a structure, a
 * place in it and new bytes; all checksums, guards and tags are put right
 * after it, in both copies.  Then the image is mounted, looked at and, for
 * the target "image", changed.
 *
 *	TAGFS_FUZZ=head, page, super, slot, node, log	that structure alone
 *	TAGFS_FUZZ=image	all of them, and changes
 *	TAGFS_FUZZ=fsck		all of them; checked and repaired, as mend.h says
 *	TAGFS_FUZZ=rebuild	all of them; rebuilt, and that is whole then
 *	TAGFS_FUZZ=restore, ctlimage	all of them; what tagfsctl makes of it
 *
 *  (1) Nothing but the input decides what happens.
 *  (2) An edit is EDIT bytes: kind, which, place, mask, value. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "commit/log.h"
#include "commit/super.h"
#include "fuzz/ctl.h"
#include "soft/dev_soft.h"
#include "soft/soft_priv.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"
#include "support/mend.h"
#include "tree/node.h"

#define CLUSTERS	1024u
#define EDIT		16u
#define EDITS_MAX	64u
#define PROFILE		"512+8"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kinds of structures, which are targets, and other targets. */
enum { HEAD, PAGE, SUPER, SLOT, NODE, LOG, KINDS, IMAGE = KINDS, FSCK, REBUILD,
	RESTORE, CTLIMAGE, TARGETS };
static const char *const targets[TARGETS] = {
	"head", "page", "super", "slot", "node", "log", "image", "fsck",
	"rebuild", "restore", "ctlimage",
};

static struct sim *base;
static struct tfs_miss *nodes;
static size_t n_nodes;
static unsigned int target = IMAGE;

struct edit {
	unsigned int	kind, which, place;
	uint8_t		size;		/* of bytes, 1 to 8 */
	uint8_t		value[8];
};

/* ---- without libcheck's runner (linked with --wrap) ------------------------- */

void __wrap__mark_point(const char *file, int line);
void __wrap__ck_assert_failed(const char *file, int line, const char *expr,
			      const char *msg, ...);

void __wrap__mark_point(const char *file, int line)
{
	(void)file;
	(void)line;
}

void __wrap__ck_assert_failed(const char *file, int line, const char *expr,
			      const char *msg, ...)
{
	fprintf(stderr, "%s:%d: %s (%s)\n", file, line, expr, msg);
	abort();
}

/* ---- the image ------------------------------------------------------------- */

static void make_base(void)
{
	uint64_t rand = 1;
	struct bed b;

	bed_make(&b, PROFILE, CLUSTERS, 1);
	for (int i = 0; i < 150; i++)
		ck_assert_int_eq(fs_step(b.fs, &rand), 0);
	n_nodes = fs_nodes(b.fs, &nodes);
	bed_umount(&b);
	bed_mount(&b);
	bed_file(&b, "in the log");
	ck_assert_int_eq(tfs_sync(b.fs), 0);
	base = sim_clone(b.sim);
	sim_settle(base, true);
	bed_free(&b);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("TAGFS_FUZZ");

	(void)argc;
	(void)argv;
	bed_quiet();
	for (unsigned int i = 0; name && i < TARGETS; i++)
		if (!strcmp(name, targets[i]))
			target = i;
	make_base();
	return 0;
}

/* ---- edits ------------------------------------------------------------------ */

static struct edit edit_of(const uint8_t *d)
{
	struct edit e = {
		.kind = target < KINDS ? target : d[0] % KINDS,
		.which = d[1] | d[2] << 8, .place = d[3] | d[4] << 8,
		.size = d[5] % 8 + 1,
	};

	memcpy(e.value, d + 8, sizeof(e.value));
	return e;
}

static void apply(const struct edit *e, void *buf, size_t size)
{
	memcpy((uint8_t *)buf + e->place % (size - 8), e->value, e->size);
}

static void seal(void *buf, size_t len, size_t crc_at)
{
	uint32_t crc = htole32(tfs_crc32c(buf, len, crc_at));

	memcpy((uint8_t *)buf + crc_at, &crc, sizeof(crc));
}

static void edit_super(struct tfs *fs, const struct edit *e, uint8_t *buf)
{
	struct tfs_disk_super *d = (void *)buf;

	for (unsigned int copy = 0; copy < 2; copy++) {
		uint64_t addr = copy ? fs->super.clusters - TFS_END_SUPER :
			TFS_AT_SUPER;
		struct tfs_record rec = { .kind = TFS_K_SUPER, .index = copy };

		if (tfs_cluster_read(fs, addr, NULL, buf))
			return;
		apply(e, buf, sizeof(*d));
		seal(d, sizeof(*d), offsetof(struct tfs_disk_super, crc));
		rec.seq = le64toh(d->seq) & TFS_SEQ_MAX;
		tfs_cluster_write(fs, addr, &rec, buf);
	}
}

static void edit_slot(struct tfs *fs, const struct edit *e, uint8_t *buf)
{
	struct tfs_disk_slot *d = (void *)buf;

	for (unsigned int i = 0; i < 4; i++) {
		uint64_t addr = i % 2 ? fs->super.clusters - TFS_END_SLOT +
			i / 2 : TFS_AT_SLOT + i / 2;
		struct tfs_record rec = { .kind = TFS_K_SLOT, .owner = i / 2,
					  .index = i % 2 };
		uint64_t used;

		if (tfs_cluster_read(fs, addr, NULL, buf))
			return;
		apply(e, buf, sizeof(*d));
		seal(d, sizeof(*d), offsetof(struct tfs_disk_slot, crc));
		rec.seq = le64toh(d->seq);
		used = le64toh(d->used);
		rec.seq = (used > rec.seq ? used : rec.seq) & TFS_SEQ_MAX;
		tfs_cluster_write(fs, addr, &rec, buf);
	}
}

static void edit_node(struct tfs *fs, const struct edit *e, uint8_t *buf)
{
	const struct tfs_miss *f = &nodes[e->which % n_nodes];

	if (tfs_cluster_read(fs, f->ptr.addr[0], NULL, buf))
		return;
	apply(e, buf, fs->csize);
	seal(buf, fs->csize, offsetof(struct tfs_disk_node, crc));
	for (unsigned int copy = 0; copy < 2; copy++) {
		struct tfs_record rec = {
			.kind = TFS_K_NODE, .owner = f->level, .index = copy,
			.seq = f->ptr.seq,
		};

		tfs_cluster_write(fs, f->ptr.addr[copy], &rec, buf);
	}
}

/* The first commit behind the checkpoint, which is one cluster. */
static void edit_log(struct tfs *fs, const struct edit *e, uint8_t *buf)
{
	struct tfs_disk_log *h = (void *)buf;
	struct tfs_record rec = { .kind = TFS_K_LOG };
	struct tfs_slot slot;
	unsigned int odd;

	if (tfs_slot_read(fs, &slot, &odd))
		return;
	rec.index = slot.log_pos;
	if (tfs_cluster_read(fs, tfs_log_addr(fs, rec.index), NULL, buf))
		return;
	apply(e, buf, fs->csize);
	h->prev = htole64(slot.chain);
	h->hash = htole64(tfs_log_hash(fs, buf, 1));
	seal(h, fs->csize, offsetof(struct tfs_disk_log, crc));
	rec.seq = le64toh(h->seq) & TFS_SEQ_MAX;
	tfs_cluster_write(fs, tfs_log_addr(fs, rec.index), &rec, buf);
}

static void edit_head(struct sim *sim, const struct edit *e)
{
	uint64_t end = sim_raw(sim)->size / SOFT_BLOCK * SOFT_BLOCK;
	struct soft_disk_head h;

	for (unsigned int copy = 0; copy < 2; copy++) {
		uint64_t at = copy ? end - SOFT_BLOCK : 0;

		sim_peek(sim, at, &h, sizeof(h));
		apply(e, &h, 0x60);
		h.crc = put_le32(soft_crc(&h, offsetof(struct soft_disk_head,
						       crc)));
		sim_poke(sim, at, &h, sizeof(h));
	}
}

static void edit_page(struct sim *sim, const struct edit *e)
{
	uint64_t at = bed_page_at(sim, eng_profile_find(PROFILE),
				  e->which % CLUSTERS);
	struct soft_disk_page page;

	at ^= e->which & 0x8000 ? SOFT_BLOCK : 0;
	sim_peek(sim, at, &page, sizeof(page));
	apply(e, &page, sizeof(page));
	soft_page_seal(&page);
	sim_poke(sim, at, &page, sizeof(page));
}

/* ---- one input --------------------------------------------------------------- */

static void edit_inside(struct tfs *fs, const struct edit *e, uint8_t *buf)
{
	switch (e->kind) {
	case SUPER:
		edit_super(fs, e, buf);
		break;
	case SLOT:
		edit_slot(fs, e, buf);
		break;
	case NODE:
		edit_node(fs, e, buf);
		break;
	case LOG:
		edit_log(fs, e, buf);
		break;
	default:
		break;
	}
}

/* Those of the filesystem first, through its own device. */
static void edit_all(struct bed *b, const uint8_t *data, size_t n)
{
	uint8_t *buf = aligned_alloc(4096, TFS_CLUSTER_MAX);
	struct edit e;

	ck_assert_int_eq(eng_soft_open(&b->dev, sim_raw(b->sim),
				       &(struct eng_open){
					       .pool = b->pool }), 0);
	ck_assert_int_eq(tfs_open(&b->fs, b->dev, &(struct tfs_mount){
		.rdonly = true }), 0);
	for (size_t i = 0; i < n; i++) {
		e = edit_of(data + i * EDIT);
		edit_inside(b->fs, &e, buf);
	}
	eng_dev_flush(b->dev);
	bed_drop(b);
	free(buf);
	for (size_t i = 0; i < n; i++) {
		e = edit_of(data + i * EDIT);
		if (e.kind == HEAD)
			edit_head(b->sim, &e);
		if (e.kind == PAGE)
			edit_page(b->sim, &e);
	}
}

static void live(struct bed *b)
{
	uint64_t rand = 2;

	for (int i = 0; i < 60; i++)
		fs_step(b->fs, &rand);
	tfs_sync(b->fs);
}

static void look(struct bed *b)
{
	b->how.rdonly = target < KINDS;
	if (bed_open(b))
		return;
	free(fs_state(b->fs));
	if (!b->how.rdonly)
		live(b);
	bed_drop(b);
}

/* Nothing is written to be told of it; and if it is done, it is done. */
static void rebuild(struct bed *b)
{
	struct mend told = { .rdonly = true, .rebuild = true };
	struct mend done = { .rebuild = true }, left = { .rdonly = true };

	sim_set_rdonly(b->sim, true);		/* who writes, dies */
	mend(b, &told);
	sim_set_rdonly(b->sim, false);
	if (mend(b, &done))
		return;
	ck_assert_msg(!mend(b, &left) && !left.problems,
		      "a rebuild leaves %s", left.text);
	ck_assert_int_eq(bed_open(b), 0);
	free(fs_state(b->fs));
	bed_drop(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size / EDIT < EDITS_MAX ? size / EDIT : EDITS_MAX;
	struct bed b;

	bed_take(&b, sim_clone(base), 0);
	edit_all(&b, data, n);
	if (target == FSCK)
		mend_anything(&b);
	else if (target == REBUILD)
		rebuild(&b);
	else if (target == RESTORE)
		fuzz_restore(&b);
	else if (target == CTLIMAGE)
		fuzz_image(&b);
	else
		look(&b);
	bed_free(&b);
	return 0;
}
