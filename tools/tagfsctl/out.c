/* SPDX-License-Identifier: GPL-2.0-or-later */
/* out.c - see out.h. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/text.h"
#include "out.h"

static bool as_json;

void out_setup(bool json)
{
	as_json = json;
}

/* What is escaped for a person holds printable characters alone; two of them
 * mean something to JSON. */
void out_json_to(FILE *f, const char *value)
{
	char line[ENG_LINE];

	eng_text_line(line, value);
	putc('"', f);
	for (const char *s = line; *s; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', f);
		putc(*s, f);
	}
	putc('"', f);
}

void out_json_string(const char *value)
{
	out_json_to(stdout, value);
}

void out_begin(const char *what)
{
	if (as_json) {
		printf("{\"what\": ");
		out_json_string(what);
	} else {
		printf("%s:", what);
	}
}

void out_end(void)
{
	puts(as_json ? "}" : "");
}

static void name_of(const char *name)
{
	if (as_json)
		printf(", \"%s\": ", name);
	else
		printf(" %s=", name);
}

void out_text(const char *name, const char *value)
{
	char line[ENG_LINE];

	name_of(name);
	if (as_json) {
		out_json_string(value);
		return;
	}
	eng_text_line(line, value);
	if (strchr(line, ' ') || !*line)
		printf("\"%s\"", line);
	else
		printf("%s", line);
}

void out_bytes(const char *name, const void *value, size_t len)
{
	char *text = strndup(value, len);

	out_text(name, text ? text : "?");
	free(text);
}

void out_number(const char *name, uint64_t value)
{
	name_of(name);
	printf("%llu", (unsigned long long)value);
}

void out_date(uint64_t value, char text[OUT_DATE])
{
	time_t at = (time_t)value;
	struct tm tm;

	text[0] = 0;
	if (value && gmtime_r(&at, &tm))
		strftime(text, OUT_DATE, " %Y-%m-%dT%H:%M:%SZ", &tm);
}

void out_time(const char *name, uint64_t value)
{
	char text[OUT_DATE];

	out_date(value, text);
	if (as_json || (value && !text[0]))
		out_number(name, value);
	else if (value)
		out_text(name, text + 1);
}

void out_true(const char *name, bool value)
{
	name_of(name);
	printf("%s", value ? "true" : "false");
}

void out_hex(const char *name, const void *value, size_t len)
{
	const uint8_t *p = value;

	name_of(name);
	fputs(as_json ? "\"" : "", stdout);
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
	fputs(as_json ? "\"" : "", stdout);
}
