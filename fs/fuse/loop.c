/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.c - the threads that receive and handle requests.
 *
 * libfuse's own loop keeps several threads waiting for requests, and the
 * kernel wakes the one that has waited longest: with a single client every
 * request pays for waking a cold thread.  Here only as many wait as the load
 * asks for, usually one, which stays warm.
 *
 * (1) A thread receives only while it has a turn; loop->turns counts them.
 *     Somebody has one, unless all threads are at long requests: then the
 *     first that is done.
 * (2) A turn is kept while handling a request that should be short.  It is
 *     given up for one that is known to take long (fsync, unless those before
 *     did not), and by a handler before it waits for the device.
 * (3) Another turn is handed out if requests are waiting already when one was
 *     received, and by the deputy, if all that have a turn have been busy
 *     with the same requests for a tick, or for some where there are more
 *     than processors: so a handler may take as long as it likes.  Each look
 *     of his costs a change of thread; while all requests are quick, which
 *     give up their turn by themselves, he looks seldom.
 * (4) A thread with a turn that finds another one with a turn and nothing
 *     waiting parks.  The last one parked is woken first, without the lock
 *     that it takes then.
 * (5) A new thread has its buffer before it is given a turn.  If there is no
 *     memory for either, those that are there go on; that is no error.
 * (6) What was received is answered, also after the end.
 * (7) A look whether requests are waiting costs a system call, and a turn more
 *     two changes of thread.  So while requests are quick a thread looks at
 *     every eighth only, and hands out another turn if requests were waiting
 *     at three in a row: a FORGET that came along does not make a crowd.  And
 *     they take half of the processors at most.  The other half is for those
 *     who ask: more of us would only take turns with them.
 * (8) Who receives alone, and was done soon, looks for a moment for the next
 *     request before it sleeps (spin.c).  Who waits beside others does not:
 *     the kernel would wake one of them for what this one finds.
 *
 * Where the kernel and uring.c agree on io_uring, what comes through the
 * device is only what the kernel has no queue for. */
#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "fuse/loop.h"
#include "fuse/ops_priv.h"
#include "fuse/spin.h"
#include "fuse/uring.h"
#include "fuse/wire.h"

#define WORKERS		64
#define TICK_NS		1000000u
#define TICK_CALM_NS	16000000u	/* while all requests are quick */
#define TICKS_CALM	50	/* without any other, then they are */
#define SYNC_NS		100000u	/* an fsync that is not long */
#define SHORT_NS	100000u	/* a request that was done soon */
#define TICKS_STUCK	16	/* the deputy's patience at most */
#define TICKS_IDLE	50	/* then he sleeps */
#define LOOK_SKIP	7	/* quick requests between two looks: (7) */
#define LOOK_ROW	3

struct worker {
	struct tfs_loop	*loop;
	pthread_t	thread;
	pthread_cond_t	wake;
	bool		go;		/* lock: was given a turn */
	atomic_bool	receiving;	/* or not yet counted */
	atomic_uint	round;		/* loop->round, seen while receiving */
	unsigned int	skip, row;	/* own: (7) */
	bool		look;		/* own: at this request */
	bool		turn;		/* own: kept at this request */
	struct tfs_spin	spin;		/* own */
	uint64_t	came;		/* own: when this request did, ns */
	struct worker	*next;		/* lock: in the parked list */
	struct fuse_buf	buf;
};

struct counter {
	_Atomic uint64_t n, bytes;
};

enum armed {
	ASLEEP, CALM, BRISK
};

struct tfs_loop {
	struct tfs_ops	*ops;
	struct fuse_session *se;
	int		fd;		/* fixed once it runs */
	unsigned int	max, share;	/* workers; turns for (3)'s first */
	unsigned int	cpus;		/* 2 at least */
	bool		spins;		/* there are so many */
	pthread_mutex_t	lock;
	pthread_cond_t	tick;		/* the deputy; and the end */
	struct worker	*parked;	/* lock */
	unsigned int	workers;	/* lock */
	bool		hiring;		/* lock: worker[workers] is made */
	int		err;		/* lock */
	atomic_uint	turns;		/* changed under lock */
	atomic_uint	busy;		/* of them, those handling a request */
	_Atomic uint64_t received;
	struct counter	in, out;	/* writes received; answered */
	atomic_uint	round;		/* of settle() */
	_Atomic uint64_t sync_ns;	/* an fsync of late */
	atomic_int	armed;		/* the deputy: enum armed */
	atomic_bool	slow;		/* what is not quick has come */
	atomic_bool	end;
	struct worker	worker[WORKERS];
};

static bool pending(const struct tfs_loop *loop)
{
	return tfs_readable(loop->fd);
}

static void *work(void *arg);

/* One more turn, for a thread that is parked and is to be woken; or NULL. */
static struct worker *grant_locked(struct tfs_loop *loop)
{
	struct worker *w = loop->parked;

	if (!w)
		return NULL;
	loop->parked = w->next;
	w->go = true;
	loop->turns++;
	return w;
}

/* (5) */
static int start(struct worker *w)
{
	int err;

	w->buf.mem = malloc(TFS_WIRE_BUFFER);
	if (!w->buf.mem)
		return -ENOMEM;
	pthread_cond_init(&w->wake, NULL);
	w->go = true;
	err = -pthread_create(&w->thread, NULL, work, w);
	if (err) {
		pthread_cond_destroy(&w->wake);
		free(w->buf.mem);
		w->buf.mem = NULL;
	}
	return err;
}

/* One more turn, for a new thread.  Its turn counts from before it runs; if
 * it never does, one that has parked in the meantime may have to take it. */
static void hire(struct tfs_loop *loop)
{
	struct worker *w = NULL;

	pthread_mutex_lock(&loop->lock);
	if (!loop->hiring && loop->workers < loop->max && !loop->end) {
		w = &loop->worker[loop->workers];
		w->loop = loop;
		loop->hiring = true;
		loop->turns++;
	}
	pthread_mutex_unlock(&loop->lock);
	if (!w)
		return;
	if (!start(w)) {
		pthread_mutex_lock(&loop->lock);
		loop->workers++;
	} else {
		pthread_mutex_lock(&loop->lock);
		loop->turns--;
		w = !loop->turns && !loop->end ? grant_locked(loop) : NULL;
		if (w)
			pthread_cond_signal(&w->wake);
	}
	loop->hiring = false;
	pthread_cond_broadcast(&loop->tick);
	pthread_mutex_unlock(&loop->lock);
}

/* One more turn, if there are fewer than max. */
static void turn_add(struct tfs_loop *loop, unsigned int max)
{
	struct worker *w = NULL;
	bool more;

	pthread_mutex_lock(&loop->lock);
	more = loop->turns < max && !loop->end;
	if (more)
		w = grant_locked(loop);
	pthread_mutex_unlock(&loop->lock);
	if (w)
		pthread_cond_signal(&w->wake);
	else if (more)
		hire(loop);
}

/* Before a long request (2). */
static void turn_give(struct tfs_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->turns--;
	pthread_mutex_unlock(&loop->lock);
	turn_add(loop, 1);
}

/* After it: nobody may have been there to take it over. */
static bool turn_again(struct tfs_loop *loop)
{
	bool mine;

	pthread_mutex_lock(&loop->lock);
	mine = !loop->turns;
	if (mine)
		loop->turns++;
	pthread_mutex_unlock(&loop->lock);
	return mine;
}

/* (4), (7) */
static bool turn_drop(struct worker *w)
{
	struct tfs_loop *loop = w->loop;
	bool dropped;

	if (loop->turns < 2 || !w->look || pending(loop))
		return false;
	pthread_mutex_lock(&loop->lock);
	dropped = loop->turns > 1;
	if (dropped)
		loop->turns--;
	pthread_mutex_unlock(&loop->lock);
	return dropped;
}

/* Until a turn is given.  False: the end. */
static bool park(struct worker *w)
{
	struct tfs_loop *loop = w->loop;

	pthread_mutex_lock(&loop->lock);
	if (!w->go && !loop->turns) {	/* (1) a new thread failed to start */
		loop->turns++;
		w->go = true;
	} else if (!w->go) {
		w->next = loop->parked;
		loop->parked = w;
	}
	while (!w->go && !loop->end)
		pthread_cond_wait(&w->wake, &loop->lock);
	w->go = false;
	pthread_mutex_unlock(&loop->lock);
	return !loop->end;
}

static void end(struct tfs_loop *loop, int err)
{
	pthread_mutex_lock(&loop->lock);
	loop->end = true;
	if (!loop->err)
		loop->err = err;
	for (struct worker *w = loop->parked; w; w = w->next)
		pthread_cond_signal(&w->wake);
	loop->parked = NULL;
	pthread_cond_broadcast(&loop->tick);
	pthread_mutex_unlock(&loop->lock);
}

static void arm(struct tfs_loop *loop, enum armed how)
{
	if (loop->armed >= (int)how)
		return;
	pthread_mutex_lock(&loop->lock);
	if (loop->armed < (int)how)
		loop->armed = how;
	pthread_cond_broadcast(&loop->tick);
	pthread_mutex_unlock(&loop->lock);
}

static size_t length(const struct worker *w)
{
	const struct fuse_in_header *h = w->buf.mem;

	return h->len;
}

static void count(struct counter *c, size_t bytes)
{
	c->bytes += bytes;
	c->n++;
}

static void answer(struct worker *w)
{
	struct tfs_loop *loop = w->loop;
	unsigned int flags = tfs_wire_flags();
	size_t bytes = length(w);

	if (flags & TFS_WIRE_STATX)
		tfs_wire_statx(loop->ops, w->buf.mem);
	else
		fuse_session_process_buf(loop->se, &w->buf);
	if (flags & TFS_WIRE_WRITE)
		count(&loop->out, bytes);
}

/* INIT was answered. */
static void agree(struct tfs_loop *loop)
{
	struct tfs_ops *ops = loop->ops;

	if (tfs_wire_agreed()) {
		tfs_uring_begin(ops->uring, loop->fd);
	} else if (ops->want_uring == TFS_OPS_URING_ON) {
		eng_log(LOG_ERR, "FUSE over io_uring: the kernel does not "
			"offer it for this mount");
		end(loop, -EOPNOTSUPP);
	}
}

/* Are there enough requests for another turn?  (3), (7) */
static bool crowded(struct worker *w)
{
	struct tfs_loop *loop = w->loop;
	unsigned int flags = tfs_wire_flags();
	bool quick = flags & TFS_WIRE_QUICK && !loop->ops->dirsync;

	w->look = !quick || !w->skip;
	if (!quick)
		loop->slow = true;
	arm(loop, quick ? CALM : BRISK);
	if (flags & TFS_WIRE_FORGET)
		return false;
	if (!quick) {
		w->skip = w->row = 0;
		return loop->turns < loop->share && pending(loop);
	}
	if (w->skip) {
		w->skip--;
		return false;
	}
	w->row = pending(loop) ? w->row + 1 : 0;
	if (w->row && w->row < LOOK_ROW)
		return false;
	w->skip = LOOK_SKIP;
	return w->row && loop->turns < loop->cpus / 2;
}

/* (2), on the thread of a handler that is about to wait. */
static void on_wait(void *arg)
{
	struct worker *w = arg;

	if (!w->turn)
		return;
	w->turn = false;
	w->loop->busy--;
	turn_give(w->loop);
}

/* True: the turn is still ours. */
static bool handle_short(struct worker *w)
{
	struct tfs_loop *loop = w->loop;
	bool kept;

	loop->busy++;
	if (loop->max > 1 && crowded(w))
		turn_add(loop, loop->share);
	w->turn = true;
	answer(w);
	if (!w->turn)
		return turn_again(loop);
	w->turn = false;
	kept = !turn_drop(w);
	loop->busy--;
	return kept;
}

/* The same, for a request that may be known to take long: (2). */
static bool handle_long(struct worker *w)
{
	struct tfs_loop *loop = w->loop;
	uint64_t mean = loop->sync_ns;
	bool kept;

	if (mean <= SYNC_NS) {
		kept = handle_short(w);
	} else {
		turn_give(loop);
		answer(w);
		kept = turn_again(loop);
	}
	loop->sync_ns = mean - mean / 8 + (eng_now_ns() - w->came) / 8;
	return kept;
}

/* One request.  True: the turn is still ours. */
static bool handle(struct worker *w)
{
	struct tfs_loop *loop = w->loop;

	loop->received++;
	if (tfs_wire_flags() & TFS_WIRE_INIT) {
		answer(w);
		if (!fuse_session_exited(loop->se))
			agree(loop);
		return true;
	}
	return tfs_wire_flags() & TFS_WIRE_LONG ? handle_long(w) :
		handle_short(w);
}

static bool transient(int n)
{
	if (n == -ENOMEM)	/* the kernel's; what it held is lost */
		poll(NULL, 0, 10);
	return n == -EINTR || n == -EAGAIN || n == -ENOMEM;
}

/* Bytes received; 0: the end; or -errno. */
static int receive(struct worker *w)
{
	struct tfs_loop *loop = w->loop;
	int n = -EINTR;

	w->receiving = true;
	while (transient(n) && !loop->end) {
		w->round = loop->round;
		n = fuse_session_receive_buf(loop->se, &w->buf);
	}
	if (n > 0 && tfs_wire_flags() & TFS_WIRE_WRITE)
		count(&loop->in, length(w));
	w->receiving = false;
	w->came = eng_now_ns();
	return n < 0 && loop->end ? 0 : n;	/* (6) */
}

/* (8) */
static void linger(struct worker *w)
{
	struct tfs_loop *loop = w->loop;

	if (loop->spins && loop->turns == 1 && !w->row && !tfs_wire_agreed() &&
	    eng_now_ns() - w->came < SHORT_NS)
		tfs_spin(&w->spin, loop->fd);
}

/* libfuse and the kernel don't agree; libfuse has said why. */
static bool refused(struct tfs_loop *loop)
{
	return tfs_wire_flags() & TFS_WIRE_INIT &&
	       fuse_session_exited(loop->se);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct tfs_loop *loop = w->loop;
	bool more = true;
	int n;

	tfs_on_wait(on_wait, w);
	while (park(w)) {
		do {
			n = receive(w);
			more = n > 0 && handle(w);
			if (refused(loop))
				n = -EPROTO;
			else if (more)
				linger(w);
		} while (more && n > 0 && !loop->end);
		if (n <= 0)
			end(loop, n);
	}
	free(w->buf.mem);
	return NULL;
}

/* ---- is everything written? ---------------------------------------------- */

/* Who is back from the kernel with a request has counted it on return from
 * here: a thread looks at the round only when it has none. */
static void settle(struct tfs_loop *loop)
{
	unsigned int round = ++loop->round;

	for (unsigned int i = 0; i < WORKERS; i++) {
		struct worker *w = &loop->worker[i];

		while (w->receiving && w->round != round && !loop->end) {
			pthread_mutex_lock(&loop->lock);
			if (i < loop->workers && !loop->end)
				pthread_kill(w->thread, SIGUSR1);
			pthread_mutex_unlock(&loop->lock);
			poll(NULL, 0, 1);
		}
	}
}

void tfs_loop_writes(struct tfs_loop *loop, struct tfs_ops_writes *out)
{
	struct tfs_uring_count c = { .received = 0 };

	out->answered = loop->out.n;
	out->answered_bytes = loop->out.bytes;
	if (loop->ops->uring)
		tfs_uring_count(loop->ops->uring, &c);
	out->answered += c.out;
	out->answered_bytes += c.out_bytes;
	out->waiting = loop->in.n + c.in - out->answered;
	out->waiting_bytes = loop->in.bytes + c.in_bytes -
		out->answered_bytes;
}

uint64_t tfs_loop_received(struct tfs_loop *loop)
{
	struct tfs_uring_count c = { .received = 0 };

	if (loop->ops->uring)
		tfs_uring_count(loop->ops->uring, &c);
	return loop->received + c.received;
}

/* The kernel sends a bounded number of writes at a time and the next with
 * the answer to one.  So it holds none back if it has sent none that is not
 * answered. */
bool tfs_loop_quiet(struct tfs_loop *loop)
{
	struct tfs_ops_writes before, now;

	tfs_loop_writes(loop, &before);
	if (before.waiting || pending(loop))
		return false;
	settle(loop);
	if (loop->ops->uring && !tfs_uring_settle(loop->ops->uring))
		return false;
	tfs_loop_writes(loop, &now);
	return !now.waiting && now.answered == before.answered &&
	       !pending(loop);
}

/* ---- the deputy ---------------------------------------------------------- */

static void tick(struct tfs_loop *loop)
{
	struct timespec until;
	int armed;

	pthread_mutex_lock(&loop->lock);
	while (!loop->armed && !loop->end)
		pthread_cond_wait(&loop->tick, &loop->lock);
	armed = loop->armed;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += armed == CALM ? TICK_CALM_NS : TICK_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (!loop->end && loop->armed == armed)
		if (pthread_cond_timedwait(&loop->tick, &loop->lock, &until))
			break;
	pthread_mutex_unlock(&loop->lock);
}

/* To something less; a request may come between check and this. */
static void disarm(struct tfs_loop *loop, enum armed to, uint64_t last)
{
	loop->armed = to;
	if (loop->slow)
		arm(loop, BRISK);
	else if (loop->received != last)
		arm(loop, CALM);
}

/* After TICKS_CALM ticks with quick requests only. */
static void calm_down(struct tfs_loop *loop, unsigned int *calm, uint64_t last)
{
	if (loop->armed != BRISK || atomic_exchange(&loop->slow, false))
		*calm = 0;
	else if (++*calm >= TICKS_CALM)
		disarm(loop, CALM, last);
}

/* Threads that take turns on a processor are slow, not stuck. */
static unsigned int patience(const struct tfs_loop *loop)
{
	unsigned int ticks = loop->turns / loop->cpus;

	return ticks < TICKS_STUCK ? ticks : TICKS_STUCK;
}

/* (3), until the end. */
static void deputise(struct tfs_loop *loop)
{
	uint64_t last = 0;
	unsigned int quiet = 0, stuck = 0, calm = 0;

	while (!loop->end) {
		tick(loop);
		calm_down(loop, &calm, last);
		if (loop->received != last) {
			last = loop->received;
			quiet = stuck = 0;
		} else if (loop->busy && loop->busy >= loop->turns) {
			if (++stuck < patience(loop))
				continue;
			stuck = 0;
			turn_add(loop, loop->max);
		} else if (++quiet >= TICKS_IDLE) {
			disarm(loop, ASLEEP, last);
			quiet = 0;
		}
	}
}

/* ---- over io_uring ------------------------------------------------------- */

static unsigned int uring_see(void *arg, void *request, size_t *len,
			      unsigned int *flags)
{
	unsigned int f = *flags = tfs_wire_see(request, len);
	const struct tfs_loop *loop = arg;
	bool waits = f & TFS_WIRE_WAITS || loop->ops->sync ||
		loop->ops->dirsync;

	return (waits ? TFS_URING_MAY_WAIT : 0) |
	       (f & TFS_WIRE_HELD ? TFS_URING_HELD : 0) |
	       (f & TFS_WIRE_WRITE ? TFS_URING_WRITE : 0);
}

static void uring_handle(void *arg, void *request, size_t len,
			 unsigned int flags)
{
	struct tfs_loop *loop = arg;
	struct fuse_buf buf = { .mem = request, .size = len };

	tfs_wire_handle(flags);
	if (flags & TFS_WIRE_STATX)
		tfs_wire_statx(loop->ops, request);
	else
		fuse_session_process_buf(loop->se, &buf);
}

static void uring_failed(void *arg, int err)
{
	end(arg, err);
}

static int uring_missing(struct tfs_ops *ops, const char *why)
{
	if (ops->want_uring != TFS_OPS_URING_ON)
		return 0;
	eng_log(LOG_ERR, "FUSE over io_uring: %s", why);
	return -EOPNOTSUPP;
}

static int uring_create(struct tfs_loop *loop)
{
	struct tfs_ops *ops = loop->ops;
	const struct tfs_uring_how how = {
		.payload = TFS_MAX_WRITE,
		.quiet = ops->want_uring != TFS_OPS_URING_ON,
		.see = uring_see, .handle = uring_handle,
		.failed = uring_failed, .arg = loop,
	};
	const char *why = ops->single ? "not with one request at a time (-s)" :
		tfs_uring_missing();
	int err;

	if (ops->want_uring == TFS_OPS_URING_OFF)
		return 0;
	if (why)
		return uring_missing(ops, why);
	err = tfs_uring_create(&ops->uring, &how);
	return err ? uring_missing(ops, strerror(-err)) : 0;
}

/* ---- from session.c ------------------------------------------------------ */

int tfs_loop_create(struct tfs_loop **out, struct tfs_ops *ops)
{
	struct tfs_loop *loop = calloc(1, sizeof(*loop));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_condattr_t attr;

	*out = loop;
	if (!loop)
		return -ENOMEM;
	loop->ops = ops;
	loop->se = ops->se;
	loop->fd = -1;
	loop->max = ops->single ? 1 : WORKERS;
	loop->spins = cpus > 1;
	loop->cpus = cpus > 2 ? (unsigned int)cpus : 2;
	loop->share = 2 * loop->cpus;
	loop->sync_ns = 10 * SYNC_NS;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&loop->tick, &attr);
	pthread_condattr_destroy(&attr);
	return uring_create(loop);
}

static void on_wake(int sig)
{
	(void)sig;
}

/* A worker that sleeps in the kernel sees the end only when woken; the signal
 * is repeated, so that it can't come too early.  The others finish their
 * requests. */
static void join(struct worker *w)
{
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += until.tv_nsec >= 980000000;
		until.tv_nsec = (until.tv_nsec + 20000000) % 1000000000;
		if (!pthread_timedjoin_np(w->thread, NULL, &until))
			break;
		if (w->receiving)
			pthread_kill(w->thread, SIGUSR1);
	}
}

int tfs_loop_run(struct tfs_loop *loop)
{
	struct sigaction wake = { .sa_handler = on_wake };

	sigaction(SIGUSR1, &wake, NULL);
	loop->fd = fuse_session_fd(loop->se);
	turn_add(loop, 1);
	if (!loop->workers)
		return loop->end ? 0 : -EAGAIN;
	deputise(loop);
	pthread_mutex_lock(&loop->lock);
	while (loop->hiring)
		pthread_cond_wait(&loop->tick, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
	for (unsigned int i = 0; i < loop->workers; i++)
		join(&loop->worker[i]);
	for (unsigned int i = 0; i < loop->workers; i++)
		pthread_cond_destroy(&loop->worker[i].wake);
	return loop->err;
}

void tfs_loop_finish(struct tfs_loop *loop)
{
	if (loop->ops->uring)
		tfs_uring_end(loop->ops->uring);
}

void tfs_loop_stop(struct tfs_loop *loop)
{
	end(loop, 0);
}

void tfs_loop_destroy(struct tfs_loop *loop)
{
	if (!loop)
		return;
	tfs_loop_finish(loop);
	tfs_uring_destroy(loop->ops->uring);
	loop->ops->uring = NULL;
	pthread_cond_destroy(&loop->tick);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
