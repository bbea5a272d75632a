/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logscan.c - what lies in the log: which of its clusters are sound, and one
 * commit of them, whole and with operations that make sense.
 *
 *  (1) Nothing is believed of a cluster that its tags, its checksum and the
 *      filesystem's nonce don't confirm together.
 *  (2) What proves that something is missing may be anywhere, so all of it is
 *      read, and twice: a cluster that a failing read hides would be a commit
 *      less.
 *  (3) Each leg of a mirror is asked: of a cluster the newest one counts, and
 *      what a commit needs is on all of them before it is replayed.  Where
 *      something may be written that is done here, with what was verified.
 *  (4) After a clean end a few places tell whether there was a later life,
 *      which began its log where this one's ends; so mounting takes no longer
 *      for it. */
#include <stdlib.h>
#include <string.h>

#include "mirror/mirror.h"
#include "base/cluster.h"
#include "base/hash.h"
#include "mount/logscan.h"

#define BATCH	32	/* clusters read at once */
#define ATTEMPTS 3	/* to read what the scan has found sound */

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
int tfs_log_read(struct tfs *fs, unsigned int leg, uint64_t pos, uint32_t n,
		 uint8_t *buf, uint16_t *tags)
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

static void note_cluster(struct tfs_logscan *ls, const uint8_t *buf,
			 const uint16_t *tags, uint64_t pos)
{
	const struct tfs_disk_log *h = (const void *)buf;
	uint64_t seq = tfs_log_check(ls->fs, buf, tags, pos);
	struct tfs_record rec;

	ls->bad[pos] &= !seq && is_log(ls->fs, tags, pos, &rec);
	if (seq <= ls->after)
		return;
	if (le64toh(h->checkpoint) > ls->checkpoint)
		ls->checkpoint = le64toh(h->checkpoint);
	if (seq > ls->last) {
		ls->ahead = seq > ls->ahead ? seq : ls->ahead;
		return;
	}
	if (seq <= ls->seq[pos])
		return;
	ls->seq[pos] = seq;
	ls->count++;
	if (seq > ls->newest)
		ls->newest = seq;
	if (le64toh(h->durable) > ls->durable)
		ls->durable = le64toh(h->durable);
}

static int scan_range(struct tfs_logscan *ls, uint64_t pos, uint32_t n,
		      uint8_t *buf)
{
	struct tfs *fs = ls->fs;
	uint16_t tags[BATCH * TFS_LANES];
	int err = tfs_log_read(fs, ls->leg, pos, n, buf, tags);

	for (uint32_t i = 0; i < n && !err; i++)
		note_cluster(ls, buf + (size_t)i * fs->csize,
			     tags + i * TFS_LANES, pos + i);
	if (!err || err == -ENOMEM)
		return err;
	if (n == 1 && err == -ENOENT)
		ls->bad[pos] = false;
	for (uint32_t i = 0; n > 1 && i < n; i++) {
		err = scan_range(ls, pos + i, 1, buf);
		if (err)
			return err;
	}
	return 0;
}

/* (2), (3) */
static int scan_all(struct tfs_logscan *ls, uint32_t batch, uint8_t *buf)
{
	uint64_t size = ls->fs->super.log_clusters;
	int err = 0;

	memset(ls->bad, true, size);	/* until it is seen to be good */
	for (unsigned int i = 0; !err; i++) {
		if (i != 1)
			ls->leg = tfs_leg_next(ls->fs, ls->leg);
		if (!ls->leg)
			break;
		eng_dev_drop_caches(ls->fs->dev);
		for (uint64_t pos = 0; pos < size && !err; pos += batch)
			err = scan_range(ls, pos, size - pos < batch ?
					 size - pos : batch, buf);
	}
	return err;
}

/* (4): from the end of the log on, in steps that grow. */
static int scan_ahead(struct tfs_logscan *ls, uint64_t pos, uint32_t batch,
		      uint8_t *buf)
{
	uint64_t size = ls->fs->super.log_clusters;
	uint32_t n = size - pos < batch ? size - pos : batch;
	int err = scan_range(ls, pos, n, buf);

	for (uint64_t step = n; step < size && !err; step *= 2)
		err = scan_range(ls, (pos + step) % size, 1, buf);
	return err;
}

int tfs_logscan(struct tfs_logscan *ls, uint64_t from, bool all)
{
	struct tfs *fs = ls->fs;
	uint32_t batch = fs->geo->max_io / fs->ipc;
	uint8_t *buf;
	int err;

	if (batch > BATCH)
		batch = BATCH;
	buf = eng_buf_get(fs->dev, (size_t)batch * fs->csize);
	ls->seq = calloc(fs->super.log_clusters, sizeof(ls->seq[0]));
	ls->bad = calloc(fs->super.log_clusters, sizeof(ls->bad[0]));
	if (!buf || !ls->seq || !ls->bad)
		err = -ENOMEM;
	else
		err = all ? scan_all(ls, batch, buf) :
			scan_ahead(ls, from, batch, buf);
	eng_buf_put(fs->dev, buf, (size_t)batch * fs->csize);
	return err;
}

void tfs_logscan_end(struct tfs_logscan *ls)
{
	free(ls->seq);
	free(ls->bad);
}

/* ---- one commit ----------------------------------------------------------- */

/* (3) */
static int share(struct tfs_logscan *ls, uint64_t pos, uint64_t seq, void *buf)
{
	struct tfs_record rec = { .kind = TFS_K_LOG, .index = pos,
				  .seq = seq };
	struct eng_fault fault;
	int err;

	if (!eng_mirror_legs(ls->fs->dev))
		return 0;
	err = tfs_cluster_try(ls->fs, tfs_log_addr(ls->fs, pos), &rec, buf,
			      &fault);
	return err == -ENOMEM ? err : 0;
}

/* One cluster that the scan has found sound. */
static int read_again(struct tfs_logscan *ls, uint64_t pos, uint64_t seq,
		      uint8_t *buf)
{
	uint16_t tags[TFS_LANES];
	int err;

	for (unsigned int i = 0, leg = 0; i < ATTEMPTS; i += !leg) {
		if (i && !leg)
			eng_dev_drop_caches(ls->fs->dev);
		leg = tfs_leg_next(ls->fs, leg);
		if (!leg)
			continue;
		err = tfs_log_read(ls->fs, leg, pos, 1, buf, tags);
		if (!err && tfs_log_check(ls->fs, buf, tags, pos) == seq)
			return share(ls, pos, seq, buf);
		if (err == -ENOMEM)
			return err;
	}
	return -ENOENT;
}

int tfs_logscan_read(struct tfs_logscan *ls, uint64_t pos, uint32_t blocks,
		     uint8_t **out)
{
	struct tfs *fs = ls->fs;
	uint8_t *buf = aligned_alloc(4096, (size_t)blocks * fs->csize);
	uint64_t seq = ls->seq[pos];
	int err = buf ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < blocks && !err; i++) {
		uint64_t at = (pos + i) % fs->super.log_clusters;
		uint8_t *cl = buf + (size_t)i * fs->csize;

		err = ls->seq[at] == seq ? read_again(ls, at, seq, cl) :
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
static int join(struct tfs_logscan *ls, const uint8_t *clusters,
		struct tfs_logged *c)
{
	size_t csize = ls->fs->csize, payload = tfs_log_payload(ls->fs);
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

int tfs_logscan_commit(struct tfs_logscan *ls, uint64_t pos, uint64_t seq,
		       uint64_t prev, struct tfs_logged *c)
{
	struct tfs *fs = ls->fs;
	uint8_t *clusters;
	int err;

	*c = (struct tfs_logged){ .ops = NULL };
	if (ls->seq[pos] != seq)
		return -ENOENT;
	err = tfs_logscan_read(ls, pos, 1, &clusters);
	if (err)
		return err;
	load_head(c, (const void *)clusters);
	free(clusters);
	err = tfs_logscan_read(ls, pos, c->blocks, &clusters);
	if (err)
		return err;
	c->ops = malloc((size_t)c->blocks * fs->csize);
	err = c->ops ? join(ls, clusters, c) : -ENOMEM;
	if (!err && (c->prev != prev ||
		     c->hash != tfs_log_hash(fs, clusters, c->blocks)))
		err = -ENOENT;
	free(clusters);
	return err ? err : check_ops(c);
}
