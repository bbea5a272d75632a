/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flaw.c - see flaw.h.
 *
 *  (1) No cluster is written twice with one sequence, so place and sequence say
 *      whether the content that was bad is there still.  Nobody has to tell the
 *      list of writes, truncates and deletes, and it can't go wrong where an
 *      older program did these. */
#include <string.h>

#include "file/extent.h"
#include "file/flaw.h"

#define BLOCK	4096u	/* what a container keeps has that size */
#define LOOKS	64u	/* extents that one look goes over */

void tfs_flaw_cause(struct tfs_flaw *f, int err, const struct eng_fault *fault)
{
	f->err = err;
	f->check = TFS_CHECK_OTHER;
	f->expected = f->found = 0;
	if (err != -EBADMSG)
		return;
	f->check = (enum tfs_flaw_check)fault->kind;
	f->expected = fault->expected;
	f->found = fault->actual;
}

_Static_assert((int)TFS_CHECK_GUARD == ENG_FAULT_GUARD &&
	       (int)TFS_CHECK_REF == ENG_FAULT_REF &&
	       (int)TFS_CHECK_APP == ENG_FAULT_APP &&
	       (int)TFS_CHECK_ESCAPE == ENG_FAULT_ESCAPE &&
	       (int)TFS_CHECK_DEVICE == ENG_FAULT_DEVICE, "checks");

struct tfs_key tfs_flaw_key(const struct tfs *fs, const struct tfs_flaw *f)
{
	if (f->kind == TFS_FLAW_DATA)
		return tfs_key(0, TFS_T_FLAW, (uint64_t)f->ino << 32 |
			       f->off / fs->csize);
	return tfs_key(0, TFS_T_SPOT, (uint64_t)f->kind << 56 |
		       (uint64_t)f->leg << 53 | (f->kind == TFS_FLAW_DEVICE ?
						 f->off / BLOCK : f->addr));
}

void tfs_flaw_encode(const struct tfs_flaw *f, struct tfs_disk_flaw *d)
{
	*d = (struct tfs_disk_flaw){
		.addr = htole64(f->addr),
		.seq = htole64(f->seq),
		.off = htole64(f->off),
		.len = htole64(f->len),
		.expected = htole64(f->expected),
		.found = htole64(f->found),
		.first = htole64(f->first),
		.last = htole64(f->last),
		.commit = htole64(f->commit),
		.ino = htole32(f->ino),
		.count = htole32(f->count),
		.error = htole32((uint32_t)-f->err),
		.kind = f->kind,
		.check = f->check,
		.flags = f->healed ? TFS_FLAW_HEALED : 0,
		.place = f->copy | f->leg << TFS_FLAW_LEG,
	};
}

static void take(const struct tfs_disk_flaw *d, struct tfs_flaw *f)
{
	*f = (struct tfs_flaw){
		.kind = d->kind,
		.ino = le32toh(d->ino),
		.off = le64toh(d->off),
		.len = le64toh(d->len),
		.addr = le64toh(d->addr),
		.seq = le64toh(d->seq),
		.err = -(int)le32toh(d->error),
		.check = d->check,
		.expected = le64toh(d->expected),
		.found = le64toh(d->found),
		.first = le64toh(d->first),
		.last = le64toh(d->last),
		.commit = le64toh(d->commit),
		.count = le32toh(d->count),
		.healed = d->flags & TFS_FLAW_HEALED,
		.copy = d->place & TFS_FLAW_COPY,
		.leg = d->place >> TFS_FLAW_LEG,
	};
}

static const char *check_range(const struct tfs *fs, const struct tfs_flaw *f)
{
	uint64_t most = TFS_FILE_CLUSTERS * fs->csize;
	uint32_t isize = fs->csize / fs->ipc;

	if (f->kind == TFS_FLAW_DEVICE && f->off % BLOCK)
		return "byte";
	if (f->kind != TFS_FLAW_DATA)
		return (f->off && f->kind != TFS_FLAW_DEVICE) || f->len ||
			f->seq ? "range of no file" : NULL;
	if (!f->ino || !f->seq || f->healed)
		return "owner";
	if (!f->len || f->off >= most || f->len > most - f->off ||
	    f->off % isize || f->len % isize)
		return "range";
	if (f->seq > TFS_SEQ_MAX ||
	    tfs_flaw_end(fs, f) - f->off / fs->csize >
	    fs->super.clusters - f->addr)
		return "place";
	return NULL;
}

const char *tfs_flaw_decode(const struct tfs *fs, const struct tfs_item *item,
			    struct tfs_flaw *out)
{
	struct tfs_disk_flaw d;
	struct tfs_key key;
	const char *bad;

	if (item->len != sizeof(d))
		return "length";
	memcpy(&d, item->val, sizeof(d));
	if (d.kind >= TFS_FLAW_KINDS || d.check >= TFS_CHECKS ||
	    d.place >> TFS_FLAW_LEG > TFS_LEGS_MAX ||
	    (d.place && d.kind < TFS_FLAW_DEVICE) || d.flags & ~TFS_FLAW_HEALED)
		return "kind";
	if (le32toh(d.error) > 4095 || le64toh(d.commit) > TFS_SEQ_MAX)
		return "error";
	take(&d, out);
	if ((!out->addr && out->kind < TFS_FLAW_DEVICE) ||
	    out->addr >= fs->super.clusters)
		return "place";
	if (out->kind >= TFS_FLAW_DEVICE && out->ino)
		return "owner";
	bad = check_range(fs, out);
	if (bad)
		return bad;
	key = tfs_flaw_key(fs, out);
	return tfs_key_cmp(&key, &item->key) ? "key" : NULL;
}

uint64_t tfs_flaw_end(const struct tfs *fs, const struct tfs_flaw *f)
{
	return (f->off + f->len + fs->csize - 1) / fs->csize;
}

void tfs_flaw_clip(const struct tfs *fs, struct tfs_flaw *f, uint64_t lc,
		   uint64_t end)
{
	uint64_t first = f->off / fs->csize, stop = f->off + f->len;

	if (lc > first) {
		f->off = lc * fs->csize;
		f->addr += lc - first;
	}
	if (end * fs->csize < stop)
		stop = end * fs->csize;
	f->len = stop - f->off;
}

struct look {
	const struct tfs_flaw *f;
	uint64_t	lc, end;	/* in: where to look; out: found */
	uint64_t	at;		/* look on from there; 0: done */
};

/* (1) */
static int look_fn(struct tfs_txn *tx, void *arg)
{
	struct look *l = arg;
	const struct tfs_flaw *f = l->f;
	uint64_t first = f->off / tfs_txn_fs(tx)->csize, at = l->lc;

	for (unsigned int i = 0; at < l->end && i < LOOKS; i++) {
		struct tfs_extent ext;
		int err = tfs_extent_find(tx, f->ino, at, &ext);

		if (err || ext.lc >= l->end)
			return err ? err : -ENOENT;
		if (ext.lc > at)
			at = ext.lc;
		if (ext.addr && ext.seq == f->seq &&
		    ext.addr + (at - ext.lc) == f->addr + (at - first)) {
			if (ext.lc + ext.len < l->end)
				l->end = ext.lc + ext.len;
			l->lc = at;
			l->at = 0;
			return 0;
		}
		at = ext.lc + ext.len;
	}
	l->at = at;
	return at < l->end ? 0 : -ENOENT;
}

int tfs_flaw_stands(struct tfs *fs, const struct tfs_flaw *f, uint64_t *lc,
		    uint64_t *end)
{
	struct look l = { .f = f, .lc = *lc, .end = tfs_flaw_end(fs, f) };
	int err;

	if (*end < l.end)
		l.end = *end;
	for (;;) {
		err = tfs_txn_read(fs, look_fn, &l);
		if (err || !l.at)
			break;
		l.lc = l.at;
	}
	if (err == -EUCLEAN || err == -EIO)	/* nobody knows better */
		err = 0;
	*lc = l.lc;
	*end = l.end;
	return err;
}
