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

#define TFS_LATE_STALE	256u	/* inodes to be refreshed, at most */

struct tfs_late_seek;

struct tfs_late {
	pthread_t	thread;
	pthread_mutex_t	lock;
	pthread_cond_t	wake;
	struct fuse_session *se;	/* fixed after start */
	struct tfs	*fs;		/* fixed after start */
	bool		running;	/* thread is valid; starter's */
	bool		stop;		/* lock */
	uint32_t	stale[TFS_LATE_STALE];	/* lock */
	unsigned int	stales;		/* lock */
	struct tfs_late_seek *seeks;	/* lock; newest first */
};

int tfs_late_start(struct tfs_late *late, struct fuse_session *se,
		   struct tfs *fs);
/* Everything queued is answered first. */
void tfs_late_stop(struct tfs_late *late);
/* The kernel shall ask again for the attributes of ino, within a second. */
void tfs_late_stale(struct tfs_late *late, uint32_t ino);
/* Answer an lseek when the dirty pages that it could miss are written. */
void tfs_late_lseek(struct tfs_late *late, fuse_req_t req, uint32_t ino,
		    uint64_t off, int whence);

/* ---- loop.c: the serving threads ---------------------------------------- */

struct tfs_loop;
int tfs_loop_create(struct tfs_loop **out, struct fuse_session *se,
		    bool single);
/* Until the connection ends or stop; every thread is done then. */
int tfs_loop_run(struct tfs_loop *loop);
void tfs_loop_stop(struct tfs_loop *loop);
void tfs_loop_destroy(struct tfs_loop *loop);

/* ---- wire.c: what libfuse does not pass on ------------------------------ */

enum {
	TFS_WIRE_KILL_PRIV	= 1,	/* write: clear set-id bits */
	TFS_WIRE_KILL_SGID	= 2,	/* setxattr of an ACL: clear S_ISGID */
	TFS_WIRE_TMPFILE	= 4,	/* create: without a name */
	TFS_WIRE_LONG		= 8,	/* will wait for the device */
};

/* After mounting: put the hooks between libfuse and the device. */
int tfs_wire_attach(struct fuse_session *se);
/* TFS_WIRE_* of the request that this thread has just received. */
unsigned int tfs_wire_flags(void);
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
	bool		mounted;
	struct tfs_late	late;
	struct tfs_loop	*loop;		/* fixed once mounted */
	_Atomic uint64_t writes;
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
