/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hex.h - bytes and numbers as a person copies them from a message. */
#ifndef HEX_H
#define HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exactly two digits a byte; false: it is something else. */
bool hex_bytes(const char *text, uint8_t *out, size_t n);
/* 16 digits, most significant first; never 0. */
bool hex_number(const char *text, uint64_t *out);

#endif
