/* SPDX-License-Identifier: GPL-2.0-or-later */
/* format.h - every byte that tagfs puts in the data of a cluster.
 *
 * doc/SPEC.md explains what is declared here; the two change together.  All
 * structures are little-endian and naturally aligned; padding is spelled
 * out, written 0 and refused if not 0.  What goes into the application tags
 * is record.c's; what the software container adds is engine/soft/soft_format.h's.
 *
 * A cluster address (le64) counts clusters from the start of the device; 0
 * is the superblock, so that it also says "none". */
#ifndef TFS_FORMAT_H
#define TFS_FORMAT_H

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

#define TFS_CLUSTER_MIN		4096u
#define TFS_CLUSTER_MAX		65536u	/* 16-bit positions inside a node */
#define TFS_TAG_BYTES		16u	/* of one cluster, the record */
#define TFS_SEQ_BITS		44
#define TFS_SEQ_MAX		((1ull << TFS_SEQ_BITS) - 1)
#define TFS_SEQ_JUMP		(1ull << 20)	/* after every mount */
#define TFS_CLUSTERS_MIN	1024ull
#define TFS_CLUSTERS_MAX	(1ull << 44)
#define TFS_NAME_MAX		255u
#define TFS_ROOT_INO		1u
#define TFS_FIRST_INO		16u	/* 2..15 kept for the future */
#define TFS_NONCE		16
#define TFS_LABEL		32

/* ---- where things are -------------------------------------------------- */

/* The first clusters, and counted from the end the last ones. */
enum {
	TFS_AT_SUPER	= 0,
	TFS_AT_SLOT	= 1,	/* 1, 2: first copies of slots 0 and 1 */
	TFS_AT_LOG	= 3,	/* the log follows */
	TFS_END_SLOT	= 3,	/* n - 3, n - 2: second copies */
	TFS_END_SUPER	= 1,	/* n - 1 */
	TFS_END_FENCE	= 4,	/* n - 4, if there is one */
	TFS_END_LEG	= 6,	/* n - 6, n - 5: of a leg of a mirror */
};

/* The two copies of a node are at least so many clusters apart, unless nothing
 * else is free: more than any zone of a container has. */
#define TFS_COPY_GAP		64u

/* ---- superblock -------------------------------------------------------- */

#define TFS_SUPER_MAGIC		"TAGFS\0\r\n"
#define TFS_VERSION		1u
/* Feature words: an unknown bit of compat is ignored, of ro_compat makes
 * the mount read-only, of incompat refuses it. */
#define TFS_COMPAT_KNOWN	0u
#define TFS_RO_COMPAT_FENCE	1u	/* whoever writes takes the fence */
#define TFS_RO_COMPAT_KNOWN	TFS_RO_COMPAT_FENCE
#define TFS_INCOMPAT_LOG	1u	/* a mount must look at the log */
#define TFS_INCOMPAT_MIRROR	2u	/* this is one leg of a mirror */
#define TFS_INCOMPAT_IMAGE	4u	/* no content is in it: see SPEC 8.1 */
#define TFS_INCOMPAT_LOCKS	16u	/* inodes may have TFS_INODE_LOCKS */
#define TFS_INCOMPAT_MARKS	32u	/* or TFS_INODE_HEIRLOOMS */
#define TFS_INCOMPAT_TAGS	64u	/* a record in one interval: SPEC 6.1 */
#define TFS_INCOMPAT_KNOWN	(TFS_INCOMPAT_LOG | TFS_INCOMPAT_MIRROR | \
				 TFS_INCOMPAT_IMAGE | TFS_INCOMPAT_LOCKS | \
				 TFS_INCOMPAT_MARKS | TFS_INCOMPAT_TAGS)

struct tfs_disk_super {
/*00*/	__u8	magic[8];	/* this, version, uuid, label: for ever */
/*08*/	__le32	version;
/*0c*/	__le32	crc;		/* crc32c of the structure, crc as 0 */
/*10*/	__u8	uuid[16];	/* the owner may set it */
/*20*/	__u8	label[TFS_LABEL]; /* UTF-8, zero-padded */
/*40*/	__le64	compat;
/*48*/	__le64	ro_compat;
/*50*/	__le64	incompat;
/*58*/	__le64	seq;		/* +1 per rewrite; the newer copy counts */
/*60*/	__u8	nonce[TFS_NONCE]; /* key of the tag records; random, fixed */
/*70*/	__le64	clusters;
/*78*/	__le32	cluster_size;
/*7c*/	__le32	interval;	/* as the device's */
/*80*/	__le64	log_start;
/*88*/	__le64	log_clusters;
/*90*/	__le64	created;	/* seconds since 1970 */
/*98*/	__u8	copy;		/* 0 at the start, 1 at the end */
/*99*/	__u8	pad[103];
};
_Static_assert(sizeof(struct tfs_disk_super) == 0x100, "superblock");
_Static_assert(offsetof(struct tfs_disk_super, uuid) == 0x10, "uuid");
_Static_assert(offsetof(struct tfs_disk_super, label) == 0x20, "label");
_Static_assert(offsetof(struct tfs_disk_super, copy) == 0x98, "copy");

/* ---- checkpoint slot --------------------------------------------------- */

/* Where a node is: both copies, and the commit that wrote it. */
struct tfs_disk_ptr {
/*00*/	__le64	addr[2];
/*10*/	__le64	seq;
};
_Static_assert(sizeof(struct tfs_disk_ptr) == 0x18, "node pointer");

#define TFS_SLOT_MAGIC	0x544c5354u	/* "TSLT" */
#define TFS_SLOT_NUMBER_MAX	(UINT64_MAX >> 1)
#define TFS_SLOT_CLEAN	1u		/* nothing was written since: no log */
#define TFS_SLOT_BEGUN	2u		/* none: a rebuild has begun, and
					 * nodes above seq are of nobody */

/* One checkpoint.  Slot number & 1 holds it, both copies; the valid one with
 * the highest number is mounted. */
struct tfs_disk_slot {
/*00*/	__le32	magic;
/*04*/	__le32	crc;		/* crc32c of the structure, crc as 0 */
/*08*/	__u8	nonce[TFS_NONCE];
/*18*/	__le64	number;		/* +1 per checkpoint; 0 is never valid */
/*20*/	__le64	seq;		/* newest commit that it contains */
/*28*/	struct tfs_disk_ptr root;
/*40*/	__le64	free;		/* clusters free as of seq */
/*48*/	__le64	reserved;	/* of them promised by fallocate */
/*50*/	__le64	inodes;		/* in use */
/*58*/	__le64	log_pos;	/* log cluster where commit seq+1 begins */
/*60*/	__le32	next_ino;
/*64*/	__le32	flags;		/* TFS_SLOT_* */
/*68*/	__u8	root_level;
/*69*/	__u8	pad[7];
/*70*/	__le64	used;		/* a mount counts from seq or this, whichever is
				 * higher, and 2^20 more */
/*78*/	__le64	chain;		/* hash that commit seq+1 names */
};
_Static_assert(sizeof(struct tfs_disk_slot) == 0x80, "slot");
_Static_assert(offsetof(struct tfs_disk_slot, next_ino) == 0x60, "next_ino");

/* ---- fence ------------------------------------------------------------- */

#define TFS_FENCE_MAGIC	0x434e4654u	/* "TFNC" */
#define TFS_FENCE_HELD	1u		/* somebody may write */
#define TFS_FENCE_NODE	64

/* Who may write.  At the beginning of its cluster, which in a container has no
 * tuples; read and written past all caches. */
struct tfs_disk_fence {
/*00*/	__le32	magic;
/*04*/	__le32	crc;		/* crc32c of the structure, crc as 0 */
/*08*/	__u8	nonce[TFS_NONCE];
/*18*/	__le64	counter;	/* higher with every write, 44 bits */
/*20*/	__u8	mount[16];	/* random, of the mount */
/*30*/	__u8	boot[16];	/* of the host's kernel */
/*40*/	__le64	time;		/* seconds since 1970, for people */
/*48*/	__le32	interval;	/* ms from one write to the next */
/*4c*/	__le32	flags;		/* TFS_FENCE_* */
/*50*/	__u8	node[TFS_FENCE_NODE]; /* its name, for people; zero-padded */
/*90*/	__u8	pad[112];
};
_Static_assert(sizeof(struct tfs_disk_fence) == 0x100, "fence");
_Static_assert(offsetof(struct tfs_disk_fence, node) == 0x50, "node");

/* ---- legs of a mirror --------------------------------------------------- */

#define TFS_LEG_MAGIC	0x47454c54u	/* "TLEG" */
#define TFS_LEGS_MAX	4u

enum {
	TFS_LEG_CURRENT	= 1,	/* has everything */
	TFS_LEG_BEHIND	= 2,	/* up to a commit, and perhaps not more */
};

struct tfs_disk_member {
/*00*/	__u8	uuid[16];	/* of the leg */
/*10*/	__le64	left;		/* behind: the newest commit that it has whole */
/*18*/	__le64	id[2];		/* behind: what its own list may be; else 0 */
/*28*/	__u8	state;		/* TFS_LEG_*; 0: there is no such leg */
/*29*/	__u8	pad[7];
};
_Static_assert(sizeof(struct tfs_disk_member) == 0x30, "member");

/* What this leg knows of all.  The one thing that is not the same on all
 * legs, in two copies. */
struct tfs_disk_leg {
/*00*/	__le32	magic;
/*04*/	__le32	crc;		/* crc32c of the structure, crc as 0 */
/*08*/	__u8	nonce[TFS_NONCE];
/*18*/	__le64	generation;	/* +1 with every change, 44 bits */
/*20*/	__le64	id;		/* random, of this list; not 0 */
/*28*/	__le64	prev;		/* of the list that it replaces; 0: none */
/*30*/	__u8	legs;		/* members that follow */
/*31*/	__u8	self;		/* which of them this is */
/*32*/	__u8	copy;		/* 0, 1 */
/*33*/	__u8	pad[13];
/*40*/	struct tfs_disk_member member[TFS_LEGS_MAX];
};
_Static_assert(sizeof(struct tfs_disk_leg) == 0x100, "leg");
_Static_assert(offsetof(struct tfs_disk_leg, member) == 0x40, "members");

/* ---- commit log -------------------------------------------------------- */

#define TFS_LOG_MAGIC	0x474f4c54u	/* "TLOG" */

/* One cluster of a commit.  All clusters of a commit differ in crc, block,
 * bytes and the operations alone. */
struct tfs_disk_log {
/*00*/	__le32	magic;
/*04*/	__le32	crc;		/* crc32c of the cluster, crc as 0 */
/*08*/	__u8	nonce[TFS_NONCE];
/*18*/	__le64	seq;		/* of the commit */
/*20*/	__le64	prev;		/* hash of commit seq-1 */
/*28*/	__le64	hash;		/* over all clusters, hash and crc as 0 */
/*30*/	__le64	checkpoint;	/* number of a durable one */
/*38*/	__le64	durable;	/* this commit and all before are durable */
/*40*/	__le64	proof;		/* sum over the data clusters born in it */
/*48*/	__le64	inodes;		/* as in the slot, after this commit */
/*50*/	__le64	reserved;
/*58*/	__le32	next_ino;
/*5c*/	__le32	block;		/* 0 .. blocks-1 */
/*60*/	__le32	blocks;		/* clusters of this commit */
/*64*/	__le32	bytes;		/* of operations in this cluster */
/*68*/	__u8	pad[24];
};
_Static_assert(sizeof(struct tfs_disk_log) == 0x80, "log header");
_Static_assert(offsetof(struct tfs_disk_log, bytes) == 0x64, "log bytes");

#define TFS_LOG_PUT	0u
#define TFS_LOG_DEL	1u

/* One change of one item; the value follows.  No key is named twice in a
 * commit.  Operations run on from cluster to cluster. */
struct tfs_disk_op {
/*00*/	__le64	off;
/*08*/	__le32	obj;
/*0c*/	__u8	type;
/*0d*/	__u8	op;		/* TFS_LOG_PUT, TFS_LOG_DEL */
/*0e*/	__le16	len;		/* of the value */
};
_Static_assert(sizeof(struct tfs_disk_op) == 0x10, "operation");

/* ---- B+tree nodes ------------------------------------------------------ */

/* Keys sort by object, then type, then offset. */
struct tfs_disk_key {
/*00*/	__le64	off;
/*08*/	__le32	obj;
/*0c*/	__u8	type;
/*0d*/	__u8	pad[3];
};
_Static_assert(sizeof(struct tfs_disk_key) == 0x10, "key");

#define TFS_NODE_MAGIC	0x45444e54u	/* "TNDE" */
#define TFS_LEVEL_MAX	12		/* the root's at most; leaves are 0 */

/* A node fills one cluster: header, items growing up, values growing down.
 * Items are strictly ascending and within [low, high); the values of a node
 * above the leaves are struct tfs_disk_ptr, and each child's low is its
 * item's key, its high the next item's (or the node's own high). */
struct tfs_disk_node {
/*00*/	__le32	magic;
/*04*/	__le32	crc;		/* crc32c of the cluster, crc as 0 */
/*08*/	__u8	nonce[TFS_NONCE];
/*18*/	__le64	seq;		/* commit that wrote it */
/*20*/	struct tfs_disk_key low;
/*30*/	struct tfs_disk_key high;	/* all ones but the pad: no bound */
/*40*/	__le16	items;
/*42*/	__u8	level;
/*43*/	__u8	pad;
/*44*/	__le32	values;		/* where the lowest value begins */
};
_Static_assert(sizeof(struct tfs_disk_node) == 0x48, "node header");

struct tfs_disk_item {
/*00*/	struct tfs_disk_key key;
/*10*/	__le16	pos;		/* of the value in the node */
/*12*/	__le16	len;
/*14*/	__le32	pad;
};
_Static_assert(sizeof(struct tfs_disk_item) == 0x18, "item");

/* No value is longer, so that every node holds at least three items. */
#define TFS_VALUE_MAX	1100u

/* ---- items ------------------------------------------------------------- */

enum tfs_type {
	/* object 0: the filesystem itself */
	TFS_T_REGION	= 1,	/* off: region; bitmap, 1: in use */
	TFS_T_SUMMARY	= 2,	/* off: group; free clusters per region */
	TFS_T_ORPHAN	= 3,	/* off: inode without a name; empty */
	TFS_T_FLAW	= 4,	/* off: inode << 32 | logical cluster */
	TFS_T_SPOT	= 5,	/* off: kind << 56 | number; a flaw of no file */
	TFS_T_UNLISTED	= 6,	/* off: 0; how many had no room */
	TFS_T_SCRUB	= 7,	/* off: TFS_SCRUB_NEWEST, _WHOLE */
	TFS_T_SUSPECT	= 8,	/* off: number of the piece */
	TFS_T_RESILVER	= 9,	/* off: 0; how far it is */
	/* object: an inode number */
	TFS_T_INODE	= 16,	/* off: 0 */
	TFS_T_XATTR	= 17,	/* off: name hash, slot, piece */
	TFS_T_DIRENT	= 18,	/* off: name hash and slot, the cookie */
	TFS_T_INLINE	= 19,	/* off: byte offset; file or link content */
	TFS_T_EXTENT	= 20,	/* off: logical cluster */
};

/* Free space.  An absent region item is a region wholly free; an absent
 * summary item a group of such regions. */
#define TFS_REGION_BITS		8192u	/* clusters */
#define TFS_REGION_BYTES	(TFS_REGION_BITS / 8)
#define TFS_GROUP_REGIONS	256u
struct tfs_disk_summary {
/*00*/	__le16	free[TFS_GROUP_REGIONS];
};
_Static_assert(sizeof(struct tfs_disk_summary) == 0x200, "summary");
_Static_assert(TFS_REGION_BYTES <= TFS_VALUE_MAX, "region fits an item");

struct tfs_disk_time {
/*00*/	__le64	sec;		/* signed */
/*08*/	__le32	nsec;
/*0c*/	__le32	pad;
};

struct tfs_disk_inode {
/*00*/	__le32	mode;
/*04*/	__le32	uid;
/*08*/	__le32	gid;
/*0c*/	__le32	nlink;
/*10*/	__le64	size;
/*18*/	__le64	clusters;	/* mapped, reservations included */
/*20*/	__le64	birth;		/* commit that made it: its generation */
/*28*/	__le32	rdev_major;
/*2c*/	__le32	rdev_minor;
/*30*/	__le32	parent;		/* of a directory; of others a hint, the
				 * directory of the newest name, or 0 */
/*34*/	__le32	flags;		/* TFS_INODE_* */
/*38*/	struct tfs_disk_time atime;
/*48*/	struct tfs_disk_time mtime;
/*58*/	struct tfs_disk_time ctime;
/*68*/	struct tfs_disk_time btime;
};
_Static_assert(sizeof(struct tfs_disk_inode) == 0x78, "inode");
_Static_assert(offsetof(struct tfs_disk_inode, atime) == 0x38, "atime");

/* A truncate was cut short: what is past the size has yet to be freed. */
#define TFS_INODE_CUT		1u
/* As chattr(1) sets them: i and a of files and directories, d and A. */
#define TFS_INODE_IMMUTABLE	2u
#define TFS_INODE_APPEND	4u
#define TFS_INODE_NODUMP	8u
#define TFS_INODE_NOATIME	16u
#define TFS_INODE_LOCKS		(TFS_INODE_IMMUTABLE | TFS_INODE_APPEND)
#define TFS_INODE_HEIRLOOMS	(TFS_INODE_NODUMP | TFS_INODE_NOATIME)
#define TFS_INODE_USER		(TFS_INODE_LOCKS | TFS_INODE_HEIRLOOMS)

/* Directory entry; the name follows, not terminated. */
struct tfs_disk_dirent {
/*00*/	__le32	ino;
/*04*/	__u8	type;		/* mode >> 12 */
/*05*/	__u8	name_len;
/*06*/	__le16	pad;
};
_Static_assert(sizeof(struct tfs_disk_dirent) == 0x8, "dirent");

/* First piece of an extended attribute; the name, then the value's first
 * bytes follow.  Further pieces hold bytes of the value alone. */
struct tfs_disk_xattr {
/*00*/	__le32	value_len;
/*04*/	__u8	name_len;
/*05*/	__u8	pad[3];
};
_Static_assert(sizeof(struct tfs_disk_xattr) == 0x8, "xattr");
#define TFS_XATTR_VALUE_MAX	65536u

/* Content of at most this many bytes lives in the tree: one item of a file,
 * items of this many bytes (the last one shorter) of a symbolic link. */
#define TFS_INLINE_MAX		1024u

struct tfs_disk_extent {
/*00*/	__le64	addr;		/* first cluster; 0: a reservation */
/*08*/	__le64	seq;		/* commit it was born in; 0: reservation */
/*10*/	__le32	len;		/* clusters, never 0 */
/*14*/	__le32	pad;
};
_Static_assert(sizeof(struct tfs_disk_extent) == 0x18, "extent");
/* Logical clusters are 32-bit indices in the tag record. */
#define TFS_FILE_CLUSTERS	(1ull << 32)

/* ---- what was found bad -------------------------------------------------- */

enum tfs_flaw_kind {
	TFS_FLAW_DATA	= 0,	/* content of a file */
	TFS_FLAW_NODE	= 1,	/* one copy of a tree node */
	TFS_FLAW_LOST	= 2,	/* both: a part of the tree */
	TFS_FLAW_DEVICE	= 3,	/* one copy of what a container keeps */
	TFS_FLAW_SUPER	= 4,	/* one copy of the superblock */
	TFS_FLAW_SLOT	= 5,	/* one copy of a checkpoint slot */
	TFS_FLAW_LOG	= 6,	/* a place of the log */
	TFS_FLAW_LEGS	= 7,	/* one copy of a leg's list of legs */
	TFS_FLAW_KINDS
};

enum tfs_flaw_check {
	TFS_CHECK_OTHER	= 0,	/* see error */
	TFS_CHECK_GUARD	= 1,
	TFS_CHECK_REF	= 2,
	TFS_CHECK_APP	= 3,
	TFS_CHECK_ESCAPE = 4,	/* never written */
	TFS_CHECK_DEVICE = 5,	/* the device did not say */
	TFS_CHECKS
};

#define TFS_FLAW_HEALED		1u	/* by the other copy */
/* Of place: 0, 1 is the copy; above it the leg of a mirror, from 1, or 0. */
#define TFS_FLAW_COPY		1u
#define TFS_FLAW_LEG		1	/* bits to shift */
/* There are never more. */
#define TFS_FLAWS_MAX		4096u

/* Of a file: it holds for those of its clusters that are mapped, from addr on,
 * with that sequence, and no longer. */
struct tfs_disk_flaw {
/*00*/	__le64	addr;		/* cluster of the first byte, or of the node */
/*08*/	__le64	seq;		/* of the extent; else 0 */
/*10*/	__le64	off, len;	/* bytes of the file; of a container the byte on
				 * the storage below, and 0; else 0 */
/*20*/	__le64	expected, found;	/* by the check, where it was seen
					 * first */
/*30*/	__le64	first, last;	/* seconds since 1970 */
/*40*/	__le64	commit;		/* that ran when it was seen first */
/*48*/	__le32	ino;		/* of a lost node the first one; or 0 */
/*4c*/	__le32	count;		/* times that it was seen */
/*50*/	__le32	error;		/* a Linux errno */
/*54*/	__u8	kind;		/* TFS_FLAW_* */
/*55*/	__u8	check;		/* TFS_CHECK_* */
/*56*/	__u8	flags;		/* TFS_FLAW_HEALED */
/*57*/	__u8	place;		/* kinds from 3 on: copy, and TFS_FLAW_LEG */
};
_Static_assert(sizeof(struct tfs_disk_flaw) == 0x58, "flaw");
_Static_assert(offsetof(struct tfs_disk_flaw, error) == 0x50, "flaw error");

/* ---- scrubs --------------------------------------------------------------- */

enum {
	TFS_SCRUB_NEWEST = 0,
	TFS_SCRUB_WHOLE	= 1,	/* the last one that has read everything */
};

enum tfs_scrub_state {
	TFS_SCRUB_NEVER	= 0,	/* not stored */
	TFS_SCRUB_RUNNING = 1,	/* or was when the mount ended */
	TFS_SCRUB_PAUSED = 2,
	TFS_SCRUB_FINISHED = 3,
	TFS_SCRUB_CANCELLED = 4,
	TFS_SCRUB_FAILED = 5,	/* see error */
	TFS_SCRUB_STATES
};

#define TFS_SCRUB_F_DATA	1u
#define TFS_SCRUB_F_META	2u
#define TFS_SCRUB_F_ERRORS	4u	/* what is on the list of flaws */
#define TFS_SCRUB_F_ALL		7u

struct tfs_disk_scrub {
/*00*/	__le64	started, ended;	/* seconds since 1970; 0: not yet */
/*10*/	__le64	bytes, nodes;	/* read and verified */
/*20*/	__le64	healed, uncorrectable;	/* findings */
/*30*/	__le64	region;		/* content: goes on there */
/*38*/	__le32	bit;		/* of the region */
/*3c*/	__le32	ino;		/* the tree: goes on there; 0: not begun */
/*40*/	__le32	rate;		/* MiB/s; 0: no limit */
/*44*/	__le32	error;		/* a Linux errno */
/*48*/	__u8	state;		/* TFS_SCRUB_* */
/*49*/	__u8	flags;		/* TFS_SCRUB_F_* */
/*4a*/	__u8	pad[2];
/*4c*/	__le32	suspects;	/* runs, in the pieces */
/*50*/	__le64	parts;		/* of what the device keeps for itself: goes on
				 * there.  Older ones end here: 0 */
};
_Static_assert(sizeof(struct tfs_disk_scrub) == 0x58, "scrub");
_Static_assert(offsetof(struct tfs_disk_scrub, parts) == 0x50, "scrub parts");

/* Clusters before the position that were not what their tags say, and have yet
 * to be looked up from the tree.  A piece is up to TFS_SUSPECTS_PIECE of these,
 * ascending through all pieces. */
struct tfs_disk_suspect {
/*00*/	__le64	addr, len;
};
_Static_assert(sizeof(struct tfs_disk_suspect) == 0x10, "suspect");

/* How far a resilver is.  Of another list of legs it says nothing. */
struct tfs_disk_resilver {
/*00*/	__le64	id;		/* of the list */
/*08*/	__le64	since;		/* what is newer is looked at */
/*10*/	__le64	seen;		/* clusters, and bytes of them, so far */
/*18*/	__le64	bytes;
/*20*/	struct tfs_disk_key key;	/* it goes on there */
};
_Static_assert(sizeof(struct tfs_disk_resilver) == 0x30, "resilver");

#define TFS_SUSPECTS_PIECE	64u
#define TFS_SUSPECTS_MAX	1024u

/* ---- the tag record ---------------------------------------------------- */

/* 120 bits, mixed and cut into 8 lanes of 15 by record.c. */
enum tfs_kind {
	TFS_K_SUPER	= 1,	/* owner 0, index: copy */
	TFS_K_SLOT	= 2,	/* owner: slot, index: copy */
	TFS_K_NODE	= 3,	/* owner: level, index: copy */
	TFS_K_LOG	= 4,	/* owner 0, index: position in the log */
	TFS_K_DATA	= 5,	/* owner: inode, index: logical cluster */
	TFS_K_FENCE	= 6,	/* owner, index 0 */
	TFS_K_LEG	= 7,	/* owner: leg, index: copy */
};

#endif
