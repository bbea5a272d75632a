/* SPDX-License-Identifier: GPL-2.0-or-later */
/* medium.c - see medium.h.
 *
 *  (1) What a power cut leaves is no damage: a page, a slot or the end of the
 *      log that was being written.
 *  (2) What is rewritten meanwhile may be caught halfway: what looks bad is
 *      looked at again, and found if it stays so.
 *  (3) The log has one copy.  Where the next commit goes nothing is needed, and
 *      a mount has judged what was there.  Anywhere else what is put there says
 *      so: a cluster of the log with owner 1 is none.
 *  (4) The end of the newest commit is where the next one begins.  It is not
 *      emptied before a checkpoint names no commit that must be there.  That
 *      can be done where commits meanwhile are nobody's.
 *  (5) What a replay would need is made durable by a checkpoint.  Nothing is
 *      written into the log but as leader, who alone knows where the next
 *      commit goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/mirror.h"
#include "base/cluster.h"
#include "base/gate.h"
#include "base/state.h"
#include "check/medium.h"
#include "commit/ckpt.h"
#include "commit/log.h"
#include "commit/super.h"
#include "mount/legs.h"
#include "mount/logscan.h"

#define LOOKS		3u	/* (2) */
#define BATCH		32u	/* clusters of the log at once */

typedef unsigned long long ull;

/* Under fs->remount: nothing is mended where nothing may change. */
static bool mend_begin(struct tfs *fs)
{
	pthread_mutex_lock(&fs->remount);
	if (!tfs_rdonly(fs))
		return true;
	pthread_mutex_unlock(&fs->remount);
	return false;
}

static void mend_end(struct tfs *fs)
{
	pthread_mutex_unlock(&fs->remount);
}

static void tell(struct tfs_medium *m, struct tfs_finding *f)
{
	size_t n = strlen(f->text);

	if (f->leg && eng_mirror_legs(m->fs->dev))
		snprintf(f->text + n, sizeof(f->text) - n, " (on %s)",
			 eng_mirror_name(m->fs->dev, f->leg - 1));
	m->problems++;
	m->found(m, f);
}

/* Legs count only where there are some. */
static unsigned int leg_of(const struct tfs *fs, unsigned int leg)
{
	return eng_mirror_legs(fs->dev) ? leg : 0;
}

/* ---- the device's own ---------------------------------------------------- */

static void spare(struct eng_audit *a, const struct eng_spare *s)
{
	struct tfs_medium *m = a->arg;
	struct tfs_finding f = {
		.kind = s->unread ? TFS_F_UNREAD : TFS_F_CONTAINER,
		.cluster = s->start / m->fs->ipc,
		.fixable = !s->kept, .leg = s->leg, .copy = s->copy,
		.byte = s->byte, .err = s->err ? s->err :
			s->unread ? -EIO : -EUCLEAN,
	};
	uint64_t last = (s->start + s->count - 1) / m->fs->ipc;

	if (s->cut)						/* (1) */
		return;
	if (s->err)
		snprintf(f.text, sizeof(f.text), "no %s of clusters %llu to "
			 "%llu can be read: %s", s->what, (ull)f.cluster,
			 (ull)last, strerror(-s->err));
	else
		snprintf(f.text, sizeof(f.text), "%s, copy %u at byte %llu, "
			 "for clusters up to %llu: %s%s", s->what, s->copy,
			 (ull)s->byte, (ull)last, s->why,
			 s->unread && !s->kept ? "; written anew, the other "
			 "copy counts" : "");
	tell(m, &f);
}

/* ---- superblocks and slots ----------------------------------------------- */

static void super_found(struct tfs_medium *m, unsigned int leg,
			unsigned int copy, const char *why, bool mended)
{
	struct tfs_finding f = {
		.kind = TFS_F_SUPER, .fixable = mended, .copy = copy,
		.leg = leg_of(m->fs, leg), .err = -EUCLEAN,
		.cluster = copy ? m->fs->super.clusters - TFS_END_SUPER :
			TFS_AT_SUPER,
	};

	snprintf(f.text, sizeof(f.text), "copy %u of the superblock is no "
		 "good: %s", copy, why);
	tell(m, &f);
}

/* One after the other; whoever would change them waits as long. */
static void look_super(struct tfs_medium *m, unsigned int copy)
{
	struct tfs *fs = m->fs;
	const char *why[TFS_LEGS_MAX + 1] = { NULL };
	unsigned int leg = 0;
	bool bad = false;
	int err = 0;

	pthread_mutex_lock(&fs->remount);
	while ((leg = tfs_leg_next(fs, leg))) {
		why[leg] = tfs_super_why(fs, leg, copy);
		bad |= !!why[leg];
	}
	if (bad && !tfs_rdonly(fs))
		err = tfs_super_mend(fs, copy);
	pthread_mutex_unlock(&fs->remount);
	for (leg = 1; leg <= TFS_LEGS_MAX; leg++)
		if (why[leg])
			super_found(m, leg, copy, why[leg], !err);
}

static void slot_found(struct tfs_medium *m, unsigned int leg, unsigned int i,
		       const char *why, bool mended)
{
	struct tfs_finding f = {
		.kind = TFS_F_SLOT, .fixable = mended, .copy = i % 2,
		.leg = leg_of(m->fs, leg), .err = -EUCLEAN,
		.cluster = tfs_slot_addr(m->fs, i / 2, i % 2),
	};

	snprintf(f.text, sizeof(f.text), "copy %u of checkpoint slot %u is no "
		 "good: %s", i % 2, i / 2, why);
	tell(m, &f);
}

/* (2): the second look is one while no checkpoint writes them. */
static int look_slots(struct tfs_medium *m)
{
	struct tfs_slot_survey s, left;
	int err = tfs_slot_survey(m->fs, &s);

	if (err || !s.any)
		return err;
	pthread_mutex_lock(&m->fs->remount);
	err = tfs_ckpt_slots(m->fs, &s, &left);
	pthread_mutex_unlock(&m->fs->remount);
	for (unsigned int leg = 1; leg <= TFS_LEGS_MAX && !err; leg++)
		for (unsigned int i = 0; i < 4; i++)
			if (s.bad[leg] >> i & 1)
				slot_found(m, leg, i, s.why[leg][i],
					   tfs_rdonly(m->fs) ||
					   !(left.bad[leg] >> i & 1));
	return err;
}

/* ---- the list of a mirror's legs, of each leg ---------------------------- */

static void list_found(struct tfs_medium *m, unsigned int leg,
		       unsigned int copy, const char *why, bool mended)
{
	struct tfs_finding f = {
		.kind = TFS_F_LEGS, .fixable = mended, .copy = copy,
		.leg = leg, .err = -EUCLEAN,
		.cluster = m->fs->super.clusters - TFS_END_LEG + copy,
	};

	snprintf(f.text, sizeof(f.text), "copy %u of the list of legs is no "
		 "good: %s", copy, why);
	tell(m, &f);
}

static int look_list(struct tfs_medium *m, unsigned int leg)
{
	struct tfs *fs = m->fs;
	struct tfs_legs_look l;
	bool fix = mend_begin(fs);
	int err = tfs_legs_look(fs, leg, fix, &l);

	if (fix)
		mend_end(fs);
	for (unsigned int copy = 0; copy < 2 && !err; copy++)
		if (l.why[copy])
			list_found(m, leg, copy, l.why[copy],
				   !fix || l.mended);
	return err;
}

/* Also of those that are behind. */
static int look_lists(struct tfs_medium *m)
{
	int err = 0;

	for (unsigned int leg = 1; leg <= TFS_LEGS_MAX && !err; leg++)
		err = look_list(m, leg);
	return err;
}

/* ---- the log ------------------------------------------------------------- */

enum where {
	LOG_NEXT,		/* the next commit may be written there */
	LOG_NEEDED,		/* by a replay */
	LOG_NEWEST,		/* the end of the newest commit */
	LOG_IDLE,
};

/* As leader, or alone. */
static enum where log_where(const struct tfs *fs, uint64_t pos)
{
	uint64_t size = fs->super.log_clusters;
	uint64_t behind = (fs->log.head + size - 1 - pos) % size;

	if (behind < atomic_load(&fs->log.used))
		return LOG_NEEDED;
	if (!behind)
		return LOG_NEWEST;
	return (pos + size - fs->log.head) % size < fs->log.room ? LOG_NEXT :
		LOG_IDLE;
}

static bool log_bad(struct tfs *fs, uint64_t pos, const uint8_t *buf,
		    const uint16_t *tags)
{
	struct tfs_record rec;

	return tfs_record_decode(&fs->key, tags, tfs_log_addr(fs, pos), &rec) &&
		rec.kind == TFS_K_LOG && !rec.owner && rec.index == pos &&
		!tfs_log_check(fs, buf, tags, pos);
}

/* NULL: there is nothing wrong with it. */
static const char *log_look(struct tfs_medium *m, unsigned int leg,
			    uint64_t pos, int *err)
{
	struct tfs *fs = m->fs;
	struct eng_fault fault;

	*err = tfs_cluster_leg(fs, leg, tfs_log_addr(fs, pos), 1,
			       ENG_IO_MEDIUM, m->buf, m->tags, &fault);
	if (*err == -EBADMSG && fault.kind == ENG_FAULT_ESCAPE)
		return NULL;
	if (*err)
		return *err == -EBADMSG ? eng_fault_name(fault.kind) :
			strerror(-*err);
	return log_bad(fs, pos, m->buf, m->tags) ?
		"its content makes no sense" : NULL;
}

static const char *log_why(struct tfs_medium *m, unsigned int leg,
			   uint64_t pos, int *err)
{
	const char *why = NULL;

	for (unsigned int i = 0; i < LOOKS; i++) {		/* (2) */
		why = log_look(m, leg, pos, err);
		if (!why)
			break;
	}
	return why;
}

/* (4) */
static int log_forget(struct tfs *fs)
{
	pthread_rwlock_wrlock(&fs->tree);
	fs->log.chain = 0;
	fs->dirty = true;
	pthread_rwlock_unlock(&fs->tree);
	return tfs_ckpt_force(fs, false);
}

static int log_empty(struct tfs_medium *m, uint64_t pos)
{
	struct tfs *fs = m->fs;
	struct tfs_record rec = { .kind = TFS_K_LOG, .owner = 1, .index = pos };

	pthread_rwlock_rdlock(&fs->tree);
	rec.seq = fs->seq;
	pthread_rwlock_unlock(&fs->tree);
	memset(m->buf, 0, fs->csize);
	return tfs_cluster_write(fs, tfs_log_addr(fs, pos), &rec, m->buf);
}

/* (5) Where it has no use any more, it is emptied, unless the next commits
 * overwrite it. */
static int log_mend(struct tfs_medium *m, uint64_t pos, enum where at)
{
	struct tfs *fs = m->fs;
	int err = at == LOG_NEEDED ? tfs_ckpt_force(fs, false) :
		at == LOG_NEWEST ? log_forget(fs) : 0;

	if (err)
		return err;
	tfs_lead(fs);
	at = log_where(fs, pos);
	if (at == LOG_IDLE || (at == LOG_NEWEST && m->alone))
		err = log_empty(m, pos);
	else if (at == LOG_NEEDED)	/* by now, of a commit that is new */
		err = log_look(m, 0, pos, &err) ? -EBUSY : 0;
	tfs_unlead(fs);
	return err;
}

/* (2): where it is, and is it bad while nobody writes there?  What the medium
 * can't read is not tried again while others wait. */
static bool log_stays_bad(struct tfs_medium *m, unsigned int leg, uint64_t pos,
			  int err, enum where *at)
{
	bool bad;

	tfs_lead(m->fs);
	*at = log_where(m->fs, pos);
	bad = *at == LOG_NEEDED || *at == LOG_IDLE ||
		(*at == LOG_NEWEST && m->alone);		/* (4) */
	if (bad && (!err || err == -EBADMSG))
		bad = log_look(m, leg, pos, &err);
	tfs_unlead(m->fs);
	return bad;
}

static int look_log(struct tfs_medium *m, unsigned int leg, uint64_t pos)
{
	struct tfs *fs = m->fs;
	struct tfs_finding f = { .kind = TFS_F_LOG, .fixable = true,
				 .leg = leg_of(fs, leg), .err = -EUCLEAN,
				 .cluster = tfs_log_addr(fs, pos) };
	enum where at;
	int err;
	const char *why = log_why(m, leg, pos, &err);

	if (err == -ENOMEM)
		return err;
	if (!why || !log_stays_bad(m, leg, pos, err, &at))
		return 0;
	if (err && err != -EBADMSG)
		f.err = err;
	snprintf(f.text, sizeof(f.text), "place %llu of the log, %s, is "
		 "damaged: %s", (ull)pos, at == LOG_NEEDED ? "which the next "
		 "mount would need if the power went now" : "where nothing is "
		 "needed", why);
	if (mend_begin(fs)) {
		f.fixable = !log_mend(m, pos, at);
		mend_end(fs);
	}
	tell(m, &f);
	return 0;
}

/* One read for all of them, if they are good. */
static int look_batch(struct tfs_medium *m, unsigned int leg, uint32_t n)
{
	struct tfs *fs = m->fs;
	struct eng_fault fault;
	int err = tfs_cluster_leg(fs, leg, tfs_log_addr(fs, m->pos), n,
				  ENG_IO_MEDIUM | ENG_IO_ESCAPES, m->buf,
				  m->tags, &fault);
	bool all_good = !err;

	if (err == -ENOMEM)
		return err;
	for (uint32_t i = 0; i < n && all_good; i++)
		all_good = !log_bad(fs, m->pos + i, m->buf +
				    (size_t)i * fs->csize,
				    m->tags + (size_t)i * TFS_LANES);
	err = 0;
	for (uint32_t i = 0; i < n && !all_good && !err; i++)
		err = look_log(m, leg, m->pos + i);
	return err;
}

static int step_log(struct tfs_medium *m)
{
	uint64_t left = m->fs->super.log_clusters - m->pos;
	uint32_t n = m->buf_size / m->fs->csize;
	unsigned int leg = 0;
	int err = 0;

	if (n > left)
		n = left;
	while (!err && (leg = tfs_leg_next(m->fs, leg)))
		err = look_batch(m, leg, n);
	m->pos += n;
	return err;
}

/* ---- all ----------------------------------------------------------------- */

int tfs_medium_audit(struct tfs_medium *m)
{
	int err = eng_dev_audit(m->fs->dev, &m->audit);

	m->audited = !err && m->audit.at >= m->audit.all;
	m->at = m->audit.at + m->pos;
	m->all = m->audit.all + m->fs->super.log_clusters;
	return err;
}

/* The rest. */
static int step_beside(struct tfs_medium *m)
{
	struct tfs *fs = m->fs;
	int err;

	if (m->looked) {
		err = step_log(m);
		m->done = m->pos == fs->super.log_clusters;
	} else {
		look_super(m, 0);
		look_super(m, 1);
		err = look_slots(m);
		if (!err)
			err = look_lists(m);
		m->looked = !err;
		m->done = !(fs->super.incompat & TFS_INCOMPAT_LOG);
	}
	m->at = m->audit.all + m->pos;
	return err;
}

int tfs_medium_step(struct tfs_medium *m)
{
	return m->audited ? step_beside(m) : tfs_medium_audit(m);
}

int tfs_medium_begin(struct tfs_medium *m)
{
	struct tfs *fs = m->fs;
	uint32_t n = fs->geo->max_io / fs->ipc;

	if (n > BATCH)
		n = BATCH;
	m->done = m->audited = m->looked = false;
	m->at = m->all = m->problems = m->pos = 0;
	m->audit = (struct eng_audit){ .found = spare, .arg = m,
				       .rewrite = m->alone && m->rewrite };
	m->buf_size = (size_t)n * fs->csize;
	m->buf = eng_buf_get(fs->dev, m->buf_size);
	m->tags = calloc((size_t)n * TFS_LANES, sizeof(m->tags[0]));
	if (m->buf && m->tags)
		return 0;
	tfs_medium_end(m);
	return -ENOMEM;
}

void tfs_medium_end(struct tfs_medium *m)
{
	if (m->buf)
		eng_buf_put(m->fs->dev, m->buf, m->buf_size);
	free(m->tags);
	m->buf = NULL;
	m->tags = NULL;
}
