/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild.c - from what salvage.c finds to a tree that can be walked.
 *
 *  (1) All of it happens in memory, as replaying a log does, and is written by
 *      one checkpoint: cut short, it leaves what was there.
 *  (2) What can be walked is as it is.  In the place of what can't be comes an
 *      empty subtree, and into that the items of leaves: of those that have a
 *      key the newest one.  Where it is known which leaf is missing, none that
 *      is older stands in for it.
 *  (3) A cluster that a bitmap calls free was free when that was stored: what
 *      its tags say of an earlier commit is over.  So what was deleted stays
 *      deleted, also if the bitmap itself is not the newest one.
 *  (4) What no leaf has comes from the tags of data: the newest cluster of each
 *      place in a file, unless a leaf that is there says otherwise.
 *      Where there is no checkpoint and most of the data is in no extent, the
 *      leaves that are there are old ones, and say nothing about what has none.
 *  (5) Before any place is given away, all that (2) and (4) may need is in use.
 *  (6) Nothing is newer than the newest checkpoint.  Where no slot names it, it
 *      is the newest tree that is whole, if the log goes on from it; else
 *      nothing is newer than the newest node or commit.  The log comes last, as
 *      in a mount.
 *  (7) With a scratch file, nodes that are made anew are in it beside half of the
 *      memory that may be used; what is found takes three eighths.
 *  (8) Counts, links, names and the map are the checker's, in memory, too.
 *  (9) Without a slot nothing says which nodes count.  So before the first is
 *      written, a slot says that those above (6) do not; the checkpoint's slot
 *      ends that.  Cut in between, the next one finds what this one found.
 * (10) A leg of a mirror that has no superblock becomes a filesystem of its own,
 *      unless its list says that it was left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fence.h"
#include "check/check.h"
#include "check/rebuild_priv.h"
#include "commit/ckpt.h"
#include "commit/txn.h"
#include "file/flaws.h"
#include "file/inode.h"
#include "mount/helper.h"
#include "mount/mount.h"
#include "mount/recover.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

#define STEPS	4u
#define CACHE	(64u << 20)	/* of nodes, at most */
#define PASSES	6u		/* of the checker, until it finds nothing */
#define MARK	"user.tagfs.salvaged"

/* ---- a filesystem again --------------------------------------------------- */

static int root_fn(struct tfs_txn *tx, void *arg)
{
	struct timespec now = tfs_now();
	struct tfs_inode root = {
		.ino = TFS_ROOT_INO, .mode = S_IFDIR | 0755, .nlink = 2,
		.parent = TFS_ROOT_INO, .birth = tfs_txn_seq(tx),
		.atime = now, .mtime = now, .ctime = now, .btime = now,
	};
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(TFS_ROOT_INO, TFS_T_INODE, 0),
			      &item);

	(void)arg;
	if (err != -ENOENT)
		return err;
	tfs_txn_count(tx, 1, 0);
	return tfs_inode_put(tx, &root);
}

static int note_made(struct rebuild *rb, uint32_t ino)
{
	int err = tfs_array_grow(&rb->made, &rb->made_room, rb->made_n + 1,
				 sizeof(rb->made[0]));

	if (!err)
		rb->made[rb->made_n++] = ino;
	return err;
}

static bool found(struct tfs_check *c, const struct tfs_finding *f)
{
	struct rebuild *rb = c->arg;

	if (rb->how->found)
		rb->how->found(rb->how, f);
	rb->how->problems++;
	if (f->kind == TFS_F_STRAY && note_made(rb, f->ino))
		return false;
	return true;
}

/* (8) Until all that belongs to inodes is right; then the map. */
static int reconcile(struct rebuild *rb)
{
	int err = 0;

	for (unsigned int i = 0; i < PASSES && !err; i++) {
		struct tfs_check c = {
			.fs = rb->fs, .arg = rb, .found = found,
			.near_copies = true, .one_copy = true,
			.no_space = true,
		};

		err = tfs_check(&c);
		if (!err && !c.fixed) {
			c.no_space = false;
			c.one_copy = rb->how->rdonly;	/* else they heal */
			c.problems = c.fixed = 0;
			return tfs_check(&c);
		}
	}
	return err ? err : -EUCLEAN;
}

static int mark_made(struct rebuild *rb)
{
	static const char text[] = "content and number are known by its tags; "
		"owner, mode, times and name are lost, the size is that of "
		"whole clusters";
	int err = 0;

	for (size_t i = 0; i < rb->made_n && !err; i++) {
		err = tfs_setxattr(rb->fs, rb->made[i], MARK, text,
				   strlen(text), 0, false);
		if (err == -ENOENT)
			err = 0;	/* it did not come back */
		else if (!err)
			rb->how->inodes++;
	}
	return err;
}

/* (5)  The tree is whole, and its maps may not be. */
static int mark(struct rebuild *rb)
{
	struct tfs_check c = { .fs = rb->fs, .arg = rb, .found = found };

	return tfs_check_mark(&c);
}

static int mend(struct rebuild *rb)
{
	int err = tfs_rb_walk(rb);

	rb->how->lost = rb->lost_n;
	if (err || !rb->lost_n)
		return err ? err : mark(rb);
	err = tfs_rb_choose(rb);
	if (!err)
		err = tfs_rb_guess_maps(rb);
	for (size_t i = 0; i < rb->lost_n && !err; i++)
		err = tfs_tree_replace(rb->fs, &rb->lost[i]);	/* (2) */
	if (!err)
		err = tfs_rb_each_leaf(rb, tfs_rb_put_leaf);
	return err ? err : tfs_rb_fill(rb);
}

/* ---- scan --------------------------------------------------------------- */

static bool scanned(struct tfs_salvage *sv, unsigned int done)
{
	struct rebuild *rb = sv->arg;

	return !rb->how->progress ||
		rb->how->progress(rb->how, 1, STEPS, done);
}

static bool is_own(const struct rebuild *rb, const struct tfs_vote *v)
{
	return !memcmp(v->nonce, rb->fs->super.nonce, TFS_NONCE);
}

static void say_others(const struct rebuild *rb)
{
	const struct tfs_votes *v = &rb->sv.votes;
	char text[33];

	for (unsigned int i = 0; i < v->n; i++) {
		if (is_own(rb, &v->at[i]))
			continue;
		tfs_nonce_text(v->at[i].nonce, text);
		eng_log(LOG_WARNING, "%llu clusters of metadata of another "
			"filesystem are there, too; its nonce is %s",
			(unsigned long long)v->at[i].n, text);
	}
}

/* (9) In rb->slot, which has none. */
static int look_for_mark(struct rebuild *rb)
{
	int err = rb->how->slots_lost ? tfs_slot_begun(rb->fs, &rb->slot) :
		-ENOENT;

	if (err)
		return err == -ENOENT ? 0 : err;
	rb->sv.mark = rb->slot.seq;
	eng_log(LOG_NOTICE, "a rebuild was interrupted; what it wrote does "
		"not count");
	return 0;
}

/* Where nothing but the first nodes said whose it is, most of them may be
 * somebody else's. */
static int scan_for(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	const struct tfs_vote *most;
	int err = look_for_mark(rb);

	if (!err)
		err = tfs_salvage_scan(&rb->sv);

	most = tfs_votes_most(&rb->sv.votes, NULL);
	if (!err && rb->unsure && most && !is_own(rb, most)) {
		memcpy(fs->super.nonce, most->nonce, TFS_NONCE);
		tfs_record_key_init(&fs->key, fs->super.nonce);
		tfs_salvage_clear(&rb->sv);
		err = look_for_mark(rb);
		if (!err)
			err = tfs_salvage_scan(&rb->sv);
	}
	if (!err)
		say_others(rb);
	return err;
}

/* (10)  What the others have, nobody can say. */
static int leave_mirror(const struct rebuild *rb)
{
	struct tfs_rebuild *how = rb->how;
	const struct tfs_salvage *sv = &rb->sv;
	struct tfs_finding f = { .kind = TFS_F_LEGS,
				 .fixable = !sv->leg_behind };

	if (!how->super_lost || !sv->leg)
		return 0;
	snprintf(f.text, sizeof(f.text), "this was leg %u of a mirror, and no "
		 "superblock is left: %s", sv->leg, sv->leg_behind ?
		 "it was left behind, and another leg has what is missing "
		 "here" : "it is taken to have the newest state, and becomes "
		 "a filesystem of its own; don't mix the other legs with it");
	if (how->found)
		how->found(how, &f);
	else
		eng_log(LOG_WARNING, "%s", f.text);
	return sv->leg_behind && !how->rdonly ? -ESTALE : 0;
}

static int scan(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	struct tfs_salvage *sv = &rb->sv;
	int err;

	sv->fs = fs;
	sv->arg = rb;
	sv->progress = scanned;
	sv->scratch = &rb->how->scratch;
	err = scan_for(rb);
	if (!err)
		err = leave_mirror(rb);
	rb->how->unreadable = sv->unreadable;
	rb->limit = rb->how->slots_lost && !sv->mark ? sv->seq : rb->slot.seq;
	rb->above = sv->node_seq;
	if (fs->seq <= tfs_slot_top(&rb->slot))
		fs->seq = tfs_slot_top(&rb->slot) + TFS_SEQ_JUMP + 1;
	if (fs->seq <= sv->seq)
		fs->seq = sv->seq + TFS_SEQ_JUMP + 1;
	if (!err && fs->seq >= TFS_SEQ_MAX - TFS_SEQ_JUMP)
		err = -EOVERFLOW;
	if (rb->how->slots_lost)
		fs->slot_number = sv->checkpoint + 2 > rb->slot.number ?
			sv->checkpoint + 2 : rb->slot.number;
	if (rb->how->super_lost && sv->log_end > fs->super.log_clusters)
		fs->super.log_clusters = sv->log_end;
	if (!err && rb->how->slots_lost)
		err = tfs_rb_newest(rb);
	return err;
}

static int prepare(struct rebuild *rb)
{
	uint64_t n;
	int err = 0;

	rb->fs->replaying = true;				/* (1) */
	n = tfs_region_count(rb->fs);
	rb->map = calloc(n, sizeof(rb->map[0]));
	rb->map_seq = calloc(n, sizeof(rb->map_seq[0]));
	rb->claim = calloc(n, sizeof(rb->claim[0]));
	rb->node = tfs_node_alloc(rb->fs);
	if (rb->how->scratch.dir)
		err = tfs_ncache_park_in(rb->fs, &rb->how->scratch,
					 rb->how->scratch.bytes / 2);
	if (err)
		return err;
	return rb->map && rb->map_seq && rb->claim && rb->node ? scan(rb) :
		-ENOMEM;
}

/* The log, as far as it follows; what it can't give is left out. */
static int recover(struct rebuild *rb)
{
	struct tfs_mount opt = { .rdonly = true };
	bool replayed;
	int err;

	if (rb->how->slots_lost)
		err = tfs_recover_blind(rb->fs, rb->above);
	else
		err = tfs_recover(rb->fs, &rb->slot, rb->odd, &opt,
				  &replayed);
	rb->fs->replaying = true;
	if (err && err != -ENOMEM) {
		eng_log(LOG_WARNING, "the log could not be replayed to its "
			"end: what was done last may be missing");
		err = 0;
	}
	return err;
}

static void release(struct rebuild *rb)
{
	uint64_t n = rb->fs->super.clusters ? tfs_region_count(rb->fs) : 0;

	for (uint64_t i = 0; i < n; i++) {
		if (rb->map)
			free(rb->map[i]);
		if (rb->claim)
			free(rb->claim[i]);
	}
	free(rb->map);
	free(rb->claim);
	free(rb->map_seq);
	free(rb->lost);
	free(rb->hole);
	free(rb->made);
	tfs_sorter_destroy(rb->leaves);
	tfs_sorter_destroy(rb->data);
	tfs_node_free(rb->node);
	tfs_salvage_clear(&rb->sv);
}

/* ---- writing it --------------------------------------------------------- */

/* (9) In the slot that the second checkpoint will take. */
static int write_mark(struct rebuild *rb)
{
	const struct tfs_slot mark = {
		.number = rb->fs->slot_number, .flags = TFS_SLOT_BEGUN,
		.seq = rb->limit, .used = rb->fs->seq - 1,
	};

	return tfs_slot_write(rb->fs, &mark);
}

/* (1) Both slots, then superblocks: as mkfs does. */
static int write_all(struct rebuild *rb)
{
	struct tfs_rebuild *how = rb->how;
	struct tfs *fs = rb->fs;
	int err = 0;

	fs->replaying = false;
	fs->opt.rdonly = false;
	fs->log.newest = fs->ckpt.durable = fs->seq - 1;
	tfs_fence_look(fs);	/* all that took long */
	err = atomic_load(&fs->error);
	if (!err)
		err = how->slots_lost ? write_mark(rb) :
			tfs_begin_life(fs, &rb->slot, true);
	if (!err)
		err = tfs_ckpt_force(fs, false);
	if (!err)
		err = tfs_ckpt_force(fs, false);
	if (!err && how->super_lost)
		err = tfs_fence_format(fs);
	if (!err && fs->super_outdated >= 0) {
		fs->super.seq++;
		err = tfs_super_write(fs, how->super_lost ||
				      fs->super_outdated > 0);
	}
	return err;
}

static bool left(struct tfs_check *c, const struct tfs_finding *f)
{
	struct rebuild *rb = c->arg;

	if (rb->how->found)
		rb->how->found(rb->how, f);
	return false;
}

/* What was written is whole.  So the list of errors, which came back with it,
 * has no part of the tree that is lost: the check takes those away. */
static int look_again(struct rebuild *rb)
{
	struct tfs_check c = {
		.fs = rb->fs, .arg = rb, .found = left, .near_copies = true,
		.one_copy = true,	/* others heal when they are read */
	};
	int err = tfs_flaws_load(rb->fs);

	tfs_helper_stop(rb->fs);	/* what was met on the way is listed */
	if (!err)
		err = tfs_check(&c);
	return err ? err : c.problems ? -EUCLEAN : 0;
}

static int bring_back(struct rebuild *rb)
{
	int err = tfs_rb_open(rb), bad;

	if (!err)
		err = prepare(rb);
	if (!err)
		err = mend(rb);
	if (!err)
		err = recover(rb);
	if (!err)
		err = tfs_txn_write(rb->fs, root_fn, NULL, 0);
	if (!err)
		err = reconcile(rb);
	if (!err)
		err = mark_made(rb);
	bad = atomic_load(&rb->fs->error);
	return bad ? bad : err;
}

static int tell_gaps(const struct rebuild *rb)
{
	struct tfs_rebuild *how = rb->how;

	how->gap = rb->holes ? calloc(rb->holes, sizeof(how->gap[0])) : NULL;
	if (rb->holes && !how->gap)
		return -ENOMEM;
	for (how->gaps = 0; how->gaps < rb->holes; how->gaps++)
		how->gap[how->gaps] = (struct tfs_gap){
			rb->hole[how->gaps].low, rb->hole[how->gaps].high,
		};
	return 0;
}

int tfs_rebuild(struct tfs_rebuild *how)
{
	struct rebuild rb = { .how = how, .fs = tfs_alloc_fs(how->dev) };
	int err, bad;

	how->fs = NULL;
	how->gap = NULL;
	how->gaps = 0;
	if (!rb.fs)
		return -ENOMEM;
	rb.fs->opt.rdonly = rb.fs->opt.rescue = true;
	if (how->scratch.bytes && how->scratch.bytes / 8 < CACHE)
		rb.fs->opt.cache = how->scratch.bytes / 8;
	err = bring_back(&rb);
	if (!err && !how->rdonly)
		err = write_all(&rb);
	if (!err)
		err = tell_gaps(&rb);
	release(&rb);
	if (!err && how->rdonly) {
		rb.fs->replaying = false;
		how->fs = rb.fs;
		return 0;
	}
	if (!err)
		err = look_again(&rb);
	if (rb.fs->opt.rdonly) {
		tfs_fence_leave(rb.fs);
		tfs_free_fs(rb.fs);
		return err;
	}
	bad = tfs_close(rb.fs);
	return err ? err : bad;
}
