/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_note.c - what could not be copied: a line for a person, and an
 * object in the report.
 *
 *  (1) Ranges of one file that follow one another are one.
 *  (2) Whatever is missing is in the report: what can't be read, what does not
 *      verify, and of what nothing is left that would say what was there. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "out.h"
#include "restore.h"

static void put(struct restore *r, uint64_t off, uint64_t len,
		const char *why)
{
	r->failed++;
	r->missing_here++;
	r->missing += len;
	if (len)
		say("%s: bytes %llu to %llu: %s", r->path,
		    (unsigned long long)off,
		    (unsigned long long)(off + len - 1), why);
	else
		say("%s: %s", *r->path ? r->path : "/", why);
	if (!r->report)
		return;
	fputs(r->first ? "\n  {\"path\": " : ",\n  {\"path\": ", r->report);
	out_json_to(r->report, *r->path ? r->path : "/");
	fprintf(r->report, ", \"offset\": %llu, \"length\": %llu, \"why\": ",
		(unsigned long long)off, (unsigned long long)len);
	out_json_to(r->report, why);
	fputc('}', r->report);
	r->first = false;
}

void note_end(struct restore *r)
{
	if (r->why)
		put(r, r->off, r->end - r->off, r->why);
	r->why = NULL;
}

/* (1) */
void note(struct restore *r, uint64_t off, uint64_t len, const char *why)
{
	if (r->why == why && len && r->end == off) {
		r->end += len;
		return;
	}
	note_end(r);
	r->off = off;
	r->end = off + len;
	r->why = why;
}

void note_text(struct restore *r, const char *text)
{
	note_end(r);
	put(r, 0, 0, text);
}

int could_not(struct restore *r, const char *what)
{
	int err = errno;
	char text[160];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
	note_text(r, text);
	return err == ENOSPC || err == EROFS || err == EDQUOT ? -err : 0;
}

void report_begin(struct restore *r)
{
	r->first = true;
	if (r->report)
		fputs("{\"missing\": [", r->report);
}

void report_end(struct restore *r, int err)
{
	note_end(r);
	if (r->flagless)
		say("%llu files or directories lack flags of chattr: the "
		    "target does not take them", (unsigned long long)
		    r->flagless);
	if (!r->report)
		return;
	fprintf(r->report, "],\n \"files\": %llu, \"bytes\": %llu, "
		"\"kept\": %llu, \"without_flags\": %llu, "
		"\"bytes_missing\": %llu, "
		"\"device_bytes_bad\": %llu, \"complete\": %s}\n",
		(unsigned long long)r->files, (unsigned long long)r->bytes,
		(unsigned long long)r->kept, (unsigned long long)r->flagless,
		(unsigned long long)r->missing,
		(unsigned long long)(r->map ? map_bad(r->map) : 0),
		err || r->failed ? "false" : "true");
}

void note_mended(struct restore *r, uint32_t ino)
{
	size_t lo = 0, hi = r->mended_n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (r->mended[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < r->mended_n && r->mended[lo].ino == ino; lo++)
		note_text(r, r->mended[lo].text);
}

/* The first gap that ends above that key. */
static size_t first_gap(const struct restore *r, const struct tfs_key *low)
{
	size_t lo = 0, hi = r->how.gaps;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (tfs_key_cmp(&r->how.gap[mid].high, low) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* (2) */
const struct tfs_gap *next_gap(const struct restore *r, size_t *i,
			       uint32_t ino, unsigned int type)
{
	struct tfs_key low = tfs_key(ino, type, 0);
	struct tfs_key high = tfs_key(ino, type + 1, 0);

	size_t at = first_gap(r, &low);

	if (*i < at)
		*i = at;
	if (*i >= r->how.gaps ||
	    tfs_key_cmp(&r->how.gap[*i].low, &high) >= 0)
		return NULL;
	return &r->how.gap[(*i)++];
}
