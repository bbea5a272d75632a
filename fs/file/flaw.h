/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flaw.h - one thing that was found bad, and its item in the tree. */
#ifndef TFS_FLAW_H
#define TFS_FLAW_H

#include "commit/txn.h"
#include "tfs.h"

struct tfs_flaw {
	enum tfs_flaw_kind kind;
	uint32_t	ino;		/* data; of what is lost, the first one */
	uint64_t	off, len;	/* data: bytes of the file; container:
					 * byte on the storage below, and 0 */
	uint64_t	addr;		/* cluster of the first one, or node */
	uint64_t	seq;		/* data: of the extent */
	int		err;
	enum tfs_flaw_check check;	/* if err is -EBADMSG */
	uint64_t	expected, found;
	uint64_t	first, last;	/* seconds since 1970 */
	uint64_t	commit;		/* that ran when it was seen first */
	uint32_t	count;		/* times that it was seen */
	bool		healed;
	/* Of what lies beside tree and files: */
	unsigned int	copy;
	unsigned int	leg;		/* of a mirror, from 1; 0: it is none */
};

/* What a read says: err, check, expected and found. */
void tfs_flaw_cause(struct tfs_flaw *f, int err, const struct eng_fault *fault);

struct tfs_key tfs_flaw_key(const struct tfs *fs, const struct tfs_flaw *f);
void tfs_flaw_encode(const struct tfs_flaw *f, struct tfs_disk_flaw *d);
/* NULL, or what is wrong with the item; all fields are checked. */
const char *tfs_flaw_decode(const struct tfs *fs, const struct tfs_item *item,
			    struct tfs_flaw *out);

/* Content is bad where it is still what it was when that was seen: at that
 * place, of that commit.  The first such clusters from *lc on, up to *end, of
 * those that the flaw names.  -ENOENT: there are none. */
int tfs_flaw_stands(struct tfs *fs, const struct tfs_flaw *f, uint64_t *lc,
		    uint64_t *end);
/* Logical cluster behind the last one of them. */
uint64_t tfs_flaw_end(const struct tfs *fs, const struct tfs_flaw *f);
/* Only [lc, end) of it. */
void tfs_flaw_clip(const struct tfs *fs, struct tfs_flaw *f, uint64_t lc,
		   uint64_t end);

#endif
