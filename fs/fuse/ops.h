/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops.h - a mounted filesystem, as the tagfs program sees it. */
#ifndef TFS_OPS_H
#define TFS_OPS_H

#include <stdbool.h>
#include <stdint.h>

struct tfs;
struct tfs_ops;		/* fields: ops_priv.h */

struct tfs_ops_how {
	const char	*options;	/* for the mount, comma-separated */
	bool		writeback;	/* the kernel may delay writes */
	bool		single;		/* one request at a time */
	bool		debug;		/* every request goes to the log */
};

/* A session for fs, not yet mounted; fs is borrowed until destroy.  -EINVAL:
 * an option is unknown. */
int tfs_ops_create(struct tfs_ops **out, struct tfs *fs,
		   const struct tfs_ops_how *how);
/* The mount is visible afterwards, but answers only within the loop. */
int tfs_ops_mount(struct tfs_ops *ops, const char *mountpoint);
/* Serve until unmounted or stopped; every request is answered on return. */
int tfs_ops_loop(struct tfs_ops *ops);
/* Make the loop return soon.  Any thread. */
void tfs_ops_stop(struct tfs_ops *ops);
/* Write requests served so far. */
uint64_t tfs_ops_writes(struct tfs_ops *ops);
/* Take the mount away if it is still there, and free.  NULL is fine. */
void tfs_ops_destroy(struct tfs_ops *ops);

/* Of the FUSE library. */
const char *tfs_ops_version(void);

#endif
