/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ctl.c - see ctl.h.
 *
 *  (1) The verbs are those of the program, called as main() calls them.  What
 *      they say goes nowhere, but is put together.
 *  (2) Files are in a folder of their own, in memory where there is such a
 *      place, and gone when the process ends by itself. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/ctl.h"
#include "support/mend.h"
#undef fail		/* libcheck's */
#include "tagfsctl/ctl.h"

static char folder[4096], image[4200], target[4200], other[4200];

/* ---- what main.c has for the verbs (1) ------------------------------------- */

void say(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (getenv("CHECK_LOG"))
		fprintf(stderr, "%s\n", text);
}

int bad_usage(const char *verb, const char *what)
{
	say("%s: %s", verb, what);
	return EXIT_USAGE;
}

int fail(const char *path, int err)
{
	say("%s: %s", path, strerror(-err));
	return EXIT_COULD_NOT;
}

void say_from(int level)
{
	(void)level;
}

void catch_signals(void)
{
}

bool is_interrupted(void)
{
	return false;
}

/* ---- files (2) --------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void fuzz_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void leave(void)
{
	fuzz_remove(folder);
}

static void begin(struct bed *b)
{
	const struct timespec then[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	const char *top = getenv("TMPDIR");

	if (!*folder) {
		if (!top)
			top = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
		snprintf(folder, sizeof(folder), "%s/tagfs-fuzz.XXXXXX", top);
		ck_assert_ptr_nonnull(mkdtemp(folder));
		atexit(leave);
		snprintf(image, sizeof(image), "%s/image", folder);
		snprintf(target, sizeof(target), "%s/target", folder);
		snprintf(other, sizeof(other), "%s/report", folder);
	}
	ck_assert_int_eq(sim_save(b->sim, image), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, image, then, 0), 0);
}

/* It is as it was made, and what is beside it was asked for. */
static void end(void)
{
	DIR *d = opendir(folder);
	struct dirent *de;
	struct stat st;

	ck_assert(!stat(image, &st) && st.st_mtim.tv_sec == 1);
	ck_assert_ptr_nonnull(d);
	while ((de = readdir(d)))
		ck_assert_msg(!strcmp(de->d_name, ".") ||
			      !strcmp(de->d_name, "..") ||
			      !strcmp(de->d_name, "image") ||
			      !strcmp(de->d_name, "target") ||
			      !strcmp(de->d_name, "report"),
			      "%s was made", de->d_name);
	closedir(d);
	fuzz_remove(target);
	unlink(other);
	unlink(image);
}

/* As a program of its own would run; nothing of it is shown. */
static int run(int (*verb)(int argc, char **argv), char **argv)
{
	FILE *shown = stdout;
	int n = 0, res;

	while (argv[n])
		n++;
	optind = 0;
	stdout = fopen("/dev/null", "we");
	ck_assert_ptr_nonnull(stdout);
	res = verb(n, argv);
	fclose(stdout);
	stdout = shown;
	ck_assert_msg(res == EXIT_OK || res == EXIT_COULD_NOT ||
		      res == EXIT_BAD, "%s ends with %d", argv[0], res);
	return res;
}

/* ---- the verbs ------------------------------------------------------------- */

void fuzz_restore(struct bed *b)
{
	char *list[] = { "restore", "--list", image, NULL };
	char *copy[] = { "restore", "--report", other, image, target, NULL };

	begin(b);
	run(verb_restore, list);
	run(verb_restore, copy);
	end();
}

static void check_image(void)
{
	struct mend m = { .rdonly = true };
	struct sim *sim;
	struct bed b;

	ck_assert_int_eq(sim_load(&sim, target, 1), 0);
	bed_take(&b, sim, 1);
	sim_set_rdonly(sim, true);		/* who writes, dies */
	mend(&b, &m);
	bed_free(&b);
}

void fuzz_image(struct bed *b)
{
	char *plain[] = { "image", image, target, NULL };
	char *nameless[] = { "image", "-f", "--anonymise", image, target,
			     NULL };

	begin(b);
	if (run(verb_image, plain) != EXIT_COULD_NOT)
		check_image();
	if (run(verb_image, nameless) != EXIT_COULD_NOT)
		check_image();
	end();
}
