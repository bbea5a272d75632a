/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sorter.h - many records of one size: first all are put in, then they come
 * out, sorted, as often as wanted.  In memory as far as there is some, else in
 * a scratch file. */
#ifndef TFS_SORTER_H
#define TFS_SORTER_H

#include "base/scratch.h"

struct tfs_sorter;

/* cmp NULL: they come out as they came in.  It must tell any two records
 * apart that differ, or their order depends on memory.  scratch is borrowed,
 * and whoever has it calls from one thread at a time. */
int tfs_sorter_create(struct tfs_sorter **out, struct tfs_scratch *scratch,
		      size_t size, int (*cmp)(const void *a, const void *b));
/* NULL is fine. */
void tfs_sorter_destroy(struct tfs_sorter *s);
/* 0 or -errno, which has been said if it is the file's; -ENOBUFS: memory is
 * full, and there may be no files. */
int tfs_sorter_add(struct tfs_sorter *s, const void *rec);
/* The next one is the first one.  No more can be added. */
int tfs_sorter_rewind(struct tfs_sorter *s);
/* 1, or 0: there are no more, or -errno. */
int tfs_sorter_next(struct tfs_sorter *s, void *rec);
uint64_t tfs_sorter_count(const struct tfs_sorter *s);

#endif
