/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_text.c - other people's bytes in our lines and in our JSON. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/text.h"
#include "support/fs_bed.h"

static char said[ENG_LINE];

static void keep(int level, const char *line)
{
	(void)level;
	ck_assert_uint_lt(strlen(line), sizeof(said));
	strcpy(said, line);
}

START_TEST(what_shows_stays_as_it_is)
{
	char line[ENG_LINE];

	eng_text_line(line, "a b/\"c\" \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	ck_assert_str_eq(line,
			 "a b/\"c\" \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
}
END_TEST

static const struct {
	const char	*text, *line;
} hidden[] = {
	{ "a\nb\r\tc\x1b[2J\x7f", "a\\012b\\015\\011c\\033[2J\\177" },
	{ "\\012", "\\\\012" },
	{ "\xff\xc3", "\\377\\303" },			/* no UTF-8 */
	{ "\xc0\x8a", "\\300\\212" },			/* a longer form */
	{ "\xe0\x80\x8a", "\\340\\200\\212" },
	{ "\xed\xa0\x80", "\\355\\240\\200" },		/* a surrogate */
	{ "\xf4\x90\x80\x80", "\\364\\220\\200\\200" },	/* too high */
	{ "\xc2\x9b", "\\302\\233" },			/* C1: CSI */
	{ "\xe2\x80\xae", "\\342\\200\\256" },		/* right to left */
};

START_TEST(what_does_not_is_escaped)
{
	char line[ENG_LINE];

	eng_text_line(line, hidden[_i].text);
	ck_assert_str_eq(line, hidden[_i].line);
}
END_TEST

/* However long the names are, and whatever they are made of. */
START_TEST(facts_around_a_long_name_stay)
{
	static const char *const unit[] = { "x", "\n", "\xc3\xa4", "\xff" };
	size_t n = 4090 / strlen(unit[_i]);
	char path[4096] = "";
	const char *gap;

	for (size_t i = 0; i < n; i++)
		strcat(path, unit[_i]);
	eng_log_to(keep);
	eng_log(LOG_ERR, "first: %s: %s: the last word", path, path);
	ck_assert(!strncmp(said, "first: ", 7));
	ck_assert_str_eq(said + strlen(said) - 15, ": the last word");
	gap = strstr(said, "...");
	ck_assert_ptr_nonnull(gap);
	ck_assert_ptr_null(strchr(said, '\n'));
	if (unit[_i][0] == '\xc3')	/* no half characters */
		ck_assert_ptr_null(strchr(said, '\\'));
}
END_TEST

/* What mkfs refuses may be on the medium all the same. */
START_TEST(any_label_is_valid_json)
{
	struct bed b;
	char *text;

	bed_make(&b, "512+8", 2048, 1);
	strcpy(b.fs->super.label, "\"\\\n\xff\xc2\x9b\xc3\xa4");
	ck_assert_int_gt(tfs_stats(b.fs, NULL, &text), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"label\": \"\\\"\\\\\\u000a\\ufffd"
				     "\\u009b\xc3\xa4\","));
	free(text);
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("text");
	TCase *tc = tcase_create("text");

	tcase_add_test(tc, what_shows_stays_as_it_is);
	tcase_add_loop_test(tc, what_does_not_is_escaped, 0,
			    sizeof(hidden) / sizeof(hidden[0]));
	tcase_add_loop_test(tc, facts_around_a_long_name_stay, 0, 4);
	tcase_add_test(tc, any_label_is_valid_json);
	suite_add_tcase(s, tc);
	return bed_run_suite(s);
}
