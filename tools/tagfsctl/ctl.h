/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl.h - what the verbs share.
 *
 * A verb gets its own name as argv[0] and returns the exit status. */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"
#include "legs.h"

enum {
	EXIT_OK		= 0,
	EXIT_COULD_NOT	= 1,	/* the verb could not do its work */
	EXIT_NOTHING	= 2,	/* probe: no tagfs there */
	EXIT_BAD	= 3,	/* scrub: something can't be corrected */
	EXIT_USAGE	= 16,
};

int verb_device(int argc, char **argv);
int verb_dump(int argc, char **argv);
int verb_errors(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_label(int argc, char **argv);
int verb_locate(int argc, char **argv);
int verb_probe(int argc, char **argv);
int verb_restore(int argc, char **argv);
int verb_scrub(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_tags(int argc, char **argv);
int verb_uuid(int argc, char **argv);

/* A line for a person, on standard error. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The library's lines up to that level are for a person, too: as syslog(3). */
void say_from(int level);
/* Says so; EXIT_USAGE, and EXIT_COULD_NOT. */
int bad_usage(const char *verb, const char *what);
int fail(const char *path, int err);
/* A number, decimal or with 0x; false: it is none. */
bool parse_number(const char *text, uint64_t *out);

/* Interrupted by a person?  From catch_signals() on. */
bool is_interrupted(void);
void catch_signals(void);

struct tagfs_scrub;

/* TAGFS_IOC_SCRUB on a mount point: 0 or -errno. */
int scrub_ask(const char *path, struct tagfs_scrub *s);
const char *scrub_state(const struct tagfs_scrub *s);

/* ID_FS_* of what is on a device, for udev; the exit status. */
int probe_udev(const char *path);

/* A device or image, as it is: the superblock is known, the tree is not
 * looked at. */
struct medium {
	struct eng_pool	*pool;
	struct eng_dev	*dev;
	struct tfs	*fs;
	bool		open;		/* with its tree: tfs_open() */
};

/* 0 or -errno; medium_close() in any case.  tree: as a read-only mount. */
int medium_open(struct medium *im, const char *path, bool tree);
/* A device, or all legs of a mirror. */
int medium_open_rw(struct medium *im, const struct legs *legs);
void medium_close(struct medium *im);

/* Is it on a mounted tagfs? */
bool is_mounted(const char *path);
/* The value of tagfs.stats there, malloced; NULL with errno. */
char *stats_get(const char *path);
/* A member of it. */
bool stats_number(const char *stats, const char *name, uint64_t *out);
bool stats_text(const char *stats, const char *name, char *out, size_t size);
bool stats_true(const char *stats, const char *name);
/* Leg i of a mirror, from 0: its members are found in what is returned, up to
 * the next one; NULL: there is none. */
const char *stats_leg(const char *stats, unsigned int i);

#endif
