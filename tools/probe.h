/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.h - a superblock, read without disturbing anybody. */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include "format.h"

/* Nothing is locked, and only the first copy is looked for: see doc/PROBE.md.
 * -EMEDIUMTYPE: there is none. */
int probe_super(const char *path, struct tfs_disk_super *s);

#endif
