/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_format.h - the software PI container, byte for byte.
 *
 *	byte 0		container header, copy 0
 *	4096		zone 0, zone 1, ... back to back
 *	size - 4096	container header, copy 1
 *
 *	zone:	tuple page of even generations		4096 bytes
 *		tuple page of odd generations		4096 bytes
 *		data	zone_intervals * interval; less in the last zone
 *
 * size is that of the file, rounded down to 4096.  A group is the smallest
 * power-of-two run of intervals, at least 4096 bytes, whose tags hold 16
 * bytes (eng_profile_run()): what the owner allocates.  A zone holds as many
 * whole groups as fit one tuple page.  The last zone holds the whole groups
 * that are left; if none is left, it does not exist.
 *
 * Numbers are little-endian, checksums are CRC-32C (RFC 3720: initial value
 * and final complement all ones).  Tuples are as T10 and NVMe define them,
 * metadata area whole. */
#ifndef ENG_SOFT_FORMAT_H
#define ENG_SOFT_FORMAT_H

#include <linux/types.h>
#include <stddef.h>

#define SOFT_BLOCK	4096u
#define SOFT_SECTOR	512u	/* what a power cut leaves whole */
#define SOFT_SECTORS	(SOFT_BLOCK / SOFT_SECTOR)
#define SOFT_PAGES	(2 * SOFT_BLOCK)	/* before a zone's data */

#define SOFT_HEAD_MAGIC	0x3157534950474154ull	/* "TAGPISW1" */
#define SOFT_PAGE_MAGIC	0x3150555449504154ull	/* "TAPITUP1" */
#define SOFT_VERSION	1u

#define SOFT_GUARD_CRC16	0
#define SOFT_GUARD_IP		1
#define SOFT_GUARD_CRC64	2

/* Feature words: unknown compat bits don't matter, unknown ro_compat bits
 * forbid writing, unknown incompat bits forbid opening. */
#define SOFT_COMPAT_IMAGE	1ull	/* data were left out: for its owner */
#define SOFT_RO_COMPAT_KNOWN	0ull
#define SOFT_INCOMPAT_KNOWN	0ull

/* The container.  Two copies; copy 0 is used unless it is damaged. */
struct soft_disk_head {
/*000*/	__le64	magic;		/* first field for ever */
/*008*/	__le32	version;
	__le32	copy;		/* 0: at byte 0; 1: in the last block */
/*010*/	__le64	compat;
/*018*/	__le64	ro_compat;
/*020*/	__le64	incompat;
/*028*/	__le64	id;		/* random: pages of another id are blank */
/*030*/	__le32	interval;	/* profile: see struct eng_profile */
	__le16	meta_size;
	__le16	pi_offset;
/*038*/	__u8	pi_size;
	__u8	type;
	__u8	guard;		/* SOFT_GUARD_* */
	__u8	pad0;		/* written 0, refused if not 0 */
	__le32	zone_intervals;	/* in every zone but the last */
/*040*/	__le64	zones;		/* the last, short one included */
/*048*/	__le64	intervals;	/* usable */
/*050*/	__le64	size;		/* bytes, both headers included */
/*058*/	__u8	pad[0xffc - 0x058];	/* written 0, refused if not 0 */
/*ffc*/	__le32	crc;		/* of 000..ffb; here for ever, too */
};
_Static_assert(sizeof(struct soft_disk_head) == SOFT_BLOCK, "header");
_Static_assert(offsetof(struct soft_disk_head, id) == 0x028, "id");
_Static_assert(offsetof(struct soft_disk_head, pi_size) == 0x038, "profile");
_Static_assert(offsetof(struct soft_disk_head, size) == 0x050, "size");
_Static_assert(offsetof(struct soft_disk_head, crc) == 0xffc, "crc is last");

/* A tuple page: this, then the tuples of the zone in order, then zeros.
 * Generation g lives in page g % 2 of its zone; the first is 1; the higher
 * one counts.  Every 512-byte sector has a checksum of its own, so that what
 * a torn or rotten page still holds is known sector by sector; crc[0] is of
 * sector 0 with crc[0] taken as 0. */
struct soft_disk_page {
/*00*/	__le64	magic;
/*08*/	__le64	id;		/* the container's */
/*10*/	__le64	zone;
/*18*/	__le64	gen;
/*20*/	__le32	crc[SOFT_SECTORS];
/*40*/	__u8	tuples[SOFT_BLOCK - 0x40];
};
_Static_assert(sizeof(struct soft_disk_page) == SOFT_BLOCK, "tuple page");
_Static_assert(offsetof(struct soft_disk_page, crc) == 0x20, "checksums");
_Static_assert(offsetof(struct soft_disk_page, tuples) == 0x40, "tuples");

#define SOFT_ROOM	sizeof(((struct soft_disk_page *)0)->tuples)
#define SOFT_GEN_MAX	(1ull << 62)	/* can't be reached by counting */

#endif
