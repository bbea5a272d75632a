/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - the command line of fsck.tagfs. */
#ifndef FSCK_OPTIONS_H
#define FSCK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "legs.h"
#include "scratch.h"

/* Sums of these are exit codes, as those of other programs of that kind. */
enum {
	EXIT_FIXED	= 1,
	EXIT_LEFT	= 4,
	EXIT_FAILED	= 8,
	EXIT_USAGE	= 16,
	EXIT_CANCELLED	= 32,
};

enum mode { MODE_ASK, MODE_PREEN, MODE_NO, MODE_YES };

struct options {
	enum mode	mode;
	bool		force, verbose, json, data, rebuild;
	int		progress;	/* descriptor; 0: a bar; -1: none */
	const char	*path;
	bool		has_nonce;
	uint8_t		nonce[16];	/* whose filesystem */
	uint64_t	container;	/* 0: not said */
	struct legs	legs;		/* path first */
	struct tfs_scratch scratch;	/* for a rebuild */
};

/* -1: go on; else exit with that. */
int options_parse(struct options *o, int argc, char **argv);

#endif
