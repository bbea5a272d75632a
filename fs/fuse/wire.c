/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.c - the parts of the FUSE protocol that libfuse 3.14 does not speak.
 *
 * Requests and replies pass through here as bytes.  Wanted is:
 *  - FUSE_HANDLE_KILLPRIV_V2: the kernel says with each write whether set-id
 *    bits must go, instead of asking for security.capability before each;
 *  - FUSE_SETXATTR_EXT: it says whether an ACL must clear S_ISGID;
 *  - FUSE_TMPFILE, a FUSE_CREATE without a name;
 *  - FUSE_STATX, for the time of birth: tfs_wire_statx() is its handler;
 *  - FUSE_OVER_IO_URING, which uring.c speaks.
 *
 * (1) libfuse sees only what it knows: a request has the form that it has
 *     without these features, and their part is in tfs_wire_flags().
 * (2) A thread handles a request before it receives the next, so that the
 *     flags may live in the thread; who handles what another one received
 *     brings them along. */
#include <linux/fuse.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "format.h"
#include "fuse/ops_priv.h"
#include "fuse/reply.h"
#include "fuse/uring.h"
#include "fuse/wire.h"

/* Newer than the oldest kernel headers that we build with. */
#ifndef FUSE_TMPFILE
#define FUSE_TMPFILE	51	/* an enumerator in headers that have it */
#endif
#define STATX_OPCODE	52u
#define QUICK_READ	16384u	/* bytes */
#define OVER_IO_URING	(1u << 9)	/* of flags2 */
#ifndef FUSE_INIT_EXT
#define FUSE_INIT_EXT	(1u << 30)
#endif

struct wire_time {
/*00*/	int64_t		sec;
/*08*/	uint32_t	nsec;
/*0c*/	uint32_t	pad;
};

struct wire_statx {
/*000*/	uint64_t	valid;		/* seconds */
/*008*/	uint32_t	valid_nsec;
	uint32_t	flags;
/*010*/	uint64_t	spare[2];
/*020*/	uint32_t	mask;		/* STATX_* that are valid */
	uint32_t	blksize;
/*028*/	uint64_t	attributes;
/*030*/	uint32_t	nlink;
	uint32_t	uid;
/*038*/	uint32_t	gid;
	uint16_t	mode;
	uint16_t	pad;
/*040*/	uint64_t	ino;
/*048*/	uint64_t	size;
/*050*/	uint64_t	blocks;
/*058*/	uint64_t	attributes_mask;
/*060*/	struct wire_time atime, btime, ctime, mtime;
/*0a0*/	uint32_t	rdev_major, rdev_minor;
/*0a8*/	uint32_t	dev_major, dev_minor;
/*0b0*/	uint64_t	spare2[14];
};
_Static_assert(sizeof(struct wire_statx) == 0x120, "fuse_statx_out");
_Static_assert(offsetof(struct wire_statx, atime) == 0x60, "times");
_Static_assert(offsetof(struct wire_statx, rdev_major) == 0xa0, "rdev");

#define WANTED	((uint32_t)(FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT))

static __thread unsigned int flags_here;	/* (2) */

/* One filesystem per process; INIT is the first request, and nothing else
 * comes before its reply. */
static uint64_t init_unique;
static uint32_t features;	/* of WANTED: offered by the kernel */
static bool offered, agreed;	/* OVER_IO_URING */

unsigned int tfs_wire_flags(void)
{
	return flags_here;
}

/* ---- counting -------------------------------------------------------------- */

static const char *const op_name[] = {
	[FUSE_LOOKUP] = "lookup", [FUSE_FORGET] = "forget",
	[FUSE_GETATTR] = "getattr", [FUSE_SETATTR] = "setattr",
	[FUSE_READLINK] = "readlink", [FUSE_SYMLINK] = "symlink",
	[FUSE_MKNOD] = "mknod", [FUSE_MKDIR] = "mkdir",
	[FUSE_UNLINK] = "unlink", [FUSE_RMDIR] = "rmdir",
	[FUSE_RENAME] = "rename", [FUSE_LINK] = "link",
	[FUSE_OPEN] = "open", [FUSE_READ] = "read", [FUSE_WRITE] = "write",
	[FUSE_STATFS] = "statfs", [FUSE_RELEASE] = "release",
	[FUSE_FSYNC] = "fsync", [FUSE_SETXATTR] = "setxattr",
	[FUSE_GETXATTR] = "getxattr", [FUSE_LISTXATTR] = "listxattr",
	[FUSE_REMOVEXATTR] = "removexattr", [FUSE_FLUSH] = "flush",
	[FUSE_INIT] = "init", [FUSE_OPENDIR] = "opendir",
	[FUSE_READDIR] = "readdir", [FUSE_RELEASEDIR] = "releasedir",
	[FUSE_FSYNCDIR] = "fsyncdir", [FUSE_CREATE] = "create",
	[FUSE_INTERRUPT] = "interrupt", [FUSE_IOCTL] = "ioctl",
	[FUSE_BATCH_FORGET] = "batch_forget", [FUSE_FALLOCATE] = "fallocate",
	[FUSE_READDIRPLUS] = "readdirplus", [FUSE_RENAME2] = "rename2",
	[FUSE_LSEEK] = "lseek", [FUSE_COPY_FILE_RANGE] = "copy_file_range",
	[FUSE_TMPFILE] = "tmpfile",
	[STATX_OPCODE] = "statx",
};

#define OPS	(sizeof(op_name) / sizeof(op_name[0]))

static atomic_ullong received[OPS];	/* by opcode; 0: any other */
static atomic_ullong over_uring;	/* of them */

static void count_request(uint32_t opcode)
{
	bool known = opcode < OPS && op_name[opcode];

	atomic_fetch_add_explicit(&received[known ? opcode : 0], 1,
				  memory_order_relaxed);
}

void tfs_wire_requests(char *buf, size_t size)
{
	size_t at = 0;

	for (unsigned int i = 0; i < OPS && at < size; i++) {
		unsigned long long n = atomic_load(&received[i]);

		if (n)
			at += snprintf(buf + at, size - at, "%s\"%s\": %llu",
				       at ? ", " : "",
				       i ? op_name[i] : "other", n);
	}
	if (at && at < size)
		snprintf(buf + at, size - at, ", \"over_io_uring\": %llu",
			 (unsigned long long)over_uring);
}

static void see_init(const struct fuse_in_header *h,
		     const struct fuse_init_in *in)
{
	init_unique = h->unique;
	features = 0;
	if (h->len >= sizeof(*h) + offsetof(struct fuse_init_in, flags2))
		features = in->flags & WANTED;
	offered = h->len >= sizeof(*h) + offsetof(struct fuse_init_in, flags2)
		+ sizeof(in->flags2) && in->flags & FUSE_INIT_EXT &&
		in->flags2 & OVER_IO_URING;
	agreed = false;
}

/* (1) Back to the short form: size and flags, then the name. */
static ssize_t see_setxattr(struct fuse_in_header *h,
			    struct fuse_setxattr_in *in, ssize_t n)
{
	const size_t extra = sizeof(*in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
	char *end = (char *)in + FUSE_COMPAT_SETXATTR_IN_SIZE;

	if (!(features & FUSE_SETXATTR_EXT) ||
	    (size_t)n < sizeof(*h) + sizeof(*in))
		return n;
	if (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
		flags_here |= TFS_WIRE_KILL_SGID;
	memmove(end, end + extra, (size_t)n - sizeof(*h) - sizeof(*in));
	h->len -= (uint32_t)extra;
	return n - (ssize_t)extra;
}

/* What a thread that receives over io_uring leaves to others, and what takes no
 * longer than to wake one that would do it. */
static unsigned int kind_of(const struct fuse_in_header *h)
{
	const struct fuse_setattr_in *set = (void *)(h + 1);
	const struct fuse_read_in *rd = (void *)(h + 1);
	const char *name = (char *)(h + 1) + sizeof(struct fuse_getxattr_in);

	switch (h->opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return TFS_WIRE_FORGET;
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case STATX_OPCODE:
		return TFS_WIRE_QUICK;
	case FUSE_GETATTR:	/* where space is short: space.c */
		return TFS_WIRE_QUICK | TFS_WIRE_HELD;
	case FUSE_GETXATTR:
		return TFS_WIRE_QUICK |
			(strncmp(name, "tagfs.tags", 10) ? 0 : TFS_WIRE_HELD);
	case FUSE_SETATTR:
		return set->valid & FATTR_SIZE ? TFS_WIRE_WAITS :
			TFS_WIRE_QUICK;
	case FUSE_READ:
		return rd->size <= QUICK_READ ? TFS_WIRE_QUICK : 0;
	case FUSE_WRITE:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FALLOCATE:
		return TFS_WIRE_WAITS;
	case FUSE_COPY_FILE_RANGE:
	case FUSE_IOCTL:
	case FUSE_LSEEK:
		return TFS_WIRE_WAITS | TFS_WIRE_HELD;
	default:
		return 0;
	}
}

static ssize_t see(void *buf, ssize_t n)
{
	struct fuse_in_header *h = buf;
	const struct fuse_write_in *wr = (void *)(h + 1);

	if (n < (ssize_t)sizeof(*h))
		return n;
	count_request(h->opcode);
	flags_here |= kind_of(h);
	switch (h->opcode) {
	case FUSE_INIT:
		flags_here |= TFS_WIRE_INIT;
		see_init(h, (void *)(h + 1));
		break;
	case FUSE_WRITE:
		flags_here |= TFS_WIRE_WRITE;
		if (wr->write_flags & FUSE_WRITE_KILL_SUIDGID)
			flags_here |= TFS_WIRE_KILL_PRIV;
		break;
	case FUSE_SETXATTR:
		return see_setxattr(h, (void *)(h + 1), n);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FALLOCATE:
		flags_here |= TFS_WIRE_LONG;
		break;
	case FUSE_TMPFILE:
		h->opcode = FUSE_CREATE;
		flags_here |= TFS_WIRE_TMPFILE;
		break;
	case STATX_OPCODE:
		flags_here |= TFS_WIRE_STATX;
		break;
	default:
		break;
	}
	return n;
}

unsigned int tfs_wire_see(void *request, size_t *len)
{
	flags_here = 0;
	*len = (size_t)see(request, (ssize_t)*len);
	over_uring++;
	return flags_here;
}

void tfs_wire_handle(unsigned int flags)
{
	flags_here = flags;
}

bool tfs_wire_agreed(void)
{
	return agreed;
}

/* An answer, by the way that its request came. */
static ssize_t send(struct tfs_ops *ops, int fd, const struct iovec *iov,
		    int n)
{
	size_t bytes = 0;

	if (!ops->uring || !tfs_uring_answer(ops->uring, iov, n))
		return writev(fd, iov, n);
	for (int i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return (ssize_t)bytes;
}

static struct wire_time to_time(const struct timespec *ts)
{
	return (struct wire_time) {
		.sec = ts->tv_sec, .nsec = (uint32_t)ts->tv_nsec,
	};
}

static void to_statx(const struct stat *st, const struct tfs_inode *in,
		     struct wire_statx *out)
{
	*out = (struct wire_statx) {
		.valid = TFS_VALID_ATTR(in), .mask = STATX_BASIC_STATS | STATX_BTIME,
		.blksize = (uint32_t)st->st_blksize, .nlink = in->nlink,
		.uid = in->uid, .gid = in->gid, .mode = (uint16_t)in->mode,
		.ino = in->ino, .size = in->size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = to_time(&in->atime), .btime = to_time(&in->btime),
		.ctime = to_time(&in->ctime), .mtime = to_time(&in->mtime),
		.rdev_major = in->rdev_major, .rdev_minor = in->rdev_minor,
	};
}

void tfs_wire_statx(struct tfs_ops *ops, const void *request)
{
	const struct fuse_in_header *req = request;
	struct fuse_out_header h = { .unique = req->unique };
	struct wire_statx out;
	struct tfs_inode in;
	struct stat st;
	struct iovec iov[2] = {
		{ .iov_base = &h, .iov_len = sizeof(h) },
		{ .iov_base = &out, .iov_len = sizeof(out) },
	};

	h.error = -tfs_errno(tfs_getattr(ops->fs, (uint32_t)req->nodeid,
					 &in));
	if (!h.error) {
		tfs_inode_stat(ops->fs, &in, &st);
		to_statx(&st, &in, &out);
	}
	h.len = sizeof(h) + (h.error ? 0 : sizeof(out));
	(void)!send(ops, fuse_session_fd(ops->se), iov, h.error ? 1 : 2);
	if (!h.error)
		ops->watch(ops, &in);
}

/* A buffer of the loop's may be smaller than libfuse would have made it. */
static ssize_t wire_read(int fd, void *buf, size_t size, void *userdata)
{
	ssize_t n;

	(void)userdata;
	flags_here = 0;
	n = read(fd, buf, size < TFS_WIRE_BUFFER ? size : TFS_WIRE_BUFFER);
	return see(buf, n);
}

/* The places that uring.c has are for requests of TFS_MAX_WRITE. */
static void agree(struct tfs_ops *ops, struct fuse_init_out *out, size_t len)
{
	if (!ops->uring || !offered || out->max_write > TFS_MAX_WRITE ||
	    len < offsetof(struct fuse_init_out, flags2) + sizeof(out->flags2))
		return;
	if (!(out->flags & FUSE_INIT_EXT))
		out->flags2 = 0;
	out->flags |= FUSE_INIT_EXT;
	out->flags2 |= OVER_IO_URING;
	agreed = true;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count,
			   void *userdata)
{
	const struct fuse_out_header *h = iov[0].iov_base;

	if (init_unique && h->unique == init_unique && !h->error &&
	    count == 2 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
		struct fuse_init_out *out = iov[1].iov_base;

		out->flags |= features;
		agree(userdata, out, iov[1].iov_len);
		init_unique = 0;
		return writev(fd, iov, count);
	}
	return send(userdata, fd, iov, count);
}

int tfs_wire_attach(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {
		.read = wire_read, .writev = wire_writev,
	};

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
