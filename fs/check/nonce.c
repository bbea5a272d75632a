/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nonce.c - the nonce stands in plain in slots, nodes and the log.
 *
 *  (1) Remains of an older filesystem may lie there as well.  The younger one
 *      has written its slots, and its log from the first cluster on: these are
 *      asked first, in this order.
 *  (2) Where they are gone, those of the first nodes that agree are taken; the
 *      scan that follows counts all, and what has most wins.
 *  (3) Nothing is done about it in silence: who calls tells of the others. */
#include <stdio.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "check/nonce.h"
#include "check/pass.h"

#define AGREE		16u	/* (2) */
#define LOG_LOOK	1024u	/* clusters of the log */

void tfs_vote(struct tfs_votes *v, const uint8_t nonce[TFS_NONCE])
{
	unsigned int i = 0;

	while (i < v->n && memcmp(v->at[i].nonce, nonce, TFS_NONCE))
		i++;
	if (i == TFS_VOTES)
		return;
	if (i == v->n) {
		memcpy(v->at[i].nonce, nonce, TFS_NONCE);
		v->at[v->n++].n = 0;
	}
	v->at[i].n++;
}

const struct tfs_vote *tfs_votes_most(const struct tfs_votes *v,
				      const uint8_t *not)
{
	const struct tfs_vote *best = NULL;

	for (unsigned int i = 0; i < v->n; i++)
		if ((!not || memcmp(v->at[i].nonce, not, TFS_NONCE)) &&
		    (!best || v->at[i].n > best->n))
			best = &v->at[i];
	return best;
}

void tfs_nonce_text(const uint8_t nonce[TFS_NONCE], char out[33])
{
	for (unsigned int i = 0; i < TFS_NONCE; i++)
		snprintf(out + 2 * i, 3, "%02x", nonce[i]);
}

/* ---- (1) -------------------------------------------------------------------- */

static bool read_plain(struct tfs *fs, uint64_t addr, uint8_t *buf)
{
	uint16_t tags[TFS_LANES];
	struct eng_fault fault;

	return !tfs_cluster_tags(fs, addr, 1, 0, buf, tags, &fault);
}

static bool in_slot(struct tfs *fs, uint64_t addr, uint8_t *buf,
		    uint8_t nonce[TFS_NONCE])
{
	const struct tfs_disk_slot *d = (const void *)buf;

	if (!read_plain(fs, addr, buf) ||
	    le32toh(d->magic) != TFS_SLOT_MAGIC ||
	    le32toh(d->crc) != tfs_crc32c(d, sizeof(*d),
				offsetof(struct tfs_disk_slot, crc)))
		return false;
	memcpy(nonce, d->nonce, TFS_NONCE);
	return true;
}

static bool in_log(struct tfs *fs, uint64_t addr, uint8_t *buf,
		   uint8_t nonce[TFS_NONCE])
{
	const struct tfs_disk_log *d = (const void *)buf;

	if (!read_plain(fs, addr, buf) || !tfs_cluster_is_sound(fs, buf) ||
	    le32toh(d->magic) != TFS_LOG_MAGIC)
		return false;
	memcpy(nonce, d->nonce, TFS_NONCE);
	return true;
}

static enum tfs_nonce_at in_place(struct tfs *fs, uint8_t *buf,
				  uint8_t nonce[TFS_NONCE])
{
	uint64_t n = fs->super.clusters;
	uint64_t end = TFS_AT_LOG + LOG_LOOK < n ? TFS_AT_LOG + LOG_LOOK : n;

	for (unsigned int i = 0; i < 2; i++)
		if (in_slot(fs, TFS_AT_SLOT + i, buf, nonce) ||
		    in_slot(fs, n - TFS_END_SLOT + i, buf, nonce))
			return TFS_NONCE_SLOTS;
	for (uint64_t at = TFS_AT_LOG; at < end; at++)
		if (in_log(fs, at, buf, nonce))
			return TFS_NONCE_LOG;
	return TFS_NONCE_NODES;
}

/* ---- (2) -------------------------------------------------------------------- */

static int see_nonce(struct tfs_pass *p, uint64_t addr, uint8_t *data,
		     const uint16_t *tags)
{
	struct tfs_votes *v = p->arg;

	(void)addr;
	(void)tags;
	if (tfs_cluster_is_sound(p->fs, data))
		tfs_vote(v, ((const struct tfs_disk_node *)data)->nonce);
	return v->n && tfs_votes_most(v, NULL)->n >= AGREE;
}

int tfs_nonce_find(struct tfs *fs, uint8_t nonce[TFS_NONCE],
		   enum tfs_nonce_at *at)
{
	struct tfs_votes v = { .n = 0 };
	struct tfs_pass p = { .fs = fs, .arg = &v, .see = see_nonce };
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	int err;

	if (!buf)
		return -ENOMEM;
	*at = in_place(fs, buf, nonce);
	eng_buf_put(fs->dev, buf, fs->csize);
	if (*at != TFS_NONCE_NODES)
		return 0;
	err = tfs_pass_run(&p);
	if (err < 0)
		return err;
	if (!v.n)
		return -EMEDIUMTYPE;
	memcpy(nonce, tfs_votes_most(&v, NULL)->nonce, TFS_NONCE);
	return 0;
}

/* Slots of single clusters are written over by a younger filesystem of larger
 * ones, but not the other way round: so where there are some, these are it. */
int tfs_nonce_tags(int (*look)(void *arg, unsigned int tags,
			       enum tfs_nonce_at *at), void *arg)
{
	enum tfs_nonce_at more = TFS_NONCE_NODES, one = TFS_NONCE_NODES;
	int err = look(arg, ENG_TAGS, &more), other;

	if ((err && err != -EMEDIUMTYPE) ||
	    (!err && more == TFS_NONCE_SLOTS))
		return err;
	other = look(arg, 1, &one);
	if (err || (!other && one == TFS_NONCE_SLOTS) ||
	    (other && other != -EMEDIUMTYPE))
		return other;
	return look(arg, ENG_TAGS, &more);
}
