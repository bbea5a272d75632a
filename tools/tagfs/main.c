/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - tagfs: mount a filesystem and serve it.
 *
 * (1) Threads don't survive a fork, so the process that serves is forked
 *     first.  Its standard error stays until it is ready; then it writes one
 *     byte to its parent, which exits 0.  Without that byte the parent exits
 *     as the child did.
 * (2) Ready means that the mount has answered a request.
 * (3) A start that fails leaves no mount and exits with an error.
 * (4) This thread serves; signals and the end of the mount are control.c's. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "control.h"
#include "fds.h"
#include "find.h"
#include "core/lock.h"
#include "core/log.h"
#include "check/tell.h"
#include "fs.h"
#include "fuse/ops.h"
#include "mounts.h"
#include "options.h"
#include "place.h"
#include "remount.h"
#include "report.h"
#include "sandbox.h"
#include "umount.h"
#include "uuid.h"

#define FENCE_SECONDS	5
/* As much as one request holds: while a program reads what one has brought,
 * the next is under way.  See doc/PERFORMANCE.md.
 * The kernel's default is 128. */
#define READAHEAD_KB	1024
#define BUSY_SECONDS	30	/* a daemon's last checkpoint may take */

struct mount {
	struct options	opt;
	char		*source;	/* UUID= and LABEL= were found */
	char		*path, *point;	/* resolved */
	char		*other[LEGS_MAX];	/* legs: the same, or found */
	struct legs	legs;		/* path and these */
	int		parent;		/* to report to; -1: nobody */
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct tfs	*fs;
	struct tfs_ops	*ops;
	struct place	place;
	struct control	*control;
	bool		rdonly;
};

/* ---- the device ------------------------------------------------------- */

/* Try the lock that eng_dev_open() will take.  -EBUSY: somebody has it. */
static int try_lock(const char *path, bool rdonly, char *why, size_t size)
{
	struct eng_lock *lock;
	int err = eng_lock_get(&lock, path, rdonly ? ENG_OPEN_RDONLY : 0, why,
			       size);

	eng_lock_put(lock);
	return err;
}

/* A daemon whose mount is gone may still be at its last checkpoint. */
static int wait_for_device(struct mount *m, const char *path)
{
	char *point, why[512];

	for (unsigned int ms = 0; ms < BUSY_SECONDS * 1000; ms += 100) {
		if (try_lock(path, m->opt.rdonly, why, sizeof(why)) !=
		    -EBUSY)
			return 0;
		point = mounts_tagfs_on(path);
		if (point) {
			eng_log(LOG_ERR, "%s is already mounted on %s, which "
				"\"mount --bind\" shows at another place, "
				"too", path, point);
			free(point);
			return -EBUSY;
		}
		if (ms == 1000)
			eng_log(LOG_INFO, "%s: %s; waiting", path, why);
		if (!control_pause(m->control, 100))
			return -EINTR;
	}
	return 0;	/* eng_dev_open() will say it */
}

/* A device can be opened for writing all the same, only writes fail.  What
 * can't be read either is no business of this one. */
static bool write_protected(const char *path)
{
	struct stat st;
	int fd, on = 0;

	if (eaccess(path, R_OK) || stat(path, &st))
		return false;
	if (eaccess(path, W_OK))
		return true;
	if (!S_ISBLK(st.st_mode))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (ioctl(fd, BLKROGET, &on))
		on = 0;
	close(fd);
	return on;
}

static int open_as(struct mount *m)
{
	struct eng_open how = {
		.flags = m->opt.rdonly ? ENG_OPEN_RDONLY : 0, .pool = m->pool,
		.backend = m->opt.backend,
	};

	for (unsigned int i = 0; i < m->legs.n && !m->opt.rdonly; i++)
		if (write_protected(m->legs.path[i]))
			return -EROFS;
	return legs_open(&m->dev, &m->legs, &how);
}

static int open_device(struct mount *m)
{
	int err = 0;

	for (unsigned int i = 0; i < m->legs.n && !err; i++)
		err = wait_for_device(m, m->legs.path[i]);
	if (!err)
		err = open_as(m);
	if (err != -EROFS || m->opt.rdonly)
		return err;
	if (m->opt.rw) {
		eng_log(LOG_ERR, "%s is write-protected", m->path);
		return err;
	}
	eng_log(LOG_WARNING, "%s is write-protected, mounting read-only",
		m->path);
	m->opt.rdonly = true;
	return open_as(m);
}

/* Milliseconds.  What no other host can have needs none. */
static unsigned int fence_of(const struct mount *m)
{
	if (m->opt.fence_given)
		return m->opt.fence * 1000;
	return eng_dev_geometry(m->dev)->shared ? FENCE_SECONDS * 1000 : 0;
}

static bool pause_mount(void *arg, unsigned int ms)
{
	return control_pause(arg, ms);
}

static int open_fs(struct mount *m)
{
	struct tfs_mount how = {
		.rdonly = m->opt.rdonly, .relatime = m->opt.relatime,
		.strictatime = m->opt.strictatime, .noacl = m->opt.noacl,
		.discard = m->opt.discard, .commit = m->opt.commit,
		.cache = m->opt.cache, .fence = fence_of(m),
		.pause = pause_mount, .pause_arg = m->control,
	};
	int err = tfs_open(&m->fs, m->dev, &how);

	m->rdonly = how.rdonly;
	if (!err)
		tfs_tell(m->fs, m->opt.scrub_warn);
	return err;
}

/* What libfuse can't be told.  An ordinary user's mounts are not his to
 * change afterwards. */
static int flag_mount(const struct mount *m)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSYMFOLLOW };

	if (!m->opt.nosymfollow ||
	    !mount_setattr(AT_FDCWD, m->point, AT_SYMLINK_NOFOLLOW, &attr,
			   sizeof(attr)))
		return 0;
	eng_log(LOG_ERR, "nosymfollow: %s", strerror(errno));
	return -errno;
}

static int mount_fs(struct mount *m)
{
	struct tfs_ops_how how = {
		.writeback = m->opt.writeback,
		.single = m->opt.single, .debug = m->opt.debug,
		.max_read = m->opt.max_read, .noacl = m->opt.noacl,
		.nodiratime = m->opt.nodiratime,
		.sync = m->opt.sync, .dirsync = m->opt.dirsync,
		.uring = m->opt.uring, .resilver_rate = m->opt.resilver_rate,
	};
	char *options = options_for_mount(&m->opt, m->path, m->rdonly);
	int err = -ENOMEM;

	how.options = options;
	if (options)
		err = tfs_ops_create(&m->ops, m->fs, &how);
	free(options);
	if (err)
		return err;
	err = tfs_ops_mount(m->ops, m->point);
	if (!err)
		err = flag_mount(m);
	if (tfs_ops_connected(m->ops)) {
		err = place_learn(&m->place, m->point) ?: err;
		if (err)	/* (3) */
			place_detach(&m->place);
	}
	return err;
}

/* ---- ready -------------------------------------------------------------- */

/* Best effort: needs root, and FUSE itself never gives more than the
 * default. */
static void raise_readahead(const struct place *pl)
{
	char name[64];
	FILE *f;
	int kb;

	snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 pl->id.major, pl->id.minor);
	f = fopen(name, "r+e");
	if (!f)
		return;
	if (fscanf(f, "%d", &kb) == 1 && kb < READAHEAD_KB) {
		rewind(f);
		fprintf(f, "%d\n", READAHEAD_KB);
	}
	fclose(f);
}

static void detach_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);

	for (int i = 0; fd >= 0 && i <= 2; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* The mount is up: what was needed for that is not any more. */
static void enter_sandbox(const struct mount *m)
{
	int err = m->opt.sandbox ? sandbox_enter() : 0;

	if (err)
		eng_log(LOG_WARNING, "%s: no filter of system calls: %s",
			m->point, strerror(-err));
}

static void report_elsewhere(const struct mount *m)
{
	char uuid[UUID_TEXT];
	const struct report_mount of = {
		.point = m->point, .device = m->path, .uuid = uuid,
	};

	uuid_format(tfs_uuid(m->fs), uuid);
	report_ready(&of, m->parent >= 0);
}

/* (1), (2) */
static bool on_ready(void *arg)
{
	struct mount *m = arg;
	bool heard;

	raise_readahead(&m->place);
	enter_sandbox(m);
	report_elsewhere(m);
	if (m->parent < 0)
		return true;
	if (chdir("/"))
		eng_log(LOG_WARNING, "/: %m");
	detach_stdio();
	heard = write(m->parent, "", 1) == 1;
	close(m->parent);
	m->parent = -1;
	return heard;
}

/* ---- serving ------------------------------------------------------------ */

static int exit_of(int err)
{
	if (!err)
		return EXIT_OK;
	if (err == -EACCES || err == -EPERM || err == -EINVAL)
		return EXIT_USAGE;
	if (err == -EINTR)
		return EXIT_INTERRUPT;
	return err == -ENOMEM ? EXIT_SYSTEM : EXIT_MOUNT;
}

static int start(struct mount *m)
{
	int err = eng_pool_create(&m->pool, m->opt.workers);

	err = err ?: open_device(m);
	err = err ?: open_fs(m);
	if (!err && !control_pause(m->control, 0))
		err = -EINTR;
	if (err || m->opt.fake)
		return err;
	return mount_fs(m);
}

/* (4) */
static int run(struct mount *m)
{
	bool idle;
	int err, last;

	control_serve(m->control, m->ops, &m->place);
	err = tfs_ops_loop(m->ops);
	last = control_close(m->control, &idle);
	if (!idle)
		m->ops = NULL;
	return err ?: last;
}

/* Those that whoever started us wants ignored stay so, but for the end of a
 * child, which we could not know of then. */
static void block_signals(void)
{
	const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction old;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i] == SIGTERM ||
		    (!sigaction(signals[i], NULL, &old) &&
		     old.sa_handler != SIG_IGN))
			sigaddset(&set, signals[i]);
	pthread_sigmask(SIG_SETMASK, &set, NULL);	/* in all threads */
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

static int serve(struct mount *m)
{
	struct control_how how = {
		.name = m->point, .foreground = m->parent < 0,
		.log = m->opt.log, .parent = m->parent,
		.ready = on_ready, .arg = m,
	};
	int err, last;

	block_signals();
	if (!m->opt.dumps)
		sandbox_no_dumps();
	err = m->opt.sandbox ? sandbox_drop() : 0;	/* before threads */
	if (err)
		eng_log(LOG_WARNING, "%s: capabilities are kept: %s",
			m->point, strerror(-err));
	err = control_start(&m->control, &how);
	err = err ?: start(m);
	if (err && m->parent < 0)
		eng_log(LOG_ERR, "%s: not mounted: %s", m->point,
			strerror(-err));
	else if (!err && !m->opt.fake)
		err = run(m);
	if (err && m->parent >= 0)	/* who waits for it hears why */
		eng_log(LOG_ERR, "%s: not mounted: %s", m->point,
			strerror(-err));
	tfs_ops_destroy(m->ops);
	last = tfs_close(m->fs);
	eng_dev_close(m->dev);
	eng_pool_destroy(m->pool);
	control_stop(m->control);
	return exit_of(err ?: last);
}

/* (1) */
static int wait_ready(const struct mount *m, int fd, pid_t pid)
{
	int status;
	char c;

	if (read(fd, &c, 1) == 1) {
		umount_announce(m->path, m->point);
		return EXIT_OK;
	}
	if (waitpid(pid, &status, 0) != pid)
		return EXIT_SYSTEM;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ?: EXIT_MOUNT;
	eng_log(LOG_ERR, "%s", strsignal(WTERMSIG(status)));
	return EXIT_MOUNT;
}

static int serve_in_background(struct mount *m)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0) {
		eng_log(LOG_ERR, "%s", strerror(errno));
		return EXIT_SYSTEM;
	}
	if (pid) {
		close(fds[1]);
		return wait_ready(m, fds[0], pid);
	}
	close(fds[0]);
	setsid();
	m->parent = fds[1];
	return serve(m);
}

static bool is_missing(const char *path)
{
	return access(path, F_OK) && (errno == ENOENT || errno == ENXIO);
}

static char *resolve(const char *path, bool dir)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (real && dir && !stat(real, &st) && !S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		free(real);
		real = NULL;
	}
	if (!real)
		eng_log(LOG_ERR, "%s: %s", path, strerror(errno));
	return real;
}

/* Those that are named; else those that are found. */
static int resolve_legs(struct mount *m)
{
	int found;

	m->legs.degraded = m->opt.degraded;
	legs_add(&m->legs, m->path);
	for (unsigned int i = 0; i < m->opt.devices; i++) {
		if (m->opt.degraded && is_missing(m->opt.device[i])) {
			eng_log(LOG_WARNING, "%s is not there",
				m->opt.device[i]);
			continue;
		}
		m->other[i] = resolve(m->opt.device[i], false);
		if (!m->other[i])
			return -ENOENT;
		legs_add(&m->legs, m->other[i]);
	}
	if (m->opt.devices || m->opt.remount)
		return 0;
	found = find_legs(&m->legs, m->other);
	m->legs.found = found > 0 ? (unsigned int)found : 0;
	return found < 0 ? found : 0;
}

static int prepare(struct mount *m)
{
	int err;

	m->path = resolve(m->source, false);
	m->point = resolve(m->opt.mountpoint, true);
	if (!m->path || !m->point || resolve_legs(m))
		return EXIT_MOUNT;
	if (fds_standard(m->path)) {
		eng_log(LOG_ERR, "%s is our standard input, output or "
			"error", m->path);
		return EXIT_USAGE;
	}
	err = m->opt.log ? report_to_file(m->opt.log, m->path, m->point) : 0;
	if (err) {
		eng_log(LOG_ERR, "%s: %s", m->opt.log, err == -EINVAL ?
			"is the image or on the filesystem" : strerror(-err));
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct mount m = { .parent = -1 };
	int res;

	if (fds_tidy())
		return EXIT_SYSTEM;
	eng_log_fields_to(report_line);
	if (options_called(argv[0], "umount."))
		return umount_main(argc, argv);
	res = options_parse(&m.opt, argc, argv);
	if (res == EXIT_SYSTEM)
		eng_log(LOG_ERR, "%s", strerror(ENOMEM));
	if (res >= 0)
		goto out;
	res = EXIT_OK;
	m.source = find_source(m.opt.path);
	if (!m.source && !m.opt.nofail)
		res = EXIT_MOUNT;
	if (!m.source || (m.opt.nofail && is_missing(m.source)))
		goto out;
	res = prepare(&m);
	if (!res && m.opt.remount)
		res = remount(&m.opt, m.point);
	else if (!res && (m.opt.foreground || m.opt.fake))
		res = serve(&m);
	else if (!res)
		res = serve_in_background(&m);
out:
	for (unsigned int i = 0; i < LEGS_MAX; i++)
		free(m.other[i]);
	free(m.source);
	free(m.path);
	free(m.point);
	options_free(&m.opt);
	return res;
}
