/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tfs.h - a mounted filesystem from the inside.
 *
 * Locks, taken downward only; skipping is fine:
 *   range locks	refs.c; one cluster range of one inode
 *   checkpoint		ckpt.running: one at a time
 *   leader		ckpt.leading: closes commits, has the log
 *   ckpt.lock		leaf for its own fields; who waits there for the gate
 *			holds what stands above at most
 *   fs->tree		rwlock: tree, node cache, allocator, counters.  No I/O
 *			and no other lock but leaves beneath it
 *   refs, reports	leaves
 * Closing a commit waits for handles, so who holds one asks for no other
 * handle, no commit and no checkpoint. */
#ifndef TFS_TFS_H
#define TFS_TFS_H

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <syslog.h>

#include "fs.h"
#include "base/record.h"
#include "base/runs.h"
#include "commit/txn.h"

struct tfs_freemap;
struct tfs_commit;
struct tfs_ncache;
struct tfs_node;
struct tfs_refs;

struct tfs_ptr {
	uint64_t	addr[2];
	uint64_t	seq;
};

/* The superblock in memory. */
struct tfs_super {
	uint8_t		uuid[16];
	char		label[TFS_LABEL + 1];
	uint8_t		nonce[TFS_NONCE];
	uint64_t	compat, ro_compat, incompat;
	uint64_t	seq;
	uint64_t	clusters;
	uint32_t	cluster_size;
	uint32_t	interval;
	uint64_t	log_start, log_clusters;
	uint64_t	created;
};

/* A checkpoint slot in memory. */
struct tfs_slot {
	uint64_t	number;
	uint64_t	seq;
	struct tfs_ptr	root;
	uint8_t		root_level;
	uint64_t	free;
	uint64_t	reserved;
	uint64_t	inodes;
	uint64_t	log_pos;
	uint32_t	next_ino;
	uint32_t	flags;
	uint64_t	used;
	uint64_t	chain;
};

/* The highest sequence that it names. */
static inline uint64_t tfs_slot_top(const struct tfs_slot *s)
{
	return s->used > s->seq ? s->used : s->seq;
}

/* Counters that tfs_stats() reports; monotonic. */
struct tfs_counters {
	atomic_ullong	reads, read_bytes, writes, write_bytes;
	atomic_ullong	fault_guard, fault_ref, fault_app, fault_escape;
	atomic_ullong	io_errors, healed, node_reads, checkpoints, txns;
	atomic_ullong	write_retries;
	atomic_ullong	near_copies;	/* of nodes: nothing else was free */
	atomic_ullong	commits, log_clusters, log_bytes;
	atomic_ullong	replayed, dropped;
};

struct tfs_ckpt {
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	bool		running;	/* lock */
	bool		leading;	/* lock: somebody closes and logs */
	bool		closing;	/* lock: no new handles */
	unsigned int	handles;	/* lock */
	uint64_t	started, done;	/* lock: checkpoints so far */
	int		result;		/* lock: of the last one */
	uint64_t	durable;	/* lock: newest commit that is */
	/* Reads in flight by parity of the epoch that they began in. */
	atomic_uint	readers[2];
};

/* The commit log; the leader's, but for used. */
struct tfs_log {
	bool		on;		/* else checkpoints alone make durable */
	bool		broken;		/* a commit is missing in it: see commit.c */
	uint8_t		*buf;		/* one commit as it is written */
	uint32_t	room;		/* clusters of buf */
	uint64_t	head;		/* where the next commit goes */
	uint64_t	chain;		/* hash of the newest commit in it */
	uint64_t	newest;		/* that commit */
	uint64_t	content;	/* the newest one that changes something */
	uint64_t	marked;		/* newest commit that it says is durable */
	/* Clusters that a replay would need; grows in the leader's hands. */
	atomic_ullong	used;
};

struct tfs_report;

struct tfs {
	struct eng_dev	*dev;		/* borrowed; fixed after open */
	const struct eng_geometry *geo;
	struct tfs_super super;		/* fixed after open */
	int		super_outdated;	/* copy to be rewritten, or -1 */
	unsigned int	slot_first[2];	/* copy to be written first, by slot */
	struct tfs_record_key key;
	struct tfs_mount opt;
	uint32_t	csize;		/* bytes per cluster */
	uint32_t	ipc;		/* intervals per cluster */
	uint64_t	reserve;	/* clusters that data may not use */

	pthread_rwlock_t tree;
	/* under tree */
	uint64_t	seq;		/* the running commit */
	uint64_t	epoch;		/* +1 at every checkpoint's boundary */
	struct tfs_ptr	root;
	uint8_t		root_level;
	uint64_t	free;		/* clusters that can be allocated now */
	uint64_t	reserved;	/* of them promised by fallocate */
	uint64_t	promised;	/* of them promised to handles */
	uint64_t	inodes;
	uint32_t	next_ino;
	uint64_t	slot_number;	/* of the newest durable checkpoint */
	bool		dirty;		/* something to checkpoint */
	struct tfs_commit *running;	/* what the running commit changes */
	struct tfs_ncache *nodes;
	struct tfs_freemap *freemap;
	struct tfs_runs frees;	/* freed in the running commit */
	uint64_t	born;		/* clusters written since */
	uint64_t	marks;		/* see tfs_btree_new_mark() */

	atomic_int	error;		/* final: read-only from then on */
	bool		replaying;	/* tfs_open() alone is here */
	struct tfs_commit *closed;	/* the leader's */
	struct tfs_log	log;
	struct tfs_ckpt	ckpt;
	struct tfs_refs	*refs;
	struct tfs_counters count;

	/* The helper thread: timed checkpoints, reports. */
	pthread_t	helper;
	bool		helper_runs;
	pthread_mutex_t	helper_lock;
	pthread_cond_t	helper_cond;
	bool		helper_stop;			/* helper_lock */
	bool		want_commit, want_ckpt;		/* helper_lock */
	uint64_t	want_mark;	/* helper_lock: of this commit; 0: no */
	struct tfs_report *reports;			/* helper_lock */
	unsigned int	report_count;			/* helper_lock */
};

static inline const uint8_t *tfs_nonce(const struct tfs *fs)
{
	return fs->super.nonce;
}

/* ---- super.c ------------------------------------------------------------ */

/* Cluster size, intervals of a cluster, and how many the device has.
 * -EOPNOTSUPP: it can't take a whole one in one request. */
int tfs_measure(struct tfs *fs, uint64_t *clusters);
int tfs_super_read(struct tfs *fs);
/* Both copies, one after the other. */
int tfs_super_write(struct tfs *fs, unsigned int first);
/* *lost: the other slot is damaged in both copies, so that the newest one may
 * be. */
int tfs_slot_read(struct tfs *fs, struct tfs_slot *out, bool *lost);
/* Both copies, one after the other; durable when it returns 0. */
int tfs_slot_write(struct tfs *fs, const struct tfs_slot *slot);

/* ---- cluster.c: whole clusters with their record ------------------------- */

/* Expected or stored tags of count intervals from interval skip of the
 * first cluster on; the index counts up with the cluster. */
void tfs_tag_fill(const struct tfs *fs, const struct tfs_record *first,
		  uint64_t addr, uint32_t skip, uint32_t count,
		  uint16_t *tags);
/* rec NULL: any tags. */
int tfs_cluster_read(struct tfs *fs, uint64_t addr,
		     const struct tfs_record *rec, void *buf);
int tfs_cluster_write(struct tfs *fs, uint64_t addr,
		      const struct tfs_record *rec, void *buf);
/* As tfs_cluster_read(), for those who make something of a failure: nothing
 * is logged or counted, and *fault says which check it was (-EBADMSG). */
int tfs_cluster_try(struct tfs *fs, uint64_t addr,
		    const struct tfs_record *rec, void *buf,
		    struct eng_fault *fault);
/* What a commit remembers of a data cluster: a hash over its address, guards
 * and application tags.  tuples: of its intervals, as the device has them. */
uint64_t tfs_cluster_proof(const struct tfs *fs, uint64_t addr,
			   const uint8_t *tuples);
/* Count a failed read and say so: "what ... guard: expected, found". */
void tfs_fault_count(struct tfs *fs, int err, const struct eng_fault *fault);
/* Text for a log line; into buf. */
const char *tfs_fault_text(int err, const struct eng_fault *fault, char *buf,
			   size_t size);
uint32_t tfs_crc32c(const void *data, size_t len, size_t crc_at);
bool tfs_all_zero(const void *data, size_t len);

/* ---- hash.c -------------------------------------------------------------- */

uint64_t tfs_siphash(const uint8_t key[16], const void *data, size_t len);

/* ---- mount.c ------------------------------------------------------------- */

struct tfs *tfs_alloc_fs(struct eng_dev *dev);
void tfs_free_fs(struct tfs *fs);
/* Caches and tables, once fs->super is known. */
int tfs_setup(struct tfs *fs);

/* ---- commit.c ------------------------------------------------------------ */

int tfs_commits_create(struct tfs *fs);
void tfs_commits_destroy(struct tfs *fs);
/* As leader: close what is running and make it durable, if there is anything.
 * 0, -errno, or 1: it takes a checkpoint. */
int tfs_commit_lead(struct tfs *fs);
/* Write down that this commit is durable, if the log does not say so yet and
 * nothing else is about to. */
void tfs_commit_mark(struct tfs *fs, uint64_t seq);
/* Under fs->tree: is there anything for the running commit to say? */
bool tfs_commit_waiting(const struct tfs *fs);
/* Has it reached its bound, how many times? */
unsigned int tfs_commit_pressure(const struct tfs *fs);

/* While the gate is closed, under fs->tree: the next commit is running from
 * now on. */
void tfs_commit_close(struct tfs *fs);
/* Log what was closed and flush.  0: it is durable; 1: it can't be logged,
 * and nothing can before a checkpoint that contains it; -errno: the end. */
int tfs_commit_log(struct tfs *fs);
/* A checkpoint made it durable: the log goes on from there. */
void tfs_commit_superseded(struct tfs *fs, uint64_t seq);

/* ---- recover.c ----------------------------------------------------------- */

/* Bring the tree from the checkpoint up to what the log proves, in memory.
 * *how turns read-only if the log is damaged.  *replayed: anything at all. */
int tfs_recover(struct tfs *fs, const struct tfs_slot *slot, bool lost,
		struct tfs_mount *how, bool *replayed);

/* ---- ckpt.c -------------------------------------------------------------- */

/* Checkpoint all that was done before. */
int tfs_ckpt_run(struct tfs *fs);
/* Even if nothing changed; clean: it is the last one. */
int tfs_ckpt_force(struct tfs *fs, bool clean);

/* ---- path.c -------------------------------------------------------------- */

/* For messages; somewhere in buf, which is at least 64 bytes. */
const char *tfs_path(struct tfs *fs, uint32_t ino, char *buf, size_t size);

#endif
