/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - the command line of tagfs. */
#ifndef TAGFS_OPTIONS_H
#define TAGFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "fuse/ops.h"
#include "legs.h"

/* As mount(8)'s. */
enum {
	EXIT_OK		= 0,
	EXIT_USAGE	= 1,	/* or no permission */
	EXIT_SYSTEM	= 2,	/* out of memory, can't fork */
	EXIT_INTERRUPT	= 8,	/* told to end before it was mounted */
	EXIT_MOUNT	= 32,
};

/* The name that a program was called by is PREFIX and more: as mount(8) and
 * umount(8) call their helpers. */
bool options_called(const char *argv0, const char *prefix);

struct options {
	const char	*path, *mountpoint;	/* as given */
	bool		foreground, debug, single;
	bool		fake;		/* mount.tagfs -f: all but the mount */
	bool		rdonly, rw;	/* asked for */
	bool		relatime, strictatime, nodiratime;
	bool		discard, writeback, noacl;
	bool		sync, dirsync, nosymfollow;
	bool		remount, nofail;
	unsigned long	ms_set, ms_clear;	/* MS_*, as for mount(2) */
	bool		allow;		/* allow_other given */
	bool		sandbox, dumps;	/* see sandbox.h */
	unsigned int	commit;		/* seconds */
	unsigned int	scrub_warn;	/* days; 0: off */
	unsigned int	fence;		/* seconds; 0: off */
	bool		fence_given;
	unsigned int	workers;
	unsigned int	max_read;	/* bytes; 0: not given */
	enum tfs_ops_uring uring;
	size_t		cache;		/* bytes */
	char		*device[LEGS_MAX];	/* other legs of a mirror */
	unsigned int	devices;
	bool		degraded;
	unsigned int	resilver_rate;	/* MiB a second; 0: any */
	char		*log;		/* file for messages */
	const char	*backend;	/* NULL: find out */
	char		*pass;		/* for FUSE, as given */
};

/* -1: go on; else the exit status, and what is to be said was said. */
int options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);
/* The options of the mount itself; malloced.  source: of the mount. */
char *options_for_mount(const struct options *o, const char *source,
			bool rdonly);

#endif
