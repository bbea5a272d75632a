/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raw.h - unprotected storage under the software container.
 *
 * The seam where tests plug in: raw_uring.c is a file or block device,
 * tests/support/sim_raw.c is memory that loses, tears and rots.  Offsets and
 * lengths are bytes and multiples of 512. */
#ifndef ENG_RAW_H
#define ENG_RAW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "io/ring.h"

struct eng_raw;

struct eng_raw_io {
	bool		write;
	/* Past every cache of this host.  A read finds what the medium has;
	 * a write has reached the device when it ends, its own cache apart.
	 * Slow, so for single blocks alone. */
	bool		direct;
	bool		here;		/* may end on the thread that starts it:
					 * eng_ring_start_here(), of a read */
	uint64_t	off;
	struct iovec	*iov;		/* the caller's, until end() */
	int		niov;		/* at most UIO_MAXIOV */
	/* Once, on any thread, the submitter's included; must not wait for
	 * other I/O.  err: 0 or -errno.  Storage that moves less than it was
	 * asked for goes on; where nothing moves, it is -EIO. */
	void		(*end)(struct eng_raw_io *io, int err);
	void		*arg;
	/* the storage's own */
	struct eng_raw	*raw;
	uint64_t	done;
	uint64_t	len;
	struct eng_ring_op op;
};

struct eng_raw_ops {
	void	(*submit)(struct eng_raw *raw, struct eng_raw_io *io);
	/* Completed writes are durable. */
	int	(*flush)(struct eng_raw *raw);
	int	(*discard)(struct eng_raw *raw, uint64_t off, uint64_t len);
	/* Waits for I/O in flight. */
	void	(*close)(struct eng_raw *raw);
	/* May be NULL: clean caches of the range are not worth keeping. */
	void	(*forget)(struct eng_raw *raw, uint64_t off, uint64_t len);
	/* May be NULL: is there nothing, so that it reads as zeros?  False
	 * where that can't be told. */
	bool	(*hole)(struct eng_raw *raw, uint64_t off, uint64_t len);
	/* May be NULL: what is opened to be read stays so.  Else open the same
	 * anew to be written, beside I/O; nothing is shared with the lock's
	 * descriptor afterwards.  On error all is as it was. */
	int	(*reopen)(struct eng_raw *raw);
	/* May be NULL: let some I/O complete in the calling thread.  Called
	 * where one would wait otherwise; storage without threads has it. */
	void	(*pump)(struct eng_raw *raw);
};

struct eng_raw {
	const struct eng_raw_ops *ops;
	uint64_t	size;
	bool		rdonly;
	bool		serial;		/* no thread may be started for it */
	const char	*name;		/* for messages */
};

/* raw_uring.c: what fd is open for, a file or a block device.  fd stays the
 * caller's, and so does the lock on it.  path is for messages. */
int eng_raw_open(struct eng_raw **out, const char *path, int fd,
		 unsigned int flags);
/* raw.c: submit and wait, on one flat buffer. */
int eng_raw_rw(struct eng_raw *raw, bool write, uint64_t off, void *buf,
	       size_t len);
/* The same, past every cache. */
int eng_raw_direct(struct eng_raw *raw, bool write, uint64_t off, void *buf,
		   size_t len);
/* raw.c: storage ends every transfer with this, which calls io->end(). */
void eng_raw_end(struct eng_raw_io *io, int err);
/* raw.c: is this thread inside an end()?  Then it must not wait for I/O. */
bool eng_raw_in_end(void);

#endif
