/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock.h - time that only goes forward. */
#ifndef ENG_CLOCK_H
#define ENG_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t eng_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

#endif
