/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify.h - threads for what must not be done by one that serves. */
#ifndef TFS_NOTIFY_H
#define TFS_NOTIFY_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TFS_NOTIFY_JOBS		4	/* threads for requests that walk a file */
#define TFS_NOTIFY_THREADS	(1 + TFS_NOTIFY_JOBS)	/* one for stale inodes */

struct tfs;
struct tfs_loop;
struct tfs_notify_job;

struct tfs_notify {
	struct fuse_session *se;	/* fixed after start */
	struct tfs	*fs;		/* fixed after start */
	pthread_t	thread[TFS_NOTIFY_THREADS];
	unsigned int	threads;	/* that are to be joined; starter's */
	pthread_mutex_t	lock;
	pthread_cond_t	wake;		/* a job, or the end */
	pthread_cond_t	due;		/* a stale inode, or the end */
	atomic_bool	stop;		/* changed under lock */
	atomic_bool	stale;		/* there are some; set under lock */
	atomic_bool	urgent;		/* they can't wait; the same */
	unsigned int	alive;		/* lock: threads */
	struct tfs_loop	*then;		/* lock: to be stopped by the last */
	struct tfs_notify_job *first, **last;	/* lock */
	/* lock: whose jobs are being done. */
	struct tfs_notify_busy {
		unsigned int jobs;
		uid_t	uid;
	}		busy[TFS_NOTIFY_JOBS];
};

int tfs_notify_start(struct tfs_notify *nt, struct fuse_session *se,
		     struct tfs *fs);
/* Answer what is queued and end; then, if not NULL, the loop ends.  Does not
 * wait. */
void tfs_notify_end(struct tfs_notify *nt, struct tfs_loop *then);
/* The same, waiting. */
void tfs_notify_stop(struct tfs_notify *nt);
/* The kernel shall ask again for the attributes of ino, within a second. */
void tfs_notify_stale(struct tfs_notify *nt, uint32_t ino);
/* The same, at once. */
void tfs_notify_urgent(struct tfs_notify *nt, uint32_t ino);
/* Answer an lseek when the dirty pages that it could miss are written. */
void tfs_notify_lseek(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		      uint64_t off, int whence);
/* Have a job's thread answer: by call, which is done with the request when it
 * returns.  arg: malloced or NULL, and ours from here on. */
void tfs_notify_call(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		     void (*call)(fuse_req_t req, uint32_t ino, void *arg),
		     void *arg);
/* Answer a getxattr of the tags of a file, of that size at most. */
void tfs_notify_tags(struct tfs_notify *nt, fuse_req_t req, uint32_t ino,
		     bool raw, size_t size);

#endif
