/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c - lines for a person.
 *  (1) One call is one line, whole, whatever threads do meanwhile, and
 *      whatever is in the names that it mentions.
 *  (2) The caller's errno survives. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/log.h"
#include "core/text.h"
#include "tagpi.h"

#define TEXT	12288u	/* two paths, and what is said of them */

static void to_stderr(int level, const char *line)
{
	(void)level;
	fprintf(stderr, "%s\n", line);
}

static void (*log_fn)(int level, const char *line) = to_stderr;

static eng_log_fn *fields_fn;		/* NULL: log_fn */

void eng_log_to(void (*fn)(int level, const char *line))
{
	log_fn = fn ? fn : to_stderr;
}

void eng_log_fields_to(eng_log_fn *fn)
{
	fields_fn = fn;
}

void eng_log_fields(int level, const struct eng_field *field, unsigned int n,
		    const char *fmt, va_list ap)
{
	char text[TEXT], line[ENG_LINE];
	int saved = errno;

	vsnprintf(text, sizeof(text), fmt, ap);
	eng_text_line(line, text);				/* (1) */
	if (fields_fn)
		fields_fn(level, line, field, n);
	else
		log_fn(level, line);
	errno = saved;
}

void eng_log(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	eng_log_fields(level, NULL, 0, fmt, ap);
	va_end(ap);
}
