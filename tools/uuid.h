/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uuid.h - RFC 4122 identifiers, as text and as 16 bytes. */
#ifndef TOOLS_UUID_H
#define TOOLS_UUID_H

#include <stdint.h>

#define UUID_TEXT	37	/* with the terminator */

/* A random one (version 4).  0 or -errno. */
int uuid_generate(uint8_t uuid[16]);
/* -EINVAL: not of the form 8-4-4-4-12. */
int uuid_parse(const char *text, uint8_t uuid[16]);
void uuid_format(const uint8_t uuid[16], char text[UUID_TEXT]);

#endif
