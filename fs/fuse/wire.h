/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.h - what libfuse does not pass on. */
#ifndef TFS_WIRE_H
#define TFS_WIRE_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>

struct tfs_ops;

enum {
	TFS_WIRE_KILL_PRIV	= 1,	/* write: clear set-id bits */
	TFS_WIRE_KILL_SGID	= 2,	/* setxattr of an ACL: clear S_ISGID */
	TFS_WIRE_TMPFILE	= 4,	/* create: without a name */
	TFS_WIRE_LONG		= 8,	/* will wait for the device */
	TFS_WIRE_WRITE		= 16,
	TFS_WIRE_STATX		= 32,	/* for tfs_wire_statx() */
	TFS_WIRE_INIT		= 64,
	TFS_WIRE_WAITS		= 128,	/* may wait for the device */
	TFS_WIRE_HELD		= 256,	/* perhaps answered by notify.c */
	TFS_WIRE_QUICK		= 512,	/* nothing much, as a rule */
	TFS_WIRE_FORGET		= 1024,	/* nobody waits for it */
};

#define TFS_MAX_WRITE	(1u << 20)
/* The longest request: a write and what goes before its data. */
#define TFS_WIRE_BUFFER	(TFS_MAX_WRITE + 4096u)

/* After mounting: put the hooks between libfuse and the device. */
int tfs_wire_attach(struct fuse_session *se);
/* TFS_WIRE_* of the request that this thread handles. */
unsigned int tfs_wire_flags(void);
/* A request as it came over io_uring becomes what libfuse takes.  Returns its
 * flags, for whoever handles it. */
unsigned int tfs_wire_see(void *request, size_t *len);
void tfs_wire_handle(unsigned int flags);
/* Both sides have said in INIT that they want io_uring. */
bool tfs_wire_agreed(void);
/* Answer a request that libfuse does not know. */
void tfs_wire_statx(struct tfs_ops *ops, const void *request);
/* How many requests came of each kind, as the members of a JSON object.
 * TFS_WIRE_REQUESTS bytes are enough. */
#define TFS_WIRE_REQUESTS	2048u
void tfs_wire_requests(char *buf, size_t size);

#endif
