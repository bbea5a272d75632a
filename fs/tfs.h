/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tfs.h - a mounted filesystem from the inside.
 *
 * Locks, taken downward only; skipping is fine:
 *   flaws		flaws.c: who brings its list to the medium or back
 *   range locks	refs.c; one cluster range of one inode
 *   checkpoint		ckpt.running: one at a time
 *   leader		ckpt.leading: closes commits, has the log
 *   ckpt.lock		leaf for its own fields; who waits there for the gate
 *			holds what stands above at most
 *   fs->tree		rwlock: tree, node cache, allocator, counters.  No I/O
 *			and no other lock but leaves beneath it
 *   refs, reports, the list of flaws	leaves
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

struct tfs_freemap;
struct tfs_commit;
struct tfs_fence;
struct tfs_flaws;
struct tfs_legs;
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

/* Counters that tfs_stats() reports; monotonic. */
struct tfs_counters {
	atomic_ullong	reads, read_bytes, writes, write_bytes;
	atomic_ullong	fault_guard, fault_ref, fault_app, fault_escape;
	atomic_ullong	io_errors, healed, node_reads, checkpoints, txns;
	atomic_ullong	write_retries;
	atomic_ullong	regions_lost;	/* of free space: can't be read */
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
	/* Reads in flight by parity of the epoch that they began in; gate.c. */
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

/* How far a resilver is; check/resilver.c writes it. */
struct tfs_progress {
	atomic_uint	state;		/* TFS_RESILVER_* */
	atomic_ullong	seen, all;	/* clusters of files and tree */
	atomic_ullong	bytes;		/* compared */
};

enum {
	TFS_RESILVER_NONE,
	TFS_RESILVER_RUNNING,
	TFS_RESILVER_DONE,
	TFS_RESILVER_STOPPED,		/* the next mount goes on */
};

struct tfs {
	struct eng_dev	*dev;		/* borrowed; fixed after open */
	const struct eng_geometry *geo;
	struct tfs_super super;		/* fixed after open */
	int		super_outdated;	/* copy to be rewritten, or -1 */
	unsigned int	slots_odd;	/* as the mount found them: super.h */
	bool		was_clean;	/* as the mount found it */
	char		doubt[160];	/* why something acknowledged may be
					 * missing, or "" */
	unsigned int	slot_first[2];	/* copy to be written first, by slot */
	struct tfs_record_key key;
	struct tfs_mount opt;
	uint32_t	csize;		/* bytes per cluster */
	uint32_t	ipc;		/* intervals per cluster: TFS_LANES,
					 * or 1 with that many tags each */
	uint64_t	reserve;	/* clusters that data may not use */

	pthread_rwlock_t tree;
	/* under tree */
	uint64_t	seq;		/* the running commit */
	uint64_t	epoch;		/* +1 at every checkpoint's boundary */
	struct tfs_ptr	root;
	uint8_t		root_level;
	uint64_t	free;		/* clusters that can be allocated now */
	uint64_t	reserved;	/* of them promised by fallocate */
	/* These two grow under tree; who gives something back needs no lock,
	 * since others see too much at worst. */
	atomic_ullong	promised;	/* of them promised to handles */
	atomic_size_t	may_free;	/* runs that handles may have to free */
	/* Not under it: freeing an inode or the rest of a file has failed. */
	atomic_bool	unfinished;
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

	pthread_mutex_t	remount;	/* held by tfs_remount(), first of all */
	atomic_bool	paused;		/* read-only, for now; see remount.c */
	struct tfs_slot	*late;		/* remount: writing may begin yet, from
					 * there; NULL: it did, or must not */
	bool		late_replayed;	/* fixed */
	atomic_int	error;		/* final: read-only from then on */
	bool		replaying;	/* tfs_open() alone is here */
	struct tfs_commit *closed;	/* the leader's */
	struct tfs_log	log;
	struct tfs_ckpt	ckpt;
	struct tfs_refs	*refs;
	struct tfs_counters count;
	struct tfs_flaws *flaws;	/* what was found bad */
	struct tfs_fence *fence;	/* NULL: other hosts are not kept out */
	struct tfs_legs	*legs;		/* NULL: no mirror */
	struct tfs_progress resilver;
	atomic_ullong	settled;	/* newest commit in a durable slot */

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
	unsigned int	legs_said;	/* the helper's own */
	uint64_t	reports_dropped;		/* helper_lock */
};

/* Clusters at the end that are nobody's to allocate: superblock, slots, and
 * the fence; of a mirror what each leg knows of all. */
static inline uint64_t tfs_end_fixed(const struct tfs_super *s)
{
	if (s->incompat & TFS_INCOMPAT_MIRROR)
		return TFS_END_LEG;
	return s->ro_compat & TFS_RO_COMPAT_FENCE ? TFS_END_FENCE :
		TFS_END_SLOT;
}

static inline const uint8_t *tfs_nonce(const struct tfs *fs)
{
	return fs->super.nonce;
}

#endif
