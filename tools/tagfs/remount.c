/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remount.c - mount -o remount: the kernel's part and the daemon's.
 *
 * (1) The kernel refuses what is new before the daemon does, and the daemon
 *     is ready before the kernel lets anything through: so what a program
 *     was told is done never meets a daemon that refuses it.
 * (2) If the second step fails, the first is taken back.
 * (3) Flags of the mount that nobody named stay as they are. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <unistd.h>

#include "mounts.h"
#include "remount.h"
#include "tagfs_ioctl.h"
#include "tagpi.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW	256
#endif
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW	8192
#endif

struct remount {
	const struct options *opt;
	const char	*point;
	int		fd;		/* the root */
	unsigned long	flags;		/* for mount(2) */
	bool		was, rdonly;
};

/* (3) */
static unsigned long flags_of(const struct remount *r,
			      const struct statvfs *st)
{
	static const struct { unsigned long st, ms; } map[] = {
		{ ST_NOSUID, MS_NOSUID }, { ST_NODEV, MS_NODEV },
		{ ST_NOEXEC, MS_NOEXEC }, { ST_NOATIME, MS_NOATIME },
		{ ST_SYNCHRONOUS, MS_SYNCHRONOUS },
		{ ST_NODIRATIME, MS_NODIRATIME },
		{ ST_RELATIME, MS_RELATIME },
		{ ST_NOSYMFOLLOW, MS_NOSYMFOLLOW },
	};
	unsigned long flags = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (st->f_flag & map[i].st)
			flags |= map[i].ms;
	flags &= ~(r->opt->ms_clear | MS_RDONLY);
	return flags | r->opt->ms_set | MS_REMOUNT;
}

static int tell_kernel(const struct remount *r, bool rdonly)
{
	unsigned long flags = r->flags | (rdonly ? MS_RDONLY : 0);

	return mount(NULL, r->point, NULL, flags, NULL) ? -errno : 0;
}

static int tell_daemon(const struct remount *r, bool rdonly)
{
	struct tagfs_remount a = { 0 };

	if (rdonly)
		a.flags |= TAGFS_REMOUNT_RDONLY;
	if (r->opt->relatime)
		a.flags |= TAGFS_REMOUNT_RELATIME;
	if (r->opt->strictatime)
		a.flags |= TAGFS_REMOUNT_STRICTATIME;
	if (r->opt->nodiratime)
		a.flags |= TAGFS_REMOUNT_NODIRATIME;
	return ioctl(r->fd, TAGFS_IOC_REMOUNT, &a) ? -errno : 0;
}

static int fail(const struct remount *r, int err)
{
	const char *why = strerror(-err);

	if (err == -EBUSY)
		why = r->rdonly ? "files are open for writing" :
			"somebody else has it, too";
	if (err == -EROFS)
		why = "it is write-protected or damaged, or an error has made "
			"it read-only: unmount it and mount it again";
	if (err == -ESTALE)
		why = "it was written elsewhere since it was mounted: unmount "
			"it and mount it again";
	eng_log(LOG_ERR, "%s: not remounted: %s", r->point, why);
	return err == -EPERM || err == -EACCES ? EXIT_USAGE : EXIT_MOUNT;
}

/* (1), (2) */
static int change(const struct remount *r)
{
	int err = r->rdonly ? tell_kernel(r, true) : tell_daemon(r, false);

	if (err)
		return fail(r, err);
	err = r->rdonly ? tell_daemon(r, true) : tell_kernel(r, false);
	if (!err)
		return EXIT_OK;
	if (r->was != r->rdonly) {
		if (r->rdonly)
			tell_kernel(r, r->was);
		else
			tell_daemon(r, r->was);
	}
	return fail(r, err);
}

int remount(const struct options *opt, const char *point)
{
	struct remount r = { .opt = opt, .point = point };
	struct mounts_tagfs at;
	struct statvfs st;
	int res = mounts_tagfs_at(point, &at);

	if (res <= 0) {
		eng_log(LOG_ERR, "%s: not remounted: %s", point,
			res ? strerror(-res) : "no tagfs is mounted there");
		return EXIT_MOUNT;
	}
	free(at.source);
	r.fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.fd < 0)
		return fail(&r, -errno);
	if (fstatvfs(r.fd, &st)) {
		res = fail(&r, -errno);
	} else {
		r.was = st.f_flag & ST_RDONLY;
		r.rdonly = opt->rdonly || (r.was && !opt->rw);
		r.flags = flags_of(&r, &st);
		res = change(&r);
	}
	close(r.fd);
	return res;
}
