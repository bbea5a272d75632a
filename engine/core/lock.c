/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock.c - one writer, or any readers, of what lies under a path.
 *  (1) What is locked is storage, not a name: an inode or a disk, and the
 *      bytes of it that are meant.  Links, bind mounts and second device
 *      nodes lead to the same.
 *  (2) Downward: a loop device is a window on a file or another device.
 *      Whoever locks a window locks what it shows of that, too, to the
 *      bottom.
 *  (3) Sideways: other loop devices that show any of the locked bytes must be
 *      unused.  A writer keeps them so until he is done.  A reader only looks,
 *      or readers would keep each other out; windows that can't be written
 *      through don't concern him.
 *  (4) Devices are locked by O_EXCL, in which the kernel counts a disk and
 *      its partitions as one.  It knows no readers, so a device has one user.
 *  (5) Files are locked twice, both without waiting.  By flock, which other
 *      programs know: shared by readers, and by windows on parts of the file.
 *      By an open file description lock on the bytes that are meant, which
 *      keeps apart windows that overlap, readers of the whole from writers of
 *      parts, and, where the filesystem is exported, us from its clients.
 *  (6) A file that can't be reached by name, since it was deleted or is in
 *      another mount namespace, can't be locked; its other windows can be
 *      told by device and inode all the same. */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/sysfs.h"
#include "tagpi.h"

#define LOOP_MAJOR	7
#define DEPTH_MAX	8	/* loop devices on loop devices */
#define TRIES		10	/* a reader may be looking just now: (3) */
#define MAGIC_XFS	0x58465342
#define MAGIC_ZFS	0x2fc12fc1

/* Bytes of a file, or of a whole disk (1). */
struct view {
	bool		block;
	dev_t		dev;	/* of the filesystem, or the disk's own */
	ino_t		ino;
	uint64_t	off, end;
};

struct held {
	struct held	*next;
	struct view	view;
	int		fd;
};

struct eng_lock {
	bool		rdonly;
	bool		shared;
	int		fd;	/* of the path: held, too */
	struct held	*held;
	const char	*path;	/* while it is taken */
	char		*why;
	size_t		size;
};

/* ---- what to say ------------------------------------------------------ */

static int refuse(struct eng_lock *l, int err, const char *name,
		  const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!strcmp(name, l->path))
		snprintf(l->why, l->size, "%s", text);
	else
		snprintf(l->why, l->size, "%s, which is the same storage: %s",
			 name, text);
	return err;
}

static bool lock_line(const char *line, const struct stat *st, int *pid)
{
	unsigned int maj, min;
	unsigned long ino;

	return sscanf(line, "%*s %*s %*s %*s %d %x:%x:%lu", pid, &maj, &min,
		      &ino) == 4 && ino == st->st_ino && *pid > 0 &&
	       makedev(maj, min) == st->st_dev;
}

/* Best effort: the process may be in another namespace, or on another host. */
static int file_busy(struct eng_lock *l, int fd, const char *name)
{
	char *line = NULL, dir[32], comm[32] = "";
	FILE *f = fopen("/proc/locks", "re");
	struct stat st;
	size_t size = 0;
	int pid = 0;
	bool found = false;

	while (f && !fstat(fd, &st) && !found && getline(&line, &size, f) > 0)
		found = lock_line(line, &st, &pid);
	free(line);
	if (f)
		fclose(f);
	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	if (found && eng_sys_read(dir, "comm", comm, sizeof(comm)))
		return refuse(l, -EBUSY, name, "is in use, locked by process "
			      "%d (%s)", pid, comm);
	return refuse(l, -EBUSY, name, "is in use, locked by another process");
}

/* ---- views ------------------------------------------------------------ */

static bool overlap(const struct view *a, const struct view *b)
{
	return a->block == b->block && a->dev == b->dev && a->ino == b->ino &&
	       a->off < b->end && b->off < a->end;
}

static struct view view_of_device(dev_t dev)
{
	struct view v = { .block = true, .end = UINT64_MAX };
	char dir[ENG_SYS_DIR], self[ENG_SYS_DIR];

	eng_sys_disk(dev, dir, &v.off);
	v.dev = eng_sys_dev(dir);
	snprintf(self, sizeof(self), "/sys/dev/block/%u:%u", major(dev),
		 minor(dev));
	if (v.dev != dev)
		v.end = v.off + eng_sys_number(self, "size", 0) * 512;
	return v;
}

static struct view view_of(const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return view_of_device(st->st_rdev);
	return (struct view){ .dev = st->st_dev, .ino = st->st_ino,
			      .end = UINT64_MAX };
}

static struct view part_of(struct view v, uint64_t off, uint64_t end)
{
	v.end = end < v.end - v.off ? v.off + end : v.end;
	v.off += off;
	return v;
}

/* What the loop device shows, and of what: *dev, the device (0: a file). */
static bool loop_shows(int fd, struct view *v, dev_t *dev)
{
	struct loop_info64 info;
	uint64_t end;

	if (ioctl(fd, LOOP_GET_STATUS64, &info))
		return false;
	*dev = info.lo_rdevice != info.lo_device ? info.lo_rdevice : 0;
	*v = *dev ? view_of_device(*dev) :
		(struct view){ .dev = info.lo_device, .ino = info.lo_inode,
			       .end = UINT64_MAX };
	end = info.lo_sizelimit ? info.lo_offset + info.lo_sizelimit :
		UINT64_MAX;
	*v = part_of(*v, info.lo_offset, end);
	return true;
}

/* ---- taking ----------------------------------------------------------- */

static int hold(struct eng_lock *l, int fd, const struct view *v)
{
	struct held *h = malloc(sizeof(*h));

	if (!h) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	*h = (struct held){ .next = l->held, .view = *v, .fd = fd };
	l->held = h;
	return 0;
}

/* (3), (4) */
static int open_alone(const char *name, int flags)
{
	const struct timespec tick = { .tv_nsec = 5000000 };
	int fd = -1;

	for (int i = 0; i < TRIES; i++) {
		fd = open(name, flags | O_EXCL | O_CLOEXEC);
		if (fd >= 0 || errno != EBUSY)
			break;
		nanosleep(&tick, NULL);
	}
	return fd < 0 ? -errno : fd;
}

/* (5) */
static int lock_file(struct eng_lock *l, int fd, const char *name,
		     const struct view *v)
{
	bool part = v->off || v->end != UINT64_MAX;
	struct flock range = {
		.l_type = l->rdonly ? F_RDLCK : F_WRLCK,
		.l_start = (off_t)v->off,
		.l_len = v->end < INT64_MAX ? (off_t)(v->end - v->off) : 0,
	};

	while (flock(fd, LOCK_NB | (part || l->rdonly ? LOCK_SH : LOCK_EX))) {
		if (errno == EWOULDBLOCK)
			return file_busy(l, fd, name);
		if (errno != EINTR)
			return refuse(l, -errno, name, "cannot lock: %s",
				      strerror(errno));
	}
	if (fcntl(fd, F_OFD_SETLK, &range) &&
	    (errno == EAGAIN || errno == EACCES))
		return file_busy(l, fd, name);
	return 0;
}

static bool is_local(int fd)
{
	static const unsigned int local[] = {
		EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
		TMPFS_MAGIC, RAMFS_MAGIC, OVERLAYFS_SUPER_MAGIC, MAGIC_XFS,
		MAGIC_ZFS,
	};
	struct statfs st;

	if (fstatfs(fd, &st))
		return false;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if ((unsigned int)st.f_type == local[i])
			return true;
	return false;
}

/* The file behind a loop device, if it can be reached by name (6). */
static int open_backing(const char *dir, const struct view *v, char *name,
			size_t size)
{
	static const char *const roots[] = { "", "/proc/1/root" };
	char path[PATH_MAX];
	struct stat st;
	int fd;

	if (!eng_sys_read(dir, "loop/backing_file", path, sizeof(path)))
		return -1;
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(name, size, "%s%s", roots[i], path);
		fd = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && !fstat(fd, &st) && st.st_dev == v->dev &&
		    st.st_ino == v->ino)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static void device_name(dev_t dev, char *name, size_t size)
{
	char dir[ENG_SYS_DIR], real[PATH_MAX];

	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(dev),
		 minor(dev));
	snprintf(name, size, "/dev/%s", realpath(dir, real) ? basename(real) :
		 "?");
	for (char *c = name; *c; c++)
		*c = *c == '!' ? '/' : *c;
}

static int lock_device(struct eng_lock *l, dev_t dev, const struct view *v,
		       int *out)
{
	char name[PATH_MAX];
	struct stat st;
	int fd;

	device_name(dev, name, sizeof(name));
	fd = open_alone(name, O_RDONLY);
	if (fd == -EBUSY)
		return refuse(l, fd, name, "is in use (mounted, or opened "
			      "exclusively)");
	if (fd >= 0 && (fstat(fd, &st) || st.st_rdev != dev)) {
		close(fd);
		fd = -ENODEV;
	}
	if (fd < 0)
		return refuse(l, fd, name, "cannot open: %s", strerror(-fd));
	*out = fd;
	return hold(l, fd, v);
}

static int lock_backing(struct eng_lock *l, const char *dir,
			const struct view *v)
{
	char name[PATH_MAX + 16];
	int fd = open_backing(dir, v, name, sizeof(name)), err = 0;

	l->shared = fd < 0 || !is_local(fd);
	if (fd >= 0)
		err = lock_file(l, fd, name, v);
	if (!err)
		return hold(l, fd, v);
	close(fd);
	return err;
}

/* (2) fd is a device, of which v is meant, and both are held. */
static int lock_down(struct eng_lock *l, int fd, struct view v)
{
	char dir[ENG_SYS_DIR];
	struct view below;
	dev_t dev = 1;
	int err = 0;

	for (int i = 0; i < DEPTH_MAX && !err && dev; i++) {
		uint64_t start;

		if (major(v.dev) != LOOP_MAJOR || !loop_shows(fd, &below, &dev))
			return 0;
		eng_sys_disk(v.dev, dir, &start);
		v = part_of(below, v.off, v.end);
		err = dev ? lock_device(l, dev, &v, &fd) :
			lock_backing(l, dir, &v);
	}
	return err;
}

/* ---- sideways (3) ----------------------------------------------------- */

static bool concerns(const struct eng_lock *l, const struct view *v, dev_t dev)
{
	bool found = false;

	for (struct held *h = l->held; h; h = h->next) {
		if (h->view.block && h->view.dev == dev)
			return false;	/* it is ours already */
		found |= overlap(&h->view, v);
	}
	return found;
}

/* An ordinary user may not ask the device. */
static bool shows_by_name(const char *dir, struct view *v)
{
	char path[PATH_MAX];
	struct stat st;
	uint64_t size, off;

	if (!eng_sys_read(dir, "loop/backing_file", path, sizeof(path)) ||
	    stat(path, &st))
		return false;
	off = eng_sys_number(dir, "loop/offset", 0);
	size = eng_sys_number(dir, "loop/sizelimit", 0);
	*v = part_of(view_of(&st), off, size ? off + size : UINT64_MAX);
	return true;
}

static bool window_shows(const char *dir, const char *name, struct view *v)
{
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	dev_t dev;
	bool ok;

	if (fd < 0)
		return shows_by_name(dir, v);
	ok = loop_shows(fd, v, &dev);
	close(fd);
	return ok;
}

/* One loop device.  1: it is held now. */
static int keep_window(struct eng_lock *l, const char *dir)
{
	dev_t dev = eng_sys_dev(dir);
	struct view v;
	char name[64];
	int fd;

	device_name(dev, name, sizeof(name));
	if (!window_shows(dir, name, &v) || !concerns(l, &v, dev) ||
	    (l->rdonly && eng_sys_number(dir, "ro", 0)))
		return 0;
	fd = open_alone(name, O_RDONLY);
	if (fd == -EBUSY)
		return refuse(l, fd, name, "is in use");
	if (fd < 0)
		return refuse(l, -EBUSY, name, "whether it is in use can't be "
			      "found out: %s", strerror(-fd));
	v = (struct view){ .block = true, .dev = dev, .end = UINT64_MAX };
	if (l->rdonly) {
		close(fd);
		fd = -1;
	}
	return hold(l, fd, &v) ?: 1;
}

/* One pass over the loop devices that are set up.  1: there were windows. */
static int keep_some(struct eng_lock *l, DIR *all)
{
	char dir[ENG_SYS_DIR], loop[ENG_SYS_DIR + 8];
	struct dirent *de;
	int ret = 0, found = 0;

	rewinddir(all);
	while (ret >= 0 && (de = readdir(all))) {
		if (strncmp(de->d_name, "loop", 4))
			continue;
		snprintf(dir, sizeof(dir), "/sys/block/%.32s", de->d_name);
		snprintf(loop, sizeof(loop), "%s/loop", dir);
		if (access(loop, F_OK))
			continue;
		ret = keep_window(l, dir);
		found |= ret;
	}
	return ret < 0 ? ret : found;
}

/* Windows on windows come in when those are held: until no more do. */
static int keep_windows(struct eng_lock *l)
{
	DIR *all = opendir("/sys/block");
	int ret;

	if (!all)
		return errno == ENOMEM ? -ENOMEM : 0;
	do
		ret = keep_some(l, all);
	while (ret > 0);
	closedir(all);
	return ret;
}

/* ---- get, put --------------------------------------------------------- */

static int open_path(struct eng_lock *l, struct stat *st)
{
	int how = O_CLOEXEC | (l->rdonly ? O_RDONLY : O_RDWR), fd;
	bool block;

	if (stat(l->path, st))
		return refuse(l, -errno, l->path, "cannot open: %s",
			      strerror(errno));
	block = S_ISBLK(st->st_mode);
	if (!block && !S_ISREG(st->st_mode))
		return refuse(l, S_ISDIR(st->st_mode) ? -EISDIR : -ENOTBLK,
			      l->path, "is neither a file nor a block device");
	fd = block ? open_alone(l->path, how) : open(l->path, how);
	if (fd == -EBUSY)
		return refuse(l, fd, l->path, "is in use (mounted, or opened "
			      "exclusively)");
	if (fd < 0)
		return refuse(l, block ? fd : -errno, l->path,
			      "cannot open: %s",
			      strerror(block ? -fd : errno));
	if (!fstat(fd, st) && S_ISBLK(st->st_mode) == block)
		return fd;
	close(fd);
	return refuse(l, -EBUSY, l->path, "changed while it was opened");
}

static int take(struct eng_lock *l)
{
	struct view v;
	struct stat st;
	int err;

	l->fd = open_path(l, &st);
	if (l->fd < 0)
		return l->fd;
	v = view_of(&st);
	err = hold(l, l->fd, &v);
	if (err)
		return err;
	l->shared = v.block || !is_local(l->fd);
	if (v.block)
		err = lock_down(l, l->fd, v);
	else
		err = lock_file(l, l->fd, l->path, &v);
	return err ? err : keep_windows(l);
}

int eng_lock_get(struct eng_lock **out, const char *path, unsigned int flags,
		 char *why, size_t size)
{
	struct eng_lock *l = calloc(1, sizeof(*l));
	int err;

	*out = NULL;
	if (!l)
		return -ENOMEM;
	snprintf(why, size, "%s", strerror(ENOMEM));
	l->path = path;
	l->why = why;
	l->size = size;
	l->rdonly = flags & ENG_OPEN_RDONLY;
	err = take(l);
	if (err)
		eng_lock_put(l);
	else
		*out = l;
	return err;
}

void eng_lock_put(struct eng_lock *lock)
{
	struct held *h;

	if (!lock)
		return;
	while ((h = lock->held)) {
		lock->held = h->next;
		if (h->fd >= 0)
			close(h->fd);
		free(h);
	}
	free(lock);
}

/* A descriptor of its own is its name meanwhile. */
static int take_anew(struct eng_lock **lock, unsigned int flags, char *why,
		     size_t size)
{
	const struct timespec tick = { .tv_nsec = 5000000 };
	int fd = eng_fd_reopen((*lock)->fd, O_RDONLY), err;
	char name[32], none[16];

	snprintf(why, size, "%s", strerror(fd < 0 ? -fd : EBUSY));
	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	eng_lock_put(*lock);
	err = eng_lock_get(lock, name, flags, why, size);
	for (int i = 0; err && i < TRIES; i++) {
		if (!eng_lock_get(lock, name, ENG_OPEN_RDONLY, none,
				  sizeof(none)))
			break;
		nanosleep(&tick, NULL);
	}
	close(fd);
	return err;
}

int eng_lock_write(struct eng_lock **lock, char *why, size_t size)
{
	return take_anew(lock, 0, why, size);
}

int eng_lock_read(struct eng_lock **lock, char *why, size_t size)
{
	int err = take_anew(lock, ENG_OPEN_RDONLY, why, size);

	return *lock ? 0 : err;
}

int eng_lock_fd(const struct eng_lock *lock)
{
	return lock->fd;
}

bool eng_lock_shared(const struct eng_lock *lock)
{
	return lock->shared;
}

int eng_fd_reopen(int fd, int flags)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	fd = open(name, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
