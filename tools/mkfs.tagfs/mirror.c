/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.c - see mirror.h. */
#include "mirror/mirror.h"
#include "legs.h"
#include "mirror.h"

int mirror_check(const struct mirror_leg *leg, unsigned int n)
{
	struct legs l = { .n = 0 };

	for (unsigned int i = 0; i < n; i++)
		legs_add(&l, leg[i].path);
	return legs_distinct(&l);
}

int mirror_open(struct eng_dev **out, const struct mirror_leg *leg,
		unsigned int n, struct eng_pool *pool)
{
	struct eng_mirror_how how = { .n = 0, .pool = pool };
	int err = 0;

	*out = NULL;
	for (; how.n < n && !err; how.n += !err) {
		struct eng_open one = { .pool = pool,
					.backend = leg[how.n].probe.backend };

		how.name[how.n] = leg[how.n].path;
		err = eng_dev_open(&how.leg[how.n], leg[how.n].path, &one);
	}
	if (!err)
		err = eng_mirror_create(out, &how);
	for (unsigned int i = 0; err && i < how.n; i++)
		eng_dev_close(how.leg[i]);
	return err;
}
