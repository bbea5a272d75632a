/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tell.c - see tell.h.
 *
 *  (1) It looks at what is in memory and at two items, and mounting takes no
 *      longer for it: of a long list of errors only a part is looked up. */
#include <time.h>

#include "check/kept.h"
#include "check/tell.h"
#include "file/flaws.h"

#define SWEEP	256u	/* (1) */
#define DAY	86400

static void tell_errors(struct tfs *fs)
{
	struct tfs_flaws_count n;

	tfs_flaws_sweep(fs, SWEEP);
	tfs_flaws_count(fs, &n);
	if (n.listed - n.healed + n.unlisted)
		eng_log(LOG_WARNING, "%llu places are known to be bad: see "
			"tagfsctl errors", (unsigned long long)
			(n.listed - n.healed + n.unlisted));
}

static void tell_scrub(struct tfs *fs, unsigned int days)
{
	int64_t whole = 0, now = time(NULL);

	if (tfs_kept_whole(fs, &whole))
		return;
	if (!whole)
		eng_log(LOG_WARNING, "no scrub has ever read all of it: "
			"tagfsctl scrub start");
	else if (now - whole > (int64_t)days * DAY)
		eng_log(LOG_WARNING, "no scrub has read all of it in %lld "
			"days: tagfsctl scrub start",
			(long long)(now - whole) / DAY);
}

void tfs_tell(struct tfs *fs, unsigned int days)
{
	/* What else is odd was said where it was found. */
	if (!fs->was_clean && !fs->slots_odd && fs->super_outdated < 0)
		eng_log(LOG_NOTICE, "it was not cleanly unmounted");
	tell_errors(fs);
	if (days)
		tell_scrub(fs, days);
}
