/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.h - the legs of a mirror that is mounted: who joins and leaves, and the
 * resilver of those that are behind. */
#ifndef TFS_FUSE_LEGS_H
#define TFS_FUSE_LEGS_H

#include <fuse_lowlevel.h>

struct tfs_ops;

/* A resilver, if a leg is behind and none runs. */
void tfs_ops_resilver(struct tfs_ops *ops);
/* It ends; no other one begins, and no leg joins or leaves any more. */
void tfs_ops_resilver_end(struct tfs_ops *ops);
/* TAGFS_IOC_LEG, by a job's thread. */
void tfs_ops_leg(fuse_req_t req, uint32_t ino, void *arg);

#endif
