/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kept.c - see kept.h.
 *
 *  (1) A position and the suspects that lie before it are one transaction: no
 *      crash leaves a position without them.
 *  (2) There are never more than TFS_SUSPECTS_MAX runs of them.  Where there
 *      are more, what lies between some is made suspect, too: it is read once
 *      more than it would have to be.
 *  (3) It is work that can be done without, and takes no space that somebody
 *      else needs. */
#include <stdlib.h>
#include <string.h>

#include "check/kept.h"
#include "commit/txn.h"
#include "tree/freemap.h"

#define PIECES		(TFS_SUSPECTS_MAX / TFS_SUSPECTS_PIECE)

static bool is_active(enum tfs_scrub_state state)
{
	return state == TFS_SCRUB_RUNNING || state == TFS_SCRUB_PAUSED;
}

static void encode(const struct tfs_kept *k, struct tfs_disk_scrub *d)
{
	*d = (struct tfs_disk_scrub){
		.started = htole64((uint64_t)k->started),
		.ended = htole64((uint64_t)k->ended),
		.bytes = htole64(k->bytes),
		.nodes = htole64(k->nodes),
		.healed = htole64(k->healed),
		.uncorrectable = htole64(k->uncorrectable),
		.region = htole64(k->region),
		.bit = htole32(k->bit),
		.ino = htole32(k->ino),
		.rate = htole32(k->rate),
		.error = htole32((uint32_t)-k->err),
		.state = k->state,
		.flags = (k->data ? TFS_SCRUB_F_DATA : 0) |
			(k->meta ? TFS_SCRUB_F_META : 0) |
			(k->errors ? TFS_SCRUB_F_ERRORS : 0),
		.suspects = htole32(k->suspects),
		.parts = htole64(k->parts),
	};
}

const char *tfs_kept_decode(const struct tfs *fs, const struct tfs_item *item,
			    struct tfs_kept *out)
{
	struct tfs_disk_scrub d = { .parts = 0 };

	if (item->len != sizeof(d) &&
	    item->len != offsetof(struct tfs_disk_scrub, parts))
		return "length";
	memcpy(&d, item->val, item->len);
	if (item->key.off > TFS_SCRUB_WHOLE || !d.state ||
	    d.state >= TFS_SCRUB_STATES ||
	    (item->key.off && d.state != TFS_SCRUB_FINISHED))
		return "state";
	if (!d.flags || d.flags & ~TFS_SCRUB_F_ALL || d.pad[0] || d.pad[1] ||
	    le32toh(d.error) > 4095)
		return "flags";
	if (le64toh(d.region) > tfs_region_count(fs) ||
	    le32toh(d.bit) >= TFS_REGION_BITS ||
	    le32toh(d.suspects) > TFS_SUSPECTS_MAX ||
	    le64toh(d.started) > INT64_MAX || le64toh(d.ended) > INT64_MAX)
		return "position";
	*out = (struct tfs_kept){
		.state = d.state,
		.data = d.flags & TFS_SCRUB_F_DATA,
		.meta = d.flags & TFS_SCRUB_F_META,
		.errors = d.flags & TFS_SCRUB_F_ERRORS,
		.rate = le32toh(d.rate),
		.err = -(int)le32toh(d.error),
		.started = (int64_t)le64toh(d.started),
		.ended = (int64_t)le64toh(d.ended),
		.bytes = le64toh(d.bytes), .nodes = le64toh(d.nodes),
		.healed = le64toh(d.healed),
		.uncorrectable = le64toh(d.uncorrectable),
		.region = le64toh(d.region), .bit = le32toh(d.bit),
		.ino = le32toh(d.ino), .parts = le64toh(d.parts), .suspects = le32toh(d.suspects),
	};
	return NULL;
}

const char *tfs_kept_suspects(const struct tfs *fs,
			      const struct tfs_item *item,
			      struct tfs_runs *runs, int *err)
{
	struct tfs_disk_suspect d;
	uint64_t end = 0;

	if (!item->len || item->len % sizeof(d) ||
	    item->len > TFS_SUSPECTS_PIECE * sizeof(d) ||
	    item->key.off >= PIECES)
		return "length";
	if (runs && runs->n)
		end = runs->run[runs->n - 1].addr + runs->run[runs->n - 1].len;
	*err = 0;
	for (unsigned int at = 0; at < item->len && !*err; at += sizeof(d)) {
		uint64_t addr, len;

		memcpy(&d, (const uint8_t *)item->val + at, sizeof(d));
		addr = le64toh(d.addr);
		len = le64toh(d.len);
		if (!len || addr < end || addr >= fs->super.clusters ||
		    len > fs->super.clusters - addr)
			return "place";
		end = addr + len;
		*err = runs ? tfs_runs_add(runs, addr, len) : 0;
	}
	return NULL;
}

/* ---- from the tree --------------------------------------------------------- */

struct load {
	struct tfs_kept	*k;
	struct tfs_runs	*runs;
};

/* Starts over where a node is missing. */
static int load_fn(struct tfs_txn *tx, void *arg)
{
	struct load *l = arg;
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(0, TFS_T_SCRUB, TFS_SCRUB_NEWEST),
			      &item);

	if (err)
		return err;
	if (tfs_kept_decode(fs, &item, l->k))
		return -EUCLEAN;
	if (!l->runs)
		return 0;
	l->runs->n = 0;
	l->runs->clusters = 0;
	for (unsigned int i = 0; i < PIECES && l->runs->n < l->k->suspects &&
	     !err; i++) {
		err = tfs_txn_get(tx, tfs_key(0, TFS_T_SUSPECT, i), &item);
		if (!err && tfs_kept_suspects(fs, &item, l->runs, &err))
			err = -EUCLEAN;
	}
	return err == -ENOENT ? -EUCLEAN : err;
}

int tfs_kept_load(struct tfs *fs, struct tfs_kept *out,
		  struct tfs_runs *suspect)
{
	struct load l = { .k = out, .runs = suspect };

	return tfs_txn_read(fs, load_fn, &l);
}

static int whole_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_kept k;
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(0, TFS_T_SCRUB, TFS_SCRUB_WHOLE),
			      &item);

	if (!err && tfs_kept_decode(tfs_txn_fs(tx), &item, &k))
		err = -EUCLEAN;
	*(int64_t *)arg = err ? 0 : k.ended;
	return err == -ENOENT ? 0 : err;
}

int tfs_kept_whole(struct tfs *fs, int64_t *when)
{
	return tfs_txn_read(fs, whole_fn, when);
}

/* ---- and to it ------------------------------------------------------------- */

struct store {
	struct tfs_kept	k;
	struct tfs_runs	runs;		/* ascending */
	bool		whole;
};

/* (2): those with no more than gap between them become one. */
static void close_gaps(struct tfs_runs *runs, uint64_t gap)
{
	size_t n = 0;

	for (size_t i = 0; i < runs->n; i++) {
		struct tfs_run *last = n ? &runs->run[n - 1] : NULL;

		if (last && runs->run[i].addr - last->addr - last->len <= gap)
			last->len = runs->run[i].addr + runs->run[i].len -
				last->addr;
		else
			runs->run[n++] = runs->run[i];
	}
	runs->n = n;
}

static int copy_runs(struct tfs_runs *to, const struct tfs_runs *from)
{
	int err = tfs_runs_reserve(to, from->n);

	for (size_t i = 0; i < from->n && !err; i++)
		err = tfs_runs_add(to, from->run[i].addr, from->run[i].len);
	for (uint64_t gap = 1; to->n > TFS_SUSPECTS_MAX && !err; gap *= 2)
		close_gaps(to, gap);
	return err;
}

static int put_piece(struct tfs_txn *tx, const struct tfs_runs *runs,
		     unsigned int piece)
{
	struct tfs_disk_suspect d[TFS_SUSPECTS_PIECE];
	struct tfs_key key = tfs_key(0, TFS_T_SUSPECT, piece);
	size_t from = (size_t)piece * TFS_SUSPECTS_PIECE, n = 0;

	while (n < TFS_SUSPECTS_PIECE && from + n < runs->n) {
		d[n].addr = htole64(runs->run[from + n].addr);
		d[n].len = htole64(runs->run[from + n].len);
		n++;
	}
	return n ? tfs_txn_put(tx, key, d, (unsigned int)(n * sizeof(d[0]))) :
		tfs_txn_del(tx, key);
}

/* (1) */
static int store_fn(struct tfs_txn *tx, void *arg)
{
	const struct store *s = arg;
	struct tfs_disk_scrub d;
	struct tfs_item item;
	int err = 0;

	for (unsigned int i = 0; i < PIECES && !err; i++) {
		err = (size_t)i * TFS_SUSPECTS_PIECE < s->runs.n ? 0 :
			tfs_txn_get(tx, tfs_key(0, TFS_T_SUSPECT, i), &item);
		if (err == -ENOENT)
			err = 0;
		else if (!err)
			err = put_piece(tx, &s->runs, i);
	}
	encode(&s->k, &d);
	if (!err)
		err = tfs_txn_put(tx, tfs_key(0, TFS_T_SCRUB,
					      TFS_SCRUB_NEWEST), &d,
				  sizeof(d));
	if (!err && s->whole)
		err = tfs_txn_put(tx, tfs_key(0, TFS_T_SCRUB, TFS_SCRUB_WHOLE),
				  &d, sizeof(d));
	return err;
}

int tfs_kept_store(struct tfs *fs, const struct tfs_kept *kept,
		   const struct tfs_runs *suspect, bool whole)
{
	struct store s = { .k = *kept, .whole = whole };
	int err = is_active(kept->state) ? copy_runs(&s.runs, suspect) : 0;

	s.k.suspects = (unsigned int)s.runs.n;
	if (!err)
		err = tfs_txn_write(fs, store_fn, &s, TFS_TXN_SPARE);	/* (3) */
	tfs_runs_clear(&s.runs);
	return err;
}
