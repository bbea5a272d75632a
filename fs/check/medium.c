/* SPDX-License-Identifier: GPL-2.0-or-later */
/* medium.c - see medium.h.
 *
 *  (1) What a power cut leaves is no damage: a page, a slot or the end of the
 *      log that was being written.
 *  (2) What is rewritten meanwhile may be caught halfway: what looks bad is
 *      looked at again, and found if it stays so.
 *  (3) The log has one copy.  What is damaged where a mount begins to follow
 *      it was judged by the mount; anywhere else nobody needs it, and what is
 *      put there says so: a cluster of the log with owner 1 is none.
 *  (4) The end of the newest commit is where the next one begins.  It is not
 *      emptied before a checkpoint names no commit that must be there.  That
 *      can be done where commits meanwhile are nobody's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/state.h"
#include "check/medium.h"
#include "commit/ckpt.h"
#include "commit/log.h"
#include "commit/super.h"
#include "mount/recover.h"

#define LOOKS		3u	/* (2) */
#define BATCH		32u	/* clusters of the log at once */

typedef unsigned long long ull;

static void tell(struct tfs_medium *m, struct tfs_finding *f)
{
	m->problems++;
	m->found(m, f);
}

/* ---- the device's own ---------------------------------------------------- */

static void spare(struct eng_audit *a, const struct eng_spare *s)
{
	struct tfs_medium *m = a->arg;
	struct tfs_finding f = {
		.kind = s->unread ? TFS_F_UNREAD : TFS_F_CONTAINER,
		.cluster = s->start / m->fs->ipc,
		.fixable = !s->kept,
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

/* NULL: good. */
static const char *super_why(struct tfs *fs, unsigned int copy)
{
	const char *why = NULL;
	struct tfs_super s;

	for (unsigned int i = 0; i < LOOKS; i++) {		/* (2) */
		why = tfs_super_look(fs, copy, &s);
		if (!why && s.seq == fs->super.seq)
			return NULL;
	}
	return why ? why : "out of date";
}

static void look_supers(struct tfs_medium *m)
{
	struct tfs_finding f = { .kind = TFS_F_SUPER, .fixable = true };

	for (unsigned int copy = 0; copy < 2; copy++) {
		const char *why = super_why(m->fs, copy);

		if (!why)
			continue;
		f.cluster = copy ? m->fs->super.clusters - TFS_END_SUPER :
			TFS_AT_SUPER;
		snprintf(f.text, sizeof(f.text), "copy %u of the superblock "
			 "is no good: %s", copy, why);
		tell(m, &f);
	}
}

static int look_slots(struct tfs_medium *m)
{
	struct tfs_finding f = { .kind = TFS_F_SLOT, .fixable = true };
	const char *why[4] = { NULL };
	unsigned int bad = 15, now;
	int err = 0;

	for (unsigned int i = 0; i < LOOKS && bad && !err; i++) { /* (2) */
		err = tfs_slot_survey(m->fs, why, &now);
		bad &= now;
	}
	for (unsigned int i = 0; i < 4 && !err; i++) {
		if (!(bad >> i & 1))
			continue;
		f.cluster = tfs_slot_addr(m->fs, i / 2, i % 2);
		snprintf(f.text, sizeof(f.text), "copy %u of checkpoint slot "
			 "%u is no good: %s", i % 2, i / 2, why[i]);
		tell(m, &f);
	}
	return err;
}

/* ---- the log ------------------------------------------------------------- */

static bool is_newest(const struct tfs *fs, uint64_t pos)
{
	return (pos + 1) % fs->super.log_clusters == fs->log.head;
}

/* (3) */
static bool log_judged(const struct tfs_medium *m, uint64_t pos)
{
	const struct tfs *fs = m->fs;
	uint64_t size = fs->super.log_clusters;

	return is_newest(fs, pos) ? !m->alone :
		(pos + size - fs->log.head) % size < fs->log.room;
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
static const char *log_why(struct tfs_medium *m, uint64_t pos)
{
	struct tfs *fs = m->fs;
	struct eng_fault fault;
	const char *why = NULL;
	int err;

	for (unsigned int i = 0; i < LOOKS; i++) {		/* (2) */
		err = tfs_cluster_tags(fs, tfs_log_addr(fs, pos), 1,
				       ENG_IO_MEDIUM, m->buf, m->tags, &fault);
		if (err == -EBADMSG && fault.kind == ENG_FAULT_ESCAPE)
			return NULL;
		why = err == -EBADMSG ? eng_fault_name(fault.kind) :
			err ? strerror(-err) : "its content makes no sense";
		if (!err && !log_bad(fs, pos, m->buf, m->tags))
			return NULL;
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
	int err = is_newest(fs, pos) ? log_forget(fs) : 0;

	if (err)
		return err;
	pthread_rwlock_rdlock(&fs->tree);
	rec.seq = fs->seq;
	pthread_rwlock_unlock(&fs->tree);
	memset(m->buf, 0, fs->csize);
	return tfs_cluster_write(fs, tfs_log_addr(fs, pos), &rec, m->buf);
}

static int look_log(struct tfs_medium *m, uint64_t pos)
{
	struct tfs *fs = m->fs;
	struct tfs_finding f = { .kind = TFS_F_LOG, .fixable = true,
				 .cluster = tfs_log_addr(fs, pos) };
	const char *why = log_judged(m, pos) ? NULL : log_why(m, pos);

	if (!why)
		return 0;
	snprintf(f.text, sizeof(f.text), "place %llu of the log, where nothing "
		 "is needed, is damaged: %s", (ull)pos, why);
	tell(m, &f);
	return tfs_rdonly(fs) ? 0 : log_empty(m, pos);
}

/* One read for all of them, if they are good. */
static int step_log(struct tfs_medium *m)
{
	struct tfs *fs = m->fs;
	uint64_t left = fs->super.log_clusters - m->pos;
	uint32_t n = m->buf_size / fs->csize;
	struct eng_fault fault;
	bool all_good;
	int err;

	if (n > left)
		n = left;
	err = tfs_cluster_tags(fs, tfs_log_addr(fs, m->pos), n, ENG_IO_MEDIUM,
			       m->buf, m->tags, &fault);
	if (err == -ENOMEM)
		return err;
	all_good = !err;
	for (uint32_t i = 0; i < n && all_good; i++)
		all_good = !log_bad(fs, m->pos + i, m->buf +
				    (size_t)i * fs->csize,
				    m->tags + (size_t)i * fs->ipc);
	err = 0;
	for (uint32_t i = 0; i < n && !all_good && !err; i++)
		err = look_log(m, m->pos + i);
	m->pos += n;
	return err;
}

/* ---- all ----------------------------------------------------------------- */

int tfs_medium_step(struct tfs_medium *m)
{
	struct tfs *fs = m->fs;
	int err = 0;

	if (!m->audited) {
		err = eng_dev_audit(fs->dev, &m->audit);
		m->audited = !err && m->audit.at == m->audit.all;
		if (m->audited) {
			look_supers(m);
			err = look_slots(m);
			m->done = !(fs->super.incompat & TFS_INCOMPAT_LOG);
		}
	} else {
		err = step_log(m);
		m->done = m->pos == fs->super.log_clusters;
	}
	m->at = m->audit.at + m->pos;
	m->all = m->audit.all + fs->super.log_clusters;
	return err;
}

int tfs_medium_begin(struct tfs_medium *m)
{
	struct tfs *fs = m->fs;
	uint32_t n = fs->geo->max_io / fs->ipc;

	if (n > BATCH)
		n = BATCH;
	m->done = m->audited = false;
	m->at = m->all = m->problems = m->pos = 0;
	m->audit = (struct eng_audit){ .found = spare, .arg = m,
				       .rewrite = m->alone && m->rewrite };
	m->buf_size = (size_t)n * fs->csize;
	m->buf = eng_buf_get(fs->dev, m->buf_size);
	m->tags = calloc((size_t)n * fs->ipc, sizeof(m->tags[0]));
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
