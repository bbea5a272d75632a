/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* layout.c - where everything is in a container. */
#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>

#include "soft/layout.h"

uint32_t soft_crc(const void *buf, size_t len)
{
	return ~crc32_iscsi((unsigned char *)buf, (int)len, ~0u);
}

/* The first sector has those of the others. */
void soft_page_seal(struct soft_disk_page *page)
{
	const uint8_t *bytes = (const uint8_t *)page;

	page->crc[0] = 0;
	for (unsigned int i = 1; i < SOFT_SECTORS; i++)
		page->crc[i] = put_le32(soft_crc(bytes + i * SOFT_SECTOR,
						 SOFT_SECTOR));
	page->crc[0] = put_le32(soft_crc(bytes, SOFT_SECTOR));
}

int soft_layout(struct soft_layout *l, const struct eng_profile *p,
		uint64_t size)
{
	uint32_t run, groups;
	uint64_t left;

	p = eng_profile_tags(p, 1);	/* as the medium knows it */
	run = eng_profile_run(p, 16);
	memset(l, 0, sizeof(*l));
	l->profile = p;
	l->group = run / p->interval;
	groups = SOFT_ROOM / p->meta_size / l->group;
	l->zone_intervals = groups * l->group;
	l->zone_bytes = SOFT_PAGES + (uint64_t)groups * run;
	l->size = size / SOFT_BLOCK * SOFT_BLOCK;
	if (l->size < 2 * SOFT_BLOCK)
		return -ENOSPC;
	left = l->size - 2 * SOFT_BLOCK;
	l->zones = left / l->zone_bytes;
	l->intervals = l->zones * l->zone_intervals;
	left %= l->zone_bytes;
	if (left >= SOFT_PAGES + run) {
		l->intervals += (left - SOFT_PAGES) / run * l->group;
		l->zones++;
	}
	return l->zones ? 0 : -ENOSPC;
}

int eng_soft_geometry(const struct eng_profile *p, uint64_t size,
		      struct eng_soft_geometry *out)
{
	struct soft_layout l;
	int err = soft_layout(&l, p, size);

	if (err)
		return err;
	out->intervals = l.intervals;
	out->overhead = size - l.intervals * p->interval;
	return 0;
}
