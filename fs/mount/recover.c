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
 *      same.
 *  (7) One commit is in flight at a time, and every life goes on where the
 *      last one's log ended.  So cuts leave torn clusters only from there on,
 *      as far as the largest commit goes.  Where others are bad, a bad end
 *      is no proof that nothing was acknowledged behind it; where many are,
 *      no end is.
 *  (8) A checkpoint names the hash of the commit before it, which lies where
 *      its log begins.  If something older lies there, writes of the log were
 *      lost, and what came after may be among them.
 *  (9) The data of a commit that must prove itself are read from each leg of
 *      a mirror. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "tree/freemap.h"
#include "commit/super.h"
#include "file/extent.h"
#include "mount/logscan.h"
#include "mount/recover.h"

#define ATTEMPTS 3	/* to read what a proof needs */

struct place {			/* a commit to be replayed */
	uint64_t	seq, pos;
};

struct recovery {
	struct tfs	*fs;
	const struct tfs_slot *slot;
	struct tfs_logscan log;
	bool		adrift;		/* (8) */
	struct place	*place;
	size_t		n, room;
	uint64_t	pos, prev;	/* where the next commit would be */
	struct tfs_runs born;
	uint64_t	ops;
	bool		look;		/* change nothing */
};

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

		err = tfs_logscan_commit(&rc->log, rc->pos, seq, rc->prev, &c);
		if (!err)
			err = check_born(rc, &c);
		if (!err && seq > rc->log.durable)
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

		err = tfs_logscan_commit(&rc->log, rc->place[i].pos,
					 rc->place[i].seq, prev, &c);
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
 * if it is merely damaged: then it is in rc->log.bad. */
static int read_anchor(struct recovery *rc)
{
	struct tfs *fs = rc->fs;
	uint64_t size = fs->super.log_clusters;
	uint64_t pos = (rc->slot->log_pos + size - 1) % size;
	const struct tfs_disk_log *h;
	uint16_t tags[TFS_LANES];
	uint8_t *buf;
	int err = 0;

	if (rc->n || rc->log.bad[pos] || rc->log.seq[pos] || !rc->slot->chain)
		return 0;
	buf = eng_buf_get(fs->dev, fs->csize);
	if (!buf)
		return -ENOMEM;
	h = (const void *)buf;
	rc->adrift = true;
	for (unsigned int leg = 0; rc->adrift &&
	     (leg = tfs_leg_next(fs, leg)); ) {
		err = tfs_log_read(fs, leg, pos, 1, buf, tags);
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
		n += rc->log.bad[(rc->pos + i) % size];
	return n;
}

/* Something was written where the next commit would be, and can't be read or
 * proven: a commit was cut, or is damaged. */
static bool end_unclear(const struct recovery *rc)
{
	return !(rc->slot->flags & TFS_SLOT_CLEAN) && (rc->log.bad[rc->pos] ||
		rc->log.newest > rc->slot->seq + rc->n);
}

/* (2), (5), (7), (8): why there may have been more than is found.  NULL: there was not.
 * Into text. */
static const char *doubt(const struct recovery *rc, unsigned int odd,
			 char *text, size_t size)
{
	uint64_t next = rc->slot->seq + rc->n + 1, bad = rotten(rc);

	if (rc->log.checkpoint > rc->slot->number)
		snprintf(text, size, "checkpoint %llu can't be read, and the "
			 "log goes on from it; the newest is %llu",
			 (unsigned long long)rc->log.checkpoint,
			 (unsigned long long)rc->slot->number);
	else if (rc->log.ahead)
		snprintf(text, size, "the log has commit %llu, of which "
			 "checkpoint %llu can't know",
			 (unsigned long long)rc->log.ahead,
			 (unsigned long long)rc->slot->number);
	else if (rc->log.durable >= next)
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
	uint64_t top = rc->log.ahead > rc->log.newest ? rc->log.ahead :
		rc->log.newest;

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
	uint64_t dropped = rc->log.newest > last ? rc->log.newest - last : 0;
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

static void end(struct recovery *rc)
{
	tfs_logscan_end(&rc->log);
	free(rc->place);
	tfs_runs_clear(&rc->born);
}

int tfs_recover(struct tfs *fs, const struct tfs_slot *slot, unsigned int odd,
		struct tfs_mount *how, bool *replayed)
{
	bool clean = slot->flags & TFS_SLOT_CLEAN;
	struct recovery rc = {
		.fs = fs, .slot = slot,
		.log = {
			.fs = fs, .after = slot->seq,
			.last = slot->seq + (clean ? 0 : TFS_SEQ_JUMP),
		},
	};
	int err;

	*replayed = false;
	fs->log.head = slot->log_pos;
	fs->log.chain = slot->chain;
	rc.pos = slot->log_pos;
	rc.prev = slot->chain;
	fs->was_clean = clean && !odd && fs->super_outdated < 0;
	err = tfs_logscan(&rc.log, slot->log_pos, !clean || odd);
	if (!err && rc.log.count)
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
	end(&rc);
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

		if (!rc->log.seq[pos] || (best && rc->log.seq[pos] >= best))
			continue;
		err = tfs_logscan_read(&rc->log, pos, 1, &buf);
		if (err == -ENOMEM)
			return err;
		h = (const void *)buf;
		if (!err && !h->block) {
			best = rc->log.seq[pos];
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

	while (!err && rc->log.seq[rc->pos] > last) {
		last = rc->log.seq[rc->pos];
		err = tfs_logscan_commit(&rc->log, rc->pos, last, rc->prev, &c);
		if (!err && last > rc->log.durable)
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
	int err = tfs_logscan(&rc->log, 0, true);

	if (!err)
		err = find_first(rc);
	return err ? err : follow_blind(rc);
}

int tfs_recover_blind(struct tfs *fs, uint64_t above)
{
	const struct tfs_slot slot = { .seq = above };
	struct recovery rc = {
		.fs = fs, .slot = &slot,
		.log = { .fs = fs, .after = above, .last = UINT64_MAX },
	};
	int err = run_blind(&rc);

	if (err != -ENOENT) {
		fs->log.head = rc.pos;
		fs->log.chain = rc.prev;
	}
	if (!err)
		say(&rc);
	end(&rc);
	return err == -ENOENT ? 0 : err;
}

int tfs_recover_reach(struct tfs *fs, uint64_t above, struct tfs_reach *out)
{
	const struct tfs_slot slot = { .seq = above };
	struct recovery rc = {
		.fs = fs, .slot = &slot, .look = true,
		.log = { .fs = fs, .after = above, .last = UINT64_MAX },
	};
	int err = run_blind(&rc);

	*out = (struct tfs_reach){ .durable = rc.log.durable };
	if (rc.n) {
		out->first = rc.place[0].seq;
		out->last = rc.place[rc.n - 1].seq;
	}
	end(&rc);
	return err == -ENOMEM ? err : 0;
}
