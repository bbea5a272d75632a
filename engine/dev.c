/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev.c - find out what a path is, and open or format it.
 *  (1) Exactly one layer logs an error: the lowest that knows what it
 *      expected.  Nothing is added here.
 *  (2) Backends are probed in order of how much of the checking is done by
 *      the device; the software container comes last. */
#include <errno.h>
#include <sys/random.h>

#include "dev_priv.h"
#include "raw.h"

int eng_dev_open(struct eng_dev **out, const char *path,
		 const struct eng_open *how)
{
	struct eng_raw *raw;
	int err;

	*out = NULL;
	err = eng_raw_open(&raw, path, how->flags);
	if (err)
		return err;
	err = eng_soft_open(out, raw, how);
	if (err)
		raw->ops->close(raw);
	return err;
}

/* Never 0, so that a zeroed header is nobody's. */
static int random_id(uint64_t *id)
{
	ssize_t n;

	do {
		n = getrandom(id, sizeof(*id), 0);
	} while ((n < 0 && errno == EINTR) || (n == sizeof(*id) && !*id));
	return n == sizeof(*id) ? 0 : -EIO;
}

int eng_soft_format(const char *path, const struct eng_profile *p)
{
	struct eng_raw *raw;
	uint64_t id;
	int err;

	err = random_id(&id);
	if (!err)
		err = eng_raw_open(&raw, path, 0);
	if (err)
		return err;
	err = eng_soft_format_raw(raw, p, id);
	if (!err)
		err = raw->ops->flush(raw);
	raw->ops->close(raw);
	return err;
}
