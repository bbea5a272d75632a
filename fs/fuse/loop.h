/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.h - the serving threads. */
#ifndef TFS_LOOP_H
#define TFS_LOOP_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

struct tfs_loop;
struct tfs_ops;
struct tfs_ops_writes;

int tfs_loop_create(struct tfs_loop **out, struct tfs_ops *ops);
/* Until the connection ends or stop; every thread that receives from the
 * device is done then. */
int tfs_loop_run(struct tfs_loop *loop);
/* After that: until what came over io_uring is answered. */
void tfs_loop_finish(struct tfs_loop *loop);
void tfs_loop_stop(struct tfs_loop *loop);
/* As tfs_ops_quiet() and tfs_ops_writes(). */
bool tfs_loop_quiet(struct tfs_loop *loop);
void tfs_loop_writes(struct tfs_loop *loop, struct tfs_ops_writes *out);
/* Requests, over either transport. */
uint64_t tfs_loop_received(struct tfs_loop *loop);
void tfs_loop_destroy(struct tfs_loop *loop);

#endif
