/* SPDX-License-Identifier: GPL-2.0-or-later */
/* path.c - a path for an inode number, for messages only.
 *
 * An inode remembers a directory that names it: a directory its only one,
 * anything else that of its newest name.  That directory is searched
 * for the name; one with a stale hint is shown by its number alone. */
#include <stdio.h>
#include <string.h>

#include "file/inode.h"
#include "name/dir.h"
#include "name/path.h"

#define DEPTH_MAX	64
#define SEARCH_MAX	200000u		/* entries looked at, for one name */

struct step {
	uint32_t	ino;
	uint32_t	parent;
	uint64_t	from;		/* cookie to go on at */
	bool		found;
	char		name[TFS_NAME_MAX + 1];
};

/* Look at some of the parent's entries for ino's name. */
static int search_fn(struct tfs_txn *tx, void *arg)
{
	struct step *s = arg;
	uint64_t at = s->from;
	struct tfs_entry de;

	for (unsigned int i = 0; i < 256; i++) {
		int err = tfs_entry_next(tx, s->parent, at, &de);

		if (err)
			return err;
		if (de.ino == s->ino) {
			memcpy(s->name, de.name, de.len);
			s->name[de.len] = '\0';
			s->found = true;
			return 0;
		}
		at = de.off + 1;
	}
	s->from = at;
	return 0;
}

static int parent_fn(struct tfs_txn *tx, void *arg)
{
	struct step *s = arg;
	struct tfs_inode inode;
	int err = tfs_inode_get(tx, s->ino, &inode);

	s->parent = inode.parent;
	return err;
}

static bool find_name(struct tfs *fs, struct step *s)
{
	if (tfs_txn_read(fs, parent_fn, s) || !s->parent)
		return false;
	for (unsigned int i = 0; !s->found && i < SEARCH_MAX; i += 256)
		if (tfs_txn_read(fs, search_fn, s))
			return false;
	return s->found;
}

const char *tfs_path(struct tfs *fs, uint32_t ino, char *buf, size_t size)
{
	size_t at = size - 1;
	uint32_t up = ino;

	buf[at] = '\0';
	for (int i = 0; up != TFS_ROOT_INO && i < DEPTH_MAX; i++) {
		struct step s = { .ino = up };
		size_t len;

		if (!find_name(fs, &s))
			break;
		len = strlen(s.name);
		if (len + 1 > at)
			break;
		at -= len;
		memcpy(buf + at, s.name, len);
		buf[--at] = '/';
		up = s.parent;
	}
	if (up == TFS_ROOT_INO)
		return buf[at] ? buf + at : "/";
	if (!buf[at])
		snprintf(buf, size, "(inode %u)", ino);
	else
		memcpy(buf + (at > 3 ? at - 3 : 0), "...", at > 3 ? 3 : 0);
	return buf[at] && at > 3 ? buf + at - 3 : buf;
}
