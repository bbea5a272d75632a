/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pi_sources.c DEVICE FORMAT - do all that the engine asks about a device's
 * protection say the same, and what FORMAT says?  What does not know is left
 * out; somebody must. */
#include <stdio.h>
#include <string.h>

#include "native/bdev.h"

static int failed, asked;

/* Types 1 and 2 are one to the kernel. */
static bool same(const struct eng_profile *a, const struct eng_profile *b)
{
	struct eng_profile x = *a, y = *b;

	x.type = x.type == 2 ? 1 : x.type;
	y.type = y.type == 2 ? 1 : y.type;
	return eng_profile_equal(&x, &y);
}

static void ask(const struct eng_bdev *dev, const char *who,
		bool (*fn)(struct eng_bdev *b), const struct eng_profile *want)
{
	struct eng_bdev b = *dev;

	b.native = false;
	memset(&b.found, 0, sizeof(b.found));
	if (!fn(&b)) {
		printf("# %s does not know\n", who);
		return;
	}
	asked++;
	if (b.native && same(&b.found, want))
		return;
	failed = 1;
	printf("# %s: %s %u+%u, %u bytes at %u, type %u, guard %u (%s)\n", who,
	       b.native ? "native" : "not native", b.found.interval,
	       b.found.meta_size, b.found.pi_size, b.found.pi_offset,
	       b.found.type, b.found.guard, b.why_not);
}

int main(int argc, char **argv)
{
	const struct eng_profile *want;
	struct eng_bdev b;

	if (argc < 3 || !(want = eng_profile_find(argv[2])) ||
	    eng_bdev_open(&b, argv[1], -1, ENG_OPEN_RDONLY))
		return 99;
	ask(&b, "the kernel", eng_bdev_ask_cap, want);
	ask(&b, "sysfs", eng_bdev_ask_sysfs, want);
	if (eng_bdev_is_nvme(&b))
		ask(&b, "the namespace", eng_bdev_ask_nvme, want);
	eng_bdev_close(&b);
	return failed || !asked;
}
