/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_priv.h - a session from the inside, for the files of this directory. */
#ifndef TFS_OPS_PRIV_H
#define TFS_OPS_PRIV_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs.h"
#include "fuse/notify.h"
#include "fuse/ops.h"

#define TFS_LOST	64u

struct tfs_uring;

struct tfs_ops {
	struct tfs	*fs;
	struct fuse_session *se;
	bool		writeback;	/* asked for; after init: in use */
	bool		single;
	bool		sync, dirsync, noacl;	/* as asked for */
	bool		opens;		/* are asked for; fixed */
	/* The kernel has just got these attributes; fixed. */
	void		(*watch)(struct tfs_ops *ops,
				 const struct tfs_inode *in);
	atomic_bool	nodiratime;
	unsigned int	max_read;	/* 0: no limit */
	uint64_t	held;		/* tfs_room_held() */
	atomic_bool	mounted;
	int		dead;		/* a pipe that nobody reads */
	struct tfs_notify notify;
	struct tfs_scrubber *scrubber;	/* fixed */
	pthread_mutex_t	legs;		/* who changes legs; before all locks
					 * of the filesystem */
	struct tfs_resilver *resilver;	/* legs */
	bool		legs_end;	/* legs */
	unsigned int	resilver_rate;
	struct tfs_loop	*loop;		/* fixed once mounted */
	enum tfs_ops_uring want_uring;
	struct tfs_uring *uring;	/* the loop's; fixed once mounted */
	/* Reads that other threads will answer; and one while the loop runs,
	 * so that idle is posted once, at the end. */
	atomic_uint	pending;
	sem_t		idle;
	pthread_mutex_t	lock;
	/* Inodes of which something could not be stored; 0: none. */
	uint32_t	lost[TFS_LOST];	/* lock */
	unsigned int	lost_at;	/* lock: the next to be overwritten */
};

extern const struct fuse_lowlevel_ops tfs_fuse_ops;

static inline struct tfs_ops *tfs_req_ops(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct tfs *tfs_req_fs(fuse_req_t req)
{
	return tfs_req_ops(req)->fs;
}

#endif
