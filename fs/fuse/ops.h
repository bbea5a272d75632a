/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops.h - a mounted filesystem, as the tagfs program sees it. */
#ifndef TFS_OPS_H
#define TFS_OPS_H

#include <stdbool.h>
#include <stdint.h>

struct tfs;
struct tfs_ops;		/* fields: ops_priv.h */

/* FUSE over io_uring. */
enum tfs_ops_uring {
	TFS_OPS_URING_OFF,
	TFS_OPS_URING_AUTO,		/* if the kernel has it */
	TFS_OPS_URING_ON,		/* or fail */
};

struct tfs_ops_how {
	const char	*options;	/* for the mount, comma-separated */
	bool		writeback;	/* the kernel may delay writes */
	bool		single;		/* one request at a time */
	bool		nodiratime;	/* of directories no access times */
	bool		sync, dirsync;	/* changes of attributes, of names, are
					 * durable when they are answered */
	bool		noacl;		/* as the filesystem was opened */
	bool		debug;		/* every request goes to the log */
	unsigned int	max_read;	/* as in options; 0: not there */
	enum tfs_ops_uring uring;
	unsigned int	resilver_rate;	/* MiB/s; 0: no limit */
};

/* A session for fs, not yet mounted; fs is borrowed until destroy.  -EINVAL:
 * an option is unknown.  -EOPNOTSUPP: no io_uring, which is on; it was said
 * why. */
int tfs_ops_create(struct tfs_ops **out, struct tfs *fs,
		   const struct tfs_ops_how *how);
/* The mount is visible afterwards, but answers only within the loop.  On
 * error it may be visible, too. */
int tfs_ops_mount(struct tfs_ops *ops, const char *mountpoint);
/* Serve until unmounted or stopped; every request is answered on return. */
int tfs_ops_loop(struct tfs_ops *ops);
/* Make the loop return soon: end the connection.  Does not wait; any thread. */
void tfs_ops_stop(struct tfs_ops *ops);

struct tfs_ops_writes {
	uint64_t	answered, answered_bytes;	/* so far */
	uint64_t	waiting, waiting_bytes;	/* received, not answered */
};

/* Write requests. */
void tfs_ops_writes(struct tfs_ops *ops, struct tfs_ops_writes *out);
/* All writes are answered and the kernel has no more to send: what it still
 * holds it was not yet told to write. */
bool tfs_ops_quiet(struct tfs_ops *ops);
/* False once the kernel has ended the mount. */
bool tfs_ops_connected(struct tfs_ops *ops);
/* After the loop: close the connection.  What the kernel still asks for fails
 * there. */
void tfs_ops_disconnect(struct tfs_ops *ops);
/* Disconnect and free.  A mount that is still there stays, and
 * answers ENOTCONN.  NULL is fine. */
void tfs_ops_destroy(struct tfs_ops *ops);

/* Of the FUSE library. */
const char *tfs_ops_version(void);

#endif
