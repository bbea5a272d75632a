/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c - lines for a person.
 *  (1) One call is one line, whole, whatever threads do meanwhile, and
 *      whatever is in the names that it mentions.
 *  (2) The caller's errno survives. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/text.h"
#include "tagpi.h"

#define TEXT	12288u	/* two paths, and what is said of them */

static void to_stderr(int level, const char *line)
{
	(void)level;
	fprintf(stderr, "%s\n", line);
}

static void (*log_fn)(int level, const char *line) = to_stderr;

void eng_log_to(void (*fn)(int level, const char *line))
{
	log_fn = fn ? fn : to_stderr;
}

void eng_log(int level, const char *fmt, ...)
{
	char text[TEXT], line[ENG_LINE];
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	eng_text_line(line, text);				/* (1) */
	log_fn(level, line);
	errno = saved;
}
