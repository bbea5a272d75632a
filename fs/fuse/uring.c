/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uring.c - FUSE over io_uring: one thread per processor, with a ring of its
 * own, and places in it that the kernel puts requests into.
 *
 * The kernel has a queue for each processor that there may ever be, and uses
 * none before it has places in all of them.  A request comes to the queue of
 * the processor that its caller runs on.  Its answer is put into the same
 * place, and handing that over asks for the next request.  What is not for a
 * queue (INIT, FORGET, INTERRUPT) and notifications go through the device as
 * ever: loop.c.
 *
 * (1) Only the owner of a ring hands places over: the kernel puts a request
 *     into a place from the thread that handed it over, so that this must not
 *     be one that may sleep.  Others leave their answers with the owner.
 * (2) The owner handles what can be done in memory.  What may wait goes to the
 *     crew; so does what turns out to, as tfs_nowait() says.
 * (3) A place is the kernel's from handing over until its completion, and
 *     counted as used from then until its answer is handed over.  All memory
 *     is there before that; a thread never has to ask for some to answer.
 * (4) Requests whose answer waits for other requests don't take the places of
 *     those: for each there is one more, or it fails with ENOMEM.
 * (5) What was taken is answered, also after the end.
 * (6) A place costs its addresses; the memory behind is what the longest
 *     request in it had.  PLACES bounds it for any number of processors.
 * (7) A processor that is not there at the start has its queue with one that
 *     is.  If the processor of a thread goes, the kernel moves the thread.
 * (8) A read of content completes by the owner's ring, and nobody waits for
 *     that but whoever asked for it: the owner may wait for a lock meanwhile,
 *     and for memory. */
#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>

#include "fs.h"
#include "fuse/crew.h"
#include "fuse/reply.h"
#include "fuse/uring.h"
#include "io/queue.h"

#define PARAMETER	"/sys/module/fuse/parameters/enable_uring"
#define CPUS		"/sys/devices/system/cpu/"

#define PLACES		512u		/* (6), of all queues */
#define DEPTH_MIN	4u		/* of one */
#define DEPTH_MAX	32u
#define CREW		64u
#define BUCKETS		1024u
#define HEAD		4096u		/* before the payload */

/* Newer than the oldest kernel headers that we build with. */
enum { COMMAND_REGISTER = 1, COMMAND_COMMIT = 2 };

struct uring_command {		/* fuse_uring_cmd_req */
/*00*/	uint64_t	flags;
/*08*/	uint64_t	commit;
/*10*/	uint16_t	queue;
	uint8_t		pad[6];
};
_Static_assert(sizeof(struct uring_command) == 24, "fuse_uring_cmd_req");

struct uring_head {		/* fuse_uring_req_header */
/*000*/	uint8_t		header[128];	/* fuse_in_header, fuse_out_header */
/*080*/	uint8_t		op[128];	/* first argument, if it is fixed */
/*100*/	uint64_t	flags;
/*108*/	uint64_t	commit;
/*110*/	uint32_t	payload;	/* bytes there */
	uint32_t	pad;
/*118*/	uint64_t	reserved;
};
_Static_assert(sizeof(struct uring_head) == 0x120, "fuse_uring_req_header");

/* A place.  Its memory: the head, in the first page; the request as one
 * piece, so that its payload begins on the second. */
struct place {
	struct eng_ring_op op;		/* first */
	struct tfs_task	task;
	struct owner	*owner;
	struct lane	*lane;
	struct place	*also;		/* owner's: the next of all */
	uint8_t		*mem;
	struct iovec	iov[2];
	struct uring_command command;
	bool		fresh;		/* owner's: being registered */
	/* The request. */
	uint8_t		*request;
	size_t		len;
	unsigned int	kind, flags;
	uint64_t	unique;
	bool		again;		/* (2) */
	struct place	*next;		/* in the table, then in done */
};

/* A queue of the kernel's, as its owner sees it. */
struct lane {
	unsigned int	there, used, held;	/* places */
};

struct owner {
	struct tfs_uring *u;
	unsigned int	cpu;
	pthread_t	thread;
	bool		runs;		/* to be joined; starter's */
	struct place	*places;
	unsigned int	used;		/* of all lanes */
	bool		begun;
	atomic_uint	round;		/* u->round, seen */
	atomic_bool	full;		/* some lane is, at that time */
	pthread_mutex_t	lock;
	struct eng_queue *q;		/* lock; NULL: not yet, or no more */
	struct place	*done, **done_last;	/* lock: answered by others */
	bool		asleep, told;	/* lock */
	atomic_uint	wakers;		/* of q: more under lock, less without */
};

struct bucket {
	pthread_mutex_t	lock;
	struct place	*first;		/* lock */
};

struct counter {
	_Atomic uint64_t n, bytes;
};

struct tfs_uring {
	struct tfs_uring_how how;
	int		fd;		/* fixed before go */
	atomic_bool	go, end;
	atomic_bool	told;		/* that the kernel did not take it */
	atomic_uint	round;
	_Atomic uint64_t received;
	struct counter	in, out;
	struct tfs_crew	*crew;
	unsigned int	lanes, depth;	/* fixed */
	struct lane	*lane;
	pthread_mutex_t	lock;
	pthread_cond_t	started;
	unsigned int	owners;		/* fixed once they run */
	unsigned int	up;		/* lock: those that tried to start */
	int		err;		/* lock: why one did not */
	struct bucket	bucket[BUCKETS];
	struct owner	owner[];
};

static __thread struct owner *me;
static __thread struct place *handling;

static struct place *to_place(struct eng_ring_op *op)
{
	return (struct place *)op;
}

/* ---- requests under way ------------------------------------------------- */

static struct bucket *bucket_lock(struct tfs_uring *u, uint64_t unique)
{
	struct bucket *b = &u->bucket[unique / 2 % BUCKETS];

	pthread_mutex_lock(&b->lock);
	return b;
}

static void table_add(struct tfs_uring *u, struct place *p)
{
	struct bucket *b = bucket_lock(u, p->unique);

	p->next = b->first;
	b->first = p;
	pthread_mutex_unlock(&b->lock);
}

/* Take it out, unless it stays. */
static struct place *table_find(struct tfs_uring *u, uint64_t unique,
				bool stays)
{
	struct bucket *b = bucket_lock(u, unique);
	struct place **at = &b->first, *p;

	while ((p = *at) && p->unique != unique)
		at = &p->next;
	if (p && !stays)
		*at = p->next;
	pthread_mutex_unlock(&b->lock);
	return p;
}

/* ---- handing over: the owner -------------------------------------------- */

static void prep(struct eng_ring_op *op, struct io_uring_sqe *sqe)
{
	struct place *p = to_place(op);

	eng_queue_prep_command(sqe, p->owner->u->fd, p->fresh ?
			       COMMAND_REGISTER : COMMAND_COMMIT,
			       p->fresh ? p->iov : NULL, p->fresh ? 2 : 0,
			       &p->command, sizeof(p->command));
}

static void commit(struct place *p)
{
	struct owner *o = p->owner;

	o->used--;
	p->lane->used--;
	if (p->kind & TFS_URING_HELD)
		p->lane->held--;
	eng_queue_push(o->q, &p->op);
}

/* (1) */
static void collect(struct owner *o)
{
	struct place *p, *next;

	pthread_mutex_lock(&o->lock);
	p = o->done;
	o->done = NULL;
	o->done_last = &o->done;
	o->told = false;
	o->asleep = true;	/* who comes from now on wakes us */
	pthread_mutex_unlock(&o->lock);
	for (; p; p = next) {
		next = p->next;
		commit(p);
	}
}

/* What is to be woken, by wake_it() without the lock: the owner would run into
 * it first of all.  NULL: nothing. */
static struct eng_queue *to_wake_locked(struct owner *o)
{
	if (!o->q || o->told)
		return NULL;
	o->told = true;
	o->wakers++;
	return o->q;
}

static void wake_it(struct owner *o, struct eng_queue *q)
{
	if (!q)
		return;
	eng_queue_wake(q);
	o->wakers--;
}

static void wake(struct owner *o)
{
	struct eng_queue *q;

	pthread_mutex_lock(&o->lock);
	q = to_wake_locked(o);
	pthread_mutex_unlock(&o->lock);
	wake_it(o, q);
}

/* ---- answers ------------------------------------------------------------- */

static void hand_back(struct place *p)
{
	struct owner *o = p->owner;
	struct eng_queue *q;

	if (o == me) {
		commit(p);
		return;
	}
	pthread_mutex_lock(&o->lock);
	p->next = NULL;
	*o->done_last = p;
	o->done_last = &p->next;
	q = o->asleep ? to_wake_locked(o) : NULL;
	pthread_mutex_unlock(&o->lock);
	wake_it(o, q);
}

static void count(struct counter *c, size_t bytes)
{
	c->bytes += bytes;
	c->n++;
}

void *tfs_uring_room(size_t *size)
{
	*size = handling ? handling->iov[1].iov_len : 0;
	return handling ? handling->iov[1].iov_base : NULL;
}

/* The parts of an answer, one after the other; one that was made in its room
 * is the only part.  The kernel asks for no more than the place has room for. */
static int put_payload(struct place *p, const struct iovec *iov, int n)
{
	struct uring_head *head = (struct uring_head *)p->mem;
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > p->iov[1].iov_len - at)
			return -EIO;
		if (iov[i].iov_base != p->mem + HEAD + at)	/* room */
			memmove(p->mem + HEAD + at, iov[i].iov_base,
				iov[i].iov_len);
		at += iov[i].iov_len;
	}
	head->payload = (uint32_t)at;
	return 0;
}

bool tfs_uring_answer(struct tfs_uring *u, const struct iovec *iov, int n)
{
	struct fuse_out_header h = *(struct fuse_out_header *)iov[0].iov_base;
	bool again = h.error == -TFS_REPLY_WAITS;
	struct place *p = table_find(u, h.unique, again);
	size_t len;

	if (!p)
		return false;
	if (again) {
		p->again = true;	/* (2): we are on its owner's thread */
		return true;
	}
	len = p->len;
	h.error = put_payload(p, iov + 1, n - 1) ?: h.error;
	memcpy(p->mem, &h, sizeof(h));
	if (p->kind & TFS_URING_WRITE)
		count(&u->out, len);
	hand_back(p);
	return true;
}

static void refuse(struct place *p, int err)
{
	struct fuse_out_header h = {
		.len = sizeof(h), .error = err, .unique = p->unique,
	};
	struct iovec iov = { .iov_base = &h, .iov_len = sizeof(h) };

	tfs_uring_answer(p->owner->u, &iov, 1);
}

/* ---- requests: the owner ------------------------------------------------- */

/* p may be the kernel's again when it returns. */
static void handle(struct place *p)
{
	const struct tfs_uring_how *how = &p->owner->u->how;

	handling = p;
	how->handle(how->arg, p->request, p->len, p->flags);
	handling = NULL;
}

static void run_task(struct tfs_task *task)
{
	handle((struct place *)((char *)task - offsetof(struct place, task)));
}

static void came(struct eng_ring_op *op, int res);

/* A place more.  The thread that made it hands it over. */
static int place_add(struct owner *o, struct lane *lane)
{
	size_t size = HEAD + o->u->how.payload;
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		      MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->mem == MAP_FAILED) {
		free(p);
		return -ENOMEM;
	}
	p->owner = o;
	p->lane = lane;
	p->op.prep = prep;
	p->op.end = came;
	p->task.run = run_task;
	p->iov[0] = (struct iovec){ p->mem, sizeof(struct uring_head) };
	p->iov[1] = (struct iovec){ p->mem + HEAD, o->u->how.payload };
	p->command.queue = (uint16_t)(lane - o->u->lane);
	p->fresh = true;
	p->also = o->places;
	o->places = p;
	lane->there++;
	return 0;
}

/* (2)  Answered or not, the place is not handed over before we return to the
 * ring. */
static void handle_first(struct place *p)
{
	struct tfs_uring *u = p->owner->u;

	p->again = p->kind & TFS_URING_MAY_WAIT;
	if (!p->again) {
		tfs_nowait(true);
		handle(p);
		tfs_nowait(false);
	}
	if (p->again)
		tfs_crew_do(u->crew, &p->task);
}

/* One piece, as from the device.  False: that can't be one. */
static bool assemble(struct place *p)
{
	struct uring_head *head = (struct uring_head *)p->mem;
	const struct fuse_in_header *in = (void *)head->header;
	size_t fixed;

	if (head->payload > p->iov[1].iov_len ||
	    in->len < sizeof(*in) + head->payload)
		return false;
	fixed = in->len - sizeof(*in) - head->payload;
	if (fixed > sizeof(head->op))
		return false;
	p->len = in->len;
	p->unique = in->unique;
	p->command.commit = head->commit;
	p->request = p->mem + HEAD - fixed - sizeof(*in);
	memcpy(p->request, in, sizeof(*in));
	memcpy(p->request + sizeof(*in), head->op, fixed);
	return true;
}

static void fail(struct owner *o, int err)
{
	struct tfs_uring *u = o->u;
	struct pollfd pfd = { .fd = u->fd };

	if (u->end || poll(&pfd, 1, 0) > 0)
		return;		/* the connection is over, which loop.c sees */
	if (!atomic_exchange(&u->told, true))
		eng_log(LOG_ERR, "FUSE over io_uring: queue of processor %u: "
			"%s; ending the connection", o->cpu, strerror(-err));
	u->how.failed(u->how.arg, err);
}

/* (4) */
static int hold(struct place *p)
{
	struct owner *o = p->owner;
	struct lane *lane = p->lane;
	int err = 0;

	if (lane->there - lane->held <= o->u->depth) {
		err = place_add(o, lane);
		if (!err)
			eng_queue_push(o->q, &o->places->op);
	}
	return err;
}

static void receive(struct place *p)
{
	struct owner *o = p->owner;
	struct tfs_uring *u = o->u;

	if (!assemble(p)) {
		fail(o, -EPROTO);
		return;
	}
	u->received++;
	o->used++;
	p->lane->used++;
	p->kind = u->how.see(u->how.arg, p->request, &p->len, &p->flags);
	if (p->kind & TFS_URING_WRITE)
		count(&u->in, p->len);
	table_add(u, p);
	if (p->kind & TFS_URING_HELD) {
		int err = hold(p);

		p->lane->held++;
		if (err) {
			refuse(p, err);
			return;
		}
	}
	handle_first(p);
}

/* The kernel did not take a place, or gives it back. */
static void lost(struct place *p, int err)
{
	struct owner *o = p->owner;
	struct tfs_uring *u = o->u;

	p->lane->there--;
	if (err == -ENOTCONN || err == -ECONNABORTED || err == -ECANCELED)
		return;			/* the end of the connection */
	if (!p->fresh) {
		fail(o, err);
		return;
	}
	if (!u->end && !atomic_exchange(&u->told, true))
		eng_log(LOG_WARNING, "FUSE over io_uring: the kernel does not "
			"take a queue: %s; requests come through /dev/fuse",
			strerror(-err));
}

static void came(struct eng_ring_op *op, int res)
{
	struct place *p = to_place(op);

	if (res) {
		lost(p, res);
		return;
	}
	p->fresh = false;
	if (!p->owner->u->end)
		receive(p);
}

/* ---- the owner's thread -------------------------------------------------- */

/* Where whoever started us allows it. */
static void pin(const struct owner *o)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (o->cpu >= CPU_SETSIZE ||
	    pthread_getaffinity_np(pthread_self(), sizeof(set), &set) ||
	    !CPU_ISSET(o->cpu, &set))
		return;
	CPU_ZERO(&set);
	CPU_SET(o->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* The ring belongs to the thread that makes it. */
static int open_ring(struct owner *o)
{
	struct eng_queue *q;
	int err = eng_queue_create(&q, "FUSE", eng_queue_own_flags(),
				   o->u->how.quiet);

	if (err)
		return err;
	err = eng_queue_wake(q);	/* can we be woken? */
	if (err) {
		eng_queue_destroy(q);
		return err;
	}
	pthread_mutex_lock(&o->lock);
	o->q = q;
	pthread_mutex_unlock(&o->lock);
	return 0;
}

static void close_ring(struct owner *o)
{
	struct eng_queue *q = o->q;

	pthread_mutex_lock(&o->lock);
	o->q = NULL;
	pthread_mutex_unlock(&o->lock);
	while (o->wakers)
		sched_yield();
	eng_queue_destroy(q);
}

static void report_up(struct owner *o, int err)
{
	struct tfs_uring *u = o->u;

	pthread_mutex_lock(&u->lock);
	u->up++;
	u->err = u->err ?: err;
	pthread_cond_signal(&u->started);
	pthread_mutex_unlock(&u->lock);
}

static void begin(struct owner *o)
{
	if (o->begun || !o->u->go)
		return;
	o->begun = true;
	for (struct place *p = o->places; p; p = p->also)
		eng_queue_push(o->q, &p->op);
}

static bool is_full(const struct owner *o)
{
	for (const struct place *p = o->places; p; p = p->also)
		if (p->lane->used >= p->lane->there)
			return true;
	return false;
}

/* What had been left or was in the kernel when the round began has been handed
 * over and taken by the end of a turn that begins in it. */
static void turn(struct owner *o)
{
	unsigned int round = o->u->round;

	collect(o);
	begin(o);	/* after that: who woke us before had said so */
	eng_queue_run(o->q);
	pthread_mutex_lock(&o->lock);
	o->asleep = false;
	pthread_mutex_unlock(&o->lock);
	if (o->round != round) {
		o->full = is_full(o);
		o->round = round;
	}
}

static void *own(void *arg)
{
	struct owner *o = arg;
	int err;

	me = o;
	pin(o);
	err = open_ring(o);
	report_up(o, err);
	if (err)
		return NULL;
	while (!o->u->end || o->used)		/* (5) */
		turn(o);
	close_ring(o);
	return NULL;
}

/* ---- create -------------------------------------------------------------- */

/* A list of processors, as "0-3,8": the next one at or after cpu; -1: none. */
static int next_cpu(const char *list, unsigned int cpu)
{
	unsigned int first, last;
	int n;

	while (sscanf(list, "%u%n", &first, &n) == 1) {
		list += n;
		last = first;
		if (sscanf(list, "-%u%n", &last, &n) == 1)
			list += n;
		if (cpu <= last)
			return (int)(cpu > first ? cpu : first);
		list += *list == ',';
	}
	return -1;
}

static unsigned int cpus(const char *list)
{
	unsigned int n = 0;

	for (int cpu = -1; (cpu = next_cpu(list, (unsigned int)cpu + 1)) >= 0;)
		n++;
	return n;
}

static int read_cpus(const char *which, char *list, int size)
{
	char name[64];
	FILE *f;
	bool have;

	snprintf(name, sizeof(name), CPUS "%s", which);
	f = fopen(name, "re");
	have = f && fgets(list, size, f);
	if (f)
		fclose(f);
	return have ? 0 : -ENOENT;
}

const char *tfs_uring_missing(void)
{
	FILE *f = fopen(PARAMETER, "re");
	int c = f ? fgetc(f) : EOF;

	if (f)
		fclose(f);
	if (c == EOF)
		return "this kernel has none (Linux 6.14 or later, with "
			"CONFIG_FUSE_IO_URING)";
	return c == 'Y' || c == '1' ? NULL :
		"it is turned off; root turns it on with: echo Y > " PARAMETER;
}

/* (7) */
static struct owner *owner_of(struct tfs_uring *u, unsigned int lane)
{
	for (unsigned int i = 0; i < u->owners; i++)
		if (u->owner[i].cpu == lane)
			return &u->owner[i];
	return &u->owner[lane % u->owners];
}

/* (3) */
static int add_places(struct tfs_uring *u)
{
	int err = 0;

	for (unsigned int i = 0; i < u->lanes; i++) {
		struct owner *o = owner_of(u, i);
		unsigned int n = o->cpu == i ? u->depth : DEPTH_MIN;

		while (n-- && !err)
			err = place_add(o, &u->lane[i]);
	}
	return err;
}

static int start_owners(struct tfs_uring *u)
{
	sigset_t all, old;
	unsigned int n = 0;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n < u->owners && !err) {
		err = -pthread_create(&u->owner[n].thread, NULL, own,
				      &u->owner[n]);
		u->owner[n].runs = !err;
		n += !err;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_mutex_lock(&u->lock);
	while (u->up < n)
		pthread_cond_wait(&u->started, &u->lock);
	err = err ?: u->err;
	pthread_mutex_unlock(&u->lock);
	return err;
}

static struct tfs_uring *alloc(const char *online, unsigned int lanes)
{
	unsigned int n = cpus(online);
	struct tfs_uring *u = calloc(1, sizeof(*u) + n * sizeof(u->owner[0]));
	int cpu = -1;

	if (!u)
		return NULL;
	u->owners = n;
	u->lanes = lanes;
	u->depth = PLACES / lanes;
	if (u->depth < DEPTH_MIN)
		u->depth = DEPTH_MIN;
	if (u->depth > DEPTH_MAX)
		u->depth = DEPTH_MAX;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->started, NULL);
	for (unsigned int i = 0; i < BUCKETS; i++)
		pthread_mutex_init(&u->bucket[i].lock, NULL);
	for (unsigned int i = 0; i < n; i++) {
		struct owner *o = &u->owner[i];

		cpu = next_cpu(online, (unsigned int)cpu + 1);
		o->u = u;
		o->cpu = (unsigned int)cpu;
		o->done_last = &o->done;
		pthread_mutex_init(&o->lock, NULL);
	}
	u->lane = calloc(lanes, sizeof(u->lane[0]));
	return u;
}

int tfs_uring_create(struct tfs_uring **out, const struct tfs_uring_how *how)
{
	char possible[1024], online[1024];
	struct tfs_uring *u;
	int err;

	*out = NULL;
	err = read_cpus("possible", possible, sizeof(possible));
	err = err ?: read_cpus("online", online, sizeof(online));
	if (err)
		return err;
	u = alloc(online, cpus(possible));
	if (!u)
		return -ENOMEM;
	u->how = *how;
	err = u->lane ? add_places(u) : -ENOMEM;
	err = err ?: tfs_crew_create(&u->crew, CREW);
	err = err ?: start_owners(u);
	if (err) {
		tfs_uring_end(u);
		tfs_uring_destroy(u);
	} else {
		*out = u;
	}
	return err;
}

/* ---- from loop.c --------------------------------------------------------- */

static void wake_all(struct tfs_uring *u)
{
	for (unsigned int i = 0; i < u->owners; i++)
		wake(&u->owner[i]);
}

void tfs_uring_begin(struct tfs_uring *u, int fd)
{
	u->fd = fd;
	u->go = true;
	wake_all(u);
}

/* A thread may be about to sleep when it is woken. */
static void join(struct owner *o)
{
	struct timespec until;

	do {
		wake(o);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += until.tv_nsec >= 980000000;
		until.tv_nsec = (until.tv_nsec + 20000000) % 1000000000;
	} while (pthread_timedjoin_np(o->thread, NULL, &until));
}

void tfs_uring_end(struct tfs_uring *u)
{
	u->end = true;
	for (unsigned int i = 0; i < u->owners; i++) {
		if (u->owner[i].runs)
			join(&u->owner[i]);
		u->owner[i].runs = false;
	}
}

static void free_places(struct owner *o)
{
	struct place *p;

	while ((p = o->places)) {
		o->places = p->also;
		munmap(p->mem, HEAD + o->u->how.payload);
		free(p);
	}
}

void tfs_uring_destroy(struct tfs_uring *u)
{
	if (!u)
		return;
	tfs_crew_destroy(u->crew);
	for (unsigned int i = 0; i < u->owners; i++) {
		free_places(&u->owner[i]);
		pthread_mutex_destroy(&u->owner[i].lock);
	}
	for (unsigned int i = 0; i < BUCKETS; i++)
		pthread_mutex_destroy(&u->bucket[i].lock);
	pthread_cond_destroy(&u->started);
	pthread_mutex_destroy(&u->lock);
	free(u->lane);
	free(u);
}

void tfs_uring_count(struct tfs_uring *u, struct tfs_uring_count *out)
{
	/* An answer that is counted was counted when it came. */
	out->out = u->out.n;
	out->out_bytes = u->out.bytes;
	out->received = u->received;
	out->in = u->in.n;
	out->in_bytes = u->in.bytes;
}

bool tfs_uring_settle(struct tfs_uring *u)
{
	unsigned int round = ++u->round;
	bool full = false;

	for (unsigned int i = 0; i < u->owners && !u->end; i++) {
		struct owner *o = &u->owner[i];

		while (o->round != round && !u->end) {
			wake(o);
			poll(NULL, 0, 1);
		}
		full |= o->full;
	}
	return !full;
}
