/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recover.c - what the log says after the newest checkpoint, and how much of
 * it is true.
 *
 *  (1) Commits count in unbroken sequence, each naming its predecessor's
 *      hash.  What does not follow from the checkpoint is of a lost timeline.
 *  (2) A commit that a later cluster of the log calls durable is taken from
 *      the log alone: somebody may rely on it.  If its log is damaged, that
 *      is damage, and the filesystem can only be read.  Bad data in it are
 *      found by whoever reads them.
 *  (3) Any other commit must prove itself: its data are read, and must give
 *      the sum that it names.  The first one that does not is dropped, with
 *      all that follow: its flush can't have ended, so nobody was told.
 *  (4) Nothing is written here.  Doing it again gives the same.
 *  (5) What lies in the log and can't have come after this checkpoint proves
 *      that there was a newer one: its number, or a sequence of a later life.
 *      Then what is found is old, and in parts overwritten, which the tags
 *      tell.  It can be read, no more.
 *  (6) After a clean end there is nothing to follow, but (5) may be so all the
 *      same.  A later life began its log where this one's ends, so a few
 *      places tell, and mounting takes no longer for it.
 *  (7) One commit is in flight at a time, and every life goes on where the
 *      last one's log ended.  So cuts leave torn clusters only from there on,
 *      as far as the largest commit goes.  Where others are bad, a bad end
 *      is no proof that nothing was acknowledged behind it; where many are,
 *      no end is.
 *  (8) A checkpoint names the hash of the commit before it, which lies where
 *      its log begins.  If something older lies there, writes of the log were
 *      lost, and what came after may be among them.
 *  (9) Each leg of a mirror is asked: of a cluster of the log the newest one
 *      counts, and what a commit that is replayed needs is on all of them
 *      before it is.  Where something may be written that is done here, with
 *      what was verified. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/mirror.h"
#include "base/cluster.h"
#include "base/hash.h"
#include "tree/freemap.h"
#include "commit/log.h"
#include "commit/super.h"
#include "file/extent.h"
#include "mount/recover.h"
#include "mount/replay.h"

#define BATCH	32	/* clusters read at once */
#define ATTEMPTS 3	/* to read what a proof needs */

struct place {			/* a commit to be replayed */
	uint64_t	seq, pos;
};

struct recovery {
	struct tfs	*fs;
	const struct tfs_slot *slot;
	uint64_t	*seq;		/* by position: a sound cluster's, or 0 */
	bool		*bad;		/* by position: damaged, or torn */
	uint64_t	durable, checkpoint, newest;	/* that any names */
	uint64_t	last;		/* that may follow the checkpoint */
	uint64_t	ahead;		/* the highest above that; 0: none */
	unsigned int	count;
	unsigned int	leg;		/* (9): that is asked */
	bool		adrift;		/* (8) */
	struct place	*place;
	size_t		n, room;
	uint64_t	pos, prev;	/* where the next commit would be */
	struct tfs_runs born;
	uint64_t	ops;
	bool		look;		/* change nothing */
};

/* ---- reading -------------------------------------------------------------- */

/* Zeros that give zero as their address: so some devices read where nothing
 * was ever written. */
static bool is_blank(const struct tfs *fs, const struct eng_fault *fault,
		     const uint8_t *buf)
{
	return fault->kind == ENG_FAULT_REF && !fault->actual &&
		tfs_all_zero(buf, fs->csize);
}

/* Quietly: the end of a log is no news. */
static int read_clusters(struct tfs *fs, unsigned int leg, uint64_t pos,
			 uint32_t n, uint8_t *buf, uint16_t *tags)
{
	struct eng_fault fault;
	int err = tfs_cluster_leg(fs, leg, tfs_log_addr(fs, pos), n, 0, buf,
				  tags, &fault);

	/* Never written, or some of it. */
	if (err == -EBADMSG && (fault.kind == ENG_FAULT_ESCAPE ||
				(n == 1 && is_blank(fs, &fault, buf))))
		err = -ENOENT;
	return err;
}

/* Its tags say that the cluster was written as one of the log. */
static bool is_log(const struct tfs *fs, const uint16_t *tags, uint64_t pos,
		   struct tfs_record *rec)
{
	return tfs_record_decode(&fs->key, tags, tfs_log_addr(fs, pos), rec) &&
		rec->kind == TFS_K_LOG && !rec->owner && rec->index == pos;
}

uint64_t tfs_log_check(const struct tfs *fs, const uint8_t *buf,
		       const uint16_t *tags, uint64_t pos)
{
	const struct tfs_disk_log *h = (const void *)buf;
	struct tfs_record rec;

	if (!is_log(fs, tags, pos, &rec))
		return 0;
	if (le32toh(h->magic) != TFS_LOG_MAGIC ||
	    le32toh(h->crc) != tfs_crc32c(buf, fs->csize,
					  offsetof(struct tfs_disk_log, crc)))
		return 0;
	if (memcmp(h->nonce, tfs_nonce(fs), TFS_NONCE) ||
	    le64toh(h->seq) != rec.seq || !tfs_all_zero(h->pad, sizeof(h->pad)))
		return 0;
	if (le32toh(h->blocks) > fs->super.log_clusters ||
	    le32toh(h->block) >= le32toh(h->blocks) ||
	    le32toh(h->bytes) > tfs_log_payload(fs) ||
	    le64toh(h->durable) >= rec.seq)
		return 0;
	return rec.seq;
}

static void note_cluster(struct recovery *rc, const uint8_t *buf,
			 const uint16_t *tags, uint64_t pos)
{
	const struct tfs_disk_log *h = (const void *)buf;
	uint64_t seq = tfs_log_check(rc->fs, buf, tags, pos);
	struct tfs_record rec;

	rc->bad[pos] &= !seq && is_log(rc->fs, tags, pos, &rec);
	if (seq <= rc->slot->seq)	/* the checkpoint has it */
		return;
	if (le64toh(h->checkpoint) > rc->checkpoint)
		rc->checkpoint = le64toh(h->checkpoint);
	if (seq > rc->last) {
		rc->ahead = seq > rc->ahead ? seq : rc->ahead;	/* (5) */
		return;
	}
	if (seq <= rc->seq[pos])
		return;
	rc->seq[pos] = seq;
	rc->count++;
	if (seq > rc->newest)
		rc->newest = seq;
	if (le64toh(h->durable) > rc->durable)
		rc->durable = le64toh(h->durable);
}

static int scan_range(struct recovery *rc, uint64_t pos, uint32_t n,
		      uint8_t *buf)
{
	struct tfs *fs = rc->fs;
	uint16_t tags[BATCH * TFS_LANES];
	int err = read_clusters(fs, rc->leg, pos, n, buf, tags);

	for (uint32_t i = 0; i < n && !err; i++)
		note_cluster(rc, buf + (size_t)i * fs->csize,
			     tags + i * TFS_LANES, pos + i);
	if (!err || err == -ENOMEM)
		return err;
	if (n == 1 && err == -ENOENT)
		rc->bad[pos] = false;
	for (uint32_t i = 0; n > 1 && i < n; i++) {
		err = scan_range(rc, pos + i, 1, buf);
		if (err)
			return err;
	}
	return 0;
}

/* The whole area: what proves that something is missing may be anywhere.
 * And twice: a cluster that a failing read hides would be a commit less.  Of
 * several legs each has its turn (9). */
static int scan_all(struct recovery *rc, uint32_t batch, uint8_t *buf)
{
	uint64_t size = rc->fs->super.log_clusters;
	int err = 0;

	memset(rc->bad, true, size);	/* until it is seen to be good */
	for (unsigned int i = 0; !err; i++) {
		if (i != 1)
			rc->leg = tfs_leg_next(rc->fs, rc->leg);
		if (!rc->leg)
			break;
		eng_dev_drop_caches(rc->fs->dev);
		for (uint64_t pos = 0; pos < size && !err; pos += batch)
			err = scan_range(rc, pos, size - pos < batch ?
					 size - pos : batch, buf);
	}
	return err;
}

/* (6): from the end of the log on, in steps that grow. */
static int scan_ahead(struct recovery *rc, uint32_t batch, uint8_t *buf)
{
	uint64_t size = rc->fs->super.log_clusters, pos = rc->slot->log_pos;
	uint32_t n = size - pos < batch ? size - pos : batch;
	int err = scan_range(rc, pos, n, buf);

	for (uint64_t step = n; step < size && !err; step *= 2)
		err = scan_range(rc, (pos + step) % size, 1, buf);
	return err;
}

static int scan(struct recovery *rc, bool all)
{
	struct tfs *fs = rc->fs;
	uint32_t batch = fs->geo->max_io / fs->ipc;
	uint8_t *buf;
	int err;

	if (batch > BATCH)
		batch = BATCH;
	buf = eng_buf_get(fs->dev, (size_t)batch * fs->csize);
	rc->seq = calloc(fs->super.log_clusters, sizeof(rc->seq[0]));
	rc->bad = calloc(fs->super.log_clusters, sizeof(rc->bad[0]));
	if (!buf || !rc->seq || !rc->bad)
		err = -ENOMEM;
	else
		err = all ? scan_all(rc, batch, buf) :
			scan_ahead(rc, batch, buf);
	eng_buf_put(fs->dev, buf, (size_t)batch * fs->csize);
	return err;
}

/* ---- one commit ----------------------------------------------------------- */

/* (9) */
static int share(struct recovery *rc, uint64_t pos, uint64_t seq, void *buf)
{
	struct tfs_record rec = { .kind = TFS_K_LOG, .index = pos,
				  .seq = seq };
	struct eng_fault fault;
	int err;

	if (!eng_mirror_legs(rc->fs->dev))
		return 0;
	err = tfs_cluster_try(rc->fs, tfs_log_addr(rc->fs, pos), &rec, buf,
			      &fault);
	return err == -ENOMEM ? err : 0;
}

/* One cluster that the scan has found sound. */
static int read_again(struct recovery *rc, uint64_t pos, uint64_t seq,
		      uint8_t *buf)
{
	uint16_t tags[TFS_LANES];
	int err;

	for (unsigned int i = 0, leg = 0; i < ATTEMPTS; i += !leg) {
		if (i && !leg)
			eng_dev_drop_caches(rc->fs->dev);
		leg = tfs_leg_next(rc->fs, leg);
		if (!leg)
			continue;
		err = read_clusters(rc->fs, leg, pos, 1, buf, tags);
		if (!err && tfs_log_check(rc->fs, buf, tags, pos) == seq)
			return share(rc, pos, seq, buf);
		if (err == -ENOMEM)
			return err;
	}
	return -ENOENT;
}

/* All clusters of the commit at pos; malloced into *out. */
static int read_commit(struct recovery *rc, uint64_t pos, uint32_t blocks,
		       uint8_t **out)
{
	struct tfs *fs = rc->fs;
	uint8_t *buf = aligned_alloc(4096, (size_t)blocks * fs->csize);
	uint64_t seq = rc->seq[pos];
	int err = buf ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < blocks && !err; i++) {
		uint64_t at = (pos + i) % fs->super.log_clusters;
		uint8_t *cl = buf + (size_t)i * fs->csize;

		err = rc->seq[at] == seq ? read_again(rc, at, seq, cl) :
			-ENOENT;
	}
	if (err) {
		free(buf);
		buf = NULL;
	}
	*out = buf;
	return err;
}

/* The same in all clusters but for what must differ; then the operations
 * one after the other. */
static int join(struct recovery *rc, const uint8_t *clusters,
		struct tfs_logged *c)
{
	size_t csize = rc->fs->csize, payload = tfs_log_payload(rc->fs);
	struct tfs_disk_log first, h;

	memcpy(&first, clusters, sizeof(first));
	first.crc = 0;
	c->bytes = 0;
	for (uint32_t i = 0; i < c->blocks; i++) {
		const uint8_t *at = clusters + i * csize;
		uint32_t n;

		memcpy(&h, at, sizeof(h));
		n = le32toh(h.bytes);
		if (le32toh(h.block) != i ||
		    (i + 1 < c->blocks && n != payload))
			return -ENOENT;
		memcpy(c->ops + c->bytes, at + sizeof(h), n);
		c->bytes += n;
		h.block = first.block;
		h.bytes = first.bytes;
		h.crc = 0;
		if (memcmp(&h, &first, sizeof(h)))
			return -ENOENT;
	}
	return 0;
}

static const char *check_op(const struct tfs_logged *c, size_t at,
			    size_t *next)
{
	const struct tfs_key end = TFS_KEY_MAX;
	struct tfs_disk_op d;
	struct tfs_key key;
	uint32_t len;

	if (c->bytes - at < sizeof(d))
		return "length";
	memcpy(&d, c->ops + at, sizeof(d));
	len = le16toh(d.len);
	key = tfs_key(le32toh(d.obj), d.type, le64toh(d.off));
	if (len > TFS_VALUE_MAX || c->bytes - at - sizeof(d) < len)
		return "length of a value";
	if (d.op > TFS_LOG_DEL || (d.op == TFS_LOG_DEL && len))
		return "operation";
	if (tfs_key_cmp(&key, &end) >= 0 || (!key.obj &&
	    (key.type == TFS_T_REGION || key.type == TFS_T_SUMMARY)))
		return "key";
	*next = at + sizeof(d) + len;
	return NULL;
}

static int by_key(const void *a, const void *b)
{
	return tfs_key_cmp(a, b);
}

/* No key twice: what is replayed would be more than what is there then. */
static int check_keys(const struct tfs_logged *c, size_t n)
{
	struct tfs_key *key = malloc((n + 1) * sizeof(*key));
	struct tfs_logged_op op;
	size_t at = 0, i = 0;
	bool twice = false;

	if (!key)
		return -ENOMEM;
	for (; tfs_logged_next(c, &at, &op); i++)
		key[i] = op.key;
	qsort(key, n, sizeof(*key), by_key);
	for (i = 1; i < n && !twice; i++)
		twice = !tfs_key_cmp(&key[i - 1], &key[i]);
	free(key);
	return twice ? -EUCLEAN : 0;
}

/* Bytes with a right hash that make no sense were not torn. */
static int check_ops(const struct tfs_logged *c)
{
	const char *bad = NULL;
	size_t at = 0, n = 0;
	int err;

	for (; at < c->bytes && !bad; n++)
		bad = check_op(c, at, &at);
	err = bad ? -EUCLEAN : check_keys(c, n);
	if (err == -EUCLEAN)
		eng_log(LOG_ERR, "log: commit %llu: wrong %s",
			(unsigned long long)c->seq, bad ? bad : "keys, one is there twice");
	return err;
}

static void load_head(struct tfs_logged *c, const struct tfs_disk_log *h)
{
	*c = (struct tfs_logged){
		.seq = le64toh(h->seq),
		.prev = le64toh(h->prev),
		.hash = le64toh(h->hash),
		.checkpoint = le64toh(h->checkpoint),
		.durable = le64toh(h->durable),
		.proof = le64toh(h->proof),
		.inodes = le64toh(h->inodes),
		.reserved = le64toh(h->reserved),
		.next_ino = le32toh(h->next_ino),
		.blocks = le32toh(h->blocks),
	};
}

/* The commit that begins at pos, if it is that one and whole (1).  -ENOENT:
 * it is not; -EUCLEAN: it is, and lies. */
static int load_commit(struct recovery *rc, uint64_t pos, uint64_t seq,
		       uint64_t prev, struct tfs_logged *c)
{
	struct tfs *fs = rc->fs;
	uint8_t *clusters;
	int err;

	*c = (struct tfs_logged){ .ops = NULL };
	if (rc->seq[pos] != seq)
		return -ENOENT;
	err = read_commit(rc, pos, 1, &clusters);
	if (err)
		return err;
	load_head(c, (const void *)clusters);
	free(clusters);
	err = read_commit(rc, pos, c->blocks, &clusters);
	if (err)
		return err;
	c->ops = malloc((size_t)c->blocks * fs->csize);
	err = c->ops ? join(rc, clusters, c) : -ENOMEM;
	if (!err && (c->prev != prev ||
		     c->hash != tfs_log_hash(fs, clusters, c->blocks)))
		err = -ENOENT;
	free(clusters);
	return err ? err : check_ops(c);
}

/* ---- the proof ------------------------------------------------------------ */

static int read_proof(struct tfs *fs, uint32_t ino,
		      const struct tfs_extent *ext, uint64_t from, uint32_t n,
		      uint64_t *sum)
{
	struct tfs_record rec = {
		.kind = TFS_K_DATA, .owner = ino, .index = ext->lc + from,
		.seq = ext->seq,
	};
	size_t size = fs->ipc * fs->geo->profile->meta_size;
	struct eng_io *io = eng_io_get(fs->dev, n * fs->ipc, 1);
	uint8_t *buf = io ? eng_buf_get(fs->dev, (size_t)n * fs->csize) : NULL;
	uint64_t addr = ext->addr + from;
	int err = -ENOMEM;

	if (buf) {
		io->op = ENG_READ;
		io->flags = ENG_IO_MEDIUM | ENG_IO_LEGS;	/* (9) */
		io->start = addr * fs->ipc;
		eng_io_add(io, buf, (size_t)n * fs->csize);
		tfs_tag_fill(fs, &rec, addr, 0, n * fs->ipc, io->tags);
		err = eng_io_run(io);
	}
	for (uint32_t i = 0; i < n && !err; i++)
		*sum += tfs_cluster_proof(fs, addr + i, io->tuples + i * size);
	eng_buf_put(fs->dev, buf, (size_t)n * fs->csize);
	eng_io_put(io);
	return err;
}

/* A commit is not dropped for a read that fails once. */
static int prove_part(struct tfs *fs, uint32_t ino,
		      const struct tfs_extent *ext, uint64_t from, uint32_t n,
		      uint64_t *sum)
{
	uint64_t part;
	int err = -EIO;

	for (unsigned int i = 0; i < ATTEMPTS && err; i++) {
		part = 0;
		if (i)
			eng_dev_drop_caches(fs->dev);
		err = read_proof(fs, ino, ext, from, n, &part);
	}
	*sum += part;
	return err;
}

static int prove_extent(struct tfs *fs, uint32_t ino,
			const struct tfs_extent *ext, uint64_t *sum)
{
	uint32_t max = fs->geo->max_io / fs->ipc, n;
	int err = 0;

	for (uint64_t at = 0; at < ext->len && !err; at += n) {
		n = ext->len - at < max ? ext->len - at : max;
		err = prove_part(fs, ino, ext, at, n, sum);
	}
	return err;
}

/* (3).  0: it is; -ENOENT: it is not. */
static int prove(struct recovery *rc, const struct tfs_logged *c)
{
	struct tfs_logged_op op;
	struct tfs_extent ext;
	uint64_t sum = 0;
	size_t at = 0;
	int err = 0;

	while (!err && tfs_logged_next(c, &at, &op)) {
		err = tfs_logged_extent(rc->fs, &op, &ext);
		if (!err && ext.seq == c->seq) {
			err = prove_extent(rc->fs, op.key.obj, &ext, &sum);
			if (err && err != -ENOMEM)
				return -ENOENT;
		}
		err = err == -ENOENT ? 0 : err;
	}
	return err ? err : sum == c->proof ? 0 : -ENOENT;
}

/* ---- what to replay ------------------------------------------------------- */

static int note_born(struct recovery *rc, const struct tfs_logged *c)
{
	struct tfs_logged_op op;
	struct tfs_extent ext;
	size_t at = 0;
	int err = 0;

	while (!err && tfs_logged_next(c, &at, &op)) {
		err = tfs_logged_extent(rc->fs, &op, &ext);
		if (!err && ext.seq == c->seq)
			err = tfs_runs_add(&rc->born, ext.addr, ext.len);
		err = err == -ENOENT ? 0 : err;
		rc->ops++;
	}
	return err;
}

/* What commits bring was free in the checkpoint.  Said before any of it is
 * read, this bounds what a log can make us read. */
static int check_born(struct recovery *rc, const struct tfs_logged *c)
{
	uint64_t sum = rc->born.clusters;
	struct tfs_logged_op op;
	struct tfs_extent ext;
	size_t at = 0;
	int err = 0;

	while (!err && tfs_logged_next(c, &at, &op)) {
		err = tfs_logged_extent(rc->fs, &op, &ext);
		if (!err && ext.seq == c->seq)
			sum += ext.len;
		err = err == -ENOENT ? 0 : err;
	}
	if (err || sum <= rc->slot->free)
		return err;
	eng_log(LOG_ERR, "log: commit %llu: maps more clusters than were free",
		(unsigned long long)c->seq);
	return -EUCLEAN;
}

static int add_commit(struct recovery *rc, const struct tfs_logged *c)
{
	int err = tfs_array_grow(&rc->place, &rc->room, rc->n + 1,
				 sizeof(rc->place[0]));

	if (!err)
		err = note_born(rc, c);
	if (err)
		return err;
	rc->place[rc->n++] = (struct place){ c->seq, rc->pos };
	rc->pos = (rc->pos + c->blocks) % rc->fs->super.log_clusters;
	rc->prev = c->hash;
	return 0;
}

/* (1)-(3): until a commit is missing or fails. */
static int follow(struct recovery *rc)
{
	uint64_t seq = rc->slot->seq + 1;
	int err;

	for (;; seq++) {
		struct tfs_logged c;

		err = load_commit(rc, rc->pos, seq, rc->prev, &c);
		if (!err)
			err = check_born(rc, &c);
		if (!err && seq > rc->durable)
			err = prove(rc, &c);
		if (!err)
			err = add_commit(rc, &c);
		free(c.ops);
		if (err)
			return err == -ENOENT ? 0 : err;
	}
}

/* What was freed on the way counts: the next checkpoint gives it back. */
static uint64_t free_after(const struct tfs *fs)
{
	return fs->free + tfs_pool_clusters(fs) + fs->frees.clusters +
		fs->freemap->unreachable;
}

static int replay_all(struct recovery *rc)
{
	uint64_t prev = rc->slot->chain;
	int err = 0;

	if (!tfs_runs_sort(&rc->born))
		err = -EUCLEAN;		/* two commits own a cluster */
	for (size_t i = 0; i < rc->born.n && !err; i++)
		err = tfs_claim(rc->fs, rc->born.run[i].addr,
				rc->born.run[i].len);
	for (size_t i = 0; i < rc->n && !err; i++) {
		struct tfs_logged c;

		err = load_commit(rc, rc->place[i].pos, rc->place[i].seq, prev,
				  &c);
		if (!err)
			err = tfs_replay(rc->fs, &c);
		prev = c.hash;
		free(c.ops);
	}
	if (!err && rc->n && rc->fs->reserved > free_after(rc->fs)) {
		if (rc->fs->opt.ready)	/* less is free than was thought */
			rc->fs->reserved = free_after(rc->fs);
		else
			err = -EUCLEAN;
	}
	if (err)
		eng_log(LOG_ERR, "the log can't be replayed: %s",
			err == -EUCLEAN ? "it contradicts the checkpoint" :
			strerror(-err));
	return err == -ENOENT ? -EIO : err;
}

/* ---- what to say ---------------------------------------------------------- */

/* (8): the end of the commit that the checkpoint names is not there, or, where
 * the log has come round to it, a later one.  Not for who found commits, nor
 * if it is merely damaged: then it is in rc->bad. */
static int read_anchor(struct recovery *rc)
{
	struct tfs *fs = rc->fs;
	uint64_t size = fs->super.log_clusters;
	uint64_t pos = (rc->slot->log_pos + size - 1) % size;
	const struct tfs_disk_log *h;
	uint16_t tags[TFS_LANES];
	uint8_t *buf;
	int err = 0;

	if (rc->n || rc->bad[pos] || rc->seq[pos] || !rc->slot->chain)
		return 0;
	buf = eng_buf_get(fs->dev, fs->csize);
	if (!buf)
		return -ENOMEM;
	h = (const void *)buf;
	rc->adrift = true;
	for (unsigned int leg = 0; rc->adrift &&
	     (leg = tfs_leg_next(fs, leg)); ) {
		err = read_clusters(fs, leg, pos, 1, buf, tags);
		if (err == -ENOMEM)
			break;
		rc->adrift = err || !tfs_log_check(fs, buf, tags, pos) ||
			le64toh(h->hash) != rc->slot->chain;
	}
	eng_buf_put(fs->dev, buf, fs->csize);
	return err == -ENOMEM ? err : 0;
}

/* Clusters that no cut can have left like that (7). */
static uint64_t rotten(const struct recovery *rc)
{
	const struct tfs *fs = rc->fs;
	uint64_t size = fs->super.log_clusters, n = 0;

	for (uint64_t i = fs->log.room; i < size; i++)
		n += rc->bad[(rc->pos + i) % size];
	return n;
}

/* Something was written where the next commit would be, and can't be read or
 * proven: a commit was cut, or is damaged. */
static bool end_unclear(const struct recovery *rc)
{
	return !(rc->slot->flags & TFS_SLOT_CLEAN) && (rc->bad[rc->pos] ||
		rc->newest > rc->slot->seq + rc->n);
}

/* (2), (5), (7), (8): why there may have been more than is found.  NULL: there was not.
 * Into text. */
static const char *doubt(const struct recovery *rc, unsigned int odd,
			 char *text, size_t size)
{
	uint64_t next = rc->slot->seq + rc->n + 1, bad = rotten(rc);

	if (rc->checkpoint > rc->slot->number)
		snprintf(text, size, "checkpoint %llu can't be read, and the "
			 "log goes on from it; the newest is %llu",
			 (unsigned long long)rc->checkpoint,
			 (unsigned long long)rc->slot->number);
	else if (rc->ahead)
		snprintf(text, size, "the log has commit %llu, of which "
			 "checkpoint %llu can't know",
			 (unsigned long long)rc->ahead,
			 (unsigned long long)rc->slot->number);
	else if (rc->durable >= next)
		snprintf(text, size, "the log is damaged: commit %llu was "
			 "durable and can't be read",
			 (unsigned long long)next);
	else if (odd & TFS_SLOT_LOST)
		snprintf(text, size, "a checkpoint slot is damaged in both "
			 "copies, perhaps the newest");
	else if (rc->adrift)
		snprintf(text, size, "the log has lost writes: the commit "
			 "before %llu is not in it",
			 (unsigned long long)next);
	else if (end_unclear(rc) && (odd & TFS_SLOT_BAD || bad))
		snprintf(text, size, "the log is damaged, also where commit "
			 "%llu would be", (unsigned long long)next);
	else if (bad > rc->fs->super.log_clusters / 8)
		snprintf(text, size, "much of the log is damaged");
	else
		return NULL;
	return text;
}

/* Somebody decided that what is missing does not come back.  Nothing of it may
 * ever be taken for a part of what comes now. */
static void give_up(const struct recovery *rc, const char *why)
{
	uint64_t top = rc->ahead > rc->newest ? rc->ahead : rc->newest;

	eng_log(LOG_WARNING, "%s; going on from commit %llu, what was done "
		"after it is given up", why,
		(unsigned long long)(rc->slot->seq + rc->n));
	if (rc->fs->seq <= top + TFS_SEQ_JUMP)
		rc->fs->seq = top + TFS_SEQ_JUMP + 1;
}

static void judge(const struct recovery *rc, unsigned int odd,
		  struct tfs_mount *how)
{
	char *text = rc->fs->doubt;
	const char *why = doubt(rc, odd, text, sizeof(rc->fs->doubt));

	if (!why)
		return;
	if (how->accept) {
		give_up(rc, why);
		return;
	}
	eng_log(LOG_ERR, "%s; mounting read-only: commit %llu is the newest "
		"that is certain, what was done after it may be missing", why,
		(unsigned long long)(rc->slot->seq + rc->n));
	how->rdonly = true;
}

static void say(const struct recovery *rc)
{
	uint64_t first = rc->slot->seq + 1, last = rc->slot->seq + rc->n;
	uint64_t dropped = rc->newest > last ? rc->newest - last : 0;
	char text[80] = "nothing to replay";

	atomic_store(&rc->fs->count.replayed, rc->n);
	atomic_store(&rc->fs->count.dropped, dropped);
	if (!rc->n && !dropped)
		return;
	if (rc->n)
		snprintf(text, sizeof(text), "replayed commits %llu to %llu "
			 "(%llu changes)", (unsigned long long)first,
			 (unsigned long long)last,
			 (unsigned long long)rc->ops);
	if (dropped)
		eng_log(LOG_NOTICE, "recovery: %s, dropped %llu from %llu on: "
			"not complete on the medium", text,
			(unsigned long long)dropped,
			(unsigned long long)last + 1);
	else
		eng_log(LOG_NOTICE, "recovery: %s", text);
}

int tfs_recover(struct tfs *fs, const struct tfs_slot *slot, unsigned int odd,
		struct tfs_mount *how, bool *replayed)
{
	bool clean = slot->flags & TFS_SLOT_CLEAN;
	struct recovery rc = {
		.fs = fs, .slot = slot,
		.last = slot->seq + (clean ? 0 : TFS_SEQ_JUMP),
	};
	int err;

	*replayed = false;
	fs->log.head = slot->log_pos;
	fs->log.chain = slot->chain;
	rc.pos = slot->log_pos;
	rc.prev = slot->chain;
	fs->was_clean = clean && !odd && fs->super_outdated < 0;
	err = scan(&rc, !clean || odd);
	if (!err && rc.count)
		err = follow(&rc);
	if (!err && !clean)
		err = read_anchor(&rc);
	if (!err)
		judge(&rc, odd, how);
	if (!err && rc.n) {
		fs->replaying = true;
		err = replay_all(&rc);
		fs->replaying = false;
		fs->log.head = rc.pos;
		fs->log.chain = rc.prev;
		*replayed = true;
	}
	if (!err)
		say(&rc);
	free(rc.seq);
	free(rc.bad);
	free(rc.place);
	tfs_runs_clear(&rc.born);
	return err;
}

/* ---- without a checkpoint --------------------------------------------------- */

/* The first commit above the slot's sequence; -ENOENT: there is none. */
static int find_first(struct recovery *rc)
{
	uint64_t best = 0;
	int err = 0;

	for (uint64_t pos = 0; pos < rc->fs->super.log_clusters; pos++) {
		const struct tfs_disk_log *h;
		uint8_t *buf;

		if (!rc->seq[pos] || (best && rc->seq[pos] >= best))
			continue;
		err = read_commit(rc, pos, 1, &buf);
		if (err == -ENOMEM)
			return err;
		h = (const void *)buf;
		if (!err && !h->block) {
			best = rc->seq[pos];
			rc->pos = pos;
			rc->prev = le64toh(h->prev);
		}
		free(buf);
	}
	return best ? 0 : -ENOENT;
}

/* (1), (3), also from one life to the next: what is durable, or proves
 * itself. */
static int follow_blind(struct recovery *rc)
{
	struct tfs_logged c;
	uint64_t last = rc->slot->seq;
	int err = 0;

	while (!err && rc->seq[rc->pos] > last) {
		last = rc->seq[rc->pos];
		err = load_commit(rc, rc->pos, last, rc->prev, &c);
		if (!err && last > rc->durable)
			err = prove(rc, &c);
		if (!err && !rc->look)
			err = tfs_replay_items(rc->fs, &c);
		if (!err)
			err = add_commit(rc, &c);
		free(c.ops);
	}
	return err == -ENOENT ? 0 : err;
}

static int run_blind(struct recovery *rc)
{
	int err = scan(rc, true);

	if (!err)
		err = find_first(rc);
	return err ? err : follow_blind(rc);
}

static void end_blind(struct recovery *rc)
{
	free(rc->seq);
	free(rc->bad);
	free(rc->place);
	tfs_runs_clear(&rc->born);
}

int tfs_recover_blind(struct tfs *fs, uint64_t above)
{
	const struct tfs_slot slot = { .seq = above };
	struct recovery rc = { .fs = fs, .slot = &slot, .last = UINT64_MAX };
	int err = run_blind(&rc);

	if (err != -ENOENT) {
		fs->log.head = rc.pos;
		fs->log.chain = rc.prev;
	}
	if (!err)
		say(&rc);
	end_blind(&rc);
	return err == -ENOENT ? 0 : err;
}

int tfs_recover_reach(struct tfs *fs, uint64_t above, struct tfs_reach *out)
{
	const struct tfs_slot slot = { .seq = above };
	struct recovery rc = {
		.fs = fs, .slot = &slot, .last = UINT64_MAX, .look = true,
	};
	int err = run_blind(&rc);

	*out = (struct tfs_reach){ .durable = rc.durable };
	if (rc.n) {
		out->first = rc.place[0].seq;
		out->last = rc.place[rc.n - 1].seq;
	}
	end_blind(&rc);
	return err == -ENOMEM ? err : 0;
}
