/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spin.c - look for what comes next before going to sleep for it.
 *
 * To sleep costs whoever asks more than the answer does: the processor has to
 * be woken, then the thread.  A program that does one thing after the other
 * asks again a few microseconds after it had an answer, and finds a thread
 * that still looks.
 *
 * (1) Not longer than it would take to be woken, about.
 * (2) Only while it pays, which is where it is rarely in vain: a program that
 *     takes its time costs one look of 256, and nothing once it asks no more.
 * (3) A thread that lost its processor while it looked has others beside it
 *     who need that; then it was in vain, whatever came. */
#include <poll.h>
#include <stdint.h>

#include "core/clock.h"
#include "fuse/spin.h"

#define VAIN_MAX	8u		/* 2^this times are left out then */
#define LOST_NS		10000u

bool tfs_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

static bool came(int fd)
{
	uint64_t begin = eng_now_ns(), now = begin, last;
	bool ready;

	do {
		ready = tfs_readable(fd);
		last = now;
		now = eng_now_ns();
		if (now - last >= LOST_NS)
			return false;		/* (3) */
	} while (!ready && now - begin < TFS_SPIN_NS);
	return ready;
}

enum tfs_spun tfs_spin(struct tfs_spin *spin, int fd)
{
	if (spin->skip) {
		spin->skip--;
		return TFS_SPIN_NOT;
	}
	if (came(fd)) {
		spin->vain -= spin->vain > 0;
		return TFS_SPIN_CAME;
	}
	spin->vain = spin->vain + 2 < VAIN_MAX ? spin->vain + 2 : VAIN_MAX;
	spin->skip = (1u << spin->vain) - 1;
	return TFS_SPIN_VAIN;
}
