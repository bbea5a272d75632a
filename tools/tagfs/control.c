/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control.c - the thread that hears signals, and how a mount ends.
 *
 * (1) The thread lives from before the device is opened until after the last
 *     checkpoint and waits for nothing but events.  Whatever may block is
 *     done by a helper: the question whether the mount answers, and its end.
 * (2) Each signal to end goes one step further: unmount, with everything
 *     written; cut off; leave at once.  No step needs the one before to come
 *     to an end.
 * (3) Who writes to the mount may do so until it is cut off; promised is what
 *     was written before the signal.  The mount is taken out of the
 *     namespace, the kernel writes what it holds, and if it does not end the
 *     connection then, because somebody still uses the mount, we do.
 * (4) As long as writes are answered the end is waited for, however long that
 *     takes; without one for STUCK_SECONDS, the mount is cut off.
 * (5) Without a descriptor of the mount (something else is mounted over it,
 *     or it was unmounted lazily) only sync(2) makes the kernel write, for
 *     all filesystems.
 * (6) ops is not used once state is CLOSING, but by the helpers, which
 *     control_close() waits for.
 * (7) Who has the kernel write waits in it for our own answers, and can't be
 *     killed.  If we are, the connection ends when nobody has a descriptor of
 *     it or a ring that uses it: so that is a process of its own, which has
 *     neither.  Or we would stay for good, with all who wait for us. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "control.h"
#include "fs.h"
#include "options.h"
#include "report.h"
#include "umount.h"

#define STUCK_SECONDS	60
#define CUT_SECONDS	10	/* for those who serve to come back */
#define TICK_MS		200
#define SAME_MS		250	/* timeout(1) sends every signal twice */

enum state {
	STARTING,	/* no mount yet */
	MOUNTED,	/* it may not answer yet */
	READY,
	ENDING,		/* the helper unmounts and writes */
	CUT,		/* the loop is to end now */
	CLOSING,	/* it has ended: the last checkpoint */
};

struct control {
	struct control_how how;		/* parent: the thread's, once it runs */
	pthread_t	thread;
	int		signals, wake;
	atomic_bool	stop;

	pthread_mutex_t	lock;
	pthread_cond_t	quitting;
	enum state	state;		/* lock */
	bool		quit, ready;	/* lock */
	bool		again;		/* lock: a signal since CLOSING */
	int		err;		/* lock: the first */
	struct tfs_ops	*ops;		/* fixed once mounted (6) */
	const struct place *place;	/* fixed once mounted */

	pthread_t	prober, ender;
	bool		probing, ending;	/* lock: those threads exist */
	atomic_int	answer;		/* the prober's: 1, or -errno */
	atomic_bool	said;		/* that it can't be detached */
	atomic_uint	steps;		/* the ender's */
	unsigned int	steps_seen;	/* these three: lock (4); ms */
	uint64_t	answered_seen;
	int64_t		since;
	int64_t		heard;		/* the thread's: last signal, in ms */
};

static void note_error(struct control *c, int err)
{
	pthread_mutex_lock(&c->lock);
	c->err = c->err ?: err;
	pthread_mutex_unlock(&c->lock);
}

static void wake(struct control *c)
{
	uint64_t one = 1;

	(void)!write(c->wake, &one, sizeof(one));
}

/* ---- what may be lost --------------------------------------------------- */

/* KiB of /proc/meminfo, of all filesystems. */
static uint64_t meminfo(bool dirty)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kb, sum = 0;
	char line[128], name[32];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31[^:]: %llu", name, &kb) != 2)
			continue;
		if (!strcmp(name, "Writeback") ||
		    !strcmp(name, "WritebackTmp") ||
		    (dirty && !strcmp(name, "Dirty")))
			sum += kb;
	}
	if (f)
		fclose(f);
	return sum;
}

static void say_lost(struct control *c, const char *why)
{
	struct tfs_ops_writes w;

	tfs_ops_writes(c->ops, &w);
	eng_log(LOG_ERR, "%s: cut off: %s; %llu writes of %llu KiB were not "
		"finished, and what the kernel had yet to send is lost "
		"(it holds %llu KiB for all filesystems)", c->how.name, why,
		(unsigned long long)w.waiting,
		(unsigned long long)w.waiting_bytes >> 10,
		(unsigned long long)meminfo(true));
}

/* ---- the helpers -------------------------------------------------------- */

static void *probe(void *arg)
{
	struct control *c = arg;
	int err = place_ask(c->place);

	c->answer = err ?: 1;
	wake(c);
	return NULL;
}

/* If the connection is alive, its numbers can't be another one's. */
static void detach(struct control *c)
{
	int err = tfs_ops_connected(c->ops) ? place_detach(c->place) : 0;

	if (!err)
		return;
	note_error(c, err);
	if (c->said)
		return;
	c->said = true;
	if (err == -EBUSY)
		eng_log(LOG_WARNING, "%s: other filesystems are mounted on "
			"it: it stays there, but does not answer any more",
			c->how.name);
	else
		eng_log(LOG_ERR, "%s: can't be unmounted: %s", c->how.name,
			strerror(-err));
}

/* 0 or an error number. */
static int have_written(int fd)
{
	if (fd < 0) {
		sync();		/* (5) */
		return 0;
	}
	return -umount_sync(fd);
}

/* (7) */
static void write_and_exit(int fd)
{
	close_range((unsigned int)(fd + 1), ~0u, 0);
	if (fd > 0)
		close_range(0, (unsigned int)(fd - 1), 0);
	_exit(have_written(fd));
}

/* The kernel starts all writes, but may not wait for them. */
static void write_out(struct control *c, int fd)
{
	pid_t pid = fork();
	int status = 0, err;

	if (!pid)
		write_and_exit(fd);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	err = pid < 0 ? have_written(fd) : WIFEXITED(status) ?
		WEXITSTATUS(status) : EIO;
	if (err) {
		note_error(c, -err);
		eng_log(LOG_ERR, "%s: not everything could be written: %s",
			c->how.name, strerror(err));
	}
	c->steps++;
}

/* Until it has none to send; or, if somebody goes on writing, has sent as
 * much as it can have held before: it sends them in order. */
static void drain(struct control *c)
{
	const uint64_t most = (meminfo(false) << 10) + (256u << 20);
	struct tfs_ops_writes w;
	uint64_t before;

	tfs_ops_writes(c->ops, &w);
	before = w.answered_bytes;
	while (tfs_ops_connected(c->ops) && !tfs_ops_quiet(c->ops) &&
	       w.answered_bytes - before < most) {
		poll(NULL, 0, 20);
		tfs_ops_writes(c->ops, &w);
	}
	c->steps++;
}

/* (3) */
static void *end_mount(void *arg)
{
	struct control *c = arg;
	int fd = tfs_ops_connected(c->ops) ? place_open(c->place) : -ENOENT;

	detach(c);
	c->steps++;
	write_out(c, fd);
	drain(c);
	if (fd >= 0)
		close(fd);	/* the last user's close ends the mount */
	if (tfs_ops_connected(c->ops)) {
		eng_log(LOG_NOTICE, "%s: in use, cutting it off",
			c->how.name);
		tfs_ops_stop(c->ops);
	}
	return NULL;
}

/* ---- steps to the end --------------------------------------------------- */

static int64_t now_ms(void)
{
	return (int64_t)(eng_now_ns() / 1000000);
}

static void restart_clock(struct control *c)
{
	c->since = now_ms();
}

static bool elapsed(const struct control *c, int seconds)
{
	return now_ms() - c->since >= seconds * 1000;
}

static void leave_locked(struct control *c, const char *why)
{
	eng_log(LOG_ERR, "%s: leaving at once: %s; what was not committed is "
		"lost", c->how.name, why);
	if (c->state > STARTING && c->state < CLOSING &&
	    tfs_ops_connected(c->ops))
		place_detach(c->place);
	_exit(EXIT_MOUNT);
}

static void cut_locked(struct control *c, const char *why)
{
	say_lost(c, why);
	c->err = c->err ?: -EIO;
	c->state = CUT;
	restart_clock(c);
	tfs_ops_stop(c->ops);
}

static void end_locked(struct control *c, const char *why)
{
	eng_log(LOG_INFO, "%s: unmounting: %s", c->how.name, why);
	c->state = ENDING;
	restart_clock(c);
	c->ending = !pthread_create(&c->ender, NULL, end_mount, c);
	if (!c->ending)
		cut_locked(c, "no thread for an orderly end");
}

/* Once more after that leaves. */
static void say_once_locked(struct control *c, bool *said, const char *what)
{
	if (*said)
		leave_locked(c, "asked again");
	*said = true;
	eng_log(LOG_NOTICE, "%s: %s; another signal leaves at once",
		c->how.name, what);
}

/* (2) */
static void end_further(struct control *c, const char *why)
{
	pthread_mutex_lock(&c->lock);
	switch (c->state) {
	case STARTING:
		say_once_locked(c, &c->quit, "won't be mounted");
		break;
	case MOUNTED:
	case READY:
		end_locked(c, why);
		break;
	case ENDING:
		cut_locked(c, "asked again");
		break;
	case CUT:
		leave_locked(c, "asked again");
		break;
	case CLOSING:
		say_once_locked(c, &c->again, "writing the last checkpoint");
		break;
	}
	c->quit = true;
	pthread_cond_broadcast(&c->quitting);
	pthread_mutex_unlock(&c->lock);
}

/* ---- events ------------------------------------------------------------- */

/* A terminal's hangup is not somebody's wish for a new log file. */
static bool hangup_ends(const struct control *c,
			const struct signalfd_siginfo *si)
{
	return c->how.foreground &&
	       (!c->how.log || si->ssi_code == SI_KERNEL);
}

static void on_signal(struct control *c)
{
	struct signalfd_siginfo si;

	if (read(c->signals, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGHUP && !hangup_ends(c, &si)) {
		if (c->how.log)
			report_reopen();
		return;
	}
	if (c->heard && now_ms() - c->heard < SAME_MS)
		return;
	c->heard = now_ms();
	end_further(c, strsignal((int)si.ssi_signo));
}

/* Who asked for the mount is gone before it was there. */
static void on_orphaned(struct control *c)
{
	c->how.parent = -1;
	end_further(c, "the mounting process is gone");
}

static void on_answer(struct control *c)
{
	int answer = c->answer;
	bool mounted;

	c->answer = 0;
	pthread_mutex_lock(&c->lock);
	mounted = c->state == MOUNTED;	/* not ending already */
	if (mounted && answer > 0) {
		c->state = READY;
		c->ready = true;
	}
	pthread_mutex_unlock(&c->lock);
	if (!mounted)
		return;
	c->how.parent = -1;
	if (answer < 0) {
		note_error(c, answer);
		end_further(c, "it does not answer");
	} else if (!c->how.ready(c->how.arg)) {
		end_further(c, "the mounting process is gone");
	}
}

/* (4) */
static void look_locked(struct control *c)
{
	struct tfs_ops_writes w;

	if (c->state == CUT && elapsed(c, CUT_SECONDS))
		leave_locked(c, "requests can't be finished");
	if (c->state != ENDING)
		return;
	tfs_ops_writes(c->ops, &w);
	if (w.answered != c->answered_seen || c->steps != c->steps_seen) {
		c->answered_seen = w.answered;
		c->steps_seen = c->steps;
		restart_clock(c);
	} else if (elapsed(c, STUCK_SECONDS)) {
		cut_locked(c, "no write was finished for a minute");
	}
}

static void await(struct control *c)
{
	struct pollfd pfd[3] = {
		{ .fd = c->signals, .events = POLLIN },
		{ .fd = c->wake, .events = POLLIN },
		{ .fd = c->how.parent },	/* POLLERR: nobody reads */
	};
	uint64_t n;
	bool ending;

	pthread_mutex_lock(&c->lock);
	ending = c->state == ENDING || c->state == CUT;
	pthread_mutex_unlock(&c->lock);
	if (poll(pfd, 3, ending ? TICK_MS : -1) < 0)
		return;
	if (pfd[1].revents)
		(void)!read(c->wake, &n, sizeof(n));
	if (pfd[0].revents)
		on_signal(c);
	if (pfd[2].revents)
		on_orphaned(c);
}

static void *run(void *arg)
{
	struct control *c = arg;

	while (!c->stop) {
		await(c);
		if (c->answer)
			on_answer(c);
		pthread_mutex_lock(&c->lock);
		look_locked(c);
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

/* ---- from main.c -------------------------------------------------------- */

static int open_events(struct control *c)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);	/* what is blocked */
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signals < 0)
		return -errno;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->wake < 0 ? -errno : 0;
}

static void destroy(struct control *c)
{
	if (c->signals >= 0)
		close(c->signals);
	if (c->wake >= 0)
		close(c->wake);
	pthread_cond_destroy(&c->quitting);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int control_start(struct control **out, const struct control_how *how)
{
	struct control *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int err;

	*out = NULL;
	if (!c)
		return -ENOMEM;
	c->how = *how;
	c->signals = c->wake = -1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->quitting, &attr);
	pthread_condattr_destroy(&attr);
	err = open_events(c);
	err = err ?: -pthread_create(&c->thread, NULL, run, c);
	if (err)
		destroy(c);
	else
		*out = c;
	return err;
}

bool control_pause(struct control *c, unsigned int ms)
{
	struct timespec until;
	bool quit;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&c->lock);
	while (!c->quit)
		if (pthread_cond_timedwait(&c->quitting, &c->lock, &until))
			break;
	quit = c->quit;
	pthread_mutex_unlock(&c->lock);
	return !quit;
}

void control_serve(struct control *c, struct tfs_ops *ops,
		   const struct place *place)
{
	pthread_mutex_lock(&c->lock);
	c->ops = ops;
	c->place = place;
	c->state = MOUNTED;
	c->probing = !pthread_create(&c->prober, NULL, probe, c);
	if (!c->probing)
		c->answer = -EAGAIN;
	if (c->quit)
		end_locked(c, "asked to end");
	pthread_mutex_unlock(&c->lock);
	wake(c);
}

/* Nothing keeps a helper once the connection has ended, but sync(2) may wait
 * for other filesystems. */
static bool join(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CUT_SECONDS;
	return !pthread_timedjoin_np(thread, NULL, &until);
}

int control_close(struct control *c, bool *idle)
{
	pthread_mutex_lock(&c->lock);
	c->state = CLOSING;
	pthread_mutex_unlock(&c->lock);
	detach(c);
	tfs_ops_disconnect(c->ops);
	*idle = (!c->probing || join(c->prober)) &&
		(!c->ending || join(c->ender));
	if (c->ready || c->err)
		return c->err;
	return c->quit ? -EINTR : -EIO;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	c->stop = true;
	wake(c);
	pthread_join(c->thread, NULL);
	destroy(c);
}
