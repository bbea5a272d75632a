/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_priv.h - what a device backend and io.c know of each other. */
#ifndef ENG_DEV_PRIV_H
#define ENG_DEV_PRIV_H

#include "tagpi.h"

struct eng_bufs;	/* buf.c */

struct eng_dev_ops {
	/* Move io->iov and io->tuples to or from the medium, then call
	 * eng_io_done() once, from any thread.  A write arrives with its
	 * tuples generated; a read leaves the tuples of the medium behind. */
	void	(*submit)(struct eng_dev *dev, struct eng_io *io);
	int	(*flush)(struct eng_dev *dev);
	int	(*discard)(struct eng_dev *dev, uint64_t start, uint64_t count);
	void	(*drop_caches)(struct eng_dev *dev);
	int	(*stats)(struct eng_dev *dev, char *buf, size_t size);
	/* Free what the backend allocated, the struct eng_dev included. */
	void	(*close)(struct eng_dev *dev);
};

/* First member of every backend's own structure. */
struct eng_dev {
	const struct eng_dev_ops *ops;
	struct eng_geometry geo;
	struct eng_pool	*pool;
	struct eng_bufs	*bufs;		/* io.c's payloads and data buffers */
	uint64_t	ref_base;	/* reference tag of interval 0 */
	/* io.c's, atomic: */
	unsigned int	inflight;	/* submits and end()s to return */
	int		flush_err;	/* of the first flush that failed */
	bool		enabled[2];	/* by enum eng_op */
	struct eng_injector *inject;	/* inject.c's; NULL: no rules */
};

/* io.c: a backend's maker calls it once geo and pool are set, and
 * eng_dev_close() undoes it before ops->close. */
int eng_dev_init(struct eng_dev *dev);
/* io.c: a write is tried again, and what is below may have changed the
 * reference tags in its tuples to its own: make them ours. */
void eng_io_restore_refs(struct eng_io *io);
/* io.c: the transfer is over; verification and end() follow. */
void eng_io_done(struct eng_io *io, int err);

/* pool.c: run io's verification, then end(), on some worker.  Takes over. */
void eng_pool_submit(struct eng_pool *pool, struct eng_io *io);
/* io.c: what the worker runs. */
void eng_io_settle(struct eng_io *io);

#endif
