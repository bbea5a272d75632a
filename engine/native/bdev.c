/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bdev.c - open a block device and find out what protects it.
 *  (1) Whoever is to use it has locked it (lock.h) and passes a descriptor;
 *      whoever only looks passes none.
 *  (2) Who is asked: the kernel (FS_IOC_GETLBMD_CAP, Linux 6.17), which knows
 *      best what it will transfer; an NVMe namespace itself; sysfs, which does
 *      not tell the size of the metadata and so is asked about SCSI only,
 *      where it is always the tuple's.
 *  (3) Protection that the device does not store, but a host adapter makes up
 *      on the way (DIX without DIF), is none. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/sysfs.h"
#include "native/bdev.h"
#include "native/nvme.h"

#define DEFAULT_ALIGN	512
#define DEFAULT_MAX_KB	128
#define DEFAULT_SEGS	32
#define PAGE		4096u

/* ---- sysfs ------------------------------------------------------------ */

uint64_t eng_bdev_number(const struct eng_bdev *b, const char *file,
			 uint64_t fallback)
{
	return eng_sys_number(b->sys, file, fallback);
}

static void find_disk(struct eng_bdev *b, dev_t rdev)
{
	char real[PATH_MAX];

	eng_sys_disk(rdev, b->sys, &b->start);
	if (realpath(b->sys, real))
		snprintf(b->disk, sizeof(b->disk), "%s", basename(real));
}

bool eng_bdev_is_nvme(const struct eng_bdev *b)
{
	return !strncmp(b->disk, "nvme", 4);
}

/* A buffer may begin anywhere in a page. */
static void find_limits(struct eng_bdev *b)
{
	uint64_t max = eng_bdev_number(b, "queue/max_hw_sectors_kb",
				       DEFAULT_MAX_KB) * 1024;
	uint64_t segs = eng_bdev_number(b, "queue/max_segments",
					DEFAULT_SEGS);

	if (segs > 1 && max > (segs - 1) * PAGE)
		max = (segs - 1) * PAGE;
	b->max_bytes = max < 1u << 20 ? (uint32_t)max : 1u << 20;
	b->align = (uint32_t)eng_bdev_number(b, "queue/dma_alignment",
					     DEFAULT_ALIGN - 1) + 1;
}

/* ---- what protects it ------------------------------------------------- */

/* linux/fs.h since 6.17: struct logical_block_metadata_cap. */
struct lbmd_cap {
	uint32_t	flags;
	uint16_t	interval;
	uint8_t		size;
	uint8_t		opaque_size;
	uint8_t		opaque_offset;
	uint8_t		pi_size;
	uint8_t		pi_offset;
	uint8_t		guard;
	uint8_t		app_size;
	uint8_t		ref_size;
	uint8_t		storage_size;
	uint8_t		pad;
};
_Static_assert(sizeof(struct lbmd_cap) == 16, "part of the ioctl's number");

enum {
	LBMD_STORED	= 1,		/* LBMD_PI_CAP_INTEGRITY */
	LBMD_REF	= 2,		/* LBMD_PI_CAP_REFTAG */
	LBMD_IP		= 1,		/* LBMD_PI_CSUM_* */
	LBMD_CRC16	= 2,
	LBMD_CRC64	= 4,
};

#define IOC_LBMD_CAP	_IOWR(0x15, 2, struct lbmd_cap)

static void none(struct eng_bdev *b, const char *why)
{
	b->native = false;
	snprintf(b->why_not, sizeof(b->why_not), "%s", why);
}

/* Why a disk has none here: it may well have on another host adapter. */
static const char *scsi_lacks(const struct eng_bdev *b)
{
	char name[128];
	unsigned int type = 0;
	glob_t found = { 0 };
	FILE *f;

	snprintf(name, sizeof(name), "%s/device/scsi_disk/*/protection_type",
		 b->sys);
	if (!glob(name, 0, NULL, &found) && (f = fopen(found.gl_pathv[0],
						       "re"))) {
		if (fscanf(f, "%u", &type) != 1)
			type = 0;
		fclose(f);
	}
	globfree(&found);
	if (type)
		return "the disk stores protection information, but its host "
			"adapter does not pass it on (no DIX)";
	return "the device has no protection information";
}

static const char *cap_refuses(const struct eng_bdev *b,
			       const struct lbmd_cap *cap)
{
	if (!cap->size)
		return scsi_lacks(b);
	if (!cap->pi_size || !cap->app_size)
		return "the device is formatted with metadata, but without "
			"protection information";
	if (!(cap->flags & LBMD_STORED))	/* (3) */
		return "the device does not store the protection information "
			"of its host adapter";
	return NULL;
}

bool eng_bdev_ask_cap(struct eng_bdev *b)
{
	struct lbmd_cap cap = { 0 };
	const char *why;

	if (ioctl(b->fd, IOC_LBMD_CAP, &cap))
		return false;
	why = cap_refuses(b, &cap);
	if (why) {
		none(b, why);
		return true;
	}
	b->native = true;
	b->found = (struct eng_profile) {
		.interval = cap.interval, .meta_size = cap.size,
		.pi_offset = cap.pi_offset, .pi_size = cap.pi_size,
		.type = cap.flags & LBMD_REF ? 1 : 3,
		.guard = cap.guard == LBMD_CRC64 ? ENG_GUARD_CRC64 :
			 cap.guard == LBMD_IP ? ENG_GUARD_IP :
			 ENG_GUARD_CRC16,
		.tags = 1,
	};
	return true;
}

static void take_advice(struct eng_bdev *b, const struct eng_nvme_ns *ns)
{
	if (*ns->advice)
		snprintf(b->advice, sizeof(b->advice), "nvme format /dev/%s%s",
			 b->disk, ns->advice);
}

void eng_bdev_advise(struct eng_bdev *b)
{
	struct eng_nvme_ns ns;

	if (eng_bdev_is_nvme(b) && !eng_nvme_identify(b->fd, &ns))
		take_advice(b, &ns);
}

bool eng_bdev_ask_nvme(struct eng_bdev *b)
{
	struct eng_nvme_ns ns;

	if (!eng_bdev_is_nvme(b) || eng_nvme_identify(b->fd, &ns))
		return false;
	b->native = ns.native;
	b->found = ns.found;
	snprintf(b->why_not, sizeof(b->why_not), "%s", ns.why_not);
	take_advice(b, &ns);
	return true;
}

/* "T10-DIF-TYPE1-CRC" and the like, of the kernel's integrity profiles. */
bool eng_bdev_ask_sysfs(struct eng_bdev *b)
{
	char format[32], guard[8];
	unsigned int type;

	if (eng_bdev_is_nvme(b))
		return false;	/* (2) */
	if (!eng_sys_read(b->sys, "integrity/format", format, sizeof(format)) ||
	    sscanf(format, "T10-DIF-TYPE%u-%7s", &type, guard) != 2 ||
	    (strcmp(guard, "CRC") && strcmp(guard, "IP"))) {
		none(b, scsi_lacks(b));
		return true;
	}
	if (!eng_bdev_number(b, "integrity/device_is_integrity_capable", 0)) {
		none(b, "the device does not store the protection information "
		     "of its host adapter");
		return true;
	}
	b->native = true;
	b->found = (struct eng_profile) {
		.interval = (uint32_t)eng_bdev_number(b,
			"integrity/protection_interval_bytes", b->lbs),
		.meta_size = 8, .pi_size = 8, .type = (uint8_t)type,
		.guard = strcmp(guard, "IP") ? ENG_GUARD_CRC16 : ENG_GUARD_IP,
		.tags = 1,
	};
	return true;
}

/* Does the kernel itself see tuples here? */
static bool kernel_format(const struct eng_bdev *b)
{
	char format[32];

	return eng_sys_read(b->sys, "integrity/format", format, sizeof(format)) &&
	       strcmp(format, "nop") && strcmp(format, "none");
}

/* (2) */
static void find_protection(struct eng_bdev *b)
{
	bool known = eng_bdev_ask_cap(b);

	b->kernel = known ? b->native : kernel_format(b);
	if (!b->native && !eng_bdev_ask_nvme(b) && !known &&
	    !eng_bdev_ask_sysfs(b))
		none(b, "what protects it cannot be found out");
	if (b->native && (b->found.interval != b->lbs ||
			  b->start % b->lbs || b->size < b->lbs))
		none(b, "its protection intervals are not its blocks");
}

/* ---- open ------------------------------------------------------------- */

static int bdev_failed(const struct eng_bdev *b, int err, const char *what)
{
	eng_log(LOG_ERR, "%s: %s: %s", b->path, what, strerror(-err));
	return err;
}

/* A write through NVMe passthrough would not ask. */
static int check_writable(struct eng_bdev *b)
{
	int on = 0;

	if (b->rdonly || ioctl(b->fd, BLKROGET, &on) || !on)
		return 0;
	eng_log(LOG_ERR, "%s: is write-protected", b->path);
	return -EROFS;
}

static int bdev_open_fd(struct eng_bdev *b, int fd)
{
	int how = O_CLOEXEC | O_DIRECT | (b->rdonly ? O_RDONLY : O_RDWR);
	struct stat st;

	if (fd >= 0)
		b->fd = eng_fd_reopen(fd, how);
	else
		b->fd = open(b->path, how | O_NONBLOCK);
	if (b->fd < 0)
		return bdev_failed(b, fd < 0 ? -errno : b->fd, "cannot open");
	if (fstat(b->fd, &st) || !S_ISBLK(st.st_mode))
		return bdev_failed(b, -EBUSY, "changed while it was opened");
	if (ioctl(b->fd, BLKGETSIZE64, &b->size) ||
	    ioctl(b->fd, BLKSSZGET, &b->lbs))
		return bdev_failed(b, -errno, "cannot find its size");
	find_disk(b, st.st_rdev);
	return check_writable(b);
}

int eng_bdev_open(struct eng_bdev *b, const char *path, int fd,
		  unsigned int flags)
{
	int err;

	*b = (struct eng_bdev) {
		.path = path, .fd = -1, .rdonly = flags & ENG_OPEN_RDONLY,
	};
	err = bdev_open_fd(b, fd);
	if (err) {
		eng_bdev_close(b);
		return err;
	}
	find_limits(b);
	find_protection(b);
	return 0;
}

int eng_bdev_reopen(struct eng_bdev *b)
{
	struct eng_bdev rw = *b;
	int err;

	rw.rdonly = false;
	rw.fd = eng_fd_reopen(b->fd, O_RDWR | O_DIRECT);
	if (rw.fd < 0)
		return bdev_failed(b, rw.fd, "cannot open");
	err = check_writable(&rw);
	if (!err) {
		dup3(rw.fd, b->fd, O_CLOEXEC);
		b->rdonly = false;
	}
	close(rw.fd);
	return err;
}

void eng_bdev_close(struct eng_bdev *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}
