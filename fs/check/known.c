/* SPDX-License-Identifier: GPL-2.0-or-later */
/* known.c - what the steps of a check share: what they found, what they know
 * of inodes, and how they repair.
 *
 *  (1) Where a part of the tree can't be read, only copies of nodes are put
 *      right: whatever else looks wrong may be explained by what is missing,
 *      and rebuild.c has to bring that back first. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check/check_priv.h"

bool tfs_found(struct tfs_checking *ck, enum tfs_finding_kind kind,
	       uint32_t ino, uint64_t cluster, bool fixable,
	       const char *fmt, ...)
{
	struct tfs_finding f = {
		.kind = kind, .ino = ino, .cluster = cluster,
		.fixable = fixable &&
			(!tfs_rdonly(ck->fs) || ck->fs->replaying) &&
			(!ck->c->lost || kind <= TFS_F_NEAR),	/* (1) */
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	ck->c->problems++;
	return ck->c->found(ck->c, &f) && f.fixable;
}

/* A repair that fails leaves the problem; only what stops everything ends
 * the check. */
int tfs_found_fixed(struct tfs_checking *ck, int err)
{
	if (!err)
		ck->c->fixed++;
	else if (ck->c->failed)
		ck->c->failed(ck->c, err);
	return err == -ENOMEM || err == -EROFS ? err : 0;
}

static size_t known_at(const struct tfs_checking *ck, uint32_t ino)
{
	size_t lo = 0, hi = ck->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (ck->known[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct tfs_known *tfs_known_find(struct tfs_checking *ck, uint32_t ino)
{
	size_t i = known_at(ck, ino);

	return i < ck->n && ck->known[i].ino == ino ? &ck->known[i] : NULL;
}

struct tfs_known *tfs_known_add(struct tfs_checking *ck, uint32_t ino)
{
	size_t i = known_at(ck, ino);

	if (tfs_array_grow(&ck->known, &ck->room, ck->n + 1,
			   sizeof(ck->known[0])))
		return NULL;
	memmove(&ck->known[i + 1], &ck->known[i],
		(ck->n - i) * sizeof(ck->known[0]));
	ck->known[i] = (struct tfs_known){ .ino = ino };
	ck->n++;
	return &ck->known[i];
}

int tfs_fix(struct tfs_checking *ck, tfs_txn_fn fn, void *arg)
{
	return tfs_txn_write(ck->fs, fn, arg, TFS_TXN_FREES);
}

int tfs_check_progress(struct tfs_checking *ck, unsigned int step,
		       unsigned int done)
{
	struct tfs_check *c = ck->c;

	if (done > 1000)
		done = 1000;
	return c->progress && !c->progress(c, step, 4, done) ? -EINTR : 0;
}

/* The last key has no inode, and inodes may be numbered higher than the
 * filesystem says. */
int tfs_check_at(struct tfs_checking *ck, unsigned int step, uint32_t ino)
{
	uint64_t done = ino * 1000ull / (ck->fs->next_ino + 1ull);

	return tfs_check_progress(ck, step, done < 1000 ? (unsigned int)done :
				  1000);
}
