/* SPDX-License-Identifier: GPL-2.0-or-later */
/* finding.c - see finding.h. */
#include "check/finding.h"

static const char *const names[TFS_F_KINDS] = {
	[TFS_F_CONTAINER]	= "container",
	[TFS_F_UNREAD]		= "container-unreadable",
	[TFS_F_SUPER]		= "superblock",
	[TFS_F_SLOT]		= "slot",
	[TFS_F_LEGS]		= "leg-list",
	[TFS_F_LOG]		= "log",
	[TFS_F_OLDER]		= "older-state",
	[TFS_F_COPY]		= "node-copy",
	[TFS_F_DIFFER]		= "node-copies-differ",
	[TFS_F_NEAR]		= "node-copies-near",
	[TFS_F_LOST]		= "tree-lost",
	[TFS_F_ITEM]		= "item",
	[TFS_F_STRAY]		= "inode-lost",
	[TFS_F_ORPHAN]		= "orphan",
	[TFS_F_EXTENT]		= "extent",
	[TFS_F_CLUSTERS]	= "cluster-count",
	[TFS_F_INLINE]		= "inline-content",
	[TFS_F_PAST]		= "content-past-end",
	[TFS_F_XATTR]		= "attribute",
	[TFS_F_ACL]		= "access-list",
	[TFS_F_ENTRY]		= "entry",
	[TFS_F_PARENT]		= "parent",
	[TFS_F_COUNT]		= "entry-count",
	[TFS_F_LINKS]		= "link-count",
	[TFS_F_UNREACHED]	= "unreached",
	[TFS_F_TWICE]		= "cluster-twice",
	[TFS_F_UNMARKED]	= "cluster-unmarked",
	[TFS_F_UNUSED]		= "cluster-unused",
	[TFS_F_COUNTER]		= "counter",
	[TFS_F_DATA]		= "data",
};

const char *tfs_finding_name(enum tfs_finding_kind kind)
{
	return names[kind];
}
