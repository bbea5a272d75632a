/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvme.c - NVMe: what a namespace says of itself, commands, status codes.
 *  (1) Words of the NVMe base specification 2.0 and the NVM command set
 *      specification 1.0: Identify Namespace (CNS 00h), its NVM command set
 *      part with the extended LBA formats (CNS 05h), and Identify Controller
 *      (CNS 01h).  Fields are little-endian, at the offsets given there.
 *  (2) Nothing is believed to be there that the controller does not announce:
 *      the extended formats only with the ELBAS attribute, and a namespace
 *      whose tuples have a storage tag is not used. */
#include <endian.h>
#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "native/nvme.h"

enum {
	ADMIN_IDENTIFY	= 0x06,
	CNS_NS		= 0x00,
	CNS_CTRL	= 0x01,
	CNS_NS_NVM	= 0x05,
	IO_FLUSH	= 0x00,
	IO_DSM		= 0x09,
	DSM_DEALLOCATE	= 1 << 2,
	/* offsets in Identify Namespace, and what is there */
	NS_NLBAF	= 25,
	NS_FLBAS	= 26,
	FLBAS_EXTENDED	= 1 << 4,
	NS_MC		= 27,
	MC_SEPARATE	= 1 << 1,
	NS_DPC		= 28,
	DPC_FIRST	= 1 << 3,
	DPC_LAST	= 1 << 4,
	NS_DPS		= 29,
	DPS_TYPE	= 7,
	DPS_FIRST	= 1 << 3,
	NS_LBAF		= 128,
	/* in Identify Controller */
	CTRL_CTRATT	= 96,
	CTRATT_ELBAS	= 1 << 15,
	/* in the NVM part of Identify Namespace */
	NVM_ELBAF	= 12,
	ELBAF_STS	= 0x7f,
	ELBAF_PIF	= 7,		/* shift */
	PIF_16		= 0,
	PIF_64		= 2,
};

/* What a run of intervals shall hold, as eng_profile_run() takes it. */
#define TAG_BYTES	16

/* One LBA format. */
struct lbaf {
	uint32_t	interval;
	uint16_t	meta;
	unsigned int	pif, sts;
};

/* ---- commands --------------------------------------------------------- */

static int identify(int fd, uint32_t nsid, unsigned int cns, void *out)
{
	struct nvme_admin_cmd cmd = {
		.opcode = ADMIN_IDENTIFY, .nsid = nsid, .cdw10 = cns,
		.addr = (uintptr_t)out, .data_len = ENG_NVME_ID,
	};
	int res = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	return res < 0 ? -errno : res ? -EIO : 0;
}

static int io_command(int fd, struct nvme_passthru_cmd *cmd)
{
	enum eng_fault_kind kind;
	int res;

	do {
		res = ioctl(fd, NVME_IOCTL_IO_CMD, cmd);
	} while (res < 0 && errno == EINTR);
	return res < 0 ? -errno : eng_nvme_error((unsigned int)res, &kind);
}

int eng_nvme_flush(int fd, uint32_t nsid)
{
	struct nvme_passthru_cmd cmd = { .opcode = IO_FLUSH, .nsid = nsid };

	return io_command(fd, &cmd);
}

static int deallocate_range(int fd, uint32_t nsid, uint64_t lba,
			    uint32_t count)
{
	struct {
		uint32_t	attributes;
		uint32_t	count;
		uint64_t	lba;
	} range = { .count = htole32(count), .lba = htole64(lba) };
	struct nvme_passthru_cmd cmd = {
		.opcode = IO_DSM, .nsid = nsid, .cdw11 = DSM_DEALLOCATE,
		.addr = (uintptr_t)&range, .data_len = sizeof(range),
	};

	return io_command(fd, &cmd);
}

int eng_nvme_deallocate(int fd, uint32_t nsid, uint64_t lba, uint64_t count)
{
	int err = 0;

	while (count && !err) {
		uint32_t n = count < 1u << 30 ? (uint32_t)count : 1u << 30;

		err = deallocate_range(fd, nsid, lba, n);
		lba += n;
		count -= n;
	}
	return err;
}

/* The bits above say to try again or not, or that more is known. */
int eng_nvme_error(unsigned int status, enum eng_fault_kind *kind)
{
	*kind = ENG_FAULT_NONE;
	switch (status & 0x7ff) {
	case 0x000:
		return 0;
	case 0x282:
		*kind = ENG_FAULT_GUARD;
		return -EILSEQ;
	case 0x283:
		*kind = ENG_FAULT_APP;
		return -EILSEQ;
	case 0x284:
		*kind = ENG_FAULT_REF;
		return -EILSEQ;
	case 0x001:		/* no such command */
		return -EOPNOTSUPP;
	case 0x00b:		/* no such namespace */
		return -ENODEV;
	case 0x020:		/* namespace is write protected */
	case 0x182:		/* range is read-only */
		return -EROFS;
	case 0x181:		/* protection information fields */
		return -EINVAL;
	default:
		return -EIO;
	}
}

/* ---- formats ---------------------------------------------------------- */

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static struct lbaf lbaf_at(const struct eng_nvme_id *id, unsigned int i)
{
	uint32_t lbaf = le32(id->ns + NS_LBAF + 4 * i);
	uint32_t elbaf = le32(id->nvm + NVM_ELBAF + 4 * i);
	unsigned int shift = lbaf >> 16 & 0xff;

	return (struct lbaf) {
		.interval = shift >= 9 && shift <= 16 ? 1u << shift : 0,
		.meta = (uint16_t)lbaf,
		.pif = elbaf >> ELBAF_PIF & 3, .sts = elbaf & ELBAF_STS,
	};
}

/* The profile of a format with protection type and place; false: tagfs knows
 * none. */
static bool to_profile(const struct lbaf *f, unsigned int type, bool first,
		       struct eng_profile *p)
{
	unsigned int size = f->pif == PIF_64 ? 16 : 8;
	const struct eng_profile *row;

	if (f->meta < size || f->sts || (f->pif != PIF_16 && f->pif != PIF_64))
		return false;
	*p = (struct eng_profile) {
		.interval = f->interval, .meta_size = f->meta,
		.pi_size = (uint8_t)size, .type = (uint8_t)type,
		.pi_offset = first ? 0 : (uint16_t)(f->meta - size),
		.guard = f->pif == PIF_64 ? ENG_GUARD_CRC64 : ENG_GUARD_CRC16,
		.tags = 1,
	};
	for (unsigned int i = 0; (row = eng_profile_at(i)); i++)
		if (eng_profile_equal(row, p))
			return true;
	return false;
}

/* The type to format with: reference tags are worth having. */
static unsigned int best_type(unsigned int dpc)
{
	return dpc & 1 ? 1 : dpc & 4 ? 3 : dpc & 2 ? 2 : 0;
}

/* Smallest runs, then largest intervals, then least metadata. */
static bool better(const struct eng_profile *a, const struct eng_profile *b)
{
	uint32_t run_a = eng_profile_run(a, TAG_BYTES);
	uint32_t run_b = eng_profile_run(b, TAG_BYTES);

	return run_a != run_b ? run_a < run_b :
	       a->interval != b->interval ? a->interval > b->interval :
	       a->meta_size < b->meta_size;
}

/* Worth erasing a namespace for? */
static bool gains(const struct eng_nvme_ns *ns, const struct eng_profile *p)
{
	return !ns->native || eng_profile_run(p, TAG_BYTES) <
			      eng_profile_run(&ns->found, TAG_BYTES);
}

static void advise(const struct eng_nvme_id *id, struct eng_nvme_ns *ns)
{
	unsigned int dpc = id->ns[NS_DPC], type = best_type(dpc);
	bool first = !(dpc & DPC_LAST);
	struct eng_profile p, best = { 0 };

	if (!type || !(dpc & (DPC_FIRST | DPC_LAST)) ||
	    !(id->ns[NS_MC] & MC_SEPARATE))
		return;
	for (unsigned int i = 0; i <= id->ns[NS_NLBAF] && i < 64; i++) {
		struct lbaf f = lbaf_at(id, i);

		if (!to_profile(&f, type, first, &p) || !gains(ns, &p) ||
		    (best.interval && !better(&p, &best)))
			continue;
		best = p;
		snprintf(ns->advice, sizeof(ns->advice),
			 " --lbaf=%u --pi=%u --pil=%u --ms=0", i, type, first);
	}
}

static const char *find_profile(const struct eng_nvme_id *id,
				struct eng_nvme_ns *ns)
{
	unsigned int flbas = id->ns[NS_FLBAS], dps = id->ns[NS_DPS];
	struct lbaf f = lbaf_at(id, (flbas >> 1 & 0x30) | (flbas & 15));

	if (!f.meta)
		return "the namespace is formatted without metadata";
	if (!(dps & DPS_TYPE))
		return "the namespace is formatted with metadata, but without "
			"protection information";
	if (flbas & FLBAS_EXTENDED)
		return "the namespace is formatted with metadata inside of "
			"the data (extended LBA)";
	if (!to_profile(&f, dps & DPS_TYPE, dps & DPS_FIRST, &ns->found))
		return "the namespace is formatted in a way unknown to tagfs";
	return NULL;
}

static int identify_all(int fd, uint32_t nsid, struct eng_nvme_id *id)
{
	int err = identify(fd, nsid, CNS_NS, id->ns);

	if (!err)
		err = identify(fd, 0, CNS_CTRL, id->ctrl);
	if (err || !(le32(id->ctrl + CTRL_CTRATT) & CTRATT_ELBAS))
		return err;
	return identify(fd, nsid, CNS_NS_NVM, id->nvm);	/* (2) */
}

void eng_nvme_judge(const struct eng_nvme_id *id, struct eng_nvme_ns *ns)
{
	const char *why = find_profile(id, ns);

	ns->native = !why;
	ns->why_not = why ? why : "";
	advise(id, ns);
}

int eng_nvme_identify(int fd, struct eng_nvme_ns *ns)
{
	struct eng_nvme_id *id;
	int nsid = ioctl(fd, NVME_IOCTL_ID);
	int err;

	if (nsid < 0)
		return -errno;
	id = aligned_alloc(ENG_NVME_ID, sizeof(*id));
	if (!id)
		return -ENOMEM;
	memset(id, 0, sizeof(*id));
	*ns = (struct eng_nvme_ns) { .nsid = (uint32_t)nsid };
	err = identify_all(fd, ns->nsid, id);
	if (!err)
		eng_nvme_judge(id, ns);
	free(id);
	return err;
}
