/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.c - see probe.h.
 *
 * (1) A device that has just come may be opened by somebody else in the same
 *     moment.  So it is read and nothing more: no lock, nothing exclusive.
 * (2) The first copy of the superblock has one of two places, and its first
 *     fields have theirs for ever: doc/PROBE.md.  A device whose first copy is
 *     bad is left to those who look closer. */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "probe.h"

static bool is_super(const struct tfs_disk_super *s)
{
	return !memcmp(s->magic, TFS_SUPER_MAGIC, sizeof(s->magic)) &&
		le32toh(s->crc) ==
		tfs_crc32c(s, sizeof(*s), offsetof(struct tfs_disk_super, crc));
}

/* (2)  On a device with protection of its own, and in a container. */
static int find(int fd, struct tfs_disk_super *s)
{
	static const off_t places[] = { 0, 12288 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (pread(fd, s, sizeof(*s), places[i]) == sizeof(*s) &&
		    is_super(s))
			return 0;
	return -EMEDIUMTYPE;
}

int probe_super(const char *path, struct tfs_disk_super *s)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);	/* (1) */
	int err = fd < 0 ? -errno : find(fd, s);

	if (fd >= 0)
		close(fd);
	return err;
}
