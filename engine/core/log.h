/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.h - lines with fields: what a line is about, for programs. */
#ifndef ENG_LOG_H
#define ENG_LOG_H

#include <stdarg.h>
#include <stdint.h>

struct eng_field {
	const char	*name;		/* capitals, digits, _ */
	const char	*text;		/* any bytes; NULL: the number */
	uint64_t	number;
};

typedef void eng_log_fn(int level, const char *line,
			const struct eng_field *field, unsigned int n);

/* Instead of eng_log_to(), for all lines; most have no fields.  They are there
 * while fn runs. */
void eng_log_fields_to(eng_log_fn *fn);
void eng_log_fields(int level, const struct eng_field *field, unsigned int n,
		    const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));

#endif
