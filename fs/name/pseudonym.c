/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pseudonym.c - names that say nothing, for images that others get to see.
 *  (1) It follows from where the entry is, which followed from the name, by a
 *      key that the image does not have: so it can be checked, and the same
 *      name is the same wherever it is.
 *  (2) Short names have few letters, so two of a directory may be the same. */
#include <string.h>

#include "name/dir.h"
#include "name/pseudonym.h"

static const char letters[64] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

uint64_t tfs_pseudonym_place(uint64_t hash)
{
	uint64_t off = hash & (INT64_MAX & ~255ull);

	return off ? off : TFS_COOKIE_FIRST;
}

void tfs_pseudonym(uint64_t hash, char *name, size_t len)
{
	uint64_t x = tfs_pseudonym_place(hash);

	for (size_t i = 0; i < len; i++) {
		x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull + 1;
		name[i] = letters[x >> 58];
	}
}

bool tfs_pseudonym_spares(uint32_t dir, const char *name, size_t len)
{
	static const char found[] = "lost+found";

	return dir == TFS_ROOT_INO && len == strlen(found) &&
		!memcmp(name, found, len);
}

bool tfs_is_pseudonym(const struct tfs_key *key, const char *name, size_t len)
{
	char want[TFS_NAME_MAX];

	if (len > sizeof(want))
		return false;
	tfs_pseudonym(key->off, want, len);
	return !memcmp(name, want, len) ||
		tfs_pseudonym_spares(key->obj, name, len);
}
