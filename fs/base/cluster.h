/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster.h - whole clusters with their record. */
#ifndef TFS_CLUSTER_H
#define TFS_CLUSTER_H

#include "tfs.h"

/* Expected or stored tags of count intervals from interval skip of the
 * first cluster on; the index counts up with the cluster. */
void tfs_tag_fill(const struct tfs *fs, const struct tfs_record *first,
		  uint64_t addr, uint32_t skip, uint32_t count,
		  uint16_t *tags);
/* rec NULL: any tags. */
int tfs_cluster_read(struct tfs *fs, uint64_t addr,
		     const struct tfs_record *rec, void *buf);
/* The same; *fault says which check it was (-EBADMSG). */
int tfs_cluster_read_why(struct tfs *fs, uint64_t addr,
			 const struct tfs_record *rec, void *buf,
			 struct eng_fault *fault);
int tfs_cluster_write(struct tfs *fs, uint64_t addr,
		      const struct tfs_record *rec, void *buf);
/* As tfs_cluster_read(), for those who make something of a failure: nothing
 * is logged or counted, and *fault says which check it was (-EBADMSG).  Of a
 * mirror every leg is looked at and made to have it, so nobody else may write
 * there meanwhile. */
int tfs_cluster_try(struct tfs *fs, uint64_t addr,
		    const struct tfs_record *rec, void *buf,
		    struct eng_fault *fault);
/* Read count clusters, whatever their tags are; those come out, after an error
 * as if nothing had been written there.  Quiet, as tfs_cluster_try(); flags:
 * further ENG_IO_*. */
int tfs_cluster_tags(struct tfs *fs, uint64_t addr, uint32_t count,
		     unsigned int flags, void *buf, uint16_t *tags,
		     struct eng_fault *fault);
/* The same of one leg of a mirror: tfs_leg_next(). */
int tfs_cluster_leg(struct tfs *fs, unsigned int leg, uint64_t addr,
		    uint32_t count, unsigned int flags, void *buf,
		    uint16_t *tags, struct eng_fault *fault);
/* The tags of one as they lie, whatever checks would say. */
int tfs_cluster_claim(struct tfs *fs, uint64_t addr, void *buf,
		      uint16_t tags[TFS_LANES]);
/* For what must be asked of each leg, since only a comparison tells which is
 * right: the next one that has everything, or the first (after 0); 0: there
 * is none left.  A device that is no mirror is its only leg. */
unsigned int tfs_leg_next(const struct tfs *fs, unsigned int leg);
/* What a commit remembers of a data cluster: a hash over its address, guards
 * and application tags.  tuples: of its intervals, as the device has them. */
uint64_t tfs_cluster_proof(const struct tfs *fs, uint64_t addr,
			   const uint8_t *tuples);

/* Count a failed read and say so: "what ... guard: expected, found". */
void tfs_fault_count(struct tfs *fs, int err, const struct eng_fault *fault);
/* Text for a log line; into buf. */
const char *tfs_fault_text(int err, const struct eng_fault *fault, char *buf,
			   size_t size);

bool tfs_all_zero(const void *data, size_t len);

#endif
