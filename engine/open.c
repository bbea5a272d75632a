/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.c - find out what a path is, and open or format it.
 *  (1) Exactly one layer logs an error: the lowest that knows what it
 *      expected.  Nothing is added here.
 *  (2) Backends are probed in order of how much of the checking is done by
 *      the device; the software container comes last.
 *  (3) But a container that is there is one: it may be older than the kernel
 *      that can do better, or wanted.  Its first header decides.  That is
 *      where a native filesystem has its superblock, so there are never
 *      both. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "io/raw.h"
#include "core/dev.h"
#include "core/lock.h"
#include "native/dev_block.h"
#include "native/dev_nvme.h"
#include "soft/dev_soft.h"
#include "soft/soft_format.h"

typedef int open_fn(struct eng_dev **out, struct eng_bdev *bdev,
		    const struct eng_profile *p, const struct eng_open *how);

/* ---- which backend ---------------------------------------------------- */

static bool is_block(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

static bool wanted(const char *want, const char *backend)
{
	return !want || !strcmp(want, backend);
}

static const struct eng_profile *row_of(const struct eng_profile *found)
{
	const struct eng_profile *p;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++)
		if (eng_profile_equal(p, found))
			return p;
	return NULL;
}

/* Fill in backend, profile and why; NULL if none but a container will do. */
static open_fn *choose(const struct eng_bdev *b, const char *want,
		       struct eng_probe *out)
{
	char ng[48];
	const char *why = b->why_not;
	open_fn *fn = NULL;

	out->backend = "soft";
	out->profile = b->native ? row_of(&b->found) : NULL;
	if (b->native && !out->profile) {
		why = "the device is formatted in a way unknown to tagfs";
	} else if (b->native && b->kernel && wanted(want, "block") &&
		   eng_block_works()) {
		fn = eng_block_open;
		out->backend = "block";
		why = "the device stores protection information, and Linux "
			"passes it on";
	} else if (b->native && wanted(want, "nvme") &&
		   eng_nvme_generic(b, ng, sizeof(ng), &why)) {
		fn = eng_nvme_open;
		out->backend = "nvme";
		why = "the namespace stores protection information, which "
			"this Linux does not pass on (6.14 and later do), so "
			"commands go around its block layer";
	} else if (b->native) {
		why = "the device stores protection information, but this "
			"Linux does not pass it on (6.14 and later do)";
	}
	snprintf(out->why, sizeof(out->why), "%s", why);
	if (!fn)
		out->profile = NULL;
	return fn;
}

int eng_dev_probe(struct eng_probe *out, const char *path)
{
	struct eng_bdev b;
	int err;

	*out = (struct eng_probe) { .backend = "soft" };
	if (!is_block(path)) {
		snprintf(out->why, sizeof(out->why), "it is a file");
		return 0;
	}
	err = eng_bdev_open(&b, path, -1, ENG_OPEN_RDONLY);
	if (err)
		return err;
	choose(&b, NULL, out);
	if (b.native)
		eng_bdev_advise(&b);
	if (out->profile || !b.native)	/* else it would not help */
		memcpy(out->advice, b.advice, sizeof(b.advice));
	eng_bdev_close(&b);
	return 0;
}

/* (3) */
static bool has_container(const struct eng_bdev *b)
{
	struct soft_disk_head *d = aligned_alloc(4096, 4096);
	bool res = d && pread(b->fd, d, 4096, 0) == 4096 &&
		   le64toh(d->magic) == SOFT_HEAD_MAGIC;

	free(d);
	return res;
}

/* -EMEDIUMTYPE: it is for a container to open; *probe says why. */
static int open_native(struct eng_dev **out, const char *path, int fd,
		       const struct eng_open *how, struct eng_probe *probe)
{
	struct eng_bdev b;
	open_fn *fn;
	int err = eng_bdev_open(&b, path, fd, how->flags);

	if (err)
		return err;
	fn = choose(&b, how->backend, probe);
	if (fn && (how->backend || !has_container(&b)))
		return fn(out, &b, probe->profile, how);
	eng_bdev_close(&b);
	return -EMEDIUMTYPE;
}

static int open_soft(struct eng_dev **out, const char *path, int fd,
		     const struct eng_open *how)
{
	struct eng_raw *raw;
	int err;

	err = eng_raw_open(&raw, path, fd, how->flags);
	if (err)
		return err;
	err = eng_soft_open(out, raw, how);
	if (err)
		raw->ops->close(raw);
	return err;
}

static int lock_path(struct eng_lock **out, const char *path,
		     unsigned int flags)
{
	char why[512];
	int err = eng_lock_get(out, path, flags, why, sizeof(why));

	if (err)
		eng_log(LOG_ERR, "%s: %s", path, why);
	return err;
}

static int open_locked(struct eng_dev **out, const char *path, int fd,
		       const struct eng_open *how)
{
	struct eng_probe probe = { .why = "it is a file" };
	bool block = is_block(path);
	int err = -EMEDIUMTYPE;

	if (block && (!how->backend || strcmp(how->backend, "soft")))
		err = open_native(out, path, fd, how, &probe);
	if (err == -EMEDIUMTYPE && wanted(how->backend, "soft")) {
		err = open_soft(out, path, fd, how);
		block = block && !how->backend;
	}
	if (err == -EMEDIUMTYPE && (block || how->backend))
		eng_log(LOG_ERR, "%s: not opened as a protected device: %s",
			path, probe.why);
	return err;
}

int eng_dev_open(struct eng_dev **out, const char *path,
		 const struct eng_open *how)
{
	struct eng_lock *lock;
	int err = lock_path(&lock, path, how->flags);

	*out = NULL;
	if (err)
		return err;
	err = open_locked(out, path, eng_lock_fd(lock), how);
	if (err)
		eng_lock_put(lock);
	else
		(*out)->lock = lock;
	if (!err)
		(*out)->geo.shared = eng_lock_shared(lock);
	return err;
}

/* ---- format ----------------------------------------------------------- */

/* Never 0: a zeroed header has no valid id. */
static int random_id(uint64_t *id)
{
	ssize_t n;

	do {
		n = getrandom(id, sizeof(*id), 0);
	} while ((n < 0 && errno == EINTR) || (n == sizeof(*id) && !*id));
	return n == sizeof(*id) ? 0 : -EIO;
}

int eng_soft_format(const char *path, const struct eng_profile *p)
{
	struct eng_lock *lock;
	struct eng_raw *raw;
	uint64_t id;
	int err = lock_path(&lock, path, 0);

	if (err)
		return err;
	err = random_id(&id);
	if (!err)
		err = eng_raw_open(&raw, path, eng_lock_fd(lock), 0);
	if (err)
		goto out;
	err = eng_soft_format_raw(raw, p, id);
	if (!err)
		err = raw->ops->flush(raw);
	raw->ops->close(raw);
out:
	eng_lock_put(lock);
	return err;
}
