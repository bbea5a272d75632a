/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.h - lines with fields, for systemd's journal. */
#ifndef TAGFS_JOURNAL_H
#define TAGFS_JOURNAL_H

#include <stdbool.h>

struct eng_field;

/* Does it read standard error? */
bool journal_reads_stderr(void);
/* Is one there?  Once, before journal_send().  These fields every line has. */
bool journal_open(const struct eng_field *field, unsigned int n);
/* False: it was not taken, and may go elsewhere. */
bool journal_send(int level, const char *line, const struct eng_field *field,
		  unsigned int n);

#endif
