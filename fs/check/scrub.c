/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrub.c - see scrub.h.
 *
 *  (1) Data are read in the order of the device, with whatever tags are there,
 *      which say whose they are.  Where the tree agrees, a cluster is
 *      verified; everything else is a suspect, no more: it may have been
 *      freed, or be in the making.
 *  (2) Suspects are looked up the other way, in a walk over the tree: is there
 *      a file that has its content there?  What it has is read once more as
 *      a read of the file would, from where the tree says now.  If that fails
 *      it is found, and nobody else could have read it: no false alarm.
 *  (3) A ticket is held for one batch, and while a suspect is read.  It is
 *      given back before the tree is asked.
 *  (4) Memory is bounded: suspects are kept as runs, and if there are too
 *      many, they are looked up before more are read.
 *  (5) What was written after the look at the map is not missed: it is younger
 *      than the scrub.
 *  (6) A mirror's legs are all looked at.  What they don't all have in the same
 *      way is a suspect, and read from all of them with what must be there, so
 *      that who has it wrong gets it.  While one is behind, that is everything.
 *  (7) What the device keeps for itself is looked at before content that lies
 *      there: reading the latter would put it right unseen. */
#include <stdlib.h>
#include <string.h>

#include "mirror/mirror.h"
#include "base/cluster.h"
#include "base/gate.h"
#include "base/notes.h"
#include "check/part.h"
#include "check/scrub.h"
#include "file/extent.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

#define BATCH_BYTES	(8u << 20)
#define SUSPECTS	65536u		/* runs (4) */
#define PART_BYTES	8192u		/* both copies of one */

static uint32_t batch_clusters(const struct tfs_scrub *s)
{
	return BATCH_BYTES / s->fs->csize;
}

static uint32_t io_clusters(const struct tfs_scrub *s)
{
	return s->buf_size / s->fs->csize;
}

static int suspect(struct tfs_scrub *s, uint64_t addr, uint64_t n)
{
	return tfs_runs_add(&s->suspect, addr, n);
}

/* (6) */
static bool one_is_behind(const struct tfs_scrub *s)
{
	const struct eng_dev *dev = s->fs->dev;

	for (unsigned int i = 0; i < eng_mirror_legs(dev); i++)
		if (eng_mirror_state(dev, i) == ENG_LEG_BEHIND)
			return true;
	return false;
}

/* ---- the map ------------------------------------------------------------ */

struct look {
	uint64_t	region;
	uint64_t	map[TFS_REGION_WORDS];	/* in use, and not fixed */
	unsigned int	ticket;
};

static void map_decode(uint64_t *map, const struct tfs_item *item)
{
	memcpy(map, item->val, TFS_REGION_BYTES);
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		map[i] = le64toh(map[i]);
}

/* In memory, or as the checkpoint has it. */
static int look_fn(struct tfs_txn *tx, void *arg)
{
	struct look *l = arg;
	struct tfs *fs = tfs_txn_fs(tx);
	uint64_t fixed[TFS_REGION_WORDS] = { 0 };
	const struct tfs_region *r = tfs_region_peek(fs, l->region);
	struct tfs_item item;
	int err = r ? 0 : tfs_txn_get(tx, tfs_key(0, TFS_T_REGION, l->region),
				      &item);

	if (err && err != -ENOENT)
		return err;
	memset(l->map, 0, sizeof(l->map));
	if (r)
		memcpy(l->map, r->map, sizeof(l->map));
	else if (!err && item.len == TFS_REGION_BYTES)
		map_decode(l->map, &item);
	tfs_bits_fixed(fs, l->region, fixed);
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		l->map[i] &= ~fixed[i];
	l->ticket = tfs_reader_enter(fs);
	return 0;
}

/* Of a map that can't be read, everything. */
static int look(struct tfs_scrub *s, struct look *l)
{
	uint64_t fixed[TFS_REGION_WORDS] = { 0 };
	int err = tfs_txn_read(s->fs, look_fn, l);

	if (err != -EUCLEAN && err != -EIO)
		return err;
	tfs_bits_fixed(s->fs, l->region, fixed);
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++)
		l->map[i] = ~fixed[i];
	pthread_rwlock_rdlock(&s->fs->tree);
	l->ticket = tfs_reader_enter(s->fs);
	pthread_rwlock_unlock(&s->fs->tree);
	return 0;
}

/* ---- reading in the order of the device --------------------------------- */

static uint16_t *tags_of(struct tfs_scrub *s, unsigned int leg, uint32_t i)
{
	return s->tags + ((size_t)leg * batch_clusters(s) + i) * TFS_LANES;
}

static void forget_tags(struct tfs_scrub *s, uint32_t i, uint32_t n)
{
	memset(tags_of(s, 0, i), 0xff, (size_t)n * TFS_LANES *
	       sizeof(*s->tags));
}

/* What can't be read as a whole.  A cluster that can't is left without tags. */
static int read_run(void *arg, unsigned int leg, uint64_t addr, uint32_t n,
		    uint16_t *tags, uint8_t *buf)
{
	struct tfs_scrub *s = arg;
	struct eng_fault fault;
	int err = tfs_cluster_leg(s->fs, leg, addr, n, ENG_IO_MEDIUM |
				  ENG_IO_ESCAPES, buf, tags, &fault);
	uint32_t half = n / 2;

	if (!err || err == -ENOMEM)
		return err;
	if (n == 1)
		return 0;
	err = read_run(s, leg, addr, half, tags, buf);
	return err ? err : read_run(s, leg, addr + half, n - half,
				    tags + (size_t)half * TFS_LANES, buf);
}

/* The next batch of the region, so many clusters; 0 at its end. */
static uint32_t choose_batch(struct tfs_scrub *s, const struct look *l)
{
	uint32_t most = batch_clusters(s), count = 0, n;

	while (count < most) {
		unsigned int bit = tfs_bits_next(l->map, s->bit, true);

		n = tfs_bits_next(l->map, bit, false) - bit;
		s->bit = bit;
		if (bit == TFS_REGION_BITS)
			break;
		if (n > most - count)
			n = most - count;
		for (uint32_t i = 0; i < n; i++)
			s->at[count++] = bit + i;
		s->bit = bit + n;
	}
	return count;
}

/* Neighbours from there on, as many as one request takes. */
static uint32_t run_from(const struct tfs_scrub *s, uint32_t i, uint32_t count)
{
	uint32_t n = 1;

	while (i + n < count && n < io_clusters(s) &&
	       s->at[i + n] == s->at[i] + n)
		n++;
	return n;
}

/* From each leg at once; a device that is no mirror is its only one. */
static int read_all(struct tfs_scrub *s, uint32_t count)
{
	uint64_t base = s->region * TFS_REGION_BITS;
	unsigned int leg[TFS_LEGS_MAX], next = 0;
	int err = 0, last;
	uint32_t n;

	for (s->legs = 0; (next = tfs_leg_next(s->fs, next)); s->legs++)
		leg[s->legs] = next;
	for (uint32_t i = 0; i < count && !err; i += n) {
		n = run_from(s, i, count);
		for (unsigned int k = 0; k < s->legs && !err; k++)
			err = tfs_ahead_read(&s->ahead, leg[k],
					     base + s->at[i], n,
					     tags_of(s, k, i));
	}
	last = tfs_ahead_wait(&s->ahead);
	return err ? err : last;
}

/* (6)  Tags that not all have are nobody's. */
static int read_batch(struct tfs_scrub *s, uint32_t count)
{
	size_t bytes = TFS_LANES * sizeof(*s->tags);
	int err;

	s->legs = 0;
	if (one_is_behind(s)) {
		forget_tags(s, 0, count);
		return 0;
	}
	err = read_all(s, count);
	for (uint32_t i = 0; i < count && !err; i++)
		for (unsigned int k = 1; k < s->legs; k++)
			if (memcmp(tags_of(s, 0, i), tags_of(s, k, i), bytes))
				forget_tags(s, i, 1);
	return err;
}

/* ---- does the tree agree? ----------------------------------------------- */

/* Neighbours that follow from one another. */
struct claim {
	struct tfs_record rec;
	uint64_t	addr, n;
	uint64_t	good, bad;	/* as the tree says, one after the other */
};

static int claim_fn(struct tfs_txn *tx, void *arg)
{
	struct claim *c = arg;
	struct tfs_extent ext;
	uint64_t lc = c->rec.index, left;
	int err = tfs_extent_find(tx, c->rec.owner, lc, &ext);

	c->good = 0;
	c->bad = c->n;
	if (err)
		return err == -ENOENT || err == -EUCLEAN ? 0 : err;
	if (ext.lc > lc) {
		left = ext.lc - lc;
	} else {
		left = ext.lc + ext.len - lc;
		if (ext.addr && ext.addr + (lc - ext.lc) == c->addr &&
		    ext.seq == c->rec.seq)
			c->good = left < c->n ? left : c->n;
	}
	c->bad = c->good ? 0 : left < c->n ? left : c->n;
	return 0;
}

static int judge_claim(struct tfs_scrub *s, struct claim *c)
{
	int err = 0;

	while (c->n && !err) {
		uint64_t n;

		err = tfs_txn_read(s->fs, claim_fn, c);
		if (err == -EIO || err == -EUCLEAN) {
			c->good = 0;	/* the walk will say why */
			c->bad = c->n;
			err = 0;
		}
		n = c->good + c->bad;
		s->bytes += c->good * s->fs->csize;
		if (!err && c->bad)
			err = suspect(s, c->addr, c->bad);
		c->addr += n;
		c->rec.index += n;
		c->n -= n;
	}
	return err;
}

static bool continues(const struct claim *c, const struct tfs_record *rec,
		      uint64_t addr)
{
	return c->n && c->addr + c->n == addr && c->rec.owner == rec->owner &&
		c->rec.seq == rec->seq && c->rec.index + c->n == rec->index;
}

static int judge_batch(struct tfs_scrub *s, uint64_t base, uint32_t count)
{
	struct claim c = { .n = 0 };
	int err = 0;

	for (uint32_t i = 0; i < count && !err; i++) {
		uint64_t addr = base + s->at[i];
		struct tfs_record rec;
		bool known = tfs_record_decode(&s->fs->key, tags_of(s, 0, i),
					       addr, &rec);

		if (known && rec.kind == TFS_K_DATA &&
		    continues(&c, &rec, addr)) {
			c.n++;
			continue;
		}
		err = judge_claim(s, &c);
		if (err)
			break;
		if (known && rec.kind == TFS_K_DATA)
			c = (struct claim){ .rec = rec, .addr = addr, .n = 1 };
		else if (!known || rec.kind != TFS_K_NODE)
			err = suspect(s, addr, 1);
	}
	return err ? err : judge_claim(s, &c);
}

static int step_data(struct tfs_scrub *s)
{
	struct look *l = malloc(sizeof(*l));
	uint32_t count = 0;
	int err = l ? 0 : -ENOMEM;

	if (!err) {
		l->region = s->region;
		err = look(s, l);
	}
	if (!err) {
		count = choose_batch(s, l);
		err = read_batch(s, count);
		tfs_reader_exit(s->fs, l->ticket);		/* (3) */
	}
	s->moved += (uint64_t)count * s->legs * s->fs->csize;
	if (!err)
		err = judge_batch(s, s->region * TFS_REGION_BITS, count);
	if (!err && s->bit >= TFS_REGION_BITS) {
		s->bit = 0;
		s->region++;
	}
	free(l);
	return err;
}

/* ---- suspects (2) ------------------------------------------------------- */

/* On every leg, if there are more. */
static int verify(struct tfs_scrub *s, uint32_t ino,
		  const struct tfs_extent *ext, struct eng_fault *fault)
{
	return tfs_part_verify(s->fs, ino, ext, ENG_IO_LEGS, s->buf, fault);
}

static void tell(struct tfs_scrub *s, const struct tfs_scrub_finding *f)
{
	if (f->healed)
		s->healed++;
	else
		s->uncorrectable++;
	s->found(s, f);
}

/* It may have been on the list of flaws: that was then, or elsewhere. */
static void good(struct tfs_scrub *s, uint32_t ino,
		 const struct tfs_extent *ext)
{
	struct tfs_flaw f = {
		.kind = TFS_FLAW_DATA, .ino = ino, .addr = ext->addr,
		.seq = ext->seq, .off = ext->lc * s->fs->csize,
		.len = ext->len * s->fs->csize,
	};

	s->bytes += f.len;
	if (s->errors)
		tfs_flaws_good(s->fs, &f);
}

static int confirm_one(struct tfs_scrub *s, uint32_t ino,
		       const struct tfs_extent *ext)
{
	struct tfs_scrub_finding f = {
		.kind = TFS_SCRUB_DATA, .ino = ino, .cluster = ext->addr,
		.seq = ext->seq,
		.off = ext->lc * s->fs->csize, .len = s->fs->csize,
	};

	f.err = verify(s, ino, ext, &f.fault);
	if (f.err == -ENOMEM)
		return f.err;
	if (f.err)
		tell(s, &f);
	else
		good(s, ino, ext);
	return 0;
}

static int confirm_part(struct tfs_scrub *s, uint32_t ino,
			const struct tfs_extent *ext)
{
	struct tfs_extent one;
	struct eng_fault fault;
	int err = verify(s, ino, ext, &fault);

	if (!err)
		good(s, ino, ext);
	if (!err || err == -ENOMEM)
		return err;
	err = 0;
	for (uint64_t i = 0; i < ext->len && !err; i++) {
		one = tfs_extent_slice(ext, ext->lc + i, 1);
		err = confirm_one(s, ino, &one);
	}
	return err;
}

static int confirm(struct tfs_scrub *s, uint32_t ino, uint64_t lc,
		   uint64_t n)
{
	struct tfs_part p = { .fs = s->fs, .ino = ino, .lc = lc, .end = lc + n,
			      .most = io_clusters(s) };
	int err = 0;

	while (!err && p.lc < p.end) {
		err = tfs_part_next(&p);
		if (err || !p.ext.len)
			break;
		if (p.pinned)
			err = confirm_part(s, ino, &p.ext);
		tfs_part_done(&p);				/* (3) */
	}
	return err == -EUCLEAN || err == -EIO ? 0 : err;
}

/* The first run that ends behind addr. */
static size_t run_behind(const struct tfs_runs *runs, uint64_t addr)
{
	size_t low = 0, high = runs->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (runs->run[mid].addr + runs->run[mid].len > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* A mapped one.  What is too new to be true depends on the running commit. */
static bool is_extent(struct tfs *fs, const struct tfs_item *item,
		      struct tfs_extent *ext)
{
	int err;

	if (!item->key.obj || item->key.type != TFS_T_EXTENT)
		return false;
	pthread_rwlock_rdlock(&fs->tree);
	err = tfs_extent_decode(fs, item, ext);
	pthread_rwlock_unlock(&fs->tree);
	return !err && ext->addr;
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct tfs_scrub *s = w->arg;
	struct tfs_extent ext;
	int err = 0;

	if (!s->resolving)
		s->ino = item->key.obj;
	if (!s->suspect.n || !is_extent(s->fs, item, &ext))
		return 0;
	for (size_t i = run_behind(&s->suspect, ext.addr);
	     i < s->suspect.n && !err; i++) {
		const struct tfs_run *r = &s->suspect.run[i];
		uint64_t from = r->addr > ext.addr ? r->addr : ext.addr;
		uint64_t end = r->addr + r->len, stop = ext.addr + ext.len;

		if (r->addr >= stop)
			break;
		err = confirm(s, item->key.obj, ext.lc + (from - ext.addr),
			      (end < stop ? end : stop) - from);
	}
	return err;
}

/* ---- the tree ----------------------------------------------------------- */

static bool heal(struct tfs_scrub *s, const struct tfs_miss *at)
{
	if (tfs_rdonly(s->fs))
		return false;
	pthread_rwlock_wrlock(&s->fs->tree);
	tfs_ncache_heal_note(s->fs, at);
	s->fs->dirty = true;
	pthread_rwlock_unlock(&s->fs->tree);
	return true;
}

static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct tfs_scrub *s = w->arg;
	bool healed = false;

	s->nodes++;
	s->moved += 2 * s->fs->csize;
	if (n->copy[0].err || n->copy[1].err || n->differ)
		healed = heal(s, &n->at);
	for (unsigned int i = 0; i < 2; i++) {
		struct tfs_scrub_finding f = {
			.kind = TFS_SCRUB_NODE,
			.cluster = n->at.ptr.addr[i],
			.err = n->copy[i].err, .why = n->copy[i].why,
			.fault = n->copy[i].fault, .healed = healed,
		};

		if (n->differ && i) {
			f.err = -EUCLEAN;
			f.why = "not the same as the other copy";
		}
		if (f.err)
			tell(s, &f);
	}
	return 0;
}

static int see_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	struct tfs_scrub *s = w->arg;
	struct tfs_scrub_finding f = {
		.kind = TFS_SCRUB_LOST, .ino = at->low.obj,
		.cluster = at->ptr.addr[0], .err = err,
	};

	if (s->meta)
		tell(s, &f);
	return 0;
}

/* ---- what lies beside it ------------------------------------------------- */

static void found_beside(struct tfs_medium *m, const struct tfs_finding *at)
{
	static const enum tfs_scrub_kind kinds[TFS_F_KINDS] = {
		[TFS_F_CONTAINER]	= TFS_SCRUB_DEVICE,
		[TFS_F_UNREAD]		= TFS_SCRUB_DEVICE,
		[TFS_F_SUPER]		= TFS_SCRUB_SUPER,
		[TFS_F_SLOT]		= TFS_SCRUB_SLOT,
		[TFS_F_LEGS]		= TFS_SCRUB_LEGS,
		[TFS_F_LOG]		= TFS_SCRUB_LOG,
	};
	struct tfs_scrub *s = m->arg;
	struct tfs_scrub_finding f = {
		.kind = kinds[at->kind], .cluster = at->cluster,
		.off = at->byte, .copy = at->copy, .leg = at->leg,
		.err = at->err, .why = at->text,
		.healed = at->fixable && !tfs_rdonly(m->fs),
	};

	tell(s, &f);
}

static int begin_beside(struct tfs_scrub *s)
{
	int err;

	s->m = (struct tfs_medium){ .fs = s->fs, .arg = s,
				    .found = found_beside };
	err = tfs_medium_begin(&s->m);
	s->m.audit.at = s->parts;
	s->beside = !err;
	return err;
}

/* (7) */
static bool audit_due(const struct tfs_scrub *s)
{
	return s->beside && !s->m.audited &&
		(s->region >= s->regions || s->m.audit.reached <
		 (s->region + 1) * TFS_REGION_BITS * s->fs->ipc);
}

static int step_beside(struct tfs_scrub *s)
{
	uint64_t pages = s->m.audit.at, pos = s->m.pos;
	int err = tfs_medium_step(&s->m);

	s->parts = s->m.audit.at;
	s->moved += (s->parts - pages) * PART_BYTES +
		(s->m.pos - pos) * s->fs->csize;
	return err;
}

/* ---- the whole ---------------------------------------------------------- */

/* The next on the list, or some of it: (3) holds for each part.  Nodes are
 * found again by a walk, which is the only way to them. */
static int step_error(struct tfs_scrub *s)
{
	struct tfs_flaw f;
	uint64_t lc, n;
	bool stored;
	int err = tfs_flaws_next(s->fs, &s->listing, &f, &stored);

	if (err) {
		s->listed = err == -ENOENT;
		return s->listed ? 0 : err;
	}
	if (f.kind != TFS_FLAW_DATA) {
		s->meta = true;
		return s->beside ? 0 : begin_beside(s);
	}
	lc = f.off / s->fs->csize;
	n = tfs_flaw_end(s->fs, &f) - lc;
	if (n > batch_clusters(s)) {
		n = batch_clusters(s);
		s->listing.lc = lc + n;
	}
	return confirm(s, f.ino, lc, n);
}

static int begin_walk(struct tfs_scrub *s, bool resolving)
{
	s->walking = true;
	s->resolving = resolving;
	s->w = (struct tfs_treewalk){
		.fs = s->fs, .arg = s,
		.node = s->meta && !resolving ? see_node : NULL,
		.item = see_item,
		.lost = resolving ? tfs_treewalk_skip : see_lost,
		.key = tfs_key(resolving ? 0 : s->ino, 0, 0),
	};
	return tfs_treewalk_begin(&s->w);
}

static int step_walk(struct tfs_scrub *s)
{
	int err = tfs_treewalk_step(&s->w);

	if (err || !s->w.done)
		return err;
	tfs_treewalk_end(&s->w);
	tfs_runs_clear(&s->suspect);
	s->walking = false;
	s->done = !s->resolving;
	if (s->done && s->healed)
		tfs_note_ckpt(s->fs);
	return 0;
}

int tfs_scrub_begin(struct tfs_scrub *s)
{
	uint64_t most = s->fs->geo->max_io / s->fs->ipc;

	if (most > batch_clusters(s))
		most = batch_clusters(s);
	s->regions = tfs_region_count(s->fs);
	if (!s->data)
		s->region = s->regions;
	s->buf_size = most * s->fs->csize;
	s->buf = eng_buf_get(s->fs->dev, s->buf_size);
	s->tags = calloc((size_t)batch_clusters(s) * TFS_LANES *
			 (eng_mirror_legs(s->fs->dev) ? TFS_LEGS_MAX : 1),
			 sizeof(s->tags[0]));
	s->at = calloc(batch_clusters(s), sizeof(s->at[0]));
	s->ahead = (struct tfs_ahead){ .fs = s->fs, .most = (uint32_t)most,
				       .failed = read_run, .arg = s };
	s->reads_ahead = !tfs_ahead_begin(&s->ahead);
	if (s->buf && s->tags && s->at && s->reads_ahead &&
	    (!s->meta || !begin_beside(s)))
		return 0;
	tfs_scrub_end(s);
	return -ENOMEM;
}

int tfs_scrub_step(struct tfs_scrub *s)
{
	if (s->done)
		return 0;
	if (s->walking)
		return step_walk(s);
	if (s->suspect.n > SUSPECTS)				/* (4) */
		return begin_walk(s, true);
	if (s->errors && !s->listed)
		return step_error(s);
	if (audit_due(s))
		return step_beside(s);
	if (s->region < s->regions)
		return step_data(s);
	if (s->beside && !s->m.done)
		return step_beside(s);
	if (!s->meta && !s->suspect.n) {
		s->done = true;
		return 0;
	}
	return begin_walk(s, false);
}

void tfs_scrub_end(struct tfs_scrub *s)
{
	if (s->walking)
		tfs_treewalk_end(&s->w);
	if (s->beside)
		tfs_medium_end(&s->m);
	s->beside = false;
	if (s->reads_ahead)
		tfs_ahead_end(&s->ahead);
	s->reads_ahead = false;
	tfs_runs_clear(&s->suspect);
	eng_buf_put(s->fs->dev, s->buf, s->buf_size);
	free(s->tags);
	free(s->at);
	s->buf = NULL;
	s->tags = NULL;
	s->at = NULL;
}
