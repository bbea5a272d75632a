/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xattr_item.c - extended attributes as items of the inode, in pieces.
 *  (1) The key's offset is the top 48 bits of the name's hash, then 8 bits of
 *      slot, for names that share them, then 8 bits of piece.
 *  (2) Every piece but the last is full, so that the head says how many
 *      there are and how long each is.  Anything else is damage. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "tfs.h"
#include "base/hash.h"
#include "name/xattr_item.h"

#define SLOT_STEP	0x100ull
#define BASE_STEP	0x10000ull
#define NO_SLOT		UINT64_MAX	/* its piece is not 0: no slot */
#define HEAD		sizeof(struct tfs_disk_xattr)

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t head_room(size_t name_len)
{
	return TFS_INLINE_MAX - HEAD - name_len;
}

static unsigned int pieces(size_t name_len, size_t value_len)
{
	size_t room = head_room(name_len);

	if (value_len <= room)
		return 1;
	return 1 + (unsigned int)((value_len - room + TFS_INLINE_MAX - 1) /
				  TFS_INLINE_MAX);
}

static int head_decode(const struct tfs_item *item, struct tfs_xattr *out)
{
	struct tfs_disk_xattr head;

	if (item->key.off & (SLOT_STEP - 1))
		return tfs_item_bad(&item->key, "attribute without a head");
	if (item->len < HEAD)
		return tfs_item_bad(&item->key, "attribute too short");
	memcpy(&head, item->val, HEAD);
	*out = (struct tfs_xattr){
		.off = item->key.off,
		.name = (const char *)item->val + HEAD,
		.name_len = head.name_len,
		.first = (const char *)item->val + HEAD + head.name_len,
		.value_len = le32toh(head.value_len),
	};
	out->first_len = min_size(out->value_len, head_room(out->name_len));
	if (!head.name_len || out->value_len > TFS_XATTR_VALUE_MAX ||
	    head.pad[0] || head.pad[1] || head.pad[2] ||
	    item->len != HEAD + head.name_len + out->first_len)
		return tfs_item_bad(&item->key, "bad attribute");
	if (memchr(out->name, 0, out->name_len))
		return tfs_item_bad(&item->key, "bad attribute name");
	return 0;
}

int tfs_xattr_next(struct tfs_txn *tx, uint32_t ino, uint64_t off,
		   struct tfs_xattr *out)
{
	struct tfs_item item;
	int err = tfs_txn_next_of(tx, tfs_key(ino, TFS_T_XATTR, off), &item);

	return err ? err : head_decode(&item, out);
}

bool tfs_xattr_step(uint64_t *off)
{
	*off = (*off | (SLOT_STEP - 1)) + 1;
	return *off != 0;
}

static uint64_t xattr_base(struct tfs *fs, const char *name)
{
	return tfs_name_hash(fs, name, strlen(name)) & ~(BASE_STEP - 1);
}

/* -ENODATA: absent, and out->off is a free slot or NO_SLOT. */
static int xattr_find(struct tfs_txn *tx, uint32_t ino, const char *name,
		      struct tfs_xattr *out)
{
	size_t len = strlen(name);
	uint64_t base = xattr_base(tfs_txn_fs(tx), name);
	uint64_t last = base + (BASE_STEP - 1), spare = base, at = base;
	bool more = true;
	int err = 0;

	while (more) {
		err = tfs_xattr_next(tx, ino, at, out);
		if (err && err != -ENOENT)
			return err;
		if (err || out->off > last)
			break;
		if (out->name_len == len && !memcmp(out->name, name, len))
			return 0;
		at = out->off;
		more = tfs_xattr_step(&at) && at <= last;
		if (out->off == spare)
			spare = more ? at : NO_SLOT;
	}
	out->off = spare;
	return -ENODATA;
}

/* Copy the value; buf has room for it. */
static int xattr_read(struct tfs_txn *tx, uint32_t ino,
		      const struct tfs_xattr *xa, void *buf)
{
	struct tfs_key key = tfs_key(ino, TFS_T_XATTR, xa->off);
	size_t done = xa->first_len, part;
	struct tfs_item item;
	int err;

	memcpy(buf, xa->first, done);
	while (done < xa->value_len) {
		part = min_size(xa->value_len - done, TFS_INLINE_MAX);
		key.off++;
		err = tfs_txn_get(tx, key, &item);
		if (err == -ENOENT)
			return tfs_item_bad(&key, "attribute piece missing");
		if (err)
			return err;
		if (item.len != part)				/* (2) */
			return tfs_item_bad(&key, "bad attribute piece");
		memcpy((char *)buf + done, item.val, part);
		done += part;
	}
	return 0;
}

ssize_t tfs_xattr_get(struct tfs_txn *tx, uint32_t ino, const char *name,
		      void *buf, size_t size)
{
	struct tfs_xattr xa;
	int err = xattr_find(tx, ino, name, &xa);

	if (err)
		return err;
	if (size) {
		if (xa.value_len > size)
			return -ERANGE;
		err = xattr_read(tx, ino, &xa, buf);
	}
	return err ? err : (ssize_t)xa.value_len;
}

/* Queue all pieces at off. */
static int xattr_store(struct tfs_txn *tx, uint32_t ino, uint64_t off,
		       const char *name, const void *value, size_t size)
{
	size_t len = strlen(name), done = min_size(size, head_room(len)), part;
	struct tfs_disk_xattr head = {
		.value_len = htole32((uint32_t)size),
		.name_len = (uint8_t)len,
	};
	char buf[TFS_INLINE_MAX];
	int err;

	memcpy(buf, &head, HEAD);
	memcpy(buf + HEAD, name, len);
	if (done)
		memcpy(buf + HEAD + len, value, done);
	err = tfs_txn_put(tx, tfs_key(ino, TFS_T_XATTR, off), buf,
			  (unsigned int)(HEAD + len + done));
	while (!err && done < size) {
		part = min_size(size - done, TFS_INLINE_MAX);
		err = tfs_txn_put(tx, tfs_key(ino, TFS_T_XATTR, ++off),
				  (const char *)value + done,
				  (unsigned int)part);
		done += part;
	}
	return err;
}

/* Queue the deletion of pieces first .. end - 1 of the attribute at off. */
static int xattr_cut(struct tfs_txn *tx, uint32_t ino, uint64_t off,
		     unsigned int first, unsigned int end)
{
	int err = 0;

	for (unsigned int i = first; !err && i < end; i++)
		err = tfs_txn_del(tx, tfs_key(ino, TFS_T_XATTR, off + i));
	return err;
}

int tfs_xattr_put(struct tfs_txn *tx, uint32_t ino, const char *name,
		  const void *value, size_t size, int flags)
{
	struct tfs_xattr old;
	unsigned int had = 0;
	int err;

	if (size > TFS_XATTR_VALUE_MAX)
		return -E2BIG;
	err = xattr_find(tx, ino, name, &old);
	if (err && err != -ENODATA)
		return err;
	if (!err) {
		if (flags & XATTR_CREATE)
			return -EEXIST;
		had = pieces(old.name_len, old.value_len);
	} else {
		if (flags & XATTR_REPLACE)
			return -ENODATA;
		if (old.off == NO_SLOT)
			return -ENOSPC;
	}
	err = xattr_store(tx, ino, old.off, name, value, size);
	if (!err)
		err = xattr_cut(tx, ino, old.off, pieces(strlen(name), size),
				had);
	return err;
}

int tfs_xattr_put_new(struct tfs_txn *tx, uint32_t ino, unsigned int slot,
		      const char *name, const void *value, size_t size)
{
	uint64_t base = xattr_base(tfs_txn_fs(tx), name);

	return xattr_store(tx, ino, base + slot * SLOT_STEP, name, value,
			   size);
}

int tfs_xattr_del(struct tfs_txn *tx, uint32_t ino, const char *name)
{
	struct tfs_xattr old;
	int err = xattr_find(tx, ino, name, &old);

	if (err)
		return err;
	return xattr_cut(tx, ino, old.off, 0,
			 pieces(old.name_len, old.value_len));
}
