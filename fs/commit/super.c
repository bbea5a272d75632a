/* SPDX-License-Identifier: GPL-2.0-or-later */
/* super.c - superblocks and checkpoint slots.
 *
 *  (1) The two copies of the superblock are never changed together: one is
 *      written and flushed before the other is touched.
 *  (2) Slot number & 1 takes a checkpoint, in two copies far apart; the
 *      other slot, the previous checkpoint, is left alone.
 *  (3) What is read is hostile until decode checked every field.
 *  (4) The second copy of a slot is written when the first is durable, and if
 *      one was found bad or old, that is the first: a power cut leaves one of
 *      them good, so two bad ones are damage.
 *  (5) A slot's tags carry its highest sequence, which every mount raises.
 *  (6) So what cuts leave is known.  One slot has the newest checkpoint, the
 *      other its predecessor, in one copy at least.  The other copy may be
 *      one turn older, or have the bytes of a slot without its tuples.
 *      Anything else is damage, and an older slot proves that writes were
 *      lost.
 *  (7) Of a copy on several legs the newest one that is good counts.
 *  (8) Where an interval may have one tag or all lanes of a cluster, it is the
 *      superblock that says which.  At the start there is one place for both,
 *      and what is there counts.  Where it is lost, and each way shows one at
 *      the end, the filesystem that was made later counts. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "commit/super.h"

int tfs_measure(struct tfs *fs, uint64_t *clusters)
{
	const struct eng_profile *p = fs->geo->profile;

	fs->csize = eng_profile_run(p, TFS_TAG_BYTES);
	assert(fs->csize / p->interval * p->tags == TFS_LANES);
	fs->ipc = fs->csize / p->interval;
	*clusters = fs->geo->intervals / fs->ipc;
	if (fs->geo->max_io >= fs->ipc)
		return 0;
	eng_log(LOG_ERR, "the device takes %u bytes in one request, and a "
		"cluster has %u", fs->geo->max_io * p->interval, fs->csize);
	return -EOPNOTSUPP;
}

/* ---- superblock ----------------------------------------------------------- */

static void super_encode(struct tfs_disk_super *d, const struct tfs_super *s,
			 unsigned int copy)
{
	*d = (struct tfs_disk_super){
		.version = htole32(TFS_VERSION),
		.compat = htole64(s->compat),
		.ro_compat = htole64(s->ro_compat),
		.incompat = htole64(s->incompat),
		.seq = htole64(s->seq),
		.clusters = htole64(s->clusters),
		.cluster_size = htole32(s->cluster_size),
		.interval = htole32(s->interval),
		.log_start = htole64(s->log_start),
		.log_clusters = htole64(s->log_clusters),
		.created = htole64(s->created),
		.copy = copy,
	};
	memcpy(d->magic, TFS_SUPER_MAGIC, sizeof(d->magic));
	memcpy(d->uuid, s->uuid, sizeof(d->uuid));
	memcpy(d->label, s->label, sizeof(d->label));
	memcpy(d->nonce, s->nonce, sizeof(d->nonce));
	d->crc = htole32(tfs_crc32c(d, sizeof(*d),
				    offsetof(struct tfs_disk_super, crc)));
}

static void super_load(struct tfs_super *s, const struct tfs_disk_super *d)
{
	*s = (struct tfs_super){
		.compat = le64toh(d->compat),
		.ro_compat = le64toh(d->ro_compat),
		.incompat = le64toh(d->incompat),
		.seq = le64toh(d->seq),
		.clusters = le64toh(d->clusters),
		.cluster_size = le32toh(d->cluster_size),
		.interval = le32toh(d->interval),
		.log_start = le64toh(d->log_start),
		.log_clusters = le64toh(d->log_clusters),
		.created = le64toh(d->created),
	};
	memcpy(s->uuid, d->uuid, sizeof(s->uuid));
	memcpy(s->label, d->label, sizeof(d->label));
	memcpy(s->nonce, d->nonce, sizeof(s->nonce));
}

/* What is left of a device that was cut short is at least such a part of it:
 * some memory goes by the number of clusters. */
#define PIECE_MIN	1024u

/* (3): the geometry must be the device's, the log inside it. */
static const char *super_check(const struct tfs *fs,
			       const struct tfs_super *s)
{
	uint64_t n = fs->geo->intervals / fs->ipc;

	if (s->cluster_size != fs->csize || s->interval !=
	    fs->geo->profile->interval)
		return "cluster size or interval is not the device's";
	if (!(s->incompat & TFS_INCOMPAT_TAGS) !=
	    (fs->geo->profile->tags == 1))
		return "tags of an interval";
	if (s->clusters < TFS_CLUSTERS_MIN || s->clusters > TFS_CLUSTERS_MAX)
		return "number of clusters";
	if (s->clusters > n && !(fs->opt.rescue && fs->opt.rdonly))
		return "device is smaller than the filesystem";
	if (s->clusters / PIECE_MIN > n)
		return "device is no piece of so large a filesystem";
	if (s->log_start != TFS_AT_LOG || !s->log_clusters ||
	    s->log_clusters > s->clusters / 2 ||
	    s->log_clusters >= TFS_SEQ_JUMP)
		return "place of the log";
	if (!s->seq || s->seq >= TFS_SEQ_MAX)
		return "sequence";
	return NULL;
}

/* 0, -EMEDIUMTYPE (none here), -EUCLEAN, -EOPNOTSUPP; *why says more. */
static int super_decode(const struct tfs *fs, const struct tfs_disk_super *d,
			unsigned int copy, struct tfs_super *s,
			const char **why)
{
	*why = "no magic";
	if (memcmp(d->magic, TFS_SUPER_MAGIC, sizeof(d->magic)))
		return -EMEDIUMTYPE;
	*why = "checksum";
	if (le32toh(d->crc) != tfs_crc32c(d, sizeof(*d),
					  offsetof(struct tfs_disk_super, crc)))
		return -EUCLEAN;
	*why = "made by a newer, incompatible version of tagfs";
	if (le32toh(d->version) != TFS_VERSION)
		return -EOPNOTSUPP;
	super_load(s, d);
	if (s->incompat & ~TFS_INCOMPAT_KNOWN)
		return -EOPNOTSUPP;
	*why = "copy number or padding";
	if (d->copy != copy || !tfs_all_zero(d->pad, sizeof(d->pad)))
		return -EUCLEAN;
	*why = super_check(fs, s);
	return *why ? -EUCLEAN : 0;
}

static struct tfs_record super_record(const struct tfs_super *s,
				      unsigned int copy)
{
	return (struct tfs_record){ .kind = TFS_K_SUPER, .index = copy,
				    .seq = s->seq };
}

/* Read one copy; its tags are checked with the nonce that it names.  *why:
 * it is no good; *bytes: all the same they are a superblock's. */
static int super_read_leg(struct tfs *fs, unsigned int leg, uint64_t addr,
			  unsigned int copy, unsigned int flags,
			  struct tfs_super *s, const char **why, bool *bytes)
{
	struct tfs_record_key key;
	struct tfs_record rec;
	uint16_t lanes[TFS_LANES], tags[TFS_LANES];
	struct eng_fault fault;
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	int err = -ENOMEM;

	*why = "read error";
	*bytes = false;
	if (!buf)
		goto out;
	memset(buf, 0, fs->csize);
	err = tfs_cluster_leg(fs, leg, addr, 1, flags, buf, tags, &fault);
	*bytes = !super_decode(fs, (void *)buf, copy, s, why) &&
		tfs_all_zero(buf + sizeof(struct tfs_disk_super),
			     fs->csize - sizeof(struct tfs_disk_super));
	if (err == -EBADMSG) {
		*why = eng_fault_name(fault.kind);
		if (fault.kind == ENG_FAULT_ESCAPE)
			err = -EMEDIUMTYPE;	/* never written */
	}
	if (err)
		goto out;
	err = super_decode(fs, (void *)buf, copy, s, why);
	if (err)
		goto out;
	rec = super_record(s, copy);
	tfs_record_key_init(&key, s->nonce);
	tfs_record_encode(&key, &rec, addr, lanes);
	if (memcmp(lanes, tags, sizeof(lanes))) {
		*why = "application tags";
		err = -EUCLEAN;
	}
out:
	eng_buf_put(fs->dev, buf, fs->csize);
	return err;
}

/* (7) */
static int super_read_at(struct tfs *fs, uint64_t addr, unsigned int copy,
			 unsigned int flags, struct tfs_super *s,
			 const char **why, bool *bytes)
{
	unsigned int leg = tfs_leg_next(fs, 0);
	int err = super_read_leg(fs, leg, addr, copy, flags, s, why, bytes);

	while ((leg = tfs_leg_next(fs, leg))) {
		struct tfs_super other = { .seq = 0 };
		const char *its_why;
		bool its_bytes;
		int its = super_read_leg(fs, leg, addr, copy, flags, &other,
					 &its_why, &its_bytes);

		if (its || (!err && other.seq <= s->seq))
			continue;
		*s = other;
		*why = its_why;
		*bytes = its_bytes;
		err = 0;
	}
	return err;
}

int tfs_super_whole(const struct tfs *fs)
{
	if (!(fs->super.incompat & TFS_INCOMPAT_IMAGE))
		return 0;
	eng_log(LOG_ERR, "this is a metadata image: the content of files is "
		"not in it.  fsck.tagfs and tagfsctl dump can look at it");
	return -EOPNOTSUPP;
}

static uint64_t super_addr(const struct tfs *fs, unsigned int copy)
{
	return copy ? fs->super.clusters - TFS_END_SUPER : TFS_AT_SUPER;
}

const char *tfs_super_look(struct tfs *fs, unsigned int copy,
			   struct tfs_super *out)
{
	uint64_t addr = super_addr(fs, copy);
	const char *why;
	bool bytes;

	*out = (struct tfs_super){ 0 };
	return super_read_at(fs, addr, copy, ENG_IO_MEDIUM, out, &why,
			     &bytes) ? why : NULL;
}

const char *tfs_super_why(struct tfs *fs, unsigned int leg, unsigned int copy)
{
	uint64_t addr = super_addr(fs, copy);
	struct tfs_super s = { .seq = 0 };
	const char *why;
	bool bytes;

	if (super_read_leg(fs, leg, addr, copy, ENG_IO_MEDIUM, &s, &why,
			   &bytes))
		return why;
	return s.seq == fs->super.seq ? NULL : "out of date";
}

static int super_write_copy(struct tfs *fs, unsigned int copy)
{
	struct tfs_record rec = super_record(&fs->super, copy);
	uint64_t addr = super_addr(fs, copy);
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	int err;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, fs->csize);
	super_encode((void *)buf, &fs->super, copy);
	err = tfs_cluster_write(fs, addr, &rec, buf);
	if (!err)
		err = eng_dev_flush(fs->dev);
	eng_buf_put(fs->dev, buf, fs->csize);
	return err;
}

int tfs_super_write(struct tfs *fs, unsigned int first)
{
	int err = super_write_copy(fs, first);

	return err ? err : super_write_copy(fs, !first);	/* (1) */
}

int tfs_super_need(struct tfs *fs, uint64_t incompat)
{
	uint64_t was = fs->super.incompat;
	int err;

	if (!(incompat & ~was))
		return 0;
	__atomic_store_n(&fs->super.incompat, was | incompat,
			 __ATOMIC_RELAXED);
	fs->super.seq++;
	err = tfs_super_write(fs, 0);
	if (err)
		__atomic_store_n(&fs->super.incompat, was, __ATOMIC_RELAXED);
	return err;
}

static bool super_bad(struct tfs *fs, unsigned int copy)
{
	unsigned int leg = 0;
	bool bad = false;

	while (!bad && (leg = tfs_leg_next(fs, leg)))
		bad = tfs_super_why(fs, leg, copy);
	return bad;
}

/* (1) */
int tfs_super_mend(struct tfs *fs, unsigned int copy)
{
	int err = super_write_copy(fs, copy);

	return !err && super_bad(fs, copy) ? -EIO : err;
}

/* (6) holds for superblocks, too: interrupted or damaged? */
static void super_say(bool end, bool bytes, uint64_t seq, uint64_t good,
		      const char *why)
{
	const char *at = end ? "end" : "start", *other = end ? "start" : "end";

	if (bytes && (seq == good || seq == good + 1 || seq + 1 == good))
		eng_log(LOG_NOTICE, "superblock at the %s: the last write of "
			"it was interrupted; using the copy at the %s", at,
			other);
	else
		eng_log(LOG_WARNING, "superblock at the %s is damaged (%s); "
			"using the copy at the %s", at, why, other);
}

/* What was found where superblocks are, if an interval has so many tags. */
struct found {
	struct tfs_super s[2];
	const char	*why[2];
	bool		bytes[2];
	int		err[2];
	uint64_t	room;		/* clusters of the device */
	int		res;		/* 0: one of them is good */
};

static void super_find(struct tfs *fs, unsigned int tags, uint64_t clusters,
		       struct found *f)
{
	uint64_t n;

	*f = (struct found){ .res = eng_dev_set_tags(fs->dev, tags) };
	if (!f->res)
		f->res = tfs_measure(fs, &f->room);
	if (!f->res && f->room < TFS_CLUSTERS_MIN)
		f->res = -EMEDIUMTYPE;
	if (f->res)
		return;
	n = f->room;
	if (clusters && clusters < n)
		n = clusters;
	f->err[0] = super_read_at(fs, TFS_AT_SUPER, 0, 0, &f->s[0],
				  &f->why[0], &f->bytes[0]);
	if (!f->err[0])
		n = f->s[0].clusters;
	f->err[1] = super_read_at(fs, n - TFS_END_SUPER, 1, 0, &f->s[1],
				  &f->why[1], &f->bytes[1]);
	if (f->err[0] && f->err[1])
		f->res = f->err[f->err[0] == -EMEDIUMTYPE];
}

/* (8) */
static bool is_rather(const struct found *a, const struct found *b)
{
	if (a->res || b->res)
		return !a->res;
	if (!a->err[0] || !b->err[0])
		return !a->err[0];
	return a->s[1].created > b->s[1].created;
}

static void super_none(const struct found *f)
{
	if (f->why[0])
		eng_log(LOG_ERR, "no usable superblock: at the start: %s; at "
			"the end: %s", f->why[0], f->why[1]);
	else if (f->res == -EMEDIUMTYPE)
		eng_log(LOG_ERR, "the device holds %llu clusters, fewer than "
			"any tagfs", (unsigned long long)f->room);
}

static int super_read(struct tfs *fs, bool quiet, uint64_t clusters)
{
	struct found one = { .res = -EMEDIUMTYPE }, more;
	const struct found *f = &one;
	int good;

	super_find(fs, ENG_TAGS, clusters, &more);
	if (more.res == -ENOMEM)
		return more.res;
	if (more.res || more.err[0])
		super_find(fs, 1, clusters, &one);
	if (is_rather(&more, &one)) {
		uint64_t n;
		int err = eng_dev_set_tags(fs->dev, ENG_TAGS) ?:
			tfs_measure(fs, &n);

		if (err)
			return err;
		f = &more;
	}
	if (f->res) {
		if (!quiet)
			super_none(f);
		return f->res;
	}
	good = f->err[0] || (!f->err[1] && f->s[1].seq > f->s[0].seq);
	fs->super = f->s[good];
	tfs_record_key_init(&fs->key, fs->super.nonce);
	fs->super_outdated = f->err[0] || f->err[1] ||
		f->s[0].seq != f->s[1].seq ? !good : -1;
	if (!quiet && (f->err[0] || f->err[1]))
		super_say(!good, f->bytes[!good], f->s[!good].seq,
			  f->s[good].seq, f->why[!good]);
	return 0;
}

int tfs_super_read(struct tfs *fs)
{
	return super_read(fs, false, 0);
}

int tfs_super_peek(struct tfs *fs, uint64_t clusters)
{
	return super_read(fs, true, clusters);
}

/* ---- slots ---------------------------------------------------------------- */

static void slot_encode(const struct tfs *fs, struct tfs_disk_slot *d,
			const struct tfs_slot *s)
{
	*d = (struct tfs_disk_slot){
		.magic = htole32(TFS_SLOT_MAGIC),
		.number = htole64(s->number),
		.seq = htole64(s->seq),
		.root = {
			.addr = { htole64(s->root.addr[0]),
				  htole64(s->root.addr[1]) },
			.seq = htole64(s->root.seq),
		},
		.free = htole64(s->free),
		.reserved = htole64(s->reserved),
		.inodes = htole64(s->inodes),
		.log_pos = htole64(s->log_pos),
		.next_ino = htole32(s->next_ino),
		.flags = htole32(s->flags),
		.root_level = s->root_level,
		.used = htole64(s->used),
		.chain = htole64(s->chain),
	};
	memcpy(d->nonce, tfs_nonce(fs), TFS_NONCE);
	d->crc = htole32(tfs_crc32c(d, sizeof(*d),
				    offsetof(struct tfs_disk_slot, crc)));
}

static void slot_load(struct tfs_slot *s, const struct tfs_disk_slot *d)
{
	*s = (struct tfs_slot){
		.number = le64toh(d->number),
		.seq = le64toh(d->seq),
		.root = {
			.addr = { le64toh(d->root.addr[0]),
				  le64toh(d->root.addr[1]) },
			.seq = le64toh(d->root.seq),
		},
		.free = le64toh(d->free),
		.reserved = le64toh(d->reserved),
		.inodes = le64toh(d->inodes),
		.log_pos = le64toh(d->log_pos),
		.next_ino = le32toh(d->next_ino),
		.flags = le32toh(d->flags),
		.root_level = d->root_level,
		.used = le64toh(d->used),
		.chain = le64toh(d->chain),
	};
}

/* (3) NULL or what is wrong. */
static const char *slot_decode(const struct tfs *fs,
			       const struct tfs_disk_slot *d, unsigned int i,
			       struct tfs_slot *s)
{
	uint64_t n = fs->super.clusters;

	if (le32toh(d->magic) != TFS_SLOT_MAGIC)
		return "magic";
	if (le32toh(d->crc) != tfs_crc32c(d, sizeof(*d),
					  offsetof(struct tfs_disk_slot, crc)))
		return "checksum";
	if (memcmp(d->nonce, tfs_nonce(fs), TFS_NONCE))
		return "nonce";
	slot_load(s, d);
	if (!s->number || s->number > TFS_SLOT_NUMBER_MAX ||
	    (s->number & 1) != i)
		return "number";
	if (s->seq >= TFS_SEQ_MAX - TFS_SEQ_JUMP || s->root.seq > s->seq ||
	    s->used >= TFS_SEQ_MAX - TFS_SEQ_JUMP)
		return "sequence";
	if (s->root.addr[0] >= n || s->root.addr[1] >= n ||
	    s->root_level > TFS_LEVEL_MAX)
		return "root of the tree";
	if (s->free > n || s->reserved > s->free)
		return "free space";
	if (s->log_pos >= fs->super.log_clusters ||
	    s->flags & ~(TFS_SLOT_CLEAN | TFS_SLOT_BEGUN) ||
	    !tfs_all_zero(d->pad, sizeof(d->pad)))
		return "log position, flags or padding";
	return NULL;
}

uint64_t tfs_slot_addr(const struct tfs *fs, unsigned int i,
		       unsigned int copy)
{
	return copy ? fs->super.clusters - TFS_END_SLOT + i : TFS_AT_SLOT + i;
}

/* One copy as it was found. */
struct slot_copy {
	struct tfs_slot	slot;
	int		err;		/* -ENOENT: never written */
	const char	*why;		/* it is no good, else NULL */
	bool		bytes;		/* all the same they are a slot's */
	bool		begun;		/* it is one, of TFS_SLOT_BEGUN */
};

static bool slot_tags(const struct tfs *fs, unsigned int i, unsigned int copy,
		      const struct tfs_slot *s, const uint16_t *tags)
{
	struct tfs_record rec = {
		.kind = TFS_K_SLOT, .owner = i, .index = copy,
		.seq = tfs_slot_top(s),				/* (5) */
	};
	uint16_t lanes[TFS_LANES];

	tfs_record_encode(&fs->key, &rec, tfs_slot_addr(fs, i, copy), lanes);
	return !memcmp(lanes, tags, sizeof(lanes));
}

static void slot_judge(struct tfs *fs, unsigned int i, unsigned int copy,
		       const struct eng_fault *fault, const uint16_t *tags,
		       const uint8_t *buf, struct slot_copy *c)
{
	const struct tfs_disk_slot *d = (const void *)buf;
	const char *why = slot_decode(fs, d, i, &c->slot);

	c->bytes = !why && tfs_all_zero(d + 1, fs->csize - sizeof(*d));
	if (c->err == -EBADMSG)
		why = eng_fault_name(fault->kind);
	else if (c->err)
		why = strerror(-c->err);
	else if (!why && !slot_tags(fs, i, copy, &c->slot, tags))
		why = "application tags";
	c->begun = !why && c->slot.flags & TFS_SLOT_BEGUN;
	if (c->begun)
		why = "a rebuild has begun, and did not end";
	if (c->err == -EBADMSG && fault->kind == ENG_FAULT_ESCAPE)
		c->err = -ENOENT;
	else if (why && !c->err)
		c->err = -EUCLEAN;
	c->why = why;
}

/* 0, whatever is there, or -ENOMEM. */
static int slot_read_leg(struct tfs *fs, unsigned int leg, unsigned int i,
			 unsigned int copy, unsigned int flags,
			 struct slot_copy *c)
{
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	uint16_t tags[TFS_LANES];
	struct eng_fault fault;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, fs->csize);
	c->err = tfs_cluster_leg(fs, leg, tfs_slot_addr(fs, i, copy), 1, flags,
				 buf, tags, &fault);
	slot_judge(fs, i, copy, &fault, tags, buf, c);
	eng_buf_put(fs->dev, buf, fs->csize);
	return c->err == -ENOMEM ? -ENOMEM : 0;
}

/* (7) */
static int slot_read_at(struct tfs *fs, unsigned int i, unsigned int copy,
			unsigned int flags, struct slot_copy *c)
{
	unsigned int leg = tfs_leg_next(fs, 0);
	int err = slot_read_leg(fs, leg, i, copy, flags, c);

	while (!err && (leg = tfs_leg_next(fs, leg))) {
		struct slot_copy other = { .err = 0 };

		err = slot_read_leg(fs, leg, i, copy, flags, &other);
		if (!err && !other.err && (c->err || other.slot.number >
					   c->slot.number))
			*c = other;
	}
	return err;
}

const char *tfs_slot_look(struct tfs *fs, unsigned int i, unsigned int copy,
			  struct tfs_slot *out)
{
	struct slot_copy c = { .err = 0 };
	int err = slot_read_at(fs, i, copy, ENG_IO_MEDIUM, &c);

	*out = c.slot;
	return err ? strerror(-err) : c.why;
}

/* (6): its write was cut, and the other copy stands. */
static bool slot_interrupted(const struct slot_copy *c,
			     const struct slot_copy *sibling, uint64_t newest)
{
	return c->bytes && !sibling->err && c->slot.number <= newest + 1 &&
		c->slot.number + 3 >= newest;
}

/* (6): both of its slot missed a checkpoint. */
static bool slot_is_old(const struct slot_copy *c,
			const struct slot_copy *sibling, uint64_t newest)
{
	return !c->err && c->slot.number + 2 < newest &&
		!(sibling->slot.number + 2 > newest);
}

static void slot_say(const struct tfs *fs, unsigned int i,
		     const struct slot_copy *c, bool interrupted)
{
	unsigned long long addr = tfs_slot_addr(fs, i / 2, i % 2);

	if (interrupted)
		eng_log(LOG_NOTICE, "checkpoint slot %u, copy %u (cluster "
			"%llu): the last write of it was interrupted", i / 2,
			i % 2, addr);
	else
		eng_log(LOG_WARNING, "checkpoint slot %u, copy %u (cluster "
			"%llu): damaged: %s", i / 2, i % 2, addr, c->why);
}

/* (4): what is bad or old goes first. */
static unsigned int slot_next(const struct slot_copy c[2])
{
	return c[1].err || (!c[0].err && c[1].slot.number < c[0].slot.number);
}

/* What is odd about them, and a line for each; newest: of the good ones. */
static unsigned int slot_sum_up(struct tfs *fs, const struct slot_copy c[4],
				uint64_t newest)
{
	unsigned int odd = 0;

	/* Before there was a log, a slot could be without any copy. */
	if (!(fs->super.incompat & TFS_INCOMPAT_LOG))
		return 0;
	for (unsigned int i = 0; i < 4; i++) {
		bool cut = slot_interrupted(&c[i], &c[i ^ 1], newest);

		fs->slot_first[i / 2] = slot_next(c + i / 2 * 2);
		if (c[i].err)
			slot_say(fs, i, &c[i], cut);
		if (c[i].err && !cut)
			odd |= TFS_SLOT_BAD;
		if (c[i].err && c[i ^ 1].err)
			odd |= TFS_SLOT_LOST;
		if (slot_is_old(&c[i], &c[i ^ 1], newest))
			odd |= TFS_SLOT_OLD;
	}
	return odd;
}

int tfs_slot_read(struct tfs *fs, struct tfs_slot *out, unsigned int *odd)
{
	struct slot_copy c[4] = { 0 };
	const struct slot_copy *best = NULL;
	int err = 0;

	for (unsigned int i = 0; i < 4 && !err; i++) {
		err = slot_read_at(fs, i / 2, i % 2, 0, &c[i]);
		if (!c[i].err && (!best || c[i].slot.number >
				  best->slot.number))
			best = &c[i];
	}
	if (err)
		return err;
	*odd = slot_sum_up(fs, c, best ? best->slot.number : 0);
	if (*odd & TFS_SLOT_OLD)
		eng_log(LOG_WARNING, "a checkpoint slot is older than its "
			"turn: the device has lost writes");
	if (!best) {
		eng_log(LOG_ERR, "no usable checkpoint: both slots are "
			"damaged");
		return -EUCLEAN;
	}
	*out = best->slot;
	return 0;
}

int tfs_slot_begun(struct tfs *fs, struct tfs_slot *out)
{
	unsigned int leg = 0;
	int err = 0;

	*out = (struct tfs_slot){ .number = 0 };
	while (!err && (leg = tfs_leg_next(fs, leg)))
		for (unsigned int i = 0; i < 4 && !err; i++) {
			struct slot_copy c = { .err = 0 };

			err = slot_read_leg(fs, leg, i / 2, i % 2, 0, &c);
			if (!err && c.begun && c.slot.used > out->used)
				*out = c.slot;
		}
	return err ? err : out->number ? 0 : -ENOENT;
}

/* What one leg has; *newest: of what is good anywhere. */
static int survey_leg(struct tfs *fs, unsigned int leg, struct slot_copy c[4],
		      uint64_t *newest)
{
	int err = 0;

	for (unsigned int i = 0; i < 4 && !err; i++) {
		err = slot_read_leg(fs, leg, i / 2, i % 2, ENG_IO_MEDIUM,
				    &c[i]);
		if (!c[i].err && c[i].slot.number > *newest)
			*newest = c[i].slot.number;
	}
	return err;
}

int tfs_slot_survey(struct tfs *fs, struct tfs_slot_survey *out)
{
	struct slot_copy all[TFS_LEGS_MAX + 1][4] = { 0 };
	unsigned int leg = 0;
	uint64_t newest = 0;
	int err = 0;

	*out = (struct tfs_slot_survey){ .any = false };
	if (!(fs->super.incompat & TFS_INCOMPAT_LOG))
		return 0;
	while (!err && (leg = tfs_leg_next(fs, leg)))
		err = survey_leg(fs, leg, all[leg], &newest);
	while (!err && (leg = tfs_leg_next(fs, leg))) {
		const struct slot_copy *c = all[leg];

		for (unsigned int i = 0; i < 4; i++) {
			out->why[leg][i] = c[i].err ? c[i].why :
				"it missed a checkpoint";
			if (c[i].err ? slot_interrupted(&c[i], &c[i ^ 1],
							newest) :
			    !slot_is_old(&c[i], &c[i ^ 1], newest))
				continue;
			out->bad[leg] |= 1u << i;
			out->any = true;
		}
	}
	return err;
}

int tfs_slot_write(struct tfs *fs, const struct tfs_slot *slot)
{
	struct tfs_record rec = { .kind = TFS_K_SLOT,
				  .owner = slot->number & 1,
				  .seq = tfs_slot_top(slot) };	/* (5) */
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, fs->csize);
	slot_encode(fs, (void *)buf, slot);
	for (unsigned int i = 0; !err && i < 2; i++) {
		rec.index = i ^ fs->slot_first[rec.owner];
		err = tfs_cluster_write(fs, tfs_slot_addr(fs, rec.owner,
						      rec.index), &rec, buf);
		if (!err)
			err = eng_dev_flush(fs->dev);		/* (4) */
	}
	if (!err)
		atomic_store(&fs->settled, slot->seq);
	eng_buf_put(fs->dev, buf, fs->csize);
	return err;
}
