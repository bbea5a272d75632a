/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev.h - an open device: what its backend and the core know of it. */
#ifndef ENG_DEV_H
#define ENG_DEV_H

#include "tagpi.h"

struct eng_bufs;	/* buf.c */

/* One copy of what a backend keeps for itself, and keeps twice. */
struct eng_spare {
	const char	*what;		/* "tuple page" */
	const char	*why;		/* it is no good */
	unsigned int	copy;
	unsigned int	leg;		/* of a mirror, from 1; 0: it is none */
	uint64_t	byte;		/* where on the storage below */
	uint64_t	start, count;	/* intervals that it is for */
	bool		cut;		/* being written as the power went */
	bool		unread;		/* the cause may pass */
	bool		kept;		/* it is not rewritten for that */
	int		err;		/* no copy will do: these intervals
					 * can't be read */
};

/* The caller sets found, and at to 0 before the first call. */
struct eng_audit {
	void		(*found)(struct eng_audit *a,
				 const struct eng_spare *s);
	void		*arg;
	/* What can't be read is written anew where there is another version:
	 * whatever that one says counts then.  Nobody else writes. */
	bool		rewrite;
	uint64_t	at, all;	/* how far, of how many parts */
	uint64_t	reached;	/* what intervals below it have was
					 * looked at */
};

struct eng_dev_ops {
	/* Move io->iov and io->tuples to or from the medium, then call
	 * eng_io_done() once, from any thread.  A write arrives with its
	 * tuples generated; a read leaves the tuples of the medium behind. */
	void	(*submit)(struct eng_dev *dev, struct eng_io *io);
	/* May be NULL.  Bytes that io->priv has to have of the backend's own
	 * for a request of so many intervals and segments or fewer.  The same
	 * for all devices of one profile. */
	size_t	(*room)(const struct eng_dev *dev, uint32_t intervals,
			unsigned int segs);
	int	(*flush)(struct eng_dev *dev);
	int	(*discard)(struct eng_dev *dev, uint64_t start, uint64_t count);
	void	(*drop_caches)(struct eng_dev *dev);
	/* May be NULL: requests go past all caches anyway. */
	int	(*bypass)(struct eng_dev *dev, enum eng_op op, uint64_t start,
			  void *buf, size_t bytes, const uint16_t *tags);
	/* May be NULL: nothing but the profile has to change. */
	int	(*set_tags)(struct eng_dev *dev, unsigned int tags);
	int	(*stats)(struct eng_dev *dev, char *buf, size_t size);
	/* May be NULL: intervals are one after the other from byte 0.  Rises
	 * with the interval. */
	uint64_t (*byte_of)(const struct eng_dev *dev, uint64_t interval);
	/* May be NULL: nothing is kept twice. */
	int	(*audit)(struct eng_dev *dev, struct eng_audit *a);
	/* May be NULL: what is opened to be read stays so.  reopen() takes what
	 * it needs to be written, and changes nothing on error; begin_writes()
	 * comes when the lock is a writer's. */
	int	(*reopen)(struct eng_dev *dev);
	int	(*begin_writes)(struct eng_dev *dev);
	/* Free what the backend allocated, the struct eng_dev included. */
	void	(*close)(struct eng_dev *dev);
};

/* Stands between requests and the backend; extra/inject.c is one. */
struct eng_hook {
	/* Before the backend sees a request.  False: it must not see it, and
	 * the request ends with *err. */
	bool	(*begin)(struct eng_hook *hook, struct eng_io *io, int *err);
	/* After the transfer of a request whose undo begin() has set, before
	 * anybody looks at it. */
	void	(*end)(struct eng_hook *hook, struct eng_io *io, int err);
	/* What a flush has to fail with, or 0. */
	int	(*flush)(struct eng_hook *hook);
	void	(*free)(struct eng_hook *hook);
};

/* First member of every backend's own structure. */
struct eng_dev {
	const struct eng_dev_ops *ops;
	struct eng_geometry geo;
	struct eng_pool	*pool;
	struct eng_bufs	*bufs;		/* payloads and data buffers */
	uint64_t	ref_base;	/* reference tag of interval 0 */
	/* atomic: */
	unsigned int	inflight;	/* submits and end()s to return */
	int		flush_err;	/* of the first flush that failed */
	bool		enabled[2];	/* by enum eng_op */
	struct eng_hook	*hook;		/* set once; NULL: none */
	struct eng_lock	*lock;		/* on what it is; NULL: nobody else's, */
	bool		lock_lost;	/* or somebody else's by now */
};

/* A backend's maker calls it once geo and pool are set, and eng_dev_close()
 * undoes it before ops->close. */
int eng_dev_init(struct eng_dev *dev);

/* Where the data of an interval are on the storage below, in bytes, and what is
 * at a byte; -ENOENT: no data. */
uint64_t eng_dev_byte(const struct eng_dev *dev, uint64_t interval);
int eng_dev_interval(const struct eng_dev *dev, uint64_t byte,
		     uint64_t *interval);

/* Look at both copies of the next few parts of what the backend keeps for
 * itself, on the medium.  Where it is open for writing, the next flush rewrites
 * those that are no good.  a->at is a->all after the last one, at once where
 * nothing is kept.  Beside I/O, too: what is being written is passed over.
 * 0, or why it can't go on. */
int eng_dev_audit(struct eng_dev *dev, struct eng_audit *a);

/* What was opened to be read may be written from here on, beside reads.  The
 * caller looks whether somebody else has written meanwhile.  -EOPNOTSUPP: not
 * this kind of device; -EROFS; -EBUSY: others read it, or have it now.  On
 * error it is still to be read only, and what can be said was said. */
int eng_dev_writable(struct eng_dev *dev);
/* The two halves for a backend over others: all that can fail before the first
 * of them begins, and that they don't after all. */
int eng_dev_prepare_writes(struct eng_dev *dev);
void eng_dev_forgo_writes(struct eng_dev *dev);

static inline struct eng_hook *eng_dev_hook(const struct eng_dev *dev)
{
	return __atomic_load_n(&dev->hook, __ATOMIC_ACQUIRE);
}

#endif
