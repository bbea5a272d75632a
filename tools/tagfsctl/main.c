/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - tagfsctl: look at a tagfs, mounted or not, and speak to it. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/text.h"
#include "ctl.h"
#include "fds.h"
#include "target.h"

static const struct verb {
	const char	*name;
	int		(*run)(int argc, char **argv);
	const char	*args, *what;
} verbs[] = {
	{ "device", verb_device,
	  "list [--json] | add|replace [-f] [-K] [--leg NUMBER] NEW | "
	  "remove NUMBER | return DEVICE, each DEVICE...|MOUNTPOINT",
	  "the legs of a mirror" },
	{ "dump", verb_dump,
	  "[--json] super|slot|log|tree|node ADDRESS|record ADDRESS DEVICE",
	  "what is on the medium" },
	{ "errors", verb_errors, "[--json] [--clear] MOUNTPOINT",
	  "what was found bad, and is" },
	{ "image", verb_image,
	  "[-f] [--anonymise] [--with-inline] [--json] DEVICE FILE",
	  "all but content, for a bug report" },
	{ "label", verb_label, "[--device LEG]... DEVICE [LABEL]", "show it, or set it" },
	{ "locate", verb_locate,
	  "[--json] PATH [OFFSET] | --lba SECTOR DEVICE|MOUNTPOINT",
	  "from a file to the device, and back" },
	{ "probe", verb_probe, "[--export|--udev] DEVICE", "as blkid does" },
	{ "restore", verb_restore,
	  "[--device LEG]... "
	  "[--on-error=hole|skip|fail] [--report FILE] [--map FILE] [--scan] "
	  "[--nonce HEX] [--container HEX] [--scratch DIR] [--memory SIZE] "
	  "DEVICE DIRECTORY [PATTERN...] | "
	  "--list DEVICE [PATTERN...]",
	  "copy out what can be read; nothing is written to the device" },
	{ "scrub", verb_scrub,
	  "start|status|pause|resume|cancel|wait [--json] [--rate MIB] "
	  "[--data|--meta|--errors] MOUNTPOINT", "read and verify all" },
	{ "status", verb_status, "[--json|--metrics] MOUNTPOINT",
	  "how it is" },
	{ "tags", verb_tags, "PATH", "the application tags of a file" },
	{ "uuid", verb_uuid, "[--device LEG]... DEVICE [UUID|random]",
	  "show it, or set it" },
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

void say(const char *fmt, ...)
{
	char text[ENG_LINE], line[ENG_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	eng_text_line(line, text);
	fflush(stdout);
	fprintf(stderr, "tagfsctl: %s\n", line);
}

int bad_usage(const char *verb, const char *what)
{
	say("%s: %s; see tagfsctl --help", verb, what);
	return EXIT_USAGE;
}

int fail(const char *path, int err)
{
	say("%s: %s", path, err == -EMEDIUMTYPE ? "no tagfs there" :
	    strerror(-err));
	return EXIT_COULD_NOT;
}

bool parse_number(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* The library's lines are about what a verb shows by itself; but why it could
 * not is said there alone. */
static int say_level = LOG_ERR;
static bool muted;

static void on_log(int level, const char *line)
{
	if (!muted && level <= say_level)
		say("%s", line);
}

void mute(bool on)
{
	muted = on;
}

void say_from(int level)
{
	say_level = level;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

bool is_interrupted(void)
{
	return interrupted;
}

static int usage(void)
{
	printf("Usage: tagfsctl VERB ...\n"
	       "Look at a tagfs, mounted or not, and speak to it.\n\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-9s%s\n", verbs[i].name, verbs[i].what);
	printf("\nWhat a verb takes says tagfsctl VERB --help.\n"
	       "Exit status: 0 done, 1 it could not be, 2 probe: no tagfs "
	       "there, 3 something\nis bad or missing, 16 wrong use.\n");
	return EXIT_OK;
}

static int run(const struct verb *v, int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "-h") ||
			  !strcmp(argv[1], "--help"))) {
		printf("Usage: tagfsctl %s %s\n%s\n", v->name, v->args,
		       v->what);
		return EXIT_OK;
	}
	return v->run(argc, argv);
}

int main(int argc, char **argv)
{
	if (fds_tidy())
		return EXIT_COULD_NOT;
	if (argc < 2)
		return bad_usage("tagfsctl", "a verb is needed");
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		return usage();
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("tagfsctl " PACKAGE_VERSION);
		return EXIT_OK;
	}
	eng_log_to(on_log);
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, argv[1]))
			return run(&verbs[i], argc - 1, argv + 1);
	return bad_usage(argv[1], "no such verb");
}
