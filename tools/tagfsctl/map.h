/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map.h - which parts of a failing device can't be read, in the format of
 * ddrescue's mapfile. */
#ifndef MAP_H
#define MAP_H

#include <stdbool.h>
#include <stdint.h>

struct map;
struct eng_dev;

/* What is in the file, if it is there.  0 or -errno; -EINVAL: it is no map. */
int map_open(struct map **out, const char *path);
/* From now on reads of dev that are known to fail do so at once, and those
 * that fail are noted.  The map stays the caller's, until the device is
 * closed. */
int map_attach(struct map *m, struct eng_dev *dev);
/* Now and then: writes the file if there is something new, whole or not at
 * all.  now: even if it was written a moment ago. */
int map_save(struct map *m, bool now);
/* Bytes that can't be read. */
uint64_t map_bad(struct map *m);
void map_close(struct map *m);

#endif
