/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_priv.h - shared by ops.c, session.c, loop.c, wire.c and notify.c alone:
 * the files that know FUSE. */
#ifndef TFS_OPS_PRIV_H
#define TFS_OPS_PRIV_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs.h"
#include "fuse/ops.h"

/* ---- notify.c: what must not be done by the thread that serves ----------- */

#define TFS_LATE_THREADS	5	/* one for stale inodes, the others for
					 * seeks */

struct tfs_late_seek;
struct tfs_loop;

struct tfs_late {
	struct fuse_session *se;	/* fixed after start */
	struct tfs	*fs;		/* fixed after start */
	pthread_t	thread[TFS_LATE_THREADS];
	unsigned int	threads;	/* that are to be joined; starter's */
	pthread_mutex_t	lock;
	pthread_cond_t	wake;		/* a seek, or the end */
	pthread_cond_t	due;		/* a stale inode, or the end */
	atomic_bool	stop;		/* changed under lock */
	atomic_bool	stale;		/* there are some; set under lock */
	unsigned int	alive;		/* lock: threads */
	struct tfs_loop	*then;		/* lock: to be stopped by the last */
	struct tfs_late_seek *first, **last;	/* lock */
};

int tfs_late_start(struct tfs_late *late, struct fuse_session *se,
		   struct tfs *fs);
/* Answer what is queued and end; then, if not NULL, the loop ends.  Does not
 * wait. */
void tfs_late_end(struct tfs_late *late, struct tfs_loop *then);
/* The same, waiting. */
void tfs_late_stop(struct tfs_late *late);
/* The kernel shall ask again for the attributes of ino, within a second. */
void tfs_late_stale(struct tfs_late *late, uint32_t ino);
/* Answer an lseek when the dirty pages that it could miss are written. */
void tfs_late_lseek(struct tfs_late *late, fuse_req_t req, uint32_t ino,
		    uint64_t off, int whence);

/* ---- loop.c: the serving threads ---------------------------------------- */

struct tfs_ops;
int tfs_loop_create(struct tfs_loop **out, struct tfs_ops *ops);
/* Until the connection ends or stop; every thread is done then. */
int tfs_loop_run(struct tfs_loop *loop);
void tfs_loop_stop(struct tfs_loop *loop);
/* As tfs_ops_quiet() and tfs_ops_writes(). */
bool tfs_loop_quiet(struct tfs_loop *loop);
void tfs_loop_writes(struct tfs_loop *loop, struct tfs_ops_writes *out);
void tfs_loop_destroy(struct tfs_loop *loop);

/* ---- wire.c: what libfuse does not pass on ------------------------------ */

enum {
	TFS_WIRE_KILL_PRIV	= 1,	/* write: clear set-id bits */
	TFS_WIRE_KILL_SGID	= 2,	/* setxattr of an ACL: clear S_ISGID */
	TFS_WIRE_TMPFILE	= 4,	/* create: without a name */
	TFS_WIRE_LONG		= 8,	/* will wait for the device */
	TFS_WIRE_WRITE		= 16,
	TFS_WIRE_STATX		= 32,	/* for tfs_wire_statx() */
	TFS_WIRE_INIT		= 64,
};

#define TFS_MAX_WRITE	(1u << 20)
/* The longest request: a write and what goes before its data. */
#define TFS_WIRE_BUFFER	(TFS_MAX_WRITE + 4096u)

/* After mounting: put the hooks between libfuse and the device. */
int tfs_wire_attach(struct fuse_session *se);
/* TFS_WIRE_* of the request that this thread has just received. */
unsigned int tfs_wire_flags(void);
/* Answer a request that libfuse does not know. */
void tfs_wire_statx(struct tfs_ops *ops, const void *request);
/* How many requests came of each kind, as the members of a JSON object.
 * TFS_WIRE_REQUESTS bytes are enough. */
#define TFS_WIRE_REQUESTS	2048u
void tfs_wire_requests(char *buf, size_t size);

/* ---- ops.c -------------------------------------------------------------- */

struct tfs_ops {
	struct tfs	*fs;
	struct fuse_session *se;
	bool		writeback;	/* asked for; after init: in use */
	bool		single;
	unsigned int	max_read;	/* 0: no limit */
	atomic_bool	mounted;
	int		dead;		/* a pipe that nobody reads */
	struct tfs_late	late;
	struct tfs_loop	*loop;		/* fixed once mounted */
	/* Reads and seeks that other threads will answer. */
	pthread_mutex_t	lock;
	pthread_cond_t	idle;
	unsigned int	pending;	/* lock */
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
