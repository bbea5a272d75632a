/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scratch.c - see scratch.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

bool scratch_memory(struct tfs_scratch *s, const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned int shift = unit ? 10 * (unsigned int)(unit - units + 1) : 0;

	if (*text < '0' || *text > '9' || (*end && (!unit || end[1])) ||
	    n > SIZE_MAX >> shift || n << shift < 1u << 20)
		return false;
	s->bytes = (size_t)n << shift;
	return true;
}

int scratch_begin(struct tfs_scratch *s)
{
	if (!s->bytes)
		s->bytes = (size_t)sysconf(_SC_PHYS_PAGES) / 2 *
			(size_t)sysconf(_SC_PAGESIZE);
	return s->dir ? tfs_scratch_try(s) : 0;
}
