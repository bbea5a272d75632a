/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl.h - verbs of tagfsctl, with an image that may hold anything. */
#ifndef FUZZ_CTL_H
#define FUZZ_CTL_H

#include "support/fs_bed.h"

/* Nothing is open before and after; each ends the process if a promise is
 * broken.  Copied out: the image is as it was, and beside the target there is
 * nothing new. */
void fuzz_restore(struct bed *b);
/* Its metadata, with names and without: that can be checked, and is not written
 * meanwhile. */
void fuzz_image(struct bed *b);
/* Of a folder all that is in it, and itself. */
void fuzz_remove(const char *path);

#endif
