/* SPDX-License-Identifier: GPL-2.0-or-later */
/* target.c - look before overwriting.
 *
 * (1) Whatever is in use stays as it is, with -f too: mounted, swap, behind a
 *     loop device, or opened by another program that locks as we do.
 * (2) Nothing is changed by look and check.
 * (3) The same goes for a tagfs that another host shows signs of using. */
#include "config.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fds.h"
#include "core/lock.h"
#include "fs.h"
#include "mounts.h"
#include "target.h"

#define SAMPLE		65536
#define SAMPLES		32	/* half of them at the beginning */
#define FENCE_MS	5000	/* where a mark can't be read */

static int fail(const struct target *t, int err)
{
	say("%s: %s", t->path, strerror(-err));
	return err;
}

/* ---- look ---------------------------------------------------------------- */

static int device_size(struct target *t)
{
	int fd = open(t->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(t, -errno);
	if (ioctl(fd, BLKGETSIZE64, &t->old_size)) {
		int err = -errno;

		close(fd);
		return fail(t, err);
	}
	close(fd);
	return 0;
}

static int look_absent(struct target *t, uint64_t size)
{
	if (!size) {
		say("%s does not exist; -s SIZE creates it", t->path);
		return -ENOENT;
	}
	t->size = size;
	return 0;
}

int target_look(struct target *t, const char *path, uint64_t size)
{
	struct stat st;
	int err = 0;

	*t = (struct target) { .path = path };
	if (stat(path, &st)) {
		if (errno == ENOENT)
			return look_absent(t, size);
		return fail(t, -errno);
	}
	t->exists = true;
	t->block = S_ISBLK(st.st_mode);
	if (!t->block && !S_ISREG(st.st_mode)) {
		say("%s is neither a file nor a block device", path);
		return -ENOTBLK;
	}
	t->old_size = (uint64_t)st.st_size;
	if (t->block)
		err = device_size(t);
	if (!err && t->block && size) {
		say("%s is a block device: -s is for image files", path);
		err = -EINVAL;
	}
	t->size = size ? size : t->old_size;
	return err;
}

/* ---- check --------------------------------------------------------------- */

/* (1) */
static int lock(const struct target *t, struct eng_lock **out)
{
	char why[512];
	int err = eng_lock_get(out, t->path, 0, why, sizeof(why));

	if (err)
		say("%s: %s", t->path, why);
	return err;
}

static int check_unused(const struct target *t)
{
	char *real = realpath(t->path, NULL);
	char *who = real ? mounts_user(real) : NULL;
	int err = who ? -EBUSY : 0;

	if (who) {
		say("%s is %s", t->path, who);
	} else if (fds_standard(t->path)) {
		say("%s is our standard input, output or error", t->path);
		err = -EBUSY;
	}
	free(who);
	free(real);
	return err;
}

static blkid_probe probe_new(int fd)
{
	blkid_probe pr = blkid_new_probe();

	if (!pr)
		return NULL;
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE |
		BLKID_SUBLKS_LABEL | BLKID_SUBLKS_MAGIC |
		BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC |
					 BLKID_PARTS_FORCE_GPT);
	if (blkid_probe_set_device(pr, fd, 0, 0)) {
		blkid_free_probe(pr);
		return NULL;
	}
	return pr;
}

/* Others' superblocks and partition tables. */
static int check_foreign(const struct target *t, int fd)
{
	blkid_probe pr = probe_new(fd);
	const char *type = NULL, *label = NULL;
	int found;

	if (!pr)
		return fail(t, -EIO);
	found = blkid_do_fullprobe(pr);
	if (!found && !blkid_probe_lookup_value(pr, "TYPE", &type, NULL)) {
		blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
		say("%s contains a %s file system%s%s%s", t->path, type,
		    label ? " labelled '" : "", label ? label : "",
		    label ? "'" : "");
	} else if (!found && !blkid_probe_lookup_value(pr, "PTTYPE", &type,
						       NULL)) {
		say("%s contains a %s partition table", t->path, type);
	} else if (found != 1) {
		say("%s contains something that is not clear", t->path);
	}
	blkid_free_probe(pr);
	return found == 1 ? 0 : -EEXIST;
}

/* Nothing that is known, but not nothing: what lies at the beginning, or at
 * one of some places further in, is not zeros. */
static bool has_data(const struct target *t, int fd)
{
	static const char zeros[SAMPLE];
	char buf[SAMPLE];
	uint64_t at;
	ssize_t n;

	for (unsigned int i = 0; i < SAMPLES; i++) {
		at = i < SAMPLES / 2 ? (uint64_t)i * SAMPLE :
			t->old_size / SAMPLES * i / SAMPLE * SAMPLE;
		n = pread(fd, buf, sizeof(buf), (off_t)at);
		if (n > 0 && memcmp(buf, zeros, (size_t)n))
			return true;
	}
	return false;
}

/* Whoever sits there may say yes. */
static int ask(void)
{
	char line[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		say("use -f to overwrite it");
		return -EEXIST;
	}
	fputs("Overwrite it? (y,N) ", stderr);
	if (fgets(line, sizeof(line), stdin) &&
	    (*line == 'y' || *line == 'Y'))
		return 0;
	return -EEXIST;
}

/* Ours: a filesystem, or an empty or foreign container.  A device whose
 * protection is its own is no reason to refuse. */
static int check_own(const struct target *t)
{
	struct tfs_mount how = { .rdonly = true };
	struct eng_open open_how = { .flags = ENG_OPEN_RDONLY };
	struct eng_dev *dev = NULL;
	struct tfs *fs = NULL;
	bool soft;
	int err;

	mute(true);
	err = eng_pool_create_serial(&open_how.pool);
	err = err ?: eng_dev_open(&dev, t->path, &open_how);
	soft = err == -EUCLEAN ||
	       (!err && !strcmp(eng_dev_geometry(dev)->backend, "soft"));
	err = err ?: tfs_open(&fs, dev, &how);
	mute(false);
	if (!err)
		say("%s contains a tagfs file system%s%s%s", t->path,
		    *tfs_label(fs) ? " labelled '" : "", tfs_label(fs),
		    *tfs_label(fs) ? "'" : "");
	else if (soft || err == -EUCLEAN)
		say("%s contains %s", t->path, dev ? "protected data" :
		    "a damaged container of protected data");
	tfs_close(fs);
	eng_dev_close(dev);
	eng_pool_destroy(open_how.pool);
	return !err || soft || err == -EUCLEAN ? -EEXIST : 0;
}

/* (3) -EBUSY: it lives.  Anything else that is wrong is no reason. */
static int ask_fence(const struct target *t, struct eng_dev *dev)
{
	struct tfs_mount how = { .rdonly = true, .fence = FENCE_MS };
	char host[65];
	int err = tfs_in_use(dev, &how, false, host);

	if (err != 1)
		return 0;
	say("%s is marked as in use by host %s: waiting for a sign of life",
	    t->path, host);
	err = tfs_in_use(dev, &how, true, host);
	if (err == -EBUSY)
		say("%s is in use by host %s", t->path, host);
	return err == -EBUSY ? err : 0;
}

static int check_fence(const struct target *t)
{
	struct eng_open how = { .flags = ENG_OPEN_RDONLY };
	struct eng_dev *dev = NULL;
	int err;

	mute(true);
	err = eng_pool_create_serial(&how.pool);
	err = err ?: eng_dev_open(&dev, t->path, &how);
	err = err ? 0 : ask_fence(t, dev);
	mute(false);
	eng_dev_close(dev);
	eng_pool_destroy(how.pool);
	return err;
}

int target_check(const struct target *t, bool force)
{
	struct eng_lock *held;
	bool look = !force && t->old_size, data = false;
	int err;

	if (!t->exists)
		return 0;
	err = check_unused(t);
	err = err ?: lock(t, &held);
	if (err)
		return err;
	if (look) {
		err = check_foreign(t, eng_lock_fd(held));
		data = !err && has_data(t, eng_lock_fd(held));
	}
	eng_lock_put(held);	/* what opens it next takes it, too */
	if (!err && t->old_size)
		err = check_fence(t);
	if (err == -EBUSY || !look)
		return err;
	err = err ?: check_own(t);
	if (!err && t->size != t->old_size) {
		say("%s has %llu bytes", t->path,
		    (unsigned long long)t->old_size);
		err = -EEXIST;
	}
	if (!err && data) {
		say("%s contains data, though nothing that is known", t->path);
		err = -EEXIST;
	}
	return err == -EEXIST ? ask() : err;
}

/* ---- prepare ------------------------------------------------------------- */

static int create(struct target *t)
{
	int fd = open(t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(t, -errno);
	t->created = true;
	close(fd);
	return 0;
}

/* Also what our own headers won't cover: a table at the end, a superblock
 * further in. */
static int wipe(const struct target *t, int fd)
{
	blkid_probe pr = probe_new(fd);
	int err = 0;

	if (!pr)
		return fail(t, -EIO);
	while (!err && !blkid_do_probe(pr))
		err = blkid_do_wipe(pr, 0);
	blkid_free_probe(pr);
	return err ? fail(t, -EIO) : 0;
}

/* Best effort: many devices can't. */
static void discard(const struct target *t, int fd)
{
	uint64_t range[2] = { 0, t->old_size };

	if (t->block)
		(void)!ioctl(fd, BLKDISCARD, range);
	else
		(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, 0,
				 (off_t)t->old_size);
}

int target_prepare(struct target *t, bool keep)
{
	struct eng_lock *held = NULL;
	int err = t->exists ? 0 : create(t), fd;

	err = err ?: lock(t, &held);
	if (err)
		return err;
	fd = eng_lock_fd(held);
	if (t->old_size)
		err = wipe(t, fd);
	if (!err && t->old_size && !keep)
		discard(t, fd);
	if (!err && t->size != t->old_size && ftruncate(fd, (off_t)t->size))
		err = fail(t, -errno);
	if (!err && fsync(fd))
		err = fail(t, -errno);
	eng_lock_put(held);
	return err;
}

void target_undo(struct target *t)
{
	if (t->created)
		unlink(t->path);
}
