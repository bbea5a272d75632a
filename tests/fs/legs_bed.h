/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs_bed.h - a mirror of simulated disks, and a filesystem on it. */
#ifndef LEGS_BED_H
#define LEGS_BED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/resilver.h"
#include "check/scrub.h"
#include "check/treewalk.h"
#include "file/extent.h"
#include "mirror/mirror.h"
#include "soft/dev_soft.h"
#include "support/fs_bed.h"
#include "support/fs_check.h"
#include "support/fs_state.h"

enum { LEGS = 3, CLUSTERS = 1200 };

struct pair {
	struct sim	*sim[LEGS];
	unsigned int	n;
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct tfs	*fs;
	char		where[64];
};

static inline void must(const struct pair *p, int err, const char *what)
{
	ck_assert_msg(!err, "%s: %s: %s", p->where, what, strerror(-err));
}

/* ---- legs that come and go ---------------------------------------------- */

static inline int open_mirror(struct pair *p, const unsigned int *legs,
		       unsigned int n, bool degraded, bool rdonly)
{
	static const char *const names[] = { "one", "two", "three", "four" };
	struct eng_open how = {
		.pool = p->pool, .flags = rdonly ? ENG_OPEN_RDONLY : 0,
	};
	struct tfs_legs_how legs_how = {
		.degraded = degraded, .rdonly = rdonly, .pool = p->pool,
	};
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++) {
		legs_how.name[i] = names[legs[i]];
		err = eng_soft_open(&legs_how.leg[i],
				    sim_raw(p->sim[legs[i]]), &how);
		legs_how.n += !err;
	}
	if (!err)
		err = tfs_legs_open(&p->dev, &legs_how);
	for (unsigned int i = 0; err && i < legs_how.n; i++)
		eng_dev_close(legs_how.leg[i]);
	return err;
}

static inline int open_legs(struct pair *p, const unsigned int *legs, unsigned int n,
		     bool degraded, bool rdonly)
{
	struct tfs_mount mount = { .rdonly = rdonly };
	int err = open_mirror(p, legs, n, degraded, rdonly);

	if (err)
		return err;
	err = tfs_open(&p->fs, p->dev, &mount);
	if (!err && !rdonly && mount.rdonly) {
		tfs_close(p->fs);
		err = -EROFS;
	}
	if (err) {
		eng_dev_close(p->dev);
		p->dev = NULL;
		p->fs = NULL;
	}
	return err;
}

static inline int open_mask(struct pair *p, unsigned int mask, bool degraded,
		     bool rdonly)
{
	unsigned int legs[LEGS], n = 0;

	for (unsigned int i = 0; i < p->n; i++)
		if (mask & 1u << i)
			legs[n++] = i;
	return open_legs(p, legs, n, degraded, rdonly);
}

static inline unsigned int all(const struct pair *p)
{
	return (1u << p->n) - 1;
}

static inline int shut(struct pair *p)
{
	int err = tfs_close(p->fs);

	eng_dev_close(p->dev);
	p->fs = NULL;
	p->dev = NULL;
	return err;
}

static inline void make_pair(struct pair *p, unsigned int n, uint64_t seed)
{
	struct eng_mirror_how how = { .n = n };
	struct tfs_mkfs mkfs = { .label = "test", .uuid = { 1, 2, 3 } };

	memset(p, 0, sizeof(*p));
	snprintf(p->where, sizeof(p->where), "seed %llu",
		 (unsigned long long)seed);
	p->n = n;
	must(p, eng_pool_create_serial(&p->pool), "pool");
	how.pool = p->pool;
	for (unsigned int i = 0; i < n; i++) {
		struct eng_open one = { .pool = p->pool };

		/* Not all of one size. */
		p->sim[i] = sim_create(bed_size("512+8", CLUSTERS + 100 * i),
				       seed + i);
		must(p, eng_soft_format_raw(sim_raw(p->sim[i]),
					    eng_profile_find("512+8"),
					    seed + i), "format");
		must(p, eng_soft_open(&how.leg[i], sim_raw(p->sim[i]), &one),
		     "device");
		how.name[i] = "leg";
	}
	must(p, eng_mirror_create(&p->dev, &how), "mirror");
	must(p, tfs_mkfs(p->dev, &mkfs), "mkfs");
	eng_dev_close(p->dev);
	p->dev = NULL;
}

static inline void clone_pair(struct pair *to, const struct pair *from)
{
	*to = *from;
	for (unsigned int i = 0; i < from->n; i++)
		to->sim[i] = sim_clone(from->sim[i]);
}

static inline void drop_sims(struct pair *p)
{
	for (unsigned int i = 0; i < p->n; i++)
		sim_destroy(p->sim[i]);
}

static inline void free_pair(struct pair *p)
{
	drop_sims(p);
	eng_pool_destroy(p->pool);
}

/* Disk i is given to a mirror that is mounted, and comes with the next mount. */
static inline int join(struct pair *p, unsigned int i, bool add)
{
	struct eng_open how = { .pool = p->pool };
	struct eng_dev *dev = NULL;
	int err = eng_soft_open(&dev, sim_raw(p->sim[i]), &how);

	if (!err)
		err = tfs_legs_join(p->fs, dev, add);
	eng_dev_close(dev);
	return err;
}

/* ---- what is there ------------------------------------------------------ */

static inline bool all_current(struct pair *p)
{
	for (unsigned int i = 0; i < eng_mirror_legs(p->dev); i++)
		if (eng_mirror_state(p->dev, i) != ENG_LEG_CURRENT)
			return false;
	return true;
}

static inline void resilver(struct pair *p)
{
	struct tfs_resilver *r;

	must(p, tfs_resilver_start(&r, p->fs, 0), "resilver");
	must(p, tfs_resilver_stop(r, true), "resilver");
	ck_assert_msg(all_current(p), "%s: a leg is behind after a resilver",
		      p->where);
}

/* All legs are read, and what one has wrong comes from the others. */
static inline void no_finding(struct tfs_scrub *s,
			      const struct tfs_scrub_finding *f)
{
	(void)s;
	(void)f;
}

static inline int scrub_legs(struct pair *p)
{
	struct tfs_scrub s = { .fs = p->fs, .data = true, .meta = true,
			       .found = no_finding };
	int err = tfs_scrub_begin(&s);

	while (!err && !s.done)
		err = tfs_scrub_step(&s);
	tfs_scrub_end(&s);
	return err ? err : s.uncorrectable ? -EIO : 0;
}

/* Each leg by itself says that state, and is whole.  Nothing is written. */
static inline void each_says(struct pair *p, const char *state)
{
	for (unsigned int i = 0; i < p->n; i++) {
		const char *wrong;
		char *its;

		must(p, open_mask(p, 1u << i, true, true), "one leg");
		wrong = fs_check(p->fs, 0);
		ck_assert_msg(!wrong, "%s: leg %u: %s", p->where, i, wrong);
		its = fs_state(p->fs);
		ck_assert_msg(!strcmp(its, state), "%s: leg %u is not as the "
			      "others", p->where, i);
		free(its);
		shut(p);
	}
}

/* ---- are they the same? -------------------------------------------------- */

struct places {
	uint64_t	at[CLUSTERS];
	size_t		n;
};

static inline void add_place(struct places *all, uint64_t addr, uint64_t len)
{
	ck_assert_uint_le(all->n + len, CLUSTERS);
	while (len--)
		all->at[all->n++] = addr++;
}

static inline int place_of_node(struct tfs_treewalk *w,
				const struct tfs_treewalk_node *n)
{
	for (unsigned int i = 0; i < 2; i++)
		add_place(w->arg, n->at.ptr.addr[i], 1);
	return 0;
}

static inline int place_of_item(struct tfs_treewalk *w,
				const struct tfs_item *item)
{
	struct tfs_extent ext;

	if (item->key.obj && item->key.type == TFS_T_EXTENT &&
	    !tfs_extent_decode(w->fs, item, &ext) && ext.addr)
		add_place(w->arg, ext.addr, ext.len);
	return 0;
}

/* All that is in use after an unmount, but what a leg has for itself.  Of the
 * log that is nothing. */
static inline void find_places(struct pair *p, struct places *all)
{
	struct tfs_treewalk w = { .fs = p->fs, .arg = all,
				  .node = place_of_node,
				  .item = place_of_item };
	const struct tfs_super *s = &p->fs->super;

	all->n = 0;
	add_place(all, TFS_AT_SUPER, 1);
	add_place(all, TFS_AT_SLOT, 2);
	add_place(all, s->clusters - TFS_END_SLOT, 2);
	add_place(all, s->clusters - TFS_END_SUPER, 1);
	must(p, tfs_treewalk_begin(&w), "walk");
	must(p, tfs_treewalk_run(&w), "walk");
	tfs_treewalk_end(&w);
}

/* Whatever is in use is the same on all of them, bytes and tuples.  Nothing is
 * open. */
static inline void legs_are_equal(struct pair *p)
{
	static struct bed_cluster one, other;
	static struct places all_places;
	const struct eng_profile *prof;
	size_t meta;

	must(p, open_mask(p, all(p), false, true), "mount");
	prof = p->fs->geo->profile;
	meta = p->fs->ipc * prof->meta_size;
	find_places(p, &all_places);
	must(p, shut(p), "unmount");
	for (size_t i = 0; i < all_places.n; i++) {
		uint64_t addr = all_places.at[i];

		bed_peek(p->sim[0], prof, addr, &one);
		for (unsigned int leg = 1; leg < p->n; leg++) {
			bed_peek(p->sim[leg], prof, addr, &other);
			ck_assert_msg(!memcmp(one.data, other.data, 4096),
				      "%s: cluster %llu is another on leg %u",
				      p->where, (unsigned long long)addr, leg);
			ck_assert_msg(!memcmp(one.tuples, other.tuples, meta),
				      "%s: the tuples of cluster %llu are "
				      "others on leg %u", p->where,
				      (unsigned long long)addr, leg);
		}
	}
}

static inline uint64_t data_at(const struct pair *p, unsigned int leg, uint64_t addr)
{
	struct eng_dev *d = eng_mirror_leg(p->dev, leg);

	return eng_dev_byte(d, addr * p->fs->ipc);
}

#endif
