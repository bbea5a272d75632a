/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.c - see options.h. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hex.h"
#include "options.h"

static const char usage[] =
"Usage: fsck.tagfs [options] PATH\n"
"Check the tagfs filesystem on PATH, an image file or a block device, and put\n"
"right what is wrong.\n"
"\n"
"  -a, -p       put right what needs no decision; stop at anything else\n"
"  -n           change nothing\n"
"  -y           put everything right\n"
"  -f           check even if it was unmounted cleanly\n"
"  -v           say more\n"
"  -C FD        progress, for programs; -C 0: a bar for a person\n"
"  --device PATH  another leg of the mirror; repeat\n"
"  --data       read and verify the content of all files, too\n"
"  --rebuild    bring back what the tree has lost, from all that is on PATH\n"
"  --nonce HEX  with --rebuild: whose filesystem, if remains of several lie\n"
"               there and no superblock is left\n"
"  --container HEX\n"
"               with --rebuild: which container, if its headers are lost\n"
"  --scratch DIR, --memory SIZE  for a rebuild where memory is short\n"
"  --json       an object for each problem, one a line\n"
"  -h, --help   this text\n"
"  -V, --version\n"
"\n"
"Exit status, a sum: 0 nothing wrong, 1 put right, 4 something is left,\n"
"8 it could not be checked, 16 wrong use, 32 interrupted.\n";

enum {
	OPT_DATA = 256, OPT_DEVICE, OPT_JSON, OPT_REBUILD, OPT_NONCE,
	OPT_CONTAINER, OPT_SCRATCH, OPT_MEMORY
};

static int bad_usage(const char *what)
{
	fprintf(stderr, "fsck.tagfs: %s; see fsck.tagfs --help\n", what);
	return EXIT_USAGE;
}

static int set_mode(struct options *o, enum mode mode, bool *given)
{
	if (*given && o->mode != mode)
		return bad_usage("only one of -a, -p, -n and -y goes");
	*given = true;
	o->mode = mode;
	return -1;
}

static int set_progress(struct options *o, const char *arg)
{
	char *end;
	long fd = strtol(arg, &end, 10);

	if (end == arg || *end || fd < 0 || fd > 1 << 20)
		return bad_usage("-C takes a descriptor");
	o->progress = (int)fd;
	return -1;
}

static int finish(struct options *o, int argc, char **argv, bool given)
{
	if (argc - optind != 1)
		return bad_usage("one path is needed");
	o->path = o->legs.path[0] = argv[optind];
	o->legs.degraded = o->mode == MODE_NO;	/* nothing is written */
	if (o->rebuild && o->mode == MODE_PREEN)
		return bad_usage("--rebuild takes decisions: not with -a or "
				 "-p");
	if ((o->has_nonce || o->container) && !o->rebuild)
		return bad_usage("--nonce and --container are for --rebuild");
	if (!given && o->json)
		return bad_usage("--json needs one of -p, -n and -y");
	if (!given && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		return bad_usage("without a terminal it needs one of -p, -n "
				 "and -y");
	return -1;
}

int options_parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "data", no_argument, NULL, OPT_DATA },
		{ "device", required_argument, NULL, OPT_DEVICE },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "rebuild", no_argument, NULL, OPT_REBUILD },
		{ "nonce", required_argument, NULL, OPT_NONCE },
		{ "container", required_argument, NULL, OPT_CONTAINER },
		{ "scratch", required_argument, NULL, OPT_SCRATCH },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	bool given = false;
	int c, res = -1;

	*o = (struct options){ .progress = -1, .legs.n = 1 };
	while (res < 0 &&
	       (c = getopt_long(argc, argv, "apnyfvC:hV", longs, NULL)) >= 0) {
		switch (c) {
		case 'a':
		case 'p':
			res = set_mode(o, MODE_PREEN, &given);
			break;
		case 'n':
			res = set_mode(o, MODE_NO, &given);
			break;
		case 'y':
			res = set_mode(o, MODE_YES, &given);
			break;
		case 'f':
			o->force = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'C':
			res = set_progress(o, optarg);
			break;
		case OPT_DATA:
			o->data = o->force = true;
			break;
		case OPT_DEVICE:
			if (legs_add(&o->legs, optarg))
				res = bad_usage("a mirror has at most 4 legs");
			break;
		case OPT_REBUILD:
			o->rebuild = true;
			break;
		case OPT_NONCE:
			if (!hex_bytes(optarg, o->nonce, sizeof(o->nonce)))
				return bad_usage("--nonce takes 32 "
						 "hexadecimal digits");
			o->has_nonce = true;
			break;
		case OPT_CONTAINER:
			if (!hex_number(optarg, &o->container))
				return bad_usage("--container takes 16 "
						 "hexadecimal digits");
			break;
		case OPT_SCRATCH:
			o->scratch.dir = optarg;
			break;
		case OPT_MEMORY:
			if (!scratch_memory(&o->scratch, optarg))
				return bad_usage("--memory takes a size, 1M "
						 "at least");
			break;
		case OPT_JSON:
			o->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("fsck.tagfs " PACKAGE_VERSION);
			return 0;
		default:
			return bad_usage("unknown option");
		}
	}
	return res >= 0 ? res : finish(o, argc, argv, given);
}
