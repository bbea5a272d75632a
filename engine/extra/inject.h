/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inject.h - faults on purpose, for io.c; see inject.c. */
#ifndef ENG_INJECT_H
#define ENG_INJECT_H

#include "core/dev_priv.h"

/* Before the backend sees a request: true if it must not see it, because
 * the injector ended it. */
bool eng_inject_begin(struct eng_io *io);
/* After the transfer of one with io->undo, before anybody looks at it. */
void eng_inject_end(struct eng_io *io, int err);
/* What a flush has to fail with, or 0. */
int eng_inject_flush(struct eng_dev *dev);
void eng_inject_free(struct eng_dev *dev);

#endif
