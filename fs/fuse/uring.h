/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uring.h - requests that come through io_uring instead of the device. */
#ifndef TFS_URING_H
#define TFS_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct tfs_uring;

/* What kind of request it is. */
enum {
	TFS_URING_MAY_WAIT	= 1,	/* not for a thread that receives */
	TFS_URING_HELD		= 2,	/* its answer waits for requests */
	TFS_URING_WRITE		= 4,	/* counted */
};

struct tfs_uring_how {
	size_t		payload;	/* bytes of the longest request */
	bool		quiet;		/* don't say why there is none */
	/* From here on any thread of the transport.  See is called once for
	 * each request, as it came, and may change it.  Handle answers it with
	 * tfs_uring_answer(), now or later; on a thread that must not wait it
	 * may answer -TFS_REPLY_WAITS, and will be called again elsewhere.
	 * Failed: there is nothing to serve through any more. */
	unsigned int	(*see)(void *arg, void *request, size_t *len,
			       unsigned int *flags);
	void		(*handle)(void *arg, void *request, size_t len,
				  unsigned int flags);
	void		(*failed)(void *arg, int err);
	void		*arg;
};

/* Can this kernel do it?  NULL, or what is missing. */
const char *tfs_uring_missing(void);

/* All threads and memory for it, which wait.  -errno: not to be had. */
int tfs_uring_create(struct tfs_uring **out, const struct tfs_uring_how *how);
/* The kernel has been told, by the answer to INIT, on the device fd: begin.
 * Until the kernel has all queues, and if it does not take them, requests come
 * through the device. */
void tfs_uring_begin(struct tfs_uring *u, int fd);
/* Answer a request: header and parts.  False: it did not come this way. */
bool tfs_uring_answer(struct tfs_uring *u, const struct iovec *iov, int n);
/* In handle(): memory for the payload of the answer, page-aligned, which need
 * not be moved then.  NULL: the request did not come this way. */
void *tfs_uring_room(size_t *size);
/* Take no more requests, and return when those taken are answered. */
void tfs_uring_end(struct tfs_uring *u);
/* After the end.  NULL is fine. */
void tfs_uring_destroy(struct tfs_uring *u);

struct tfs_uring_count {
	uint64_t	received;	/* requests */
	uint64_t	in, in_bytes;	/* writes received */
	uint64_t	out, out_bytes;	/* and answered */
};

void tfs_uring_count(struct tfs_uring *u, struct tfs_uring_count *out);
/* Have all threads look whether something has come.  True: they have, and the
 * kernel holds nothing back for want of a place to put it. */
bool tfs_uring_settle(struct tfs_uring *u);

#endif
