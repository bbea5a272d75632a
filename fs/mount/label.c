/* SPDX-License-Identifier: GPL-2.0-or-later */
/* label.c - another name for a filesystem that is mounted.
 *
 *  (1) One at a time, and none while a remount is under way: a filesystem that
 *      is read-only gets no new superblock.
 *  (2) The copies of the superblock are written one after the other; the newer
 *      one counts.  A name that could not be written is not shown. */
#include <string.h>

#include "base/state.h"
#include "commit/super.h"
#include "core/text.h"

static bool is_label(const char *s)
{
	uint32_t code;
	unsigned int n;

	if (strlen(s) >= TFS_LABEL)
		return false;
	for (; *s; s += n) {
		n = eng_utf8(s, &code);
		if (!n || !eng_printable(code))
			return false;
	}
	return true;
}

static void show(struct tfs *fs, const char *label)
{
	pthread_rwlock_wrlock(&fs->tree);
	memset(fs->super.label, 0, sizeof(fs->super.label));
	strcpy(fs->super.label, label);
	pthread_rwlock_unlock(&fs->tree);
}

int tfs_set_label(struct tfs *fs, const char *label)
{
	char old[TFS_LABEL + 1];
	int err;

	if (!is_label(label))
		return -EINVAL;
	pthread_mutex_lock(&fs->remount);			/* (1) */
	err = tfs_rdonly(fs) ? -EROFS : 0;
	if (!err) {
		tfs_get_label(fs, old);
		show(fs, label);
		fs->super.seq++;
		err = tfs_super_write(fs, 0);
		if (err)
			show(fs, old);				/* (2) */
	}
	pthread_mutex_unlock(&fs->remount);
	return err;
}

void tfs_get_label(struct tfs *fs, char label[33])
{
	pthread_rwlock_rdlock(&fs->tree);
	strcpy(label, fs->super.label);
	pthread_rwlock_unlock(&fs->tree);
}
