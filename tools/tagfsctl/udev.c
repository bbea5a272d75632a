/* SPDX-License-Identifier: GPL-2.0-or-later */
/* udev.c - probe --udev: what a rule of udev needs, without disturbing anybody.
 *
 * (1) What comes from the device ends in names of files and in the environment
 *     of programs, so it is encoded as blkid does. */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "ctl.h"
#include "probe.h"
#include "uuid.h"

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		(c >= 'A' && c <= 'Z') || (c && strchr("#+-.:=@_", c));
}

/* (1)  Others than plain characters become \xNN, or _ for people. */
static void put(const char *name, const char *value, bool encode)
{
	uint32_t code;
	unsigned int n;

	printf("%s=", name);
	for (const char *s = value; *s; s += n) {
		n = eng_utf8(s, &code);
		if (is_plain(*s) || (n > 1 && eng_printable(code))) {
			fwrite(s, 1, n, stdout);
			continue;
		}
		n = 1;
		if (encode)
			printf("\\x%02x", (unsigned char)*s);
		else
			putchar('_');
	}
	putchar('\n');
}

int probe_udev(const char *path)
{
	char uuid[UUID_TEXT], label[TFS_LABEL + 1] = "";
	struct tfs_disk_super s;
	int err = probe_super(path, &s);

	if (err == -EMEDIUMTYPE)
		return EXIT_NOTHING;
	if (err)
		return fail(path, err);
	uuid_format(s.uuid, uuid);
	memcpy(label, s.label, TFS_LABEL);
	printf("ID_FS_TYPE=tagfs\nID_FS_USAGE=filesystem\nID_FS_VERSION=%u\n",
	       le32toh(s.version));
	put("ID_FS_UUID", uuid, false);
	put("ID_FS_UUID_ENC", uuid, true);
	if (*label) {
		put("ID_FS_LABEL", label, false);
		put("ID_FS_LABEL_ENC", label, true);
	}
	return EXIT_OK;
}
