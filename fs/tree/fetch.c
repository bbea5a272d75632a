/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fetch.c - read a node that is not in memory.
 *
 *  (1) A node is read with no lock held, from its first copy or, if that one
 *      is bad, from its second, and decoded before it is inserted.  One bad
 *      copy is remembered, for the next checkpoint to rewrite the node; so
 *      are copies that lie too near each other, if there is space.
 *  (2) Who lets go of fs->tree to read a node takes a reader's ticket first,
 *      so that its place is neither used again nor discarded before it was
 *      read.  The tree may name another node there by then; so an error
 *      counts only if it still names this one.
 *  (3) One that was parked comes from the park.  If that fails, it can't be
 *      had from anywhere: nothing may be made of such a tree. */
#include <string.h>

#include "base/about.h"
#include "base/cluster.h"
#include "base/gate.h"
#include "base/notes.h"
#include "base/nowait.h"
#include "base/state.h"
#include "tree/btree.h"
#include "tree/fetch.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

static int read_copy(struct tfs *fs, struct tfs_node *node,
		     const struct tfs_miss *f, unsigned int copy,
		     struct eng_fault *fault)
{
	struct tfs_record rec = {
		.kind = TFS_K_NODE, .owner = f->level, .index = copy,
		.seq = f->ptr.seq,
	};
	const char *bad;
	int err = tfs_cluster_read_why(fs, f->ptr.addr[copy], &rec, node->buf,
				       fault);

	node->ptr = f->ptr;
	if (err)
		return err;
	bad = tfs_node_decode(fs, node, f->level, &f->low, &f->high);
	if (!bad)
		return 0;
	tfs_log_about(LOG_ERR, &(struct tfs_about){
			.cluster = f->ptr.addr[copy], .check = "structure" },
		      "tree node at cluster %llu (level %u, commit %llu): "
		      "wrong %s", (unsigned long long)f->ptr.addr[copy],
		      f->level, (unsigned long long)f->ptr.seq, bad);
	return -EUCLEAN;
}

/* Two places of their own, where nodes may be. */
static bool ptr_sound(const struct tfs *fs, const struct tfs_ptr *ptr)
{
	uint64_t low = fs->super.log_start + fs->super.log_clusters;
	uint64_t high = fs->super.clusters - tfs_end_fixed(&fs->super);

	return ptr->addr[0] >= low && ptr->addr[0] < high &&
		ptr->addr[1] >= low && ptr->addr[1] < high &&
		ptr->addr[0] != ptr->addr[1];
}

static int read_any(struct tfs *fs, struct tfs_node *node,
		    const struct tfs_miss *f, struct tfs_report *bad)
{
	struct eng_fault second;
	int err;

	*bad = (struct tfs_report){
		.kind = TFS_FLAW_LOST, .ino = f->low.obj,
		.addr = f->ptr.addr[0], .err = -EUCLEAN,
	};
	if (!ptr_sound(fs, &f->ptr))
		return -EUCLEAN;
	bad->err = read_copy(fs, node, f, 0, &bad->fault);
	if (!bad->err)
		return 0;
	err = read_copy(fs, node, f, 1, &second);
	if (err)
		return bad->err == -ENOMEM || err == -ENOMEM ? -ENOMEM :
			-EUCLEAN;
	bad->kind = TFS_FLAW_NODE;
	bad->ino = 0;
	bad->healed = !tfs_rdonly(fs);
	return 0;
}

/* The list of flaws has no place for what lies outside. */
static void note(struct tfs *fs, const struct tfs_report *bad)
{
	if (bad->addr && bad->addr < fs->super.clusters)
		tfs_note_node(fs, bad);
}

static void tell_bad(struct tfs *fs, const struct tfs_miss *f,
		     const struct tfs_report *bad)
{
	note(fs, bad);
	tfs_log_about(LOG_ERR, &(struct tfs_about){
			.cluster = f->ptr.addr[0], .check = "structure" },
		      "tree node (level %u) at clusters %llu and %llu: %s",
		      f->level, (unsigned long long)f->ptr.addr[0],
		      (unsigned long long)f->ptr.addr[1],
		      ptr_sound(fs, &f->ptr) ? "both copies are bad" :
		      "can't be there");
}

static void tell_healed(struct tfs *fs, const struct tfs_miss *f,
			const struct tfs_report *bad)
{
	note(fs, bad);
	atomic_fetch_add(&fs->count.healed, 1);
	tfs_log_about(LOG_WARNING, &(struct tfs_about){
			.cluster = f->ptr.addr[0],
			.check = tfs_check_name(bad->err, &bad->fault) },
		      "tree node at cluster %llu: bad copy, using the one at "
		      "cluster %llu; %s", (unsigned long long)f->ptr.addr[0],
		      (unsigned long long)f->ptr.addr[1], tfs_rdonly(fs) ?
		      "not repaired, read-only" :
		      "the next checkpoint heals it");
}

/* (1) Nothing is wrong with it yet. */
static bool too_near(const struct tfs *fs, const struct tfs_ptr *ptr)
{
	uint64_t a = ptr->addr[0], b = ptr->addr[1];

	return (a > b ? a - b : b - a) < TFS_COPY_GAP &&
		fs->free > fs->reserve && !tfs_rdonly(fs);
}

/* (2) What was read becomes part of the cache.  False: it stays outside, for
 * the tree has moved on, or another thread was faster. */
static bool take_in(struct tfs *fs, const struct tfs_miss *f,
		    struct tfs_node *node, bool heal)
{
	bool in;

	pthread_rwlock_wrlock(&fs->tree);
	in = tfs_btree_names(fs, f) != -ENOENT &&
		!tfs_ncache_find(fs, &f->ptr);
	if (in) {
		tfs_ncache_evict(fs);
		tfs_ncache_insert(fs, node);
	}
	if (in && (heal || too_near(fs, &f->ptr)))
		tfs_ncache_heal_note(fs, f);
	pthread_rwlock_unlock(&fs->tree);
	return in;
}

/* (2) Does anybody need what can't be read? */
static bool still_wanted(struct tfs *fs, const struct tfs_miss *f)
{
	int err;

	pthread_rwlock_rdlock(&fs->tree);
	err = tfs_ncache_find(fs, &f->ptr) ? -ENOENT : tfs_btree_names(fs, f);
	pthread_rwlock_unlock(&fs->tree);
	return err != -ENOENT && err != TFS_MISS;
}

/* Who looks for space can do without (freemap.c). */
static int lose_space(struct tfs *fs, const struct tfs_miss *f)
{
	int err;

	pthread_rwlock_wrlock(&fs->tree);
	err = tfs_freemap_lose(fs, &f->low, &f->high);
	pthread_rwlock_unlock(&fs->tree);
	eng_log(LOG_ERR, "tree node at cluster %llu: it said which clusters "
		"are free; they are not used until it is repaired",
		(unsigned long long)f->ptr.addr[0]);
	return err;
}

/* (3) */
static int unpark(struct tfs *fs, const struct tfs_miss *f)
{
	int err;

	if (!tfs_ncache_parks(fs))
		return 0;
	pthread_rwlock_wrlock(&fs->tree);
	err = tfs_ncache_unpark(fs, &f->ptr);
	pthread_rwlock_unlock(&fs->tree);
	if (err < 0 && err != -ENOMEM)
		tfs_fail(fs, err, "scratch file");
	return err;
}

int tfs_tree_unlock(struct tfs *fs, int err, struct tfs_miss *miss)
{
	if (err == TFS_MISS)
		miss->ticket = tfs_reader_enter(fs);		/* (2) */
	pthread_rwlock_unlock(&fs->tree);
	return err;
}

int tfs_node_fetch(struct tfs *fs, const struct tfs_miss *miss)
{
	struct tfs_node *node;
	struct tfs_report bad;
	bool heal;
	int err = 0;

	if (miss->kind == TFS_MISS_PAUSE)
		goto out;
	err = tfs_may_wait();
	if (err)
		goto out;
	err = unpark(fs, miss);
	if (err) {
		err = err < 0 ? err : 0;
		goto out;
	}
	node = tfs_node_alloc(fs);
	err = node ? read_any(fs, node, miss, &bad) : -ENOMEM;
	heal = !err && bad.err && bad.err != -ENOMEM;
	if (!err) {
		atomic_fetch_add(&fs->count.node_reads, 1);
		if (!take_in(fs, miss, node, heal))
			tfs_node_free(node);
		else if (heal)
			tell_healed(fs, miss, &bad);
	} else {
		tfs_node_free(node);
		if (err != -ENOMEM && !still_wanted(fs, miss))
			err = 0;
		else if (err != -ENOMEM)
			tell_bad(fs, miss, &bad);
		if (err == -EUCLEAN && miss->kind == TFS_MISS_SPACE)
			err = lose_space(fs, miss);
	}
out:
	tfs_reader_exit(fs, miss->ticket);
	return err;
}
