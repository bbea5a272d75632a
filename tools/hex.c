/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hex.c - see hex.h. */
#include <stdlib.h>
#include <string.h>

#include "hex.h"

bool hex_bytes(const char *text, uint8_t *out, size_t n)
{
	if (strlen(text) != 2 * n ||
	    strspn(text, "0123456789abcdefABCDEF") != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char pair[3] = { text[2 * i], text[2 * i + 1] };

		out[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return true;
}

bool hex_number(const char *text, uint64_t *out)
{
	uint8_t b[8];

	if (!hex_bytes(text, b, sizeof(b)))
		return false;
	*out = 0;
	for (unsigned int i = 0; i < 8; i++)
		*out = *out << 8 | b[i];
	return *out;
}
