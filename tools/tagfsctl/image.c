/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.c - tagfsctl image: what a developer needs of a filesystem that is not
 * as it should be, and none of the content.
 *
 *  (1) The source is read, and nothing else.  The image is a container of the
 *      same places, in which clusters of content are holes.
 *  (2) What is metadata is told by tags and by fixed places, not by the tree:
 *      so a tree that can't be walked is all there, and so are leaves that only
 *      a rebuild finds.
 *  (3) Superblocks and headers of an image say that it is one, and nobody
 *      mounts it.
 *  (4) A new key takes the place of the one that names were hashed with, so
 *      that nobody can try names.
 *  (5) What can't be read is said, and is a hole.
 *  (6) The image has another name until it is whole, and only its owner can
 *      read it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check/nonce.h"
#include "commit/super.h"
#include "core/lock.h"
#include "image.h"
#include "mount/mount.h"
#include "out.h"
#include "soft/soft_priv.h"

/* ---- source -------------------------------------------------------------- */

/* (5): a filesystem without a superblock is as mkfs makes it on that device. */
static int guess(void *arg, unsigned int tags, enum tfs_nonce_at *at)
{
	struct image *g = arg;
	struct tfs_super *s = &g->from->super;
	int err = eng_dev_set_tags(g->im.dev, tags);

	err = err == -EOPNOTSUPP ? -EMEDIUMTYPE :
		err ? err : tfs_measure(g->from, &s->clusters);
	if (err)
		return err;
	s->cluster_size = g->from->csize;
	s->log_start = TFS_AT_LOG;
	s->log_clusters = tfs_log_size(s->clusters, g->from->csize);
	s->incompat = TFS_INCOMPAT_LOG | (tags > 1 ? TFS_INCOMPAT_TAGS : 0);
	s->ro_compat = TFS_RO_COMPAT_FENCE;	/* if one is there */
	return tfs_nonce_find(g->from, s->nonce, at);
}

static int random_bytes(void *buf, size_t len)
{
	return getrandom(buf, len, 0) == (ssize_t)len ? 0 : -EIO;
}

/* (4) */
static int make_keys(struct image *g)
{
	int err = 0;

	g->to->super = g->from->super;
	g->to->csize = g->from->csize;
	g->to->ipc = g->from->ipc;
	if (g->anonymise)
		err = random_bytes(g->to->super.nonce, TFS_NONCE);
	if (!err && g->anonymise)
		err = random_bytes(g->uuid, sizeof(g->uuid));
	tfs_record_key_init(&g->from->key, g->from->super.nonce);
	tfs_record_key_init(&g->to->key, g->to->super.nonce);
	return err;
}

static int open_source(struct image *g)
{
	struct eng_open how = { .flags = ENG_OPEN_RDONLY | ENG_OPEN_RESCUE };
	int err = eng_pool_create(&g->im.pool, 1);

	how.pool = g->im.pool;
	if (!err)
		err = eng_dev_open(&g->im.dev, g->path, &how);
	if (err)
		return err;
	g->from = g->im.fs = tfs_alloc_fs(g->im.dev);
	g->to = tfs_alloc_fs(g->im.dev);
	if (!g->from || !g->to)
		return -ENOMEM;
	g->from->seq = TFS_SEQ_MAX;	/* every one may be */
	err = tfs_super_read(g->from);
	if (err == -EOPNOTSUPP || err == -ENOMEM)
		return err;
	if (err) {
		err = tfs_nonce_tags(guess, g);
		if (!err)
			say("%s: no superblock can be read", g->path);
	}
	if (!err)
		err = make_keys(g);
	g->zero = calloc(1, g->from->csize);
	g->old = malloc(g->from->csize);
	g->new = malloc(g->from->csize);
	return !g->zero || !g->old || !g->new ? -ENOMEM : err;
}

/* ---- target -------------------------------------------------------------- */

/* Nothing that somebody uses, and no device: there is no way back. */
static int may_replace(struct image *g, const struct stat *st, bool force)
{
	struct eng_lock *lock;
	struct stat src;
	char why[512];

	if (!S_ISREG(st->st_mode)) {
		say("%s is not a file", g->target);
		return -EINVAL;
	}
	if (!stat(g->path, &src) && src.st_dev == st->st_dev &&
	    src.st_ino == st->st_ino) {
		say("%s and %s are the same", g->path, g->target);
		return -EINVAL;
	}
	if (!force) {
		say("%s exists; -f overwrites it", g->target);
		return -EEXIST;
	}
	if (eng_lock_get(&lock, g->target, 0, why, sizeof(why))) {
		say("%s: %s", g->target, why);
		return -EBUSY;
	}
	eng_lock_put(lock);
	return 0;
}

/* (6) */
static int create(struct image *g, bool force)
{
	struct stat st;
	int err = lstat(g->target, &st) ? 0 : may_replace(g, &st, force);

	if (err)
		return err;
	if (asprintf(&g->part, "%s.XXXXXX", g->target) < 0) {
		g->part = NULL;
		return -ENOMEM;
	}
	g->out = mkostemp(g->part, O_CLOEXEC);
	return g->out < 0 ? -errno : 0;
}

static int finish(struct image *g, bool force)
{
	if (force)
		return rename(g->part, g->target) ? -errno : 0;
	if (link(g->part, g->target))
		return -errno;
	unlink(g->part);
	return 0;
}

/* The same bytes at the same places. */
static int shape_soft(struct image *g)
{
	const struct soft *s = (const struct soft *)g->im.dev;

	g->lay = s->head.lay;
	g->id = s->head.id;
	g->raw = s->raw;
	g->zones = g->lay.zones;
	if (s->head.cut) {
		g->unreadable++;
		say("%s is cut short: what lay behind byte %llu is not there",
		    g->path, (unsigned long long)s->raw->size);
		g->zones = (s->raw->size - SOFT_BLOCK +
			    g->lay.zone_bytes - 1) / g->lay.zone_bytes;
	}
	return ftruncate(g->out, (off_t)s->raw->size) ? -errno : 0;
}

/* A container of as many clusters. */
static int shape_native(struct image *g)
{
	const struct eng_profile *p = g->im.dev->geo.profile;
	uint64_t n = g->im.dev->geo.intervals / g->from->ipc, per, zones, size;
	struct soft_disk_head head;
	int err;

	err = soft_layout(&g->lay, p, UINT64_C(1) << 40);
	if (err)
		return err;
	per = g->lay.zone_intervals / g->from->ipc;
	zones = n / per;
	size = 2 * SOFT_BLOCK + zones * g->lay.zone_bytes;
	if (n % per)
		size += SOFT_PAGES + n % per * g->from->csize;
	err = ftruncate(g->out, (off_t)size) ? -errno : 0;
	if (!err)
		err = eng_soft_format(g->part, p);
	if (!err)
		err = soft_layout(&g->lay, p, size);
	if (!err && pread(g->out, &head, sizeof(head), 0) != sizeof(head))
		err = -EIO;
	g->id = get_le64(head.id);
	g->zones = g->lay.zones;
	g->data = malloc((size_t)g->lay.zone_intervals * p->interval);
	g->bad = calloc(per, sizeof(g->bad[0]));
	return !g->data || !g->bad ? -ENOMEM : err;
}

/* ---- the whole ----------------------------------------------------------- */

static bool in_log(const struct image *g, uint64_t addr)
{
	return addr >= g->from->super.log_start &&
		addr - g->from->super.log_start < g->from->super.log_clusters;
}

/* (2) */
static bool is_fixed(const struct image *g, uint64_t addr)
{
	uint64_t n = g->from->super.clusters;

	return addr < TFS_AT_LOG ||
		(addr < n && n - addr <= tfs_end_fixed(&g->from->super));
}

static bool is_fence(const struct image *g, uint64_t addr)
{
	return g->from->super.ro_compat & TFS_RO_COMPAT_FENCE &&
		addr == g->from->super.clusters - TFS_END_FENCE;
}

static bool is_metadata(struct image *g, uint64_t addr)
{
	struct tfs_record rec[2];
	unsigned int n = image_records(g, addr, rec);

	if (is_fixed(g, addr) && (is_fence(g, addr) || image_written(g, addr)))
		return true;
	for (unsigned int i = 0; i < n; i++)
		if (rec[i].kind != TFS_K_DATA)
			return true;
	return false;
}

static int one_cluster(struct image *g, uint64_t addr)
{
	if (in_log(g, addr))
		return 0;
	if (!is_metadata(g, addr)) {
		g->dropped++;
		return image_place(g, addr, NULL, g->zero);
	}
	if (!image_read(g, addr, g->old))
		return 0;
	if (is_fence(g, addr) && memcmp(g->old, "TFNC", 4))
		return 0;	/* whatever lay there before */
	g->kept++;
	image_wash(g);
	return image_place(g, addr, g->old, g->new);
}

static int one_zone(struct image *g, uint64_t zone)
{
	uint64_t first = zone * g->lay.zone_intervals / g->from->ipc;
	uint32_t n = soft_zone_count(&g->lay, zone) / g->from->ipc;
	int err = image_zone(g, zone, true);

	if (!err && !g->there[0] && !g->there[1])
		return 0;
	for (uint32_t i = 0; i < n && !err; i++)
		err = one_cluster(g, first + i);
	return err ? err : image_zone_end(g);
}

static int copy(struct image *g)
{
	int err = g->soft ? shape_soft(g) : shape_native(g);

	if (!err)	/* a container does not say how many tags there are */
		g->lay.profile = eng_profile_tags(g->lay.profile,
						  g->im.dev->geo.profile->tags);
	if (!err)
		err = image_heads(g);
	if (!err)
		err = image_log_scan(g);
	for (uint64_t z = 0; z < g->zones && !err; z++)
		err = is_interrupted() ? -EINTR : one_zone(g, z);
	if (!err)
		err = image_log_write(g);
	if (!err && fsync(g->out))
		err = -errno;
	return err;
}

static void report(const struct image *g)
{
	struct stat st = { .st_blocks = 0 };

	fstat(g->out, &st);
	out_begin("image");
	out_text("path", g->target);
	out_number("bytes", (uint64_t)st.st_size);
	out_number("stored", (uint64_t)st.st_blocks * 512);
	out_number("metadata", g->kept);
	out_number("left_out", g->dropped);
	out_number("unreadable", g->unreadable);
	out_true("names", !g->anonymise);
	out_true("inline_content", g->with_inline);
	out_end();
	if (!g->anonymise)
		say("%s has the names of files, targets of links and "
		    "attributes in it; --anonymise leaves them out",
		    g->target);
}

static void release(struct image *g)
{
	if (g->out >= 0)
		close(g->out);
	tfs_free_fs(g->to);
	medium_close(&g->im);
	free(g->part);
	free(g->zero);
	free(g->old);
	free(g->new);
	free(g->data);
	free(g->bad);
	free(g->log_seq);
	free(g->commit);
}

static int run(struct image *g, bool force)
{
	int err = open_source(g);

	if (err)
		return fail(g->path, err);
	g->soft = !strcmp(g->im.dev->geo.backend, "soft");
	err = create(g, force);
	if (err)
		return fail(g->target, err);
	err = copy(g);
	if (!err)
		err = finish(g, force);
	if (err) {
		unlink(g->part);
		return fail(g->target, err);
	}
	report(g);
	return g->unreadable ? EXIT_BAD : EXIT_OK;
}

int verb_image(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "anonymise", no_argument, NULL, 'a' },
		{ "with-inline", no_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 }
	};
	struct image g = { .out = -1 };
	bool force = false, json = false;
	int c, res;

	while ((c = getopt_long(argc, argv, "f", longs, NULL)) >= 0) {
		if (c == 'f')
			force = true;
		else if (c == 'a')
			g.anonymise = true;
		else if (c == 'i')
			g.with_inline = true;
		else if (c == 'j')
			json = true;
		else
			return bad_usage(argv[0], "unknown option");
	}
	if (argc - optind != 2)
		return bad_usage(argv[0], "a device and a file are needed");
	if (g.anonymise && g.with_inline)
		return bad_usage(argv[0], "content is not anonymous");
	g.path = argv[optind];
	g.target = argv[optind + 1];
	out_setup(json);
	catch_signals();
	res = run(&g, force);
	release(&g);
	return res;
}
