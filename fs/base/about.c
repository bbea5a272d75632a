/* SPDX-License-Identifier: GPL-2.0-or-later */
/* about.c - lines of the log with what they are about, for programs.  The names
 * of the fields are in tagfs(8), and stay. */
#include <errno.h>
#include <stdarg.h>

#include "base/about.h"
#include "core/log.h"

#define FIELDS	6u

void tfs_log_about(int level, const struct tfs_about *about, const char *fmt,
		   ...)
{
	struct eng_field field[FIELDS];
	unsigned int n = 0;
	va_list ap;

	if (about->ino)
		field[n++] = (struct eng_field){ "TAGFS_INODE", NULL,
						 about->ino };
	if (about->path)
		field[n++] = (struct eng_field){ "TAGFS_PATH", about->path, 0 };
	if (about->len) {
		field[n++] = (struct eng_field){ "TAGFS_OFFSET", NULL,
						 about->off };
		field[n++] = (struct eng_field){ "TAGFS_LENGTH", NULL,
						 about->len };
	}
	if (about->cluster)
		field[n++] = (struct eng_field){ "TAGFS_CLUSTER", NULL,
						 about->cluster };
	if (about->check)
		field[n++] = (struct eng_field){ "TAGFS_CHECK", about->check,
						 0 };
	va_start(ap, fmt);
	eng_log_fields(level, field, n, fmt, ap);
	va_end(ap);
}

const char *tfs_check_name(int err, const struct eng_fault *fault)
{
	if (err == -EBADMSG || err == -EILSEQ)
		return eng_fault_name(fault->kind);
	return err == -EUCLEAN ? "structure" : "io";
}
