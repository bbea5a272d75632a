/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.c - the parts of the FUSE protocol that libfuse 3.14 does not speak.
 *
 * Requests and replies pass through here as bytes.  Wanted is:
 *  - FUSE_HANDLE_KILLPRIV_V2: the kernel says with each write whether set-id
 *    bits must go, instead of asking for security.capability before each;
 *  - FUSE_SETXATTR_EXT: it says whether an ACL must clear S_ISGID;
 *  - FUSE_TMPFILE, a FUSE_CREATE without a name.
 *
 * (1) libfuse sees only what it knows: a request has the form that it has
 *     without these features, and their part is in tfs_wire_flags().
 * (2) A thread handles a request before it receives the next, so that the
 *     flags may live in the thread. */
#include <linux/fuse.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ops_priv.h"

#ifndef FUSE_TMPFILE
#define FUSE_TMPFILE	51	/* an enumerator in headers that have it */
#endif
#define WANTED	((uint32_t)(FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT))

static __thread unsigned int flags_here;	/* (2) */

/* One filesystem per process; INIT is the first request, and nothing else
 * comes before its reply. */
static uint64_t init_unique;
static uint32_t features;	/* of WANTED: offered by the kernel */

unsigned int tfs_wire_flags(void)
{
	return flags_here;
}

static void see_init(const struct fuse_in_header *h,
		     const struct fuse_init_in *in)
{
	init_unique = h->unique;
	features = 0;
	if (h->len >= sizeof(*h) + offsetof(struct fuse_init_in, flags2))
		features = in->flags & WANTED;
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

static ssize_t see(void *buf, ssize_t n)
{
	struct fuse_in_header *h = buf;
	const struct fuse_write_in *wr = (void *)(h + 1);

	if ((size_t)n < sizeof(*h))
		return n;
	switch (h->opcode) {
	case FUSE_INIT:
		see_init(h, (void *)(h + 1));
		break;
	case FUSE_WRITE:
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
	default:
		break;
	}
	return n;
}

static ssize_t wire_read(int fd, void *buf, size_t size, void *userdata)
{
	ssize_t n = read(fd, buf, size);

	(void)userdata;
	flags_here = 0;
	return n > 0 ? see(buf, n) : n;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count,
			   void *userdata)
{
	const struct fuse_out_header *h = iov[0].iov_base;

	(void)userdata;
	if (init_unique && h->unique == init_unique && !h->error &&
	    count == 2 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
		struct fuse_init_out *out = iov[1].iov_base;

		out->flags |= features;
		init_unique = 0;
	}
	return writev(fd, iov, count);
}

int tfs_wire_attach(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {
		.read = wire_read, .writev = wire_writev,
	};

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
