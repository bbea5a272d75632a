/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_check.c - see fs_check.h.
 *  (1) Nodes are read here and decoded by node.c alone: neither btree.c nor
 *      ncache.c has a say in what is found.
 *  (2) The first finding ends the check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/hash.h"
#include "tree/alloc.h"
#include "tree/ncache.h"
#include "commit/ckpt.h"
#include "file/extent.h"
#include "name/dir.h"
#include "support/fs_check.h"
#include "file/inode.h"
#include "tree/node.h"

typedef unsigned long long ull;

struct check_inode {
	struct tfs_inode in;
	uint64_t	names, dirs, entries;
	uint64_t	mapped, extents_end;
	uint64_t	inline_bytes;
	bool		has_inline, orphan, past;
};

struct check {
	struct tfs	*fs;
	unsigned int	flags;
	uint8_t		*refs;		/* of each cluster */
	struct tfs_item	*item;		/* all, in order; values copied */
	size_t		n, room;
	struct check_inode *inode;	/* ascending */
	size_t		inodes;
	struct tfs_miss *node;		/* all */
	size_t		nodes, nodes_room;
	struct tfs_node	*held[TFS_LEVEL_MAX + 1];	/* being walked */
	uint64_t	reserved;
	jmp_buf		out;
};

static char found[512];

static void bad(struct check *c, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

static void bad(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(found, sizeof(found), fmt, ap);
	va_end(ap);
	longjmp(c->out, 1);			/* (2) */
}

static void *grow(struct check *c, void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p)
		bad(c, "no memory");
	return p;
}

/* ---- clusters ------------------------------------------------------------ */

static void refer(struct check *c, uint64_t addr, uint64_t len,
		  const char *what)
{
	uint64_t low = c->fs->super.log_start + c->fs->super.log_clusters;
	uint64_t high = c->fs->super.clusters - TFS_END_FIXED;

	if (addr < low || addr + len > high || addr + len < addr)
		bad(c, "%s: clusters %llu+%llu lie out of bounds", what,
		    (ull)addr, (ull)len);
	for (uint64_t i = addr; i < addr + len; i++)
		if (c->refs[i]++)
			bad(c, "%s: cluster %llu is used twice", what, (ull)i);
}

/* ---- nodes --------------------------------------------------------------- */

/* (1) True: this copy is sound, and in node. */
static bool read_node(struct check *c, struct tfs_node *node,
		      const struct tfs_miss *f, unsigned int copy)
{
	struct tfs_record rec = {
		.kind = TFS_K_NODE, .owner = f->level, .index = copy,
		.seq = f->ptr.seq,
	};

	node->ptr = f->ptr;
	if (tfs_cluster_read(c->fs, f->ptr.addr[copy], &rec, node->buf))
		return false;
	return !tfs_node_decode(c->fs, node, f->level, &f->low, &f->high);
}

static struct tfs_node *get_node(struct check *c, const struct tfs_miss *f)
{
	struct tfs_node *a = tfs_node_alloc(c->fs);
	struct tfs_node *b = tfs_node_alloc(c->fs);
	bool a_good, b_good, same;

	if (!a || !b)
		abort();
	a_good = read_node(c, a, f, 0);
	b_good = read_node(c, b, f, 1);
	same = a_good && b_good && !memcmp(a->buf, b->buf, c->fs->csize);
	if (!a_good && b_good) {
		struct tfs_node *t = a;

		a = b;
		b = t;
	}
	tfs_node_free(b);
	c->held[f->level] = a;
	if (same || (c->flags & FS_CHECK_ONE_COPY && (a_good || b_good)))
		return a;
	bad(c, "node of level %u at clusters %llu, %llu: copies are %s, %s",
	    f->level, (ull)f->ptr.addr[0], (ull)f->ptr.addr[1],
	    a_good ? "good" : "bad", b_good ? "good, but differ" : "bad");
}

static void add_item(struct check *c, const struct tfs_item *it)
{
	void *val = grow(c, NULL, it->len + 1);

	if (c->n == c->room) {
		c->room = c->room ? 2 * c->room : 1024;
		c->item = grow(c, c->item, c->room * sizeof(c->item[0]));
	}
	if (it->len)
		memcpy(val, it->val, it->len);
	c->item[c->n] = *it;
	c->item[c->n++].val = val;
}

static void add_node(struct check *c, const struct tfs_miss *f)
{
	if (c->nodes == c->nodes_room) {
		c->nodes_room = c->nodes_room ? 2 * c->nodes_room : 64;
		c->node = grow(c, c->node,
			       c->nodes_room * sizeof(c->node[0]));
	}
	c->node[c->nodes++] = *f;
}

static void check_gap(struct check *c, const struct tfs_miss *f)
{
	uint64_t a = f->ptr.addr[0], b = f->ptr.addr[1];

	if ((a > b ? a - b : b - a) < TFS_COPY_GAP &&
	    !(c->flags & FS_CHECK_WAS_FULL) &&
	    !atomic_load(&c->fs->count.near_copies))
		bad(c, "node of level %u: copies side by side at clusters "
		    "%llu, %llu", f->level, (ull)a, (ull)b);
}

static void walk(struct check *c, const struct tfs_miss *f)
{
	struct tfs_node *node = get_node(c, f);
	unsigned int n = tfs_node_items(node);

	add_node(c, f);
	check_gap(c, f);
	refer(c, f->ptr.addr[0], 1, "node");
	refer(c, f->ptr.addr[1], 1, "node");
	for (unsigned int i = 0; i < n; i++) {
		struct tfs_item it = tfs_node_item(node, i);
		struct tfs_miss sub = {
			.level = f->level - 1, .low = it.key,
			.high = i + 1 < n ? tfs_node_key(node, i + 1) :
				f->high,
		};

		if (!f->level) {
			add_item(c, &it);
			continue;
		}
		sub.ptr = tfs_node_ptr(node, i);
		walk(c, &sub);
	}
	c->held[f->level] = NULL;
	tfs_node_free(node);
}

/* ---- free space ---------------------------------------------------------- */

static const struct tfs_item *find_item(const struct check *c, uint8_t type,
					uint64_t off)
{
	struct tfs_key key = tfs_key(0, type, off);
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int cmp = tfs_key_cmp(&c->item[mid].key, &key);

		if (!cmp)
			return &c->item[mid];
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool is_fixed(const struct check *c, uint64_t addr)
{
	const struct tfs_super *s = &c->fs->super;

	return addr < s->log_start + s->log_clusters ||
		addr >= s->clusters - TFS_END_FIXED;
}

/* One region against the references; its free clusters. */
static uint64_t check_region(struct check *c, uint64_t idx)
{
	const struct tfs_item *it = find_item(c, TFS_T_REGION, idx);
	uint64_t base = idx * TFS_REGION_BITS, unused = 0;

	if (it && it->len != TFS_REGION_BYTES)
		bad(c, "region %llu: item of %u bytes", (ull)idx, it->len);
	for (uint64_t i = 0; i < TFS_REGION_BITS; i++) {
		uint64_t addr = base + i;
		bool set = it && ((const uint8_t *)it->val)[i / 8] >> i % 8 & 1;
		bool used;

		if (addr >= c->fs->super.clusters)
			break;
		used = is_fixed(c, addr) || c->refs[addr];
		if (set && !used)
			bad(c, "cluster %llu is lost: in use by nobody",
			    (ull)addr);
		if (!set && used && !is_fixed(c, addr))
			bad(c, "cluster %llu is in use, but free in the map",
			    (ull)addr);
		unused += !used;
	}
	return unused;
}

static void check_summary(struct check *c, uint64_t region, uint64_t unused)
{
	uint64_t g = region / TFS_GROUP_REGIONS;
	const struct tfs_item *it = find_item(c, TFS_T_SUMMARY, g);
	struct tfs_disk_summary d;

	if (!it) {
		if (find_item(c, TFS_T_REGION, region))
			bad(c, "group %llu: no summary", (ull)g);
		return;
	}
	if (it->len != sizeof(d))
		bad(c, "summary %llu: %u bytes", (ull)g, it->len);
	memcpy(&d, it->val, sizeof(d));
	if (le16toh(d.free[region % TFS_GROUP_REGIONS]) != unused)
		bad(c, "region %llu: summary says %u free, %llu are",
		    (ull)region, le16toh(d.free[region % TFS_GROUP_REGIONS]),
		    (ull)unused);
}

static void check_space(struct check *c)
{
	struct tfs *fs = c->fs;
	uint64_t regions = (fs->super.clusters + TFS_REGION_BITS - 1) /
		TFS_REGION_BITS;
	uint64_t unused = 0, n, counted;

	for (uint64_t i = 0; i < regions; i++) {
		n = check_region(c, i);
		check_summary(c, i, n);
		unused += n;
	}
	counted = fs->free + tfs_pool_clusters(fs) + fs->frees.clusters +
		fs->freemap->unreachable;
	if (counted != unused)
		bad(c, "%llu clusters are free, %llu counted (%llu at hand)",
		    (ull)unused, (ull)counted, (ull)fs->free);
	if (fs->reserved != c->reserved)
		bad(c, "%llu clusters are reserved, %llu counted",
		    (ull)c->reserved, (ull)fs->reserved);
	if (counted < tfs_reserved_space(fs, c->reserved))
		bad(c, "%llu clusters are free, %llu of them reserved, which "
		    "need %llu", (ull)counted, (ull)c->reserved,
		    (ull)tfs_reserved_space(fs, c->reserved));
}

/* ---- inodes -------------------------------------------------------------- */

static struct check_inode *find_inode(struct check *c, uint32_t ino)
{
	size_t lo = 0, hi = c->inodes;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->inode[mid].in.ino == ino)
			return &c->inode[mid];
		if (c->inode[mid].in.ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void load_inodes(struct check *c)
{
	c->inode = grow(c, NULL, (c->n + 1) * sizeof(c->inode[0]));
	for (size_t i = 0; i < c->n; i++) {
		struct check_inode *ci = &c->inode[c->inodes];

		if (!c->item[i].key.obj || c->item[i].key.type != TFS_T_INODE)
			continue;
		*ci = (struct check_inode){ .mapped = 0 };
		if (tfs_inode_decode(c->fs, &c->item[i], &ci->in))
			bad(c, "inode %u does not decode", c->item[i].key.obj);
		c->inodes++;
	}
	if (!find_inode(c, TFS_ROOT_INO))
		bad(c, "no root");
	if (c->fs->inodes != c->inodes)
		bad(c, "%zu inodes, %llu counted", c->inodes,
		    (ull)c->fs->inodes);
}

static void see_extent(struct check *c, struct check_inode *ci,
		       const struct tfs_item *it)
{
	uint64_t end = (ci->in.size + c->fs->csize - 1) / c->fs->csize;
	struct tfs_extent ext;

	if (!S_ISREG(ci->in.mode) || tfs_extent_decode(c->fs, it, &ext))
		bad(c, "inode %u: bad extent", ci->in.ino);
	if (ext.lc < ci->extents_end)
		bad(c, "inode %u: extents overlap at %llu", ci->in.ino,
		    (ull)ext.lc);
	ci->extents_end = ext.lc + ext.len;
	ci->mapped += ext.len;
	if (!ext.addr) {
		c->reserved += ext.len;
		return;
	}
	ci->past |= ext.lc + ext.len > end;
	refer(c, ext.addr, ext.len, "extent");
}

static void see_inline(struct check *c, struct check_inode *ci,
		       const struct tfs_item *it)
{
	ci->has_inline = true;
	if (it->key.off != ci->inline_bytes || it->len > TFS_INLINE_MAX ||
	    (S_ISREG(ci->in.mode) && it->key.off))
		bad(c, "inode %u: inline piece at %llu", ci->in.ino,
		    (ull)it->key.off);
	ci->inline_bytes += it->len;
}

static void see_entry(struct check *c, struct check_inode *dir,
		      const struct tfs_item *it)
{
	struct check_inode *ci;
	struct tfs_entry e;
	uint64_t base;

	if (!S_ISDIR(dir->in.mode) || tfs_entry_decode(it, &e))
		bad(c, "inode %u: bad entry", dir->in.ino);
	base = tfs_name_hash(c->fs, e.name, e.len) & (INT64_MAX & ~255ull);
	if (base && base != (e.off & ~255ull))
		bad(c, "%.*s: entry not at its hash", (int)e.len, e.name);
	ci = find_inode(c, e.ino);
	if (!ci)
		bad(c, "%.*s: no inode %u", (int)e.len, e.name, e.ino);
	if ((ci->in.mode & S_IFMT) != e.type)
		bad(c, "%.*s: another type", (int)e.len, e.name);
	ci->names++;
	dir->entries++;
	if (!S_ISDIR(e.type))
		return;
	dir->dirs++;
	if (ci->in.parent != dir->in.ino)
		bad(c, "%.*s: another parent", (int)e.len, e.name);
}

static void see_fs_item(struct check *c, const struct tfs_item *it)
{
	uint64_t n = c->fs->super.clusters;
	struct check_inode *ci;

	if (it->key.type == TFS_T_ORPHAN) {
		ci = it->key.off > UINT32_MAX ? NULL :
			find_inode(c, it->key.off);
		if (it->len || !ci)
			bad(c, "orphan %llu: no such inode",
			    (ull)it->key.off);
		ci->orphan = true;
	} else if (it->key.type == TFS_T_REGION) {
		if (it->key.off >= (n + TFS_REGION_BITS - 1) / TFS_REGION_BITS)
			bad(c, "region %llu", (ull)it->key.off);
	} else if (it->key.type != TFS_T_SUMMARY) {
		bad(c, "filesystem item of type %u", it->key.type);
	}
}

static void see_item(struct check *c, const struct tfs_item *it)
{
	struct check_inode *ci;

	if (it->key.type >= 128 && c->flags & FS_CHECK_FOREIGN)
		return;
	if (!it->key.obj) {
		see_fs_item(c, it);
		return;
	}
	ci = find_inode(c, it->key.obj);
	if (!ci)
		bad(c, "item of type %u without inode %u", it->key.type,
		    it->key.obj);
	switch (it->key.type) {
	case TFS_T_EXTENT:
		see_extent(c, ci, it);
		break;
	case TFS_T_INLINE:
		see_inline(c, ci, it);
		break;
	case TFS_T_DIRENT:
		see_entry(c, ci, it);
		break;
	case TFS_T_XATTR:
	case TFS_T_INODE:
		break;
	default:
		bad(c, "inode %u: item of type %u", it->key.obj,
		    it->key.type);
	}
}

static void check_content(struct check *c, const struct check_inode *ci)
{
	const struct tfs_inode *in = &ci->in;

	if (in->clusters != ci->mapped)
		bad(c, "inode %u: %llu clusters mapped, %llu counted",
		    in->ino, (ull)ci->mapped, (ull)in->clusters);
	if (ci->has_inline && ci->mapped)
		bad(c, "inode %u: both inline and extents", in->ino);
	if (ci->past && !(in->flags & TFS_INODE_CUT))
		bad(c, "inode %u: content past its end", in->ino);
	if (S_ISLNK(in->mode) ? ci->inline_bytes != in->size :
	    ci->inline_bytes > in->size)
		bad(c, "inode %u: %llu bytes inline, size %llu", in->ino,
		    (ull)ci->inline_bytes, (ull)in->size);
	if (ci->has_inline && !S_ISREG(in->mode) && !S_ISLNK(in->mode))
		bad(c, "inode %u: inline content", in->ino);
}

/* The root is reached from every directory. */
static void check_parents(struct check *c, const struct check_inode *ci)
{
	size_t steps = 0;

	while (ci && ci->in.ino != TFS_ROOT_INO && steps++ <= c->inodes)
		ci = ci->in.nlink ? find_inode(c, ci->in.parent) : NULL;
	if (steps > c->inodes)
		bad(c, "directory %u lies in itself", ci->in.ino);
}

static void check_inode(struct check *c, const struct check_inode *ci)
{
	const struct tfs_inode *in = &ci->in;
	bool dir = S_ISDIR(in->mode), root = in->ino == TFS_ROOT_INO;

	if (ci->orphan != (!in->nlink || in->flags & TFS_INODE_CUT))
		bad(c, "inode %u: %u links, flags %u, orphan item %d", in->ino,
		    in->nlink, in->flags, ci->orphan);
	if (ci->orphan && !(c->flags & FS_CHECK_ORPHANS))
		bad(c, "inode %u was left behind", in->ino);
	if (dir && in->nlink && in->nlink != 2 + ci->dirs)
		bad(c, "directory %u: %u links, %llu directories in it",
		    in->ino, in->nlink, (ull)ci->dirs);
	if (dir && in->size != ci->entries)
		bad(c, "directory %u: %llu entries, %llu counted", in->ino,
		    (ull)ci->entries, (ull)in->size);
	if (ci->names != (!dir ? in->nlink : in->nlink && !root))
		bad(c, "inode %u: %llu names, %u links", in->ino,
		    (ull)ci->names, in->nlink);
	if (dir)
		check_parents(c, ci);
	check_content(c, ci);
	if (tfs_listxattr(c->fs, in->ino, NULL, 0, true) < 0)
		bad(c, "inode %u: bad attributes", in->ino);
}

/* ---- all of it ----------------------------------------------------------- */

static void walk_all(struct check *c)
{
	struct tfs *fs = c->fs;
	struct tfs_miss root = {
		.low = tfs_key(0, 0, 0), .high = TFS_KEY_MAX,
	};
	int err = tfs_rdonly(fs) ? 0 : tfs_ckpt_run(fs);

	if (err)
		bad(c, "sync: %s", strerror(-err));
	root.ptr = fs->root;
	root.level = fs->root_level;
	c->refs = grow(c, NULL, fs->super.clusters);
	memset(c->refs, 0, fs->super.clusters);
	walk(c, &root);
}

static void check_all(struct check *c)
{
	walk_all(c);
	load_inodes(c);
	for (size_t i = 0; i < c->n; i++)
		see_item(c, &c->item[i]);
	for (size_t i = 0; i < c->inodes; i++)
		check_inode(c, &c->inode[i]);
	check_space(c);
}

/* (2) */
static bool guarded(struct check *c, void (*fn)(struct check *c))
{
	if (setjmp(c->out))
		return false;
	fn(c);
	return true;
}

static void put_all(struct check *c)
{
	for (unsigned int i = 0; i <= TFS_LEVEL_MAX; i++)
		tfs_node_free(c->held[i]);
	for (size_t i = 0; i < c->n; i++)
		free((void *)c->item[i].val);
	free(c->item);
	free(c->inode);
	free(c->refs);
	free(c->node);
}

static const char *run(struct tfs *fs, unsigned int flags,
		       void (*fn)(struct check *c), struct tfs_miss **nodes,
		       size_t *n)
{
	struct check *c = calloc(1, sizeof(*c));
	bool whole;

	if (!c)
		return "no memory";
	c->fs = fs;
	c->flags = flags;
	whole = guarded(c, fn);
	if (nodes) {
		*nodes = c->node;
		*n = c->nodes;
		c->node = NULL;
	}
	put_all(c);
	free(c);
	return whole ? NULL : found;
}

const char *fs_check(struct tfs *fs, unsigned int flags)
{
	return run(fs, flags, check_all, NULL, NULL);
}

size_t fs_nodes(struct tfs *fs, struct tfs_miss **out)
{
	size_t n = 0;

	run(fs, FS_CHECK_ONE_COPY, walk_all, out, &n);
	return n;
}
