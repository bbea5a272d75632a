/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pseudonym.h - names that say nothing, for images that others get to see. */
#ifndef TFS_PSEUDONYM_H
#define TFS_PSEUDONYM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/key.h"

/* What stands for a name of that length and hash; of that only the bits count
 * that say where an entry is. */
void tfs_pseudonym(uint64_t hash, char *name, size_t len);
/* Where the entry of a name of that hash is, slot 0. */
uint64_t tfs_pseudonym_place(uint64_t hash);
/* Names that say nothing by themselves: they stay as they are. */
bool tfs_pseudonym_spares(uint32_t dir, const char *name, size_t len);
/* Could the entry of that key have that name in an image without names? */
bool tfs_is_pseudonym(const struct tfs_key *key, const char *name, size_t len);

#endif
