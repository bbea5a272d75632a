/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h - what a backend tells of a request. */
#ifndef ENG_IO_H
#define ENG_IO_H

#include "core/dev.h"

/* The transfer is over; verification and end() follow. */
void eng_io_done(struct eng_io *io, int err);
/* Before a write is tried again: the kernel may have put the device's own
 * reference tags into its tuples.  Restore those that were generated. */
void eng_io_restore_refs(struct eng_io *io);

#endif
