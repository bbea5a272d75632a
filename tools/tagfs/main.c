/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - tagfs: mount a filesystem and serve it.
 *
 * (1) Threads don't survive a fork, so the process that serves is forked
 *     first.  Its standard error stays until it is ready; then it writes one
 *     byte to its parent, which exits 0.  Without that byte the parent exits
 *     as the child did.
 * (2) Ready means that the mount has answered a request.  A thread of its
 *     own finds out: it may use the mount, the threads that serve may not.
 * (3) The same thread takes the signals that end us and unmounts, with the
 *     loop still serving what the kernel has yet to write.  Only if the mount
 *     is in use is it cut off from its users, after a sync. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fds.h"
#include "core/lock.h"
#include "fs.h"
#include "fuse/ops.h"
#include "mounts.h"
#include "options.h"
#include "report.h"

#define READAHEAD_KB	4096	/* the kernel's default is 128 */
#define BUSY_SECONDS	30	/* a daemon's last checkpoint may take */
#define QUIET_SECONDS	10

extern char **environ;

struct mount {
	struct options	opt;
	char		*path, *point;	/* resolved */
	int		parent;		/* to report to; -1: nobody */
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct tfs	*fs;
	struct tfs_ops	*ops;
	pthread_t	control;
	bool		controlled;	/* control is valid */
	bool		rdonly;
	atomic_bool	ready;		/* (2) */
	atomic_bool	ended;		/* the loop has returned */
};

static void wait_ms(unsigned int ms)
{
	poll(NULL, 0, (int)ms);
}

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
static int wait_for_device(const struct mount *m)
{
	char *point, why[512];

	for (unsigned int ms = 0; ms < BUSY_SECONDS * 1000; ms += 100) {
		if (try_lock(m->path, m->opt.rdonly, why, sizeof(why)) !=
		    -EBUSY)
			return 0;
		point = mounts_tagfs_on(m->path);
		if (point) {
			eng_log(LOG_ERR, "%s is already mounted on %s",
				m->path, point);
			free(point);
			return -EBUSY;
		}
		if (ms == 1000)
			eng_log(LOG_INFO, "%s: %s; waiting", m->path, why);
		wait_ms(100);
	}
	return 0;	/* eng_dev_open() will say it */
}

/* Such a device can be opened for writing, only writes fail. */
static bool write_protected(const char *path)
{
	struct stat st;
	int fd, on = 0;

	if (stat(path, &st) || !S_ISBLK(st.st_mode))
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

	if (!m->opt.rdonly && write_protected(m->path))
		return -EROFS;
	return eng_dev_open(&m->dev, m->path, &how);
}

static int open_device(struct mount *m)
{
	int err = wait_for_device(m);

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

static int open_fs(struct mount *m)
{
	struct tfs_mount how = {
		.rdonly = m->opt.rdonly, .relatime = m->opt.relatime,
		.discard = m->opt.discard, .commit = m->opt.commit,
		.cache = m->opt.cache,
	};
	int err = tfs_open(&m->fs, m->dev, &how);

	m->rdonly = how.rdonly;
	return err;
}

static int mount_fs(struct mount *m)
{
	struct tfs_ops_how how = {
		.writeback = m->opt.writeback && !m->rdonly,
		.single = m->opt.single, .debug = m->opt.debug,
	};
	char *options = options_for_mount(&m->opt, m->path, m->rdonly);
	int err = -ENOMEM;

	how.options = options;
	if (options)
		err = tfs_ops_create(&m->ops, m->fs, &how);
	free(options);
	if (err)
		return err;
	return tfs_ops_mount(m->ops, m->point);
}

/* ---- the control thread ------------------------------------------------ */

/* Best effort: needs root, and FUSE itself never gives more than the
 * default. */
static void raise_readahead(const char *point)
{
	unsigned int maj, min;
	char name[64];
	FILE *f;
	int kb;

	if (!mounts_device(point, &maj, &min))
		return;
	snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 maj, min);
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

/* (1) */
static void report_ready(struct mount *m)
{
	if (m->parent < 0)
		return;
	report_background();
	if (chdir("/"))
		eng_log(LOG_WARNING, "/: %m");
	detach_stdio();
	if (write(m->parent, "", 1) != 1)
		eng_log(LOG_WARNING, "the mounting process is gone");
	close(m->parent);
}

/* -EBUSY: in use, and not lazy. */
static int unmount(const char *point, bool lazy)
{
	const char *argv[] = { "fusermount3", "-u", "-q", "--", point, NULL,
			       NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int status;

	if (!geteuid())
		return umount2(point, UMOUNT_NOFOLLOW |
			       (lazy ? MNT_DETACH : 0)) ? -errno : 0;
	if (lazy) {
		argv[3] = "-z";
		argv[4] = "--";
		argv[5] = point;
	}
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	status = posix_spawnp(&pid, argv[0], NULL, &attr, (char **)argv,
			      environ);
	posix_spawnattr_destroy(&attr);
	if (status)
		return -status;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return status ? -EBUSY : 0;
}

/* What the kernel has not yet written comes now or never.  It may start all
 * writes without waiting for them. */
static void drain(struct mount *m)
{
	int fd = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t before;

	if (fd >= 0) {
		syncfs(fd);
		close(fd);
	}
	for (int i = 0; i < QUIET_SECONDS * 5; i++) {
		before = tfs_ops_writes(m->ops);
		wait_ms(200);
		if (before == tfs_ops_writes(m->ops))
			break;
	}
}

/* (3) */
static void end_mount(struct mount *m, int sig)
{
	int err;

	eng_log(LOG_INFO, "%s: unmounting: %s", m->point, strsignal(sig));
	err = unmount(m->point, false);
	if (err && !m->ended) {
		eng_log(LOG_NOTICE, "%s: in use, cutting it off", m->point);
		drain(m);
		unmount(m->point, true);
		tfs_ops_stop(m->ops);
	}
}

static void end_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

static void *control(void *arg)
{
	struct mount *m = arg;
	struct stat st;
	sigset_t set;
	int sig;

	if (stat(m->point, &st))	/* (2) */
		return NULL;
	m->ready = true;
	raise_readahead(m->point);
	report_ready(m);
	end_signals(&set);
	if (!sigwait(&set, &sig) && !m->ended)
		end_mount(m, sig);
	return NULL;
}

static void control_end(struct mount *m)
{
	m->ended = true;
	if (!m->controlled)
		return;
	pthread_kill(m->control, SIGTERM);
	pthread_join(m->control, NULL);
}

/* ---- serving ------------------------------------------------------------ */

static int exit_of(int err)
{
	if (!err)
		return EXIT_OK;
	if (err == -EACCES || err == -EPERM || err == -EINVAL)
		return EXIT_USAGE;
	return err == -ENOMEM ? EXIT_SYSTEM : EXIT_MOUNT;
}

static int start(struct mount *m)
{
	int err = eng_pool_create(&m->pool, m->opt.workers);

	err = err ?: open_device(m);
	err = err ?: open_fs(m);
	if (err || m->opt.fake)
		return err;
	err = mount_fs(m);
	if (err)
		return err;
	err = -pthread_create(&m->control, NULL, control, m);
	m->controlled = !err;
	return err;
}

static int serve(struct mount *m)
{
	sigset_t set;
	int err, last;

	end_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);	/* in all threads */
	signal(SIGPIPE, SIG_IGN);
	err = start(m);
	if (!err && !m->opt.fake) {
		err = tfs_ops_loop(m->ops);
		if (!err && !m->ready)
			err = -EIO;	/* the kernel refused us */
	}
	control_end(m);
	tfs_ops_destroy(m->ops);
	last = tfs_close(m->fs);
	eng_dev_close(m->dev);
	eng_pool_destroy(m->pool);
	return exit_of(err ?: last);
}

/* (1) */
static int wait_ready(int fd, pid_t pid)
{
	int status;
	char c;

	if (read(fd, &c, 1) == 1)
		return EXIT_OK;
	if (waitpid(pid, &status, 0) != pid)
		return EXIT_SYSTEM;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ?: EXIT_MOUNT;
	fprintf(stderr, "tagfs: %s\n", strsignal(WTERMSIG(status)));
	return EXIT_MOUNT;
}

static int serve_in_background(struct mount *m)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0) {
		fprintf(stderr, "tagfs: %s\n", strerror(errno));
		return EXIT_SYSTEM;
	}
	if (pid) {
		close(fds[1]);
		return wait_ready(fds[0], pid);
	}
	close(fds[0]);
	setsid();
	m->parent = fds[1];
	return serve(m);
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
		fprintf(stderr, "tagfs: %s: %s\n", path, strerror(errno));
	return real;
}

static int prepare(struct mount *m)
{
	int err;

	m->path = resolve(m->opt.path, false);
	m->point = resolve(m->opt.mountpoint, true);
	if (!m->path || !m->point)
		return EXIT_MOUNT;
	if (fds_standard(m->path)) {
		fprintf(stderr, "tagfs: %s is our standard input, output or "
			"error\n", m->path);
		return EXIT_USAGE;
	}
	eng_log_to(report_line);
	err = m->opt.log ? report_to_file(m->opt.log) : 0;
	if (err) {
		fprintf(stderr, "tagfs: %s: %s\n", m->opt.log, strerror(-err));
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
	res = options_parse(&m.opt, argc, argv);
	if (res < 0)
		res = prepare(&m);
	else
		goto out;
	if (!res && (m.opt.foreground || m.opt.fake))
		res = serve(&m);
	else if (!res)
		res = serve_in_background(&m);
out:
	free(m.path);
	free(m.point);
	options_free(&m.opt);
	return res;
}
