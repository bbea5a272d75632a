/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.h - other people's bytes in lines for a person. */
#ifndef ENG_TEXT_H
#define ENG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of the character at s in its shortest form of UTF-8, and its number;
 * 0: there is none, or s is at its end. */
unsigned int eng_utf8(const char *s, uint32_t *code);
/* Does it show as itself?  Not a control character, nor one that changes the
 * direction or the line of what follows. */
bool eng_printable(uint32_t code);

#define ENG_LINE	4096u	/* enough for what eng_text_line() makes */

/* Text as one line that moves no cursor: \ooo for each byte that is no part
 * of a printable character, \\ for a backslash.  What is too long loses its
 * middle, so that what was said before and after a long name stays. */
void eng_text_line(char line[ENG_LINE], const char *text);

/* Text as a JSON string, quotes included: what is no character becomes U+FFFD,
 * and what does not show as itself \uXXXX. */
void eng_text_json(FILE *f, const char *text);

#endif
