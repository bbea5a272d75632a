/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster.c - whole clusters with their record, and small helpers around
 * them. */
#include <stdio.h>
#include <string.h>

#include "core/tuple.h"
#include "mirror/mirror.h"
#include "base/about.h"
#include "base/cluster.h"
#include "base/hash.h"

void tfs_tag_fill(const struct tfs *fs, const struct tfs_record *first,
		  uint64_t addr, uint32_t skip, uint32_t count,
		  uint16_t *tags)
{
	struct tfs_record rec = *first;
	uint32_t per = TFS_LANES / fs->ipc;
	uint16_t lanes[TFS_LANES];

	while (count) {
		uint32_t n = fs->ipc - skip;

		if (n > count)
			n = count;
		tfs_record_encode(&fs->key, &rec, addr, lanes);
		memcpy(tags, lanes + skip * per, n * per * sizeof(*tags));
		tags += n * per;
		count -= n;
		skip = 0;
		addr++;
		rec.index++;
	}
}

/* Guard and application tag lead the tuple; the reference tag follows from
 * the address, and a device may have rewritten it in passing.  Where an
 * interval has more tags, they come next. */
uint64_t tfs_cluster_proof(const struct tfs *fs, uint64_t addr,
			   const uint8_t *tuples)
{
	const struct eng_profile *p = fs->geo->profile;
	size_t n = (p->guard == ENG_GUARD_CRC64 ? 8 : 2) + 2;
	uint8_t text[8 + TFS_LANES * 10];
	uint64_t at = htole64(addr);
	size_t len = 8;

	memcpy(text, &at, 8);
	for (uint32_t i = 0; i < fs->ipc; i++, len += n)
		memcpy(text + len, tuples + i * p->meta_size + p->pi_offset,
		       n);
	n = 2 * (p->tags - 1u);
	memcpy(text + len, tuples + eng_more_tags_at(p), n);
	return tfs_siphash(tfs_nonce(fs), text, len + n);
}

void tfs_fault_count(struct tfs *fs, int err, const struct eng_fault *fault)
{
	struct tfs_counters *c = &fs->count;
	atomic_ullong *which = &c->io_errors;

	if (err == -EBADMSG) {
		switch (fault->kind) {
		case ENG_FAULT_GUARD:
			which = &c->fault_guard;
			break;
		case ENG_FAULT_REF:
			which = &c->fault_ref;
			break;
		case ENG_FAULT_APP:
			which = &c->fault_app;
			break;
		case ENG_FAULT_ESCAPE:
			which = &c->fault_escape;
			break;
		default:
			break;
		}
	}
	atomic_fetch_add(which, 1);
}

const char *tfs_fault_text(int err, const struct eng_fault *fault, char *buf,
			   size_t size)
{
	if (err == -EBADMSG)
		snprintf(buf, size, "device interval %llu: %s check failed, "
			 "expected 0x%llx, found 0x%llx",
			 (unsigned long long)fault->interval,
			 eng_fault_name(fault->kind),
			 (unsigned long long)fault->expected,
			 (unsigned long long)fault->actual);
	else if (err == -EILSEQ)
		snprintf(buf, size, "device interval %llu: refused by the "
			 "device (%s check)",
			 (unsigned long long)fault->interval,
			 fault->kind == ENG_FAULT_DEVICE ? "unnamed" :
			 eng_fault_name(fault->kind));
	else
		snprintf(buf, size, "%s", strerror(-err));
	return buf;
}

static int cluster_io(struct tfs *fs, enum eng_op op, unsigned int flags,
		      uint64_t addr, const struct tfs_record *rec, void *buf,
		      struct eng_fault *fault)
{
	struct eng_io *io;
	int err;

	if (addr >= fs->super.clusters)
		return -EUCLEAN;
	if (addr >= fs->geo->intervals / fs->ipc)
		return -EIO;		/* it is cut short */
	io = eng_io_get(fs->dev, fs->ipc, 1);
	if (!io)
		return -ENOMEM;
	io->op = op;
	io->start = addr * fs->ipc;
	eng_io_add(io, buf, fs->csize);
	io->flags = rec ? flags : ENG_IO_TAGS_OUT;
	if (rec)
		tfs_tag_fill(fs, rec, addr, 0, fs->ipc, io->tags);
	err = eng_io_run(io);
	*fault = io->fault;
	eng_io_put(io);
	return err;
}

/* The same, and a line if it fails. */
static int cluster_io_loud(struct tfs *fs, enum eng_op op, uint64_t addr,
			   const struct tfs_record *rec, void *buf,
			   struct eng_fault *fault)
{
	char text[160];
	int err = cluster_io(fs, op, 0, addr, rec, buf, fault);

	if (!err || err == -ENOMEM || addr >= fs->super.clusters)
		return err;
	tfs_fault_count(fs, err, fault);
	tfs_log_about(LOG_ERR, &(struct tfs_about){
			.cluster = addr, .check = tfs_check_name(err, fault) },
		      "metadata cluster %llu: cannot %s: %s",
		      (unsigned long long)addr,
		      op == ENG_READ ? "read" : "write",
		      tfs_fault_text(err, fault, text, sizeof(text)));
	return err;
}

int tfs_cluster_leg(struct tfs *fs, unsigned int leg, uint64_t addr,
		    uint32_t count, unsigned int flags, void *buf,
		    uint16_t *tags, struct eng_fault *fault)
{
	struct eng_io *io = eng_io_get(fs->dev, count * fs->ipc, 1);
	int err;

	*fault = (struct eng_fault){ 0 };
	if (!io)
		return -ENOMEM;
	io->op = ENG_READ;
	io->flags = ENG_IO_TAGS_OUT | flags;
	io->leg = eng_mirror_legs(fs->dev) ? leg : 0;
	io->start = addr * fs->ipc;
	eng_io_add(io, buf, (size_t)count * fs->csize);
	err = eng_io_run(io);
	*fault = io->fault;
	if (err)	/* the payload's are what was there before */
		memset(tags, 0xff, (size_t)count * TFS_LANES * sizeof(*tags));
	else
		memcpy(tags, io->tags,
		       (size_t)count * TFS_LANES * sizeof(*tags));
	eng_io_put(io);
	return err;
}

int tfs_cluster_tags(struct tfs *fs, uint64_t addr, uint32_t count,
		     unsigned int flags, void *buf, uint16_t *tags,
		     struct eng_fault *fault)
{
	return tfs_cluster_leg(fs, 0, addr, count, flags, buf, tags, fault);
}

int tfs_cluster_claim(struct tfs *fs, uint64_t addr, void *buf,
		      uint16_t tags[TFS_LANES])
{
	const struct eng_profile *p = fs->geo->profile;
	struct eng_io *io = eng_io_get(fs->dev, fs->ipc, 1);
	int err;

	if (!io)
		return -ENOMEM;
	io->op = ENG_READ;
	io->start = addr * fs->ipc;
	eng_io_add(io, buf, fs->csize);
	io->flags = ENG_IO_PROTECTED | ENG_IO_MEDIUM;
	err = eng_io_run(io);
	for (uint32_t i = 0; i < fs->ipc && !err; i++)
		eng_tuple_tags(p, io->tuples + (size_t)i * p->meta_size,
			       tags + i * p->tags);
	eng_io_put(io);
	return err;
}

unsigned int tfs_leg_next(const struct tfs *fs, unsigned int leg)
{
	unsigned int n = eng_mirror_legs(fs->dev);

	if (!n)
		return !leg;
	while (leg < n)
		if (eng_mirror_state(fs->dev, leg++) == ENG_LEG_CURRENT)
			return leg;
	return 0;
}

int tfs_cluster_try(struct tfs *fs, uint64_t addr,
		    const struct tfs_record *rec, void *buf,
		    struct eng_fault *fault)
{
	return cluster_io(fs, ENG_READ, ENG_IO_LEGS, addr, rec, buf, fault);
}

int tfs_cluster_read(struct tfs *fs, uint64_t addr,
		     const struct tfs_record *rec, void *buf)
{
	struct eng_fault fault;

	return tfs_cluster_read_why(fs, addr, rec, buf, &fault);
}

int tfs_cluster_read_why(struct tfs *fs, uint64_t addr,
			 const struct tfs_record *rec, void *buf,
			 struct eng_fault *fault)
{
	*fault = (struct eng_fault){ .kind = ENG_FAULT_NONE };
	return cluster_io_loud(fs, ENG_READ, addr, rec, buf, fault);
}

int tfs_cluster_write(struct tfs *fs, uint64_t addr,
		      const struct tfs_record *rec, void *buf)
{
	struct eng_fault fault;

	return cluster_io_loud(fs, ENG_WRITE, addr, rec, buf, &fault);
}

bool tfs_all_zero(const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len && !*p)
		p++, len--;
	return !len;
}
