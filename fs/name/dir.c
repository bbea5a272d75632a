/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dir.c - the entries of one directory, and listing them.
 *  (1) The key's offset is 55 bits of the name's hash, then 8 bits of slot
 *      for names that share them: never negative as an off_t, and never less
 *      than TFS_COOKIE_FIRST.
 *  (2) An entry keeps its offset for life, so that a listing goes on where
 *      it was whatever comes and goes around it.
 *  (3) A new name takes the lowest free slot; slots may have gaps. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tfs.h"
#include "base/hash.h"
#include "file/inode.h"
#include "file/refs.h"
#include "name/dir.h"

#define SLOTS	256u
#define BATCH	64u	/* entries listed per transaction */

int tfs_entry_decode(const struct tfs_item *item, struct tfs_entry *out)
{
	struct tfs_disk_dirent de;
	const char *name = (const char *)item->val + sizeof(de);

	if (item->len < sizeof(de))
		return tfs_item_bad(&item->key, "entry too short");
	memcpy(&de, item->val, sizeof(de));
	*out = (struct tfs_entry){
		.off = item->key.off, .ino = le32toh(de.ino),
		.type = (uint32_t)de.type << 12, .len = de.name_len,
		.name = name,
	};
	if (out->off < TFS_COOKIE_FIRST || out->off > INT64_MAX ||
	    !out->ino || de.pad || !out->len || (de.type & 0xf0) ||
	    item->len != sizeof(de) + out->len)
		return tfs_item_bad(&item->key, "bad entry");
	if (memchr(name, '/', out->len) || memchr(name, '\0', out->len) ||
	    (name[0] == '.' && (out->len == 1 ||
				(out->len == 2 && name[1] == '.'))))
		return tfs_item_bad(&item->key, "bad name");
	return 0;
}

int tfs_entry_next(struct tfs_txn *tx, uint32_t dir, uint64_t off,
		   struct tfs_entry *out)
{
	struct tfs_item item;
	int err = tfs_txn_next_of(tx, tfs_key(dir, TFS_T_DIRENT, off), &item);

	return err ? err : tfs_entry_decode(&item, out);
}

static uint64_t entry_base(struct tfs *fs, const char *name, size_t len)
{
	uint64_t off = tfs_name_hash(fs, name, len) &
		(INT64_MAX & ~(uint64_t)(SLOTS - 1));

	return off ? off : TFS_COOKIE_FIRST;			/* (1) */
}

int tfs_entry_find(struct tfs_txn *tx, uint32_t dir, const char *name,
		   struct tfs_entry *out)
{
	size_t len = strlen(name);
	uint64_t at = entry_base(tfs_txn_fs(tx), name, len);
	uint64_t last = at + SLOTS - 1, spare = at;
	int err = 0;

	for (; at <= last; at = out->off + 1) {
		err = tfs_entry_next(tx, dir, at, out);
		if (err && err != -ENOENT)
			return err;
		if (err || out->off > last)
			break;
		if (out->len == len && !memcmp(out->name, name, len))
			return 0;
		if (out->off == spare)				/* (3) */
			spare++;
	}
	*out = (struct tfs_entry){ .off = spare <= last ? spare : 0 };
	return -ENOENT;
}

int tfs_entry_put(struct tfs_txn *tx, uint32_t dir, uint64_t off,
		  const char *name, uint32_t ino, uint32_t mode)
{
	size_t len = strlen(name);
	struct tfs_disk_dirent de = {
		.ino = htole32(ino), .type = (uint8_t)((mode & S_IFMT) >> 12),
		.name_len = (uint8_t)len,
	};
	char buf[sizeof(de) + TFS_NAME_MAX];

	memcpy(buf, &de, sizeof(de));
	memcpy(buf + sizeof(de), name, len);
	return tfs_txn_put(tx, tfs_key(dir, TFS_T_DIRENT, off), buf,
			   (unsigned int)(sizeof(de) + len));
}

int tfs_dir_empty(struct tfs_txn *tx, uint32_t dir)
{
	struct tfs_entry entry;
	int err = tfs_entry_next(tx, dir, 0, &entry);

	return err == -ENOENT ? 1 : err;
}

/* ---- listing ----------------------------------------------------------- */

struct list {
	uint32_t		dir;
	uint64_t		cookie;		/* list what comes after */
	bool			plus;
	bool			end;
	unsigned int		n;
	struct tfs_dirent	de[BATCH];
	struct tfs_inuse	*spare[BATCH];	/* for references */
};

static void list_dot(struct list *ls, uint64_t cookie, uint32_t ino,
		     const struct tfs_inode *attr)
{
	struct tfs_dirent *de = &ls->de[ls->n++];

	de->cookie = cookie;
	de->ino = ino;
	de->type = S_IFDIR;
	strcpy(de->name, cookie == TFS_COOKIE_DOT ? "." : "..");
	if (attr)
		de->attr = *attr;
	else
		de->attr = (struct tfs_inode){ .ino = ino, .mode = S_IFDIR };
}

static int list_dots(struct tfs_txn *tx, struct list *ls)
{
	struct tfs_inode in;
	int err = tfs_inode_get(tx, ls->dir, &in);

	if (err)
		return err;
	if (!S_ISDIR(in.mode))
		return -ENOTDIR;
	if (ls->cookie < TFS_COOKIE_DOT)
		list_dot(ls, TFS_COOKIE_DOT, ls->dir, &in);
	if (ls->cookie < TFS_COOKIE_DOTDOT)
		list_dot(ls, TFS_COOKIE_DOTDOT, in.parent, NULL);
	return 0;
}

/* One bad inode must not hide the names around it: its entry goes without
 * attributes, which attr.ino == 0 says. */
static int list_attr(struct tfs_txn *tx, struct tfs_dirent *de)
{
	int err = tfs_inode_named(tx, de->ino, &de->attr);

	if (err == -EUCLEAN) {
		de->attr = (struct tfs_inode){ .ino = 0 };
		err = 0;
	}
	return err;
}

static int list_entry(struct tfs_txn *tx, struct list *ls,
		      const struct tfs_entry *entry)
{
	struct tfs_dirent *de = &ls->de[ls->n++];

	de->cookie = entry->off;
	de->ino = entry->ino;
	de->type = entry->type;
	memcpy(de->name, entry->name, entry->len);
	de->name[entry->len] = '\0';
	return ls->plus ? list_attr(tx, de) : 0;
}

static bool list_refs(const struct list *ls, unsigned int i)
{
	return ls->plus && ls->de[i].cookie >= TFS_COOKIE_FIRST &&
		ls->de[i].attr.ino;
}

static int list_fn(struct tfs_txn *tx, void *p)
{
	struct list *ls = p;
	uint64_t at = ls->cookie + 1;
	struct tfs_entry entry;
	int err;

	ls->n = 0;
	ls->end = false;
	err = list_dots(tx, ls);
	if (err)
		return err;
	if (at < TFS_COOKIE_FIRST)
		at = TFS_COOKIE_FIRST;
	for (; !err && ls->n < BATCH; at = entry.off + 1) {
		err = tfs_entry_next(tx, ls->dir, at, &entry);
		if (!err)
			err = list_entry(tx, ls, &entry);
	}
	if (err == -ENOENT)
		ls->end = true;
	else if (err)
		return err;
	for (unsigned int i = 0; i < ls->n; i++)
		if (list_refs(ls, i))
			tfs_ref_with(tfs_txn_fs(tx), ls->de[i].ino, 1,
				     &ls->spare[i]);
	return 0;
}

/* Before the tree lock is taken. */
static int list_spare(struct list *ls)
{
	for (unsigned int i = 0; ls->plus && i < BATCH; i++) {
		if (!ls->spare[i])
			ls->spare[i] = tfs_ref_spare();
		if (!ls->spare[i])
			return -ENOMEM;
	}
	return 0;
}

/* Hand out one batch.  False: no more is wanted. */
static bool list_fill(struct tfs *fs, struct list *ls,
		      int (*fill)(void *arg, const struct tfs_dirent *de),
		      void *arg)
{
	bool taking = true;

	for (unsigned int i = 0; i < ls->n; i++) {
		if (taking && fill(arg, &ls->de[i]))
			taking = false;
		if (!taking && list_refs(ls, i))
			tfs_unref(fs, ls->de[i].ino, 1);
	}
	if (ls->n)
		ls->cookie = ls->de[ls->n - 1].cookie;
	return taking;
}

int tfs_readdir(struct tfs *fs, uint32_t dir, uint64_t cookie, bool plus,
		int (*fill)(void *arg, const struct tfs_dirent *de),
		void *arg)
{
	struct list *ls;
	int err;

	if (cookie >= INT64_MAX)
		return 0;
	ls = calloc(1, sizeof(*ls));
	if (!ls)
		return -ENOMEM;
	ls->dir = dir;
	ls->cookie = cookie;
	ls->plus = plus;
	do {
		err = list_spare(ls);
		if (!err)
			err = tfs_txn_read(fs, list_fn, ls);
	} while (!err && list_fill(fs, ls, fill, arg) && !ls->end);
	for (unsigned int i = 0; i < BATCH; i++)
		free(ls->spare[i]);
	free(ls);
	return err;
}
