/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_check.c - see fs_check.h: the product's own check, whose first finding
 * is the answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/runs.h"
#include "base/state.h"
#include "check/check.h"
#include "check/treewalk.h"
#include "commit/ckpt.h"
#include "support/fs_check.h"

static char text[320];

static bool found(struct tfs_check *c, const struct tfs_finding *f)
{
	if (c->problems == 1)
		snprintf(text, sizeof(text), "%s: inode %u, cluster %llu: %s",
			 tfs_finding_name(f->kind), f->ino,
			 (unsigned long long)f->cluster, f->text);
	return false;
}

const char *fs_check(struct tfs *fs, unsigned int flags)
{
	struct tfs_check c = {
		.fs = fs, .found = found,
		.orphans_in_use = flags & FS_CHECK_ORPHANS,
		.foreign_items = flags & FS_CHECK_FOREIGN,
		.one_copy = flags & FS_CHECK_ONE_COPY,
		.near_copies = flags & FS_CHECK_WAS_FULL,
	};
	int err = tfs_check(&c);

	if (err)
		snprintf(text, sizeof(text), "it can't be checked: %s",
			 strerror(-err));
	return err || c.problems ? text : NULL;
}

struct nodes {
	struct tfs_miss	*node;
	size_t		n, room;
};

static int add_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct nodes *all = w->arg;

	if (tfs_array_grow(&all->node, &all->room, all->n + 1,
			   sizeof(all->node[0])))
		return -ENOMEM;
	all->node[all->n++] = n->at;
	return 0;
}

size_t fs_nodes(struct tfs *fs, struct tfs_miss **out)
{
	struct nodes all = { .n = 0 };
	struct tfs_treewalk w = { .fs = fs, .arg = &all, .node = add_node,
				  .lost = tfs_treewalk_skip };

	if (!tfs_rdonly(fs) && tfs_ckpt_run(fs))
		return 0;
	if (!tfs_treewalk_begin(&w))
		tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	*out = all.node;
	return all.n;
}
