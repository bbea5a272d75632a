/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_wash.c - what an image has of a cluster that is no content.
 *
 *  (1) What a structure does not use is zeros in an image: something else may
 *      have been there.  So is what is none of the structures.
 *  (2) Checksums are moved by what the change adds, nonces as well: a wrong one
 *      stays as wrong.
 *  (3) Content in the tree is content.  The target of a link is a name.
 *  (4) Names follow from where they are: name/pseudonym.h.  What is known to be
 *      in the wrong place stays so. */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "image.h"
#include "name/pseudonym.h"

#define PIECES		0x100u		/* slots have so many */
#define PLACE		(~0xffffull)	/* of an attribute: its hash */
#define FILLER		'x'

/* ---- items --------------------------------------------------------------- */

static void wash_entry(const struct image *g, const struct tfs_key *key,
		       uint8_t *val, unsigned int len)
{
	struct tfs_disk_dirent d;
	char *name = (char *)val + sizeof(d);
	uint64_t hash;

	if (len <= sizeof(d)) {
		memset(val, 0, len);
		return;
	}
	memcpy(&d, val, sizeof(d));
	len -= sizeof(d);
	if (tfs_pseudonym_spares(key->obj, name, len))
		return;
	hash = tfs_name_hash(g->from, name, len);
	if (tfs_pseudonym_place(hash) == (key->off & ~255ull))	/* (4) */
		hash = key->off;
	tfs_pseudonym(hash, name, len);
}

static bool is_acl_piece(const struct image *g, uint64_t off)
{
	static const char *const names[] = {
		"system.posix_acl_access", "system.posix_acl_default",
	};

	for (unsigned int i = 0; i < 2; i++)
		if (!((tfs_name_hash(g->from, names[i], strlen(names[i])) ^
		       off) & PLACE))
			return true;
	return false;
}

static bool begins(const char *name, unsigned int len, const char *with)
{
	return len >= strlen(with) && !memcmp(name, with, strlen(with));
}

static void wash_xattr(const struct image *g, const struct tfs_key *key,
		       uint8_t *val, unsigned int len)
{
	struct tfs_disk_xattr d;
	char *name = (char *)val + sizeof(d);
	unsigned int skip = 0;

	if (key->off % PIECES) {
		if (!is_acl_piece(g, key->off))
			memset(val, 0, len);
		return;
	}
	memcpy(&d, val, len < sizeof(d) ? len : sizeof(d));
	if (len < sizeof(d) || len < sizeof(d) + d.name_len) {
		memset(val, 0, len);
		return;
	}
	len -= sizeof(d) + d.name_len;
	if (begins(name, d.name_len, "system.") ||
	    begins(name, d.name_len, "user.tagfs."))
		return;
	memset(name + d.name_len, 0, len);
	if (begins(name, d.name_len, "security."))
		return;
	skip = begins(name, d.name_len, "user.") ? 5 :
		begins(name, d.name_len, "trusted.") ? 8 : 0;
	tfs_pseudonym(key->off, name + skip, d.name_len - skip);
}

/* (3) */
static void wash_inline(const struct image *g, uint8_t *val, unsigned int len,
			uint32_t mode)
{
	uint32_t type = mode & 0170000;

	if (type == 0120000 && !g->anonymise)
		return;
	if (g->with_inline)
		return;
	memset(val, type == 0100000 ? 0 : FILLER, len);
}

void image_wash_item(struct image *g, const struct tfs_key *key, uint8_t *val,
		     unsigned int len, uint32_t mode)
{
	if (key->obj && key->type == TFS_T_INLINE)
		wash_inline(g, val, len, mode);
	else if (!g->anonymise)
		return;
	else if (key->obj && key->type == TFS_T_DIRENT)
		wash_entry(g, key, val, len);
	else if (key->obj && key->type == TFS_T_XATTR)
		wash_xattr(g, key, val, len);
	else if (key->obj ? key->type != TFS_T_INODE &&
		 key->type != TFS_T_EXTENT : key->type > TFS_T_SUSPECT)
		memset(val, 0, len);
}

/* ---- structures ---------------------------------------------------------- */

void image_nonce(const struct image *g, uint8_t nonce[TFS_NONCE])
{
	for (unsigned int i = 0; i < TFS_NONCE; i++)
		nonce[i] ^= g->from->super.nonce[i] ^ g->to->super.nonce[i];
}

/* (2) */
static void move_crc(struct image *g, size_t len, size_t crc_at)
{
	uint32_t sum;

	memcpy(&sum, g->old + crc_at, sizeof(sum));
	sum = htole32(le32toh(sum) ^ tfs_crc32c(g->old, len, crc_at) ^
		      tfs_crc32c(g->new, len, crc_at));
	memcpy(g->new + crc_at, &sum, sizeof(sum));
}

static void wash_super(struct image *g)
{
	struct tfs_disk_super *d = (void *)g->new;

	d->incompat |= htole64(TFS_INCOMPAT_IMAGE);
	image_nonce(g, d->nonce);
	if (g->anonymise) {
		memset(d->label, 0, sizeof(d->label));
		memcpy(d->uuid, g->uuid, sizeof(d->uuid));
	}
	move_crc(g, sizeof(*d), offsetof(struct tfs_disk_super, crc));
}

static void wash_slot(struct image *g)
{
	struct tfs_disk_slot *d = (void *)g->new;

	image_nonce(g, d->nonce);
	d->chain = htole64(image_log_hash(g, le64toh(d->chain)));
	move_crc(g, sizeof(*d), offsetof(struct tfs_disk_slot, crc));
}

static void wash_fence(struct image *g)
{
	struct tfs_disk_fence *d = (void *)g->new;

	image_nonce(g, d->nonce);
	if (g->anonymise)
		memset(d->node, 0, sizeof(d->node));
	move_crc(g, sizeof(*d), offsetof(struct tfs_disk_fence, crc));
}

static void wash_leg(struct image *g)
{
	struct tfs_disk_leg *d = (void *)g->new;

	image_nonce(g, d->nonce);
	move_crc(g, sizeof(*d), offsetof(struct tfs_disk_leg, crc));
}

/* (1): the values that the items name, and nothing between them. */
static void wash_values(struct image *g, unsigned int items, bool leaf)
{
	const struct tfs_disk_item *d = (const void *)
		(g->new + sizeof(struct tfs_disk_node));
	size_t end = sizeof(struct tfs_disk_node) + items * sizeof(*d);
	uint32_t ino = 0, mode = 0;

	for (unsigned int i = 0; i < items; i++) {
		struct tfs_key key = tfs_key(le32toh(d[i].key.obj),
					     d[i].key.type,
					     le64toh(d[i].key.off));
		unsigned int pos = le16toh(d[i].pos), len = le16toh(d[i].len);

		if (len > TFS_VALUE_MAX || pos < end ||
		    pos + len > g->from->csize)
			continue;
		memcpy(g->new + pos, g->old + pos, len);
		if (!leaf)
			continue;
		if (key.type == TFS_T_INODE && len >= sizeof(mode)) {
			memcpy(&mode, g->new + pos, sizeof(mode));
			mode = le32toh(mode);
			ino = key.obj;
		}
		image_wash_item(g, &key, g->new + pos, len,
				key.obj == ino ? mode : 0);
	}
}

static void wash_node(struct image *g)
{
	struct tfs_disk_node *d = (void *)g->new;
	unsigned int items = le16toh(d->items);
	size_t end = sizeof(*d) + items * sizeof(struct tfs_disk_item);

	if (!g->with_inline) {
		if (end > g->from->csize)
			end = sizeof(*d);
		memset(g->new + end, 0, g->from->csize - end);
		if (end > sizeof(*d))
			wash_values(g, items, !d->level);
	}
	image_nonce(g, d->nonce);
	move_crc(g, g->from->csize, offsetof(struct tfs_disk_node, crc));
}

/* A cluster of the log that belongs to no whole commit: nobody looks at what
 * it changes. */
static void wash_log(struct image *g)
{
	struct tfs_disk_log *d = (void *)g->new;

	memset(d + 1, 0, g->from->csize - sizeof(*d));
	image_nonce(g, d->nonce);
	move_crc(g, g->from->csize, offsetof(struct tfs_disk_log, crc));
}

/* (1): but what is not zeros behind a structure is a fault, and stays one. */
static void clear_rest(struct image *g, size_t size)
{
	size_t len = g->from->csize - size;
	bool zero = tfs_all_zero(g->new + size, len);

	memset(g->new + size, 0, len);
	g->new[g->from->csize - 1] = zero ? 0 : 0xff;
}

static const struct form {
	const char	*magic;
	size_t		len, size;	/* 0: all of the cluster */
	void		(*wash)(struct image *g);
} forms[] = {
	{ TFS_SUPER_MAGIC, 8, sizeof(struct tfs_disk_super), wash_super },
	{ "TSLT", 4, sizeof(struct tfs_disk_slot), wash_slot },
	{ "TFNC", 4, sizeof(struct tfs_disk_fence), wash_fence },
	{ "TLEG", 4, sizeof(struct tfs_disk_leg), wash_leg },
	{ "TNDE", 4, 0, wash_node },
	{ "TLOG", 4, 0, wash_log },
};

void image_wash(struct image *g)
{
	memcpy(g->new, g->old, g->from->csize);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];

		if (memcmp(g->old, f->magic, f->len))
			continue;
		if (f->size)
			clear_rest(g, f->size);
		f->wash(g);
		return;
	}
	memset(g->new, 0, g->from->csize);			/* (1) */
}
