/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h - what a backend tells of a request. */
#ifndef ENG_IO_H
#define ENG_IO_H

#include "core/dev.h"

/* In eng_io.flags.  Read: it may complete on the thread that submits it, if
 * that has a queue of its own (io/queue.h).  Payload and data are spare. */
enum { ENG_IO_HERE = 32 };

/* eng_io_get() and eng_buf_get() that never wait.  NULL: not now. */
struct eng_io *eng_io_get_spare(struct eng_dev *dev, uint32_t count,
				unsigned int segs);
void *eng_buf_get_spare(struct eng_dev *dev, size_t bytes);
/* The calling thread completes its own transfers from here on, or no more. */
void eng_io_complete_here(bool on);
/* The transfer is over; verification and end() follow. */
void eng_io_done(struct eng_io *io, int err);
/* Before a write is tried again: the kernel may have put the device's own
 * reference tags into its tuples.  Restore those that were generated. */
void eng_io_restore_refs(struct eng_io *io);

#endif
