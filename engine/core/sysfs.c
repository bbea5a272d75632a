/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sysfs.c - what the kernel says of block devices in /sys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/sysfs.h"

bool eng_sys_read(const char *dir, const char *file, char *buf, int size)
{
	char name[160];
	FILE *f;
	bool ok;

	snprintf(name, sizeof(name), "%s/%s", dir, file);
	f = fopen(name, "re");
	if (!f)
		return false;
	ok = fgets(buf, size, f);
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = 0;
	return ok;
}

uint64_t eng_sys_number(const char *dir, const char *file, uint64_t fallback)
{
	char text[32], *end;
	uint64_t n;

	if (!eng_sys_read(dir, file, text, sizeof(text)))
		return fallback;
	n = strtoull(text, &end, 10);
	return end == text || *end ? fallback : n;
}

void eng_sys_disk(dev_t dev, char dir[ENG_SYS_DIR], uint64_t *start)
{
	*start = 0;
	snprintf(dir, ENG_SYS_DIR, "/sys/dev/block/%u:%u", major(dev),
		 minor(dev));
	if (eng_sys_number(dir, "partition", 0)) {
		*start = eng_sys_number(dir, "start", 0) * 512;
		strcat(dir, "/..");
	}
}

dev_t eng_sys_dev(const char *dir)
{
	unsigned int maj = 0, min = 0;
	char text[32];

	if (eng_sys_read(dir, "dev", text, sizeof(text)))
		sscanf(text, "%u:%u", &maj, &min);
	return makedev(maj, min);
}
