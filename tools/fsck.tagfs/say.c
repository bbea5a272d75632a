/* SPDX-License-Identifier: GPL-2.0-or-later */
/* say.c - see say.h. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "core/text.h"
#include "name/path.h"
#include "say.h"

typedef unsigned long long ull;

static bool as_json, much;
static bool bar;		/* a bar is on the line */

void say_setup(bool json, bool verbose)
{
	as_json = json;
	much = verbose;
}

static void end_bar(void)
{
	if (bar)
		printf("\r%70s\r", "");
	bar = false;
}

void say_line(const char *fmt, ...)
{
	char text[ENG_LINE], line[ENG_LINE];
	va_list ap;

	end_bar();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	eng_text_line(line, text);
	fflush(stdout);
	fprintf(stderr, "%s\n", line);
}

void say_log(int level, const char *line)
{
	if (much || level <= LOG_CRIT)
		say_line("%s", line);
}

/* What is escaped for a person holds nothing but printable characters: two of
 * them mean something to JSON. */
static void json_string(const char *name, const char *text)
{
	char line[ENG_LINE];

	eng_text_line(line, text);
	printf("\"%s\": \"", name);
	for (const char *p = line; *p; p++) {
		if (*p == '"' || *p == '\\')
			putchar('\\');
		putchar(*p);
	}
	putchar('"');
}

static void finding_json(const struct tfs_finding *f, const char *path,
			 const char *done)
{
	printf("{\"kind\": \"%s\"", tfs_finding_name(f->kind));
	if (f->ino) {
		printf(", \"inode\": %u, ", f->ino);
		json_string("path", path);
	}
	if (f->cluster)
		printf(", \"cluster\": %llu", (ull)f->cluster);
	printf(", ");
	json_string("text", f->text);
	printf(", \"fixed\": %s}\n", done && !strcmp(done, "FIXED") ?
	       "true" : "false");
}

void say_finding(struct tfs *fs, const struct tfs_finding *f, const char *done)
{
	char buf[1024], text[ENG_LINE], line[ENG_LINE];
	const char *path = f->ino && fs ? tfs_path(fs, f->ino, buf,
						   sizeof(buf)) : "";
	int n = 0;

	end_bar();
	if (as_json) {
		finding_json(f, path, done);
		fflush(stdout);
		return;
	}
	if (f->ino)
		n = snprintf(text, sizeof(text), "%s (inode %u): ", path,
			     f->ino);
	if (f->cluster)
		n += snprintf(text + n, sizeof(text) - n, "cluster %llu: ",
			      (ull)f->cluster);
	snprintf(text + n, sizeof(text) - n, "%s%s%s", f->text,
		 done ? ": " : "", done ? done : "");
	eng_text_line(line, text);
	printf("%s\n", line);
	fflush(stdout);
}

void say_progress(int fd, unsigned int step, unsigned int steps,
		  unsigned int done, const char *path)
{
	static unsigned int last_step, last_done;

	if (done > 1000)
		done = 1000;
	if (step == last_step && done / 10 == last_done / 10)
		return;
	last_step = step;
	last_done = done;
	if (fd) {
		dprintf(fd, "%u %u 1000 %s\n", step, done, path);
		return;
	}
	if (!isatty(STDOUT_FILENO))
		return;
	printf("\rstep %u of %u: %3u%%", step, steps, done / 10);
	fflush(stdout);
	bar = true;
}

void say_summary(const char *path, const struct tfs_check *c, bool clean,
		 uint64_t used, uint64_t all)
{
	char line[ENG_LINE];

	end_bar();
	eng_text_line(line, path);
	if (as_json) {
		printf("{");
		json_string("checked", path);
		printf(", \"clean\": %s, \"problems\": %llu, \"fixed\": %llu, "
		       "\"files\": %llu, \"directories\": %llu, "
		       "\"others\": %llu, \"used\": %llu, \"clusters\": "
		       "%llu}\n", clean || !c->problems ? "true" : "false",
		       (ull)c->problems, (ull)c->fixed, (ull)c->files,
		       (ull)c->directories, (ull)c->others, (ull)used,
		       (ull)all);
		return;
	}
	if (clean)
		printf("%s: clean, %llu/%llu clusters\n", line, (ull)used,
		       (ull)all);
	else
		printf("%s: %llu files, %llu directories, %llu others, "
		       "%llu/%llu clusters; %llu problems, %llu fixed\n", line,
		       (ull)c->files, (ull)c->directories, (ull)c->others,
		       (ull)used, (ull)all, (ull)c->problems, (ull)c->fixed);
	if (much && c->data)
		printf("%s: the content of %llu files does not verify\n",
		       line, (ull)c->bad_files);
}
