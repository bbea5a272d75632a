/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.h - what one commit changes, and its clusters in the log. */
#ifndef TFS_LOG_H
#define TFS_LOG_H

#include "tfs.h"
#include "tree/key.h"

struct tfs_op {
	struct tfs_key	key;
	bool		del;
	uint32_t	at, len;	/* of the value in values */
	uint32_t	room;		/* there */
	uint32_t	slot;		/* of the table */
};

/* A commit as it is gathered.  Under fs->tree while it runs, then the
 * leader's. */
struct tfs_commit {
	uint64_t	seq;		/* this and below: set when it closes */
	uint64_t	checkpoint;
	uint64_t	inodes, reserved;
	uint32_t	next_ino;
	size_t		bytes;		/* of the operations, as logged */
	struct tfs_op	*op;
	size_t		n, room;
	uint8_t		*values;
	size_t		used, size;
	uint8_t		nonce[TFS_NONCE];	/* of the table's hash */
	uint32_t	*table;		/* key to op + 1; 0: none */
	size_t		slots;		/* of it, a power of two */
	struct tfs_born {		/* data clusters written, in one piece */
		uint64_t addr, len;
		size_t	at;		/* in proof */
	}		*born;
	size_t		born_n, born_room;
	uint64_t	*proof;
	size_t		proofs, proof_room;
};

struct tfs_commit *tfs_commit_create(const uint8_t nonce[TFS_NONCE]);
void tfs_commit_clear(struct tfs_commit *c);
void tfs_commit_free(struct tfs_commit *c);
/* Room, so that so many operations, or pieces and clusters of them, can be
 * added and can't fail. */
int tfs_commit_reserve(struct tfs_commit *c, size_t ops, size_t bytes);
int tfs_commit_reserve_born(struct tfs_commit *c, size_t pieces,
			    size_t clusters);
/* The last operation of a key is the one that counts. */
void tfs_commit_add(struct tfs_commit *c, struct tfs_key key, bool del,
		    const void *val, uint32_t len);
/* Remember what the clusters of an extent were written with. */
void tfs_commit_born(struct tfs_commit *c, uint64_t addr, uint64_t len,
		     const uint64_t *proof);

/* Bytes of operations in one cluster of the log. */
static inline uint32_t tfs_log_payload(const struct tfs *fs)
{
	return fs->csize - sizeof(struct tfs_disk_log);
}

static inline uint64_t tfs_log_addr(const struct tfs *fs, uint64_t pos)
{
	return fs->super.log_start + pos % fs->super.log_clusters;
}

/* Is there a place for it? */
bool tfs_log_fits(const struct tfs *fs, const struct tfs_commit *c);
/* Write it behind the newest one.  Not durable before a flush. */
int tfs_log_write(struct tfs *fs, struct tfs_commit *c, uint64_t durable);

/* The hash of a commit: of its clusters in order. */
uint64_t tfs_log_hash(const struct tfs *fs, const uint8_t *clusters,
		      uint32_t blocks);

#endif
