/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs_list.c - the list of a mirror's legs as each of them has it: two copies.
 *
 *  (1) A copy is written and flushed before the other one is touched.
 *  (2) A copy that is older than the other one is what an interrupted change
 *      leaves, and no damage.  It is written anew as damage is. */
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "mount/legs_priv.h"

static uint64_t list_addr(const struct tfs *at, unsigned int copy)
{
	return at->super.clusters - TFS_END_LEG + copy;
}

static void list_encode(const struct tfs *at, struct tfs_disk_leg *d,
			const struct tfs_leg_list *l, unsigned int self,
			unsigned int copy)
{
	*d = (struct tfs_disk_leg){
		.magic = htole32(TFS_LEG_MAGIC),
		.generation = htole64(l->generation),
		.id = htole64(l->id), .prev = htole64(l->prev),
		.legs = (uint8_t)l->n, .self = (uint8_t)self,
		.copy = (uint8_t)copy,
	};
	memcpy(d->nonce, tfs_nonce(at), TFS_NONCE);
	for (unsigned int i = 0; i < l->n; i++) {
		const struct tfs_member *m = &l->member[i];

		d->member[i] = (struct tfs_disk_member){
			.left = htole64(m->left),
			.id = { htole64(m->id[0]), htole64(m->id[1]) },
			.state = (uint8_t)m->state,
		};
		memcpy(d->member[i].uuid, m->uuid, 16);
	}
	d->crc = htole32(tfs_crc32c(d, sizeof(*d),
				    offsetof(struct tfs_disk_leg, crc)));
}

static const char *member_decode(struct tfs_member *m,
				 const struct tfs_disk_member *d, bool there)
{
	if (!there)
		return tfs_all_zero(d, sizeof(*d)) ? NULL : "padding";
	*m = (struct tfs_member){
		.state = d->state, .left = le64toh(d->left),
		.id = { le64toh(d->id[0]), le64toh(d->id[1]) },
	};
	memcpy(m->uuid, d->uuid, 16);
	if (!tfs_all_zero(d->pad, sizeof(d->pad)))
		return "padding";
	if (m->state != TFS_LEG_CURRENT && m->state != TFS_LEG_BEHIND)
		return "state";
	if (m->left >= TFS_SEQ_MAX || (m->state == TFS_LEG_CURRENT &&
				       (m->left || m->id[0] || m->id[1])))
		return "commit";
	return NULL;
}

/* Everything of it is checked here. */
static const char *list_decode(const struct tfs *at,
			       const struct tfs_disk_leg *d,
			       unsigned int copy, struct tfs_leg_list *l)
{
	const char *bad = NULL;

	if (le32toh(d->magic) != TFS_LEG_MAGIC)
		return "magic";
	if (le32toh(d->crc) != tfs_crc32c(d, sizeof(*d),
					  offsetof(struct tfs_disk_leg, crc)))
		return "checksum";
	if (memcmp(d->nonce, tfs_nonce(at), TFS_NONCE))
		return "nonce";
	*l = (struct tfs_leg_list){
		.generation = le64toh(d->generation), .id = le64toh(d->id),
		.prev = le64toh(d->prev), .n = d->legs, .self = d->self,
	};
	if (!l->n || l->n > TFS_LEGS_MAX || l->self >= l->n ||
	    d->copy != copy || !tfs_all_zero(d->pad, sizeof(d->pad)))
		return "number, copy or padding";
	if (!l->generation || l->generation >= TFS_SEQ_MAX || !l->id)
		return "generation";
	for (unsigned int i = 0; i < TFS_LEGS_MAX && !bad; i++)
		bad = member_decode(&l->member[i], &d->member[i], i < l->n);
	return bad;
}

bool tfs_legs_self(const struct tfs *at, const struct tfs_record *rec,
		   const void *buf, bool *behind)
{
	struct tfs_leg_list l;

	if (list_decode(at, buf, rec->index, &l) || l.self != rec->owner ||
	    l.generation != rec->seq)
		return false;
	*behind = l.member[l.self].state == TFS_LEG_BEHIND;
	return true;
}

/* NULL: it is good, and *l. */
static const char *copy_read(struct tfs *at, unsigned int copy,
			     unsigned int flags, uint8_t *buf,
			     struct tfs_leg_list *l, char text[TFS_LEGS_TEXT],
			     int *err)
{
	uint64_t addr = list_addr(at, copy);
	struct tfs_record rec = { .kind = TFS_K_LEG, .index = copy };
	uint16_t tags[TFS_LANES], lanes[TFS_LANES];
	struct eng_fault fault;
	const char *why;

	*err = tfs_cluster_tags(at, addr, 1, flags, buf, tags, &fault);
	if (*err)
		return tfs_fault_text(*err, &fault, text, TFS_LEGS_TEXT);
	why = list_decode(at, (void *)buf, copy, l);
	if (why)
		return why;
	rec.owner = l->self;
	rec.seq = l->generation;
	tfs_record_encode(&at->key, &rec, addr, lanes);
	return memcmp(lanes, tags, sizeof(lanes)) ? "application tags" : NULL;
}

/* The newer of two good copies. */
int tfs_legs_read(struct tfs *at, const char *name, struct tfs_leg_list *out)
{
	uint8_t *buf = eng_buf_get(at->dev, at->csize);
	const char *why[2] = { NULL };
	char text[2][TFS_LEGS_TEXT];
	int err, good = 0;

	if (!buf)
		return -ENOMEM;
	for (unsigned int i = 0; i < 2; i++) {
		struct tfs_leg_list l;

		why[i] = copy_read(at, i, 0, buf, &l, text[i], &err);
		if (err == -ENOMEM)
			break;
		if (!why[i] && (!good++ || l.generation > out->generation))
			*out = l;
	}
	eng_buf_put(at->dev, buf, at->csize);
	if (err == -ENOMEM)
		return err;
	if (!good)
		eng_log(LOG_ERR, "%s: its list of the legs of the mirror is "
			"damaged: %s; %s", name, why[0], why[1]);
	return good ? 0 : -EUCLEAN;
}

static int copy_write(struct tfs_legs *ls, struct tfs_leg *leg,
		      unsigned int copy, uint8_t *buf)
{
	struct tfs *at = leg->at;
	struct tfs_record rec = { .kind = TFS_K_LEG, .owner = leg->member,
				  .index = copy, .seq = ls->list.generation };
	int err;

	memset(buf, 0, at->csize);
	list_encode(at, (void *)buf, &ls->list, leg->member, copy);
	err = tfs_cluster_write(at, list_addr(at, copy), &rec, buf);
	return err ? err : eng_dev_flush(at->dev);
}

/* (1) */
int tfs_legs_write(struct tfs_legs *ls, struct tfs_leg *leg)
{
	struct tfs *at = leg->at;
	uint8_t *buf = eng_buf_get(at->dev, at->csize);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	leg->tried = ls->list.id;
	for (unsigned int i = 0; i < 2 && !err; i++)
		err = copy_write(ls, leg, i, buf);
	eng_buf_put(at->dev, buf, at->csize);
	if (!err)
		leg->id = ls->list.id;
	return err;
}

/* ---- are both copies there? --------------------------------------------- */

/* Of the list in use every byte is known. */
static bool as_given(struct tfs_legs *ls, const struct tfs_leg *leg,
		     unsigned int copy, const uint8_t *buf)
{
	struct tfs_disk_leg d;

	if (leg->id != ls->list.id)
		return true;
	list_encode(leg->at, &d, &ls->list, leg->member, copy);
	return !memcmp(&d, buf, sizeof(d)) &&
		tfs_all_zero(buf + sizeof(d), leg->at->csize - sizeof(d));
}

/* (2)  The one that is good is not touched. */
int tfs_leg_look(struct tfs_legs *ls, struct tfs_leg *leg, bool fix,
		 struct tfs_legs_look *out)
{
	uint8_t *buf = eng_buf_get(leg->at->dev, leg->at->csize);
	bool older[2] = { false };
	int err = buf ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < 2 && err != -ENOMEM; i++) {
		struct tfs_leg_list l;

		out->why[i] = copy_read(leg->at, i, ENG_IO_MEDIUM, buf, &l,
					out->text[i], &err);
		older[i] = !out->why[i] && l.id != leg->id;
		if (!out->why[i] && !older[i] && !as_given(ls, leg, i, buf))
			out->why[i] = "not what was written";
	}
	if (err == -ENOMEM)
		goto out;
	err = fix && leg->id == ls->list.id ? 0 : -EROFS;
	for (unsigned int i = 0; i < 2 && !err; i++)
		if (out->why[i] || older[i])
			err = copy_write(ls, leg, i, buf);
	out->mended = !err;
	err = 0;
out:
	eng_buf_put(leg->at->dev, buf, leg->at->csize);
	return err;
}
