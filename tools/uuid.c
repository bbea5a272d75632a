/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uuid.c - identifiers without libuuid. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "uuid.h"

int uuid_generate(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -errno;
	uuid[6] = (uuid[6] & 0x0f) | 0x40;	/* version 4 */
	uuid[8] = (uuid[8] & 0x3f) | 0x80;	/* variant */
	return 0;
}

int uuid_parse(const char *text, uint8_t uuid[16])
{
	unsigned int byte;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			if (*text++ != '-')
				return -EINVAL;
		if (!isxdigit((unsigned char)text[0]) ||
		    !isxdigit((unsigned char)text[1]))
			return -EINVAL;
		sscanf(text, "%2x", &byte);
		uuid[i] = (uint8_t)byte;
		text += 2;
	}
	return *text ? -EINVAL : 0;
}

void uuid_format(const uint8_t uuid[16], char text[UUID_TEXT])
{
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		text += sprintf(text, "%02x", uuid[i]);
	}
}
