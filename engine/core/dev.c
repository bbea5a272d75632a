/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev.c - an open device, whatever its backend.
 *  (1) A failed flush is for ever: nobody knows what it left undone.
 *  (2) Close begins when nothing is in flight and no end() runs any more. */
#include <errno.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "core/buf.h"
#include "core/dev.h"
#include "core/lock.h"

int eng_dev_init(struct eng_dev *dev)
{
	dev->inflight = 0;
	dev->flush_err = 0;
	dev->hook = NULL;
	dev->enabled[ENG_READ] = dev->enabled[ENG_WRITE] = true;
	dev->geo.format = eng_profile_format(dev->geo.profile);
	dev->geo.tag_size = eng_profile_tag_size(dev->geo.profile);
	return eng_bufs_create(&dev->bufs, dev);
}

/* Polls: whoever counts down must not touch the device after that, so it
 * can't wake us. */
static void wait_idle(struct eng_dev *dev)
{
	const struct timespec tick = { .tv_nsec = 100000 };

	while (__atomic_load_n(&dev->inflight, __ATOMIC_ACQUIRE))
		nanosleep(&tick, NULL);
}

void eng_dev_close(struct eng_dev *dev)
{
	struct eng_lock *lock;

	if (!dev)
		return;
	wait_idle(dev);		/* (2) */
	if (dev->hook)
		dev->hook->free(dev->hook);
	dev->hook = NULL;
	eng_bufs_destroy(dev->bufs);
	dev->bufs = NULL;
	lock = dev->lock;
	dev->ops->close(dev);
	eng_lock_put(lock);	/* last: nothing of it is used any more */
}

const struct eng_geometry *eng_dev_geometry(const struct eng_dev *dev)
{
	return &dev->geo;
}

bool eng_dev_enabled(const struct eng_dev *dev, enum eng_op op)
{
	return __atomic_load_n(&dev->enabled[op], __ATOMIC_RELAXED);
}

void eng_dev_enable(struct eng_dev *dev, enum eng_op op, bool on)
{
	__atomic_store_n(&dev->enabled[op], on, __ATOMIC_RELAXED);
}

int eng_dev_flush(struct eng_dev *dev)
{
	int err = __atomic_load_n(&dev->flush_err, __ATOMIC_ACQUIRE);
	struct eng_hook *hook = eng_dev_hook(dev);
	int first = 0;

	if (err)
		return err;
	if (hook)
		err = hook->flush(hook);
	if (!err && dev->ops->flush)
		err = dev->ops->flush(dev);
	if (err)
		__atomic_compare_exchange_n(&dev->flush_err, &first, err, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	/* (1), and not err: if another flush failed meanwhile, writes that
	 * this one should have made durable may be lost. */
	return __atomic_load_n(&dev->flush_err, __ATOMIC_ACQUIRE);
}

int eng_dev_discard(struct eng_dev *dev, uint64_t start, uint64_t count)
{
	uint64_t size = dev->geo.intervals;

	if (count > size || start > size - count)
		return -EINVAL;
	if (!dev->ops->discard)
		return -EOPNOTSUPP;
	return count ? dev->ops->discard(dev, start, count) : 0;
}

int eng_dev_set_tags(struct eng_dev *dev, unsigned int tags)
{
	const struct eng_profile *p = eng_profile_tags(dev->geo.profile, tags);
	int err = 0;

	if (!p)
		return -EOPNOTSUPP;
	if (dev->ops->set_tags)
		err = dev->ops->set_tags(dev, tags);
	if (!err)
		dev->geo.profile = p;
	return err;
}

void eng_dev_drop_caches(struct eng_dev *dev)
{
	if (dev->ops->drop_caches)
		dev->ops->drop_caches(dev);
}

/* Where somebody was faster, it is his. */
static int lock_anew(struct eng_dev *dev,
		     int (*as)(struct eng_lock **lock, char *why, size_t size))
{
	char why[512];
	int err;

	if (!dev->lock)
		return dev->lock_lost ? -EBUSY : 0;
	err = as(&dev->lock, why, sizeof(why));
	dev->lock_lost = !dev->lock;
	if (err)
		eng_log(LOG_ERR, "the storage %s%s", why, dev->lock ? "" :
			"; what is read from here on may be out of date");
	return err;
}

int eng_dev_prepare_writes(struct eng_dev *dev)
{
	int err = dev->ops->reopen ? dev->ops->reopen(dev) : -EOPNOTSUPP;

	return err ? err : lock_anew(dev, eng_lock_write);
}

void eng_dev_forgo_writes(struct eng_dev *dev)
{
	lock_anew(dev, eng_lock_read);
}

int eng_dev_writable(struct eng_dev *dev)
{
	int err = eng_dev_prepare_writes(dev);

	return err ? err : dev->ops->begin_writes(dev);
}

int eng_dev_stats(struct eng_dev *dev, char *buf, size_t size)
{
	return dev->ops->stats ? dev->ops->stats(dev, buf, size) :
				 snprintf(buf, size, "{}");
}

int eng_dev_audit(struct eng_dev *dev, struct eng_audit *a)
{
	if (dev->ops->audit)
		return dev->ops->audit(dev, a);
	a->at = a->all = 0;
	a->reached = dev->geo.intervals;
	return 0;
}

uint64_t eng_dev_byte(const struct eng_dev *dev, uint64_t interval)
{
	return dev->ops->byte_of ? dev->ops->byte_of(dev, interval) :
		interval * dev->geo.profile->interval;
}

int eng_dev_interval(const struct eng_dev *dev, uint64_t byte,
		     uint64_t *interval)
{
	uint64_t low = 0, high = dev->geo.intervals, at;

	while (high - low > 1) {
		uint64_t mid = low + (high - low) / 2;

		if (eng_dev_byte(dev, mid) <= byte)
			low = mid;
		else
			high = mid;
	}
	at = eng_dev_byte(dev, low);
	*interval = low;
	return byte >= at && byte - at < dev->geo.profile->interval ? 0 :
		-ENOENT;
}
