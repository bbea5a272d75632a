/* SPDX-License-Identifier: GPL-2.0-or-later */
/* out.h - records of named values: lines for a person, or an object a line. */
#ifndef OUT_H
#define OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

void out_setup(bool json);
/* Between them, values in the order in which they are to be seen. */
void out_begin(const char *what);
void out_end(void);

void out_text(const char *name, const char *value);
/* Bytes that need not be terminated or a text. */
void out_bytes(const char *name, const void *value, size_t len);
void out_number(const char *name, uint64_t value);
#define OUT_DATE	64u
/* A space and a date, or nothing for 0. */
void out_date(uint64_t value, char text[OUT_DATE]);
/* Seconds since 1970; a person gets a date, and nothing for 0. */
void out_time(const char *name, uint64_t value);
void out_true(const char *name, bool value);
void out_hex(const char *name, const void *value, size_t len);

/* A JSON string, quotes included, of any bytes. */
void out_json_string(const char *value);
void out_json_to(FILE *f, const char *value);

#endif
