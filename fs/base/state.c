/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.c - may it be written to, and who it is.
 *
 *  (1) The first error that a mount can't survive is final: every change
 *      after it is refused, and it alone is logged. */
#include <string.h>

#include "base/state.h"

void tfs_fail(struct tfs *fs, int err, const char *what)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&fs->error, &none, err))
		eng_log(LOG_CRIT, "%s failed: %s; the filesystem is read-only "
			"from now on", what, strerror(-err));
}

bool tfs_begun_rdonly(const struct tfs *fs)
{
	return __atomic_load_n(&fs->opt.rdonly, __ATOMIC_RELAXED);
}

bool tfs_rdonly(const struct tfs *fs)
{
	return tfs_begun_rdonly(fs) || atomic_load(&fs->paused) ||
		atomic_load(&fs->error);
}

bool tfs_was_clean(const struct tfs *fs)
{
	return fs->was_clean;
}

uint32_t tfs_cluster_size(const struct tfs *fs)
{
	return fs->csize;
}

const uint8_t *tfs_uuid(const struct tfs *fs)
{
	return fs->super.uuid;
}

const char *tfs_label(const struct tfs *fs)
{
	return fs->super.label;
}
