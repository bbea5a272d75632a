/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notes.h - requests to the helper thread; from any thread. */
#ifndef TFS_NOTES_H
#define TFS_NOTES_H

#include "tfs.h"

/* A bad range of a file, or a node of the tree. */
struct tfs_report {
	struct tfs_report *next;
	enum tfs_flaw_kind kind;	/* data, node or lost */
	uint32_t	ino;		/* lost: the first one */
	uint64_t	off, len;
	uint64_t	addr, seq;	/* cluster of off, and of its extent;
					 * or the node's, and 0 */
	int		err;
	struct eng_fault fault;
	unsigned int	legs;		/* of a mirror: these alone had it
					 * wrong (a mask), and another one
					 * answered */
	bool		healed;		/* they have it right now; node: or will
					 * with the next checkpoint */
};

/* A log line about it, by path, and a place in the list of flaws; counts it,
 * too.  It is copied. */
void tfs_note_fault(struct tfs *fs, const struct tfs_report *what);
/* A place in the list of flaws for a node, of which it was said what is wrong;
 * kind, ino, addr, err, fault and healed are set. */
void tfs_note_node(struct tfs *fs, const struct tfs_report *what);
/* A line about what io, a read of a file from byte off on, has found on legs of
 * a mirror beside the one that answered. */
void tfs_note_legs(struct tfs *fs, uint32_t ino, uint64_t off,
		   const struct eng_io *io);
/* A commit, a checkpoint; a mark in a while that this commit is durable. */
void tfs_note_commit(struct tfs *fs);
void tfs_note_ckpt(struct tfs *fs);
void tfs_note_mark(struct tfs *fs, uint64_t seq);
/* What came in since, in the order in which it came, and how many there was no
 * room for; the caller frees. */
struct tfs_report *tfs_notes_take(struct tfs *fs, uint64_t *dropped);
/* Those that no helper has taken: there was none. */
void tfs_notes_clear(struct tfs *fs);

#endif
