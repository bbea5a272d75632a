/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvme.h - NVMe: what a namespace says of itself, commands, status codes. */
#ifndef ENG_NVME_H
#define ENG_NVME_H

#include "tagpi.h"

/* The pages that a controller and a namespace describe themselves with. */
#define ENG_NVME_ID	4096

struct eng_nvme_id {
	uint8_t		ns[ENG_NVME_ID];
	uint8_t		ctrl[ENG_NVME_ID];
	uint8_t		nvm[ENG_NVME_ID];	/* zeros: none */
};

struct eng_nvme_ns {
	uint32_t	nsid;
	bool		native;		/* found is its protection */
	struct eng_profile found;	/* but for its name */
	const char	*why_not;	/* if not native; never NULL */
	char		advice[80];	/* options of "nvme format" that make it
					 * native, or its runs smaller; or "" */
};

/* fd: the namespace, as a block or a generic device.  -errno: it can't be
 * asked (not an NVMe, not root); nothing is logged. */
int eng_nvme_identify(int fd, struct eng_nvme_ns *ns);
/* What the pages say; all but nsid.  They may hold anything. */
void eng_nvme_judge(const struct eng_nvme_id *id, struct eng_nvme_ns *ns);

/* -errno of a completion's status; *kind: which check refused, if one did. */
int eng_nvme_error(unsigned int status, enum eng_fault_kind *kind);

/* Wait for one command without metadata, on a generic device. */
int eng_nvme_flush(int fd, uint32_t nsid);
int eng_nvme_deallocate(int fd, uint32_t nsid, uint64_t lba, uint64_t count);

#endif
