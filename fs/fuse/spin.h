/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spin.h - look for what comes next before going to sleep for it. */
#ifndef TFS_SPIN_H
#define TFS_SPIN_H

#include <stdbool.h>

#define TFS_SPIN_NS	20000u

/* A thread's own.  All zeros at first. */
struct tfs_spin {
	unsigned int	vain;		/* how much of it was of late */
	unsigned int	skip;		/* times before the next one */
};

enum tfs_spun {
	TFS_SPIN_NOT,			/* it does not pay at the moment */
	TFS_SPIN_VAIN,
	TFS_SPIN_CAME,
};

/* Until fd is readable, for TFS_SPIN_NS at most. */
enum tfs_spun tfs_spin(struct tfs_spin *spin, int fd);
/* Is it now? */
bool tfs_readable(int fd);

#endif
