/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_audit.c - headers and tuple pages, both copies of each.
 *  (1) Part 0 is the headers, part 1 + z is zone z.
 *  (2) A zone is looked at by loading it anew from the medium, through the
 *      cache: so it is never read while it is written, what is found is what
 *      any load would find, and a load mends.
 *  (3) A zone that is newer than the medium is passed over: a page of it is
 *      about to be written, and what is on the medium will be another thing.
 *  (4) Some zones are on their way at once, and none when a call returns.
 *  (5) A page that can't be read is written with zeros first, which a medium
 *      may take where it can't read.  If it does, the page is one that is
 *      damaged, and a load mends it; if not, nothing else has failed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "soft/soft_audit.h"
#include "soft/soft_load.h"
#include "soft/soft_pages.h"

#define ZONES	64u	/* at once (4) */

struct audit;

struct audit_zone {
	struct soft_req	req;
	struct soft_seg	seg;
	struct audit	*au;
	const char	*why[2];	/* of its pages; NULL: good */
	bool		cut[2], unread[2];
	bool		anew;		/* (5): and is to be loaded again */
	uint8_t		tuple[64];	/* the first one, which nobody needs */
};

struct audit {
	struct soft	*s;
	struct eng_audit *a;
	pthread_cond_t	cond;
	unsigned int	pending;	/* s->lock */
	struct audit_zone zone[ZONES];
};

/* ---- zones ------------------------------------------------------------ */

static void zone_tell(void *arg, unsigned int page, const char *why, bool cut,
		      int err)
{
	struct audit_zone *z = arg;

	z->why[page] = why;
	z->cut[page] = cut;
	z->unread[page] = err;
}

static void zone_end(struct soft_req *req)
{
	struct audit *au = ((struct audit_zone *)req)->au;

	pthread_mutex_lock(&au->s->lock);
	au->pending--;
	pthread_cond_signal(&au->cond);
	pthread_mutex_unlock(&au->s->lock);
}

static void zone_start(struct audit *au, unsigned int i, uint64_t zone)
{
	struct audit_zone *z = &au->zone[i];
	int ret;

	*z = (struct audit_zone){
		.req = { .s = au->s, .act = SEG_GET, .medium = true,
			 .pending = 1, .end = zone_end },
		.seg = { .req = &z->req, .zone = zone, .count = 1,
			 .tuples = z->tuple },
		.au = au,
	};
	pthread_mutex_lock(&au->s->lock);
	au->pending++;
	pthread_mutex_unlock(&au->s->lock);
	ret = soft_page_do(au->s, &z->seg);
	if (ret <= 0) {						/* (3) */
		soft_req_put(&z->req, ret);
		return;
	}
	if (!z->seg.load)	/* somebody loads it, and will mend it */
		return;
	soft_load_tell(z->seg.load, zone_tell, z);
	soft_load_start(z->seg.load);
}

/* (5) True: it is, or would be if anything could be written. */
static bool page_anew(struct audit_zone *z, unsigned int i)
{
	struct soft *s = z->au->s;
	void *buf;
	int err;

	if (!z->au->a->rewrite || !z->unread[i] || z->why[!i] || z->req.err)
		return false;
	if (soft_rdonly(s))
		return true;
	if (eng_bufs_alloc(&buf, SOFT_BLOCK, SOFT_BLOCK))
		return false;
	memset(buf, 0, SOFT_BLOCK);
	err = eng_raw_direct(s->raw, true, soft_zone_off(&s->head.lay,
			     z->seg.zone) + i * SOFT_BLOCK, buf, SOFT_BLOCK);
	free(buf);
	z->anew = !err;
	return !err;
}

static struct eng_spare zone_spare(const struct audit_zone *z, unsigned int i)
{
	const struct soft_layout *l = &z->au->s->head.lay;

	return (struct eng_spare){
		.what = "tuple page", .why = z->why[i], .copy = i,
		.byte = soft_zone_off(l, z->seg.zone) + i * SOFT_BLOCK,
		.start = z->seg.zone * l->zone_intervals,
		.count = soft_zone_count(l, z->seg.zone),
		.cut = z->cut[i], .unread = z->unread[i] || z->req.err,
		.err = z->req.err,
	};
}

static void zone_say(struct audit_zone *z)
{
	struct eng_audit *a = z->au->a;
	struct eng_spare spare;

	for (unsigned int i = 0; i < 2; i++) {
		spare = zone_spare(z, i);
		spare.kept = spare.unread && !page_anew(z, i);
		if (!spare.why && !i && spare.err)
			spare.why = strerror(-spare.err);
		if (spare.why)
			a->found(a, &spare);
	}
}

static void zones_wait(struct audit *au)
{
	struct soft *s = au->s;

	pthread_mutex_lock(&s->lock);
	while (au->pending)					/* (4) */
		soft_wait(s, &au->cond);
	pthread_mutex_unlock(&s->lock);
}

static int zones(struct audit *au, uint64_t first, unsigned int n)
{
	int err = 0;

	for (unsigned int i = 0; i < n; i++)
		zone_start(au, i, first + i);
	zones_wait(au);
	for (unsigned int i = 0; i < n; i++) {
		if (au->zone[i].req.err == -ENOMEM)
			err = -ENOMEM;
		else
			zone_say(&au->zone[i]);
	}
	for (unsigned int i = 0; i < n; i++)
		if (au->zone[i].anew)				/* (5) */
			zone_start(au, i, first + i);
	zones_wait(au);
	return err;
}

/* ---- headers ---------------------------------------------------------- */

static void head_say(struct audit *au, unsigned int copy)
{
	const struct soft_layout *l = &au->s->head.lay;
	struct eng_spare spare = {
		.what = "container header", .copy = copy,
		.why = "damaged, or not the same as the other",
		.byte = copy ? l->size - SOFT_BLOCK : 0,
		.count = l->intervals,
	};

	au->a->found(au->a, &spare);
}

/* The next flush writes it; one that runs may be at it. */
static void head_mend(struct soft *s, unsigned int copy)
{
	pthread_mutex_lock(&s->lock);
	while (s->flushing)
		soft_wait(s, &s->flushed);
	s->head.bad[copy] = true;
	pthread_mutex_unlock(&s->lock);
}

static bool same_head(const struct soft_head *a, const struct soft_head *b)
{
	return a->id == b->id && a->lay.profile == b->lay.profile &&
	       a->lay.size == b->lay.size;
}

static int heads(struct audit *au)
{
	struct soft *s = au->s;
	uint64_t end = s->head.lay.size - SOFT_BLOCK;
	struct soft_head now = { .id = 0 };
	int err;

	if (s->raw->ops->forget) {
		s->raw->ops->forget(s->raw, 0, SOFT_BLOCK);
		s->raw->ops->forget(s->raw, end, SOFT_BLOCK);
	}
	err = soft_head_find(s->raw, &now, s->head.cut);
	if (err == -ENOMEM)
		return err;
	for (unsigned int i = 0; i < 2; i++) {
		if (!err && same_head(&now, &s->head) && !now.bad[i])
			continue;
		head_say(au, i);
		if (!soft_rdonly(s))
			head_mend(s, i);
	}
	return 0;
}

/* ---- all -------------------------------------------------------------- */

/* Part 0 has no intervals (1), and the last zone fewer. */
static void set_reached(struct eng_audit *a, const struct soft_layout *l)
{
	uint64_t zones = a->at ? a->at - 1 : 0;

	a->reached = zones >= l->zones ? UINT64_MAX :
		zones * l->zone_intervals;
}

static int audit_run(struct audit *au)
{
	struct eng_audit *a = au->a;
	uint64_t n;
	int err;

	a->all = 1 + au->s->head.lay.zones;
	if (a->at >= a->all)
		return 0;
	if (!a->at) {						/* (1) */
		err = heads(au);
		a->at += !err;
		return err;
	}
	n = a->all - a->at < ZONES ? a->all - a->at : ZONES;
	err = zones(au, a->at - 1, (unsigned int)n);
	if (!err)
		a->at += n;
	return err;
}

int soft_audit(struct eng_dev *dev, struct eng_audit *a)
{
	struct audit *au = calloc(1, sizeof(*au));
	int err;

	if (!au)
		return -ENOMEM;
	au->s = (struct soft *)dev;
	au->a = a;
	pthread_cond_init(&au->cond, NULL);
	err = audit_run(au);
	set_reached(a, &au->s->head.lay);
	pthread_cond_destroy(&au->cond);
	free(au);
	return err;
}
