/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence.c - one host at a time, on storage that several can reach.
 *
 *  (1) Whoever may write has written his name into the fence, a cluster of its
 *      own, before he relies on anything that he read, and goes on renewing
 *      it.  A name that is renewed is another host's: stay away.  One that is
 *      not for more than two of its own intervals is dead.
 *  (2) It goes past all caches, both ways, and past the container's tuples: a
 *      tuple page is shared with other clusters, and a flush that carries a
 *      gigabyte would take longer than others wait.
 *  (3) Two that find it free at once both write.  So after writing one waits
 *      longer than the other can take from reading to writing, and looks whose
 *      name is there.  Whoever took longer than that starts again.
 *  (4) Before it is renewed it is read: what is there is what was written, or
 *      somebody else has it, and then nothing more is written.
 *  (5) Whoever could not renew it for two intervals does so before the next
 *      change, and may find (4).
 *  (6) This boot of this host is told by its boot id: here the lock on the
 *      storage decides, and nobody waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>

#include "core/clock.h"
#include "base/cluster.h"
#include "base/fence.h"
#include "base/hash.h"
#include "base/state.h"

#define WAIT_MAX	600000u		/* ms, whatever the medium says */
#define SETTLE_MAX	1000u
#define TRIES		3
#define POLLS		10

struct tfs_fence {
	struct tfs_host	host;
	unsigned int	interval;	/* ms; fixed */
	atomic_ullong	good_until;	/* (5); ms */
	pthread_mutex_t	lock;		/* all below */
	pthread_cond_t	cond;
	bool		stop, lost;
	struct tfs_disk_fence mine;	/* as it was written last */
	uint64_t	renewed;	/* when; ms */
	pthread_t	thread;		/* start and leave alone */
	bool		runs;
};

static uint64_t now_ms(void)
{
	return eng_now_ns() / 1000000;
}

/* ---- the host ------------------------------------------------------------- */

static void this_boot(uint8_t boot[16])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned int byte, n = 0;

	memset(boot, 0, 16);
	for (int c; f && n < 16 && (c = getc(f)) != EOF; ) {
		if (c == '-')
			continue;
		ungetc(c, f);
		if (fscanf(f, "%2x", &byte) != 1)
			break;
		boot[n++] = (uint8_t)byte;
	}
	if (f)
		fclose(f);
	if (n < 16)	/* nobody's: then it waits for itself, too */
		(void)!getrandom(boot, 16, 0);
}

static void this_host(struct tfs_host *host)
{
	struct utsname name;

	*host = (struct tfs_host){ .manual = false };
	this_boot(host->boot);
	if (!uname(&name))
		snprintf(host->node, sizeof(host->node), "%.63s",
			 name.nodename);
}

static void host_of(const struct tfs *fs, struct tfs_host *host)
{
	if (fs->opt.host)
		*host = *fs->opt.host;
	else
		this_host(host);
}

static int pause_for(const struct tfs *fs, unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
			      .tv_nsec = ms % 1000 * 1000000L };

	if (fs->opt.pause)
		return fs->opt.pause(fs->opt.pause_arg, ms) ? 0 : -EINTR;
	while (nanosleep(&t, &t) && errno == EINTR)
		;
	return 0;
}

/* ---- the cluster ---------------------------------------------------------- */

static uint64_t fence_at(const struct tfs *fs)
{
	return fs->super.clusters - TFS_END_FENCE;
}

static bool is_there(const struct tfs *fs)
{
	return fs->super.ro_compat & TFS_RO_COMPAT_FENCE;
}

/* (2) What can't be read is nobody's name, and like one that never changes. */
static int fence_read(struct tfs *fs, struct tfs_disk_fence *out)
{
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	int err;

	if (!buf)
		return -ENOMEM;
	err = eng_dev_bypass(fs->dev, ENG_READ, fence_at(fs) * fs->ipc, buf,
			     fs->csize, NULL);
	if (err)
		memset(out, 0, sizeof(*out));
	else
		memcpy(out, buf, sizeof(*out));
	eng_buf_put(fs->dev, buf, fs->csize);
	return err;
}

static int fence_write(struct tfs *fs, struct tfs_disk_fence *d)
{
	struct tfs_record rec = { .kind = TFS_K_FENCE,
				  .seq = le64toh(d->counter) };
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	uint16_t tags[TFS_LANES];
	int err;

	if (!buf)
		return -ENOMEM;
	d->crc = htole32(tfs_crc32c(d, sizeof(*d),
				    offsetof(struct tfs_disk_fence, crc)));
	memset(buf, 0, fs->csize);
	memcpy(buf, d, sizeof(*d));
	tfs_tag_fill(fs, &rec, fence_at(fs), 0, fs->ipc, tags);
	err = eng_dev_bypass(fs->dev, ENG_WRITE, fence_at(fs) * fs->ipc, buf,
			     fs->csize, tags);
	eng_buf_put(fs->dev, buf, fs->csize);
	return err;
}

static bool is_sound(const struct tfs *fs, const struct tfs_disk_fence *d)
{
	return le32toh(d->magic) == TFS_FENCE_MAGIC &&
	       le32toh(d->crc) == tfs_crc32c(d, sizeof(*d),
				offsetof(struct tfs_disk_fence, crc)) &&
	       !memcmp(d->nonce, fs->super.nonce, TFS_NONCE);
}

static bool is_free(const struct tfs *fs, const struct tfs_disk_fence *d)
{
	return is_sound(fs, d) && !(le32toh(d->flags) & TFS_FENCE_HELD);
}

/* (6) */
static bool is_other(const struct tfs *fs, const struct tfs_disk_fence *d,
		     const struct tfs_host *host)
{
	return !is_free(fs, d) && (!is_sound(fs, d) ||
				   memcmp(d->boot, host->boot, 16));
}

static const char *name_of(const struct tfs *fs,
			   const struct tfs_disk_fence *d,
			   char host[TFS_FENCE_NODE + 1])
{
	snprintf(host, TFS_FENCE_NODE + 1, "%.*s", TFS_FENCE_NODE,
		 is_sound(fs, d) && d->node[0] ? (const char *)d->node :
		 "unknown");
	for (char *c = host; *c; c++)	/* whoever made it up */
		if (*c <= ' ' || *c > '~')
			*c = '?';
	return host;
}

/* Never one that was written: seconds, or more. */
static uint64_t next_counter(const struct tfs *fs,
			     const struct tfs_disk_fence *d)
{
	uint64_t next = is_sound(fs, d) ? le64toh(d->counter) + 1 : 1;
	uint64_t now = (uint64_t)time(NULL);

	return (now > next ? now : next) & TFS_SEQ_MAX;
}

static void make(const struct tfs *fs, struct tfs_disk_fence *d,
		 const struct tfs_disk_fence *old)
{
	*d = (struct tfs_disk_fence){
		.magic = htole32(TFS_FENCE_MAGIC),
		.counter = htole64(next_counter(fs, old)),
		.time = htole64((uint64_t)time(NULL)),
	};
	memcpy(d->nonce, fs->super.nonce, TFS_NONCE);
}

int tfs_fence_format(struct tfs *fs)
{
	const struct tfs_disk_fence none = { .magic = 0 };
	struct tfs_disk_fence d;

	if (!is_there(fs))
		return 0;
	make(fs, &d, &none);
	return fence_write(fs, &d);
}

/* ---- another host's ------------------------------------------------------- */

/* (1) *d as it was; as it is in the end. */
static int watch(struct tfs *fs, struct tfs_disk_fence *d)
{
	uint64_t ms = is_sound(fs, d) ? le32toh(d->interval) :
		fs->opt.fence;
	struct tfs_disk_fence now;
	int err = 0;

	ms = 2 * ms + ms / 2;
	ms = ms > WAIT_MAX ? WAIT_MAX : ms < POLLS ? POLLS : ms;
	for (int i = 0; i < POLLS && !err; i++) {
		err = pause_for(fs, (unsigned int)ms / POLLS);
		if (!err && fence_read(fs, &now) == -ENOMEM)
			err = -ENOMEM;
		if (!err && memcmp(d, &now, sizeof(now))) {
			*d = now;
			return is_free(fs, &now) ? 0 : -EBUSY;
		}
	}
	return err;
}

int tfs_fence_watch(struct tfs *fs)
{
	struct tfs_disk_fence d;

	return fence_read(fs, &d) == -ENOMEM ? -ENOMEM : watch(fs, &d);
}

bool tfs_fence_held(struct tfs *fs, char name[TFS_FENCE_NODE + 1])
{
	struct tfs_disk_fence d;
	struct tfs_host host;

	if (!is_there(fs) || fence_read(fs, &d))
		return false;
	host_of(fs, &host);
	name_of(fs, &d, name);
	return is_other(fs, &d, &host);
}

/* ---- taking it ------------------------------------------------------------ */

static int refused(struct tfs *fs, const struct tfs_disk_fence *d)
{
	char name[TFS_FENCE_NODE + 1];

	eng_log(LOG_ERR, "host %s has this filesystem mounted for writing",
		name_of(fs, d, name));
	return -EBUSY;
}

static int wait_for_other(struct tfs *fs, struct tfs_disk_fence *d)
{
	char name[TFS_FENCE_NODE + 1];
	int err;

	name_of(fs, d, name);
	eng_log(LOG_NOTICE, "host %s did not sign off: waiting for a sign of "
		"life", name);
	err = watch(fs, d);
	if (err == -EBUSY)
		return refused(fs, d);
	if (!err)
		eng_log(LOG_NOTICE, "host %s gives none: going on", name);
	return err;
}

static void sign(struct tfs_fence *f, struct tfs_disk_fence *d)
{
	uint64_t now = now_ms();
	uint64_t gap = f->renewed ? now - f->renewed : 0;

	/* Slow storage: others are to wait as long as it takes. */
	gap = gap > f->interval ? gap : f->interval;
	d->interval = htole32(gap < WAIT_MAX ? (uint32_t)gap : WAIT_MAX);
	d->flags = htole32(TFS_FENCE_HELD);
	memcpy(d->boot, f->host.boot, sizeof(d->boot));
	memcpy(d->node, f->host.node, sizeof(d->node));
}

static unsigned int settle(const struct tfs_fence *f)
{
	return f->interval / 5 < SETTLE_MAX ? f->interval / 5 : SETTLE_MAX;
}

/* (3) 1: it took too long, once more. */
static int claim(struct tfs *fs, struct tfs_fence *f,
		 const struct tfs_disk_fence *old, uint64_t read_at)
{
	struct tfs_disk_fence now;
	int err;

	make(fs, &f->mine, old);
	if (getrandom(f->mine.mount, 16, 0) != 16)
		return -EIO;
	sign(f, &f->mine);
	err = fence_write(fs, &f->mine);
	if (err)
		return err;
	f->renewed = now_ms();
	if (!f->host.manual && f->renewed - read_at > settle(f) / 2)
		return 1;
	err = pause_for(fs, settle(f));
	if (!err)
		err = fence_read(fs, &now);
	if (err)
		return err;
	return memcmp(&now, &f->mine, sizeof(now)) ? refused(fs, &now) : 0;
}

static int take(struct tfs *fs, struct tfs_fence *f, bool *waited)
{
	struct tfs_disk_fence old;
	uint64_t at;
	int err = 1;

	for (int i = 0; i < TRIES && err == 1; i++) {
		at = now_ms();
		if (fence_read(fs, &old) == -ENOMEM)
			return -ENOMEM;
		if (i && memcmp(&old, &f->mine, sizeof(old)))
			return refused(fs, &old);
		if (is_other(fs, &old, &f->host)) {
			err = wait_for_other(fs, &old);
			if (err)
				return err;
			*waited = true;
			at = now_ms();
		}
		err = claim(fs, f, &old, at);
	}
	return err == 1 ? -ETIMEDOUT : err;
}

int tfs_fence_take(struct tfs *fs, bool *waited)
{
	pthread_condattr_t clock;
	struct tfs_fence *f;
	int err;

	*waited = false;
	if (!is_there(fs) || !fs->opt.fence)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	host_of(fs, &f->host);
	f->interval = fs->opt.fence;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&f->cond, &clock);
	pthread_condattr_destroy(&clock);
	fs->fence = f;
	err = take(fs, f, waited);
	f->lost = err == -EBUSY || !f->renewed;
	atomic_store(&f->good_until, f->renewed + 2 * f->interval);
	if (err && err != -EBUSY)
		eng_log(LOG_ERR, "the fence against other hosts can't be "
			"taken: %s", strerror(-err));
	return err;
}

/* ---- keeping it ----------------------------------------------------------- */

static void lose_locked(struct tfs *fs, const struct tfs_disk_fence *now)
{
	char name[TFS_FENCE_NODE + 1];

	fs->fence->lost = true;
	eng_log(LOG_CRIT, "host %s has taken this filesystem over",
		name_of(fs, now, name));
	tfs_fail(fs, -EBUSY, "keeping other hosts out");
}

/* (4) */
static int renew_locked(struct tfs *fs, bool last)
{
	struct tfs_fence *f = fs->fence;
	uint64_t begun = now_ms();
	struct tfs_disk_fence now;
	int err = fence_read(fs, &now);

	if (!err && memcmp(&now, &f->mine, sizeof(now))) {
		lose_locked(fs, &now);
		return -EBUSY;
	}
	if (err)
		return err;
	f->mine.counter = htole64(next_counter(fs, &f->mine));
	f->mine.time = htole64((uint64_t)time(NULL));
	sign(f, &f->mine);
	if (last)
		f->mine.flags = 0;
	err = fence_write(fs, &f->mine);
	if (err)
		return err;
	f->renewed = now_ms();
	atomic_store(&f->good_until, begun + 2 * f->interval);
	return 0;
}

/* What fails once may pass, but not until others think that we are dead. */
void tfs_fence_renew(struct tfs *fs)
{
	struct tfs_fence *f = fs->fence;
	int err = 0;

	pthread_mutex_lock(&f->lock);
	if (!f->lost)
		err = renew_locked(fs, false);
	if (err && err != -EBUSY && now_ms() > atomic_load(&f->good_until)) {
		f->lost = true;
		tfs_fail(fs, err, "keeping other hosts out");
	}
	pthread_mutex_unlock(&f->lock);
}

/* (5) */
bool tfs_fence_due(struct tfs *fs)
{
	return fs->fence && now_ms() > atomic_load(&fs->fence->good_until);
}

void tfs_fence_look(struct tfs *fs)
{
	if (tfs_fence_due(fs))
		tfs_fence_renew(fs);
}

static void *fence_thread(void *arg)
{
	struct tfs *fs = arg;
	struct tfs_fence *f = fs->fence;
	struct timespec until;

	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += f->interval % 1000 * 1000000L;
		until.tv_sec += f->interval / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&f->cond, &f->lock, &until) !=
		    ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&f->lock);
		tfs_fence_renew(fs);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int tfs_fence_start(struct tfs *fs)
{
	struct tfs_fence *f = fs->fence;
	int err = 0;

	if (!f || f->host.manual)
		return 0;
	err = pthread_create(&f->thread, NULL, fence_thread, fs);
	f->runs = !err;
	return -err;
}

void tfs_fence_leave(struct tfs *fs)
{
	struct tfs_fence *f = fs->fence;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
	if (f->runs)
		pthread_join(f->thread, NULL);
	pthread_mutex_lock(&f->lock);
	if (!f->lost)
		renew_locked(fs, true);
	pthread_mutex_unlock(&f->lock);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
	free(f);
	fs->fence = NULL;
}
