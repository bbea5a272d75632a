/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.c - see text.h.
 *  (1) A byte becomes four at most, so that TEXT_MAX of them fit a line. */
#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define TEXT_MAX	1000u
#define HEAD		400u	/* of it, where the middle is left out */
#define GAP		"..."

_Static_assert(4 * TEXT_MAX + 1 <= ENG_LINE, "(1)");

unsigned int eng_utf8(const char *s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *b = (const unsigned char *)s;
	unsigned int n = *b < 0x80 ? 1 : *b < 0xc0 ? 0 : *b < 0xe0 ? 2 :
		*b < 0xf0 ? 3 : *b < 0xf8 ? 4 : 0;

	if (!n || !*b)
		return 0;
	*code = n == 1 ? *b : *b & (0xff >> (n + 1));
	for (unsigned int i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (b[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff ||
	    (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return n;
}

bool eng_printable(uint32_t code)
{
	return code >= 0x20 && !(code >= 0x7f && code < 0xa0) &&
		!(code >= 0x200e && code <= 0x200f) &&
		!(code >= 0x2028 && code <= 0x202e) &&
		!(code >= 0x2066 && code <= 0x2069);
}

static size_t escape(char *to, const char *s, size_t len)
{
	size_t at = 0;

	for (const char *end = s + len; s < end; ) {
		uint32_t code;
		unsigned int n = eng_utf8(s, &code);

		if (n && s + n <= end && eng_printable(code)) {
			memcpy(to + at, s, n);
			at += n;
			s += n;
			if (code == '\\')
				to[at++] = '\\';
		} else {
			at += sprintf(to + at, "\\%03o", (unsigned char)*s++);
		}
	}
	to[at] = '\0';
	return at;
}

/* Is it in the middle of a character? */
static bool follows(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void eng_text_line(char line[ENG_LINE], const char *text)
{
	size_t len = strlen(text), head = HEAD, tail, at;

	if (len <= TEXT_MAX) {
		escape(line, text, len);
		return;
	}
	tail = len - (TEXT_MAX - HEAD - strlen(GAP));
	for (unsigned int i = 0; i < 3 && follows(text[head]); i++)
		head--;
	for (unsigned int i = 0; i < 3 && follows(text[tail]); i++)
		tail++;
	at = escape(line, text, head);
	at += sprintf(line + at, "%s", GAP);
	escape(line + at, text + tail, len - tail);
}

void eng_text_json(FILE *f, const char *text)
{
	uint32_t code;
	unsigned int n;

	putc('"', f);
	for (; *text; text += n ? n : 1) {
		n = eng_utf8(text, &code);
		if (!n)
			code = 0xfffd;		/* was no character */
		if (code == '"' || code == '\\')
			fprintf(f, "\\%c", (char)code);
		else if (!n || !eng_printable(code))
			fprintf(f, "\\u%04x", code);
		else
			fwrite(text, 1, n, f);
	}
	putc('"', f);
}
