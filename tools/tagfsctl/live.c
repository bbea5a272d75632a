/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live.c - see live.h.
 *
 *  (1) The device is looked at, and made one that could be a leg, by us; what
 *      the daemon gets is a descriptor of it, which it opens for itself.  So
 *      nobody gets at a device through the daemon that he can't open.
 *  (2) It is locked by one of us at a time.  Whoever takes it in between has
 *      it, and the daemon says so.
 *  (3) A leg that is replaced leaves when the new one has everything.  If that
 *      does not come to an end, both stay. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "live.h"
#include "tagfs_ioctl.h"

static int ask(const char *mount, struct tagfs_leg *a)
{
	int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TAGFS_IOC_LEG, a))
		err = -errno;
	close(fd);
	return err;
}

static const char *why(int err)
{
	switch (-err) {
	case ENOTBLK:
		return "it is no mirror";
	case EMLINK:
		return "the mirror has four legs";
	case ENODEV:
		return "a leg of the mirror is missing: replace it, or remove "
			"it";
	case ENOENT:
		return "no leg of the mirror is missing";
	case ENOSPC:
		return "it is smaller than the mirror";
	case EINVAL:
		return "it is protected in another way than the mirror";
	case EXDEV:
		return "it is of another kind than the legs were at the mount: "
			"add it while the mirror is not mounted";
	case ENOTTY:
		return "the daemon is older, and can't do that while it is "
			"mounted";
	case ENOTUNIQ:
		return "that leg is here already";
	case ESTALE:
		return "it was written without the other legs";
	default:
		return strerror(-err);
	}
}

static int refused(const char *what, int err)
{
	say("%s: %s", what, why(err));
	return EXIT_COULD_NOT;
}

/* ---- joining ------------------------------------------------------------ */

/* What the daemon calls it. */
static int name_it(struct tagfs_leg *a, const char *path)
{
	char *real = realpath(path, NULL);
	size_t len = real ? strlen(real) : 0;
	int err = real ? 0 : -errno;

	if (len >= sizeof(a->path))
		err = -ENAMETOOLONG;
	else if (real)
		memcpy(a->path, real, len + 1);
	free(real);
	return err;
}

/* (1) */
static int hand_over(const char *mount, const char *path, unsigned int op)
{
	struct tagfs_leg a = { .op = op };
	int err = name_it(&a, path);

	if (err)
		return err;
	a.fd = open(path, O_RDWR | O_CLOEXEC);
	if (a.fd < 0)
		return -errno;
	err = ask(mount, &a);
	close(a.fd);
	return err;
}

static int mirror_of(const char *mount, struct newleg_mirror *m)
{
	struct tagfs_leg a = { .op = TAGFS_LEG_ASK };
	char *stats = stats_get(mount), format[64];
	int err = stats ? ask(mount, &a) : -errno;

	if (!err && !stats_leg(stats, 0))
		err = -ENOTBLK;
	if (!err && !stats_text(stats, "format", format, sizeof(format)))
		err = -EIO;
	free(stats);
	if (err)
		return err;
	m->profile = eng_profile_find(format);
	m->intervals = a.intervals;
	return m->profile ? 0 : -EIO;
}

/* Before anything is overwritten for it. */
static int has_place(const char *mount, bool more)
{
	char *stats = stats_get(mount), state[16];
	unsigned int n = 0, missing = 0;
	const char *leg;

	for (; stats && (leg = stats_leg(stats, n)); n++) {
		stats_text(leg, "state", state, sizeof(state));
		missing += !strcmp(state, "missing");
	}
	free(stats);
	if (!more)
		return missing ? 0 : -ENOENT;
	return missing ? -ENODEV : n == LEGS_MAX ? -EMLINK : 0;
}

static int join(const char *mount, const struct newleg *how, bool more)
{
	struct newleg_mirror m;
	struct target t;
	const char *backend;
	int err = mirror_of(mount, &m);

	if (!err)
		err = has_place(mount, more);
	if (err)
		return refused(err == -ENOTBLK ? mount : how->path, err);
	if (newleg_target(how, &t))
		return EXIT_COULD_NOT;
	err = newleg_format(how, &t, &m, &backend);
	if (!err)
		err = hand_over(mount, how->path, more ? TAGFS_LEG_ADD :
				TAGFS_LEG_REPLACE);
	if (!err)
		return EXIT_OK;
	target_undo(&t);
	return refused(how->path, err);
}

/* ---- until it has everything -------------------------------------------- */

/* How the leg of that name is; "": there is none. */
static void state_of(const char *stats, const char *path, char state[16])
{
	struct tagfs_leg a;
	char name[TAGFS_IOC_PATH];
	const char *leg;

	*state = '\0';
	if (name_it(&a, path))
		return;
	for (unsigned int i = 0; (leg = stats_leg(stats, i)); i++)
		if (stats_text(leg, "name", name, sizeof(name)) &&
		    !strcmp(name, a.path))
			stats_text(leg, "state", state, 16);
}

static void show(const char *stats)
{
	uint64_t percent = 0;

	if (isatty(STDERR_FILENO) &&
	    stats_number(stats, "resilver_percent", &percent))
		fprintf(stderr, "\r%3llu %%", (unsigned long long)percent);
}

/* (3) */
static int await_current(const char *mount, const char *path)
{
	const struct timespec moment = { .tv_nsec = 200000000 };
	char *stats, state[16], resilver[16];
	bool goes_on = true;

	while (goes_on) {
		stats = stats_get(mount);
		if (!stats)
			return fail(mount, -errno);
		state_of(stats, path, state);
		stats_text(stats, "resilver", resilver, sizeof(resilver));
		show(stats);
		free(stats);
		goes_on = !strcmp(state, "behind") &&
			!strcmp(resilver, "running");
		if (goes_on)
			nanosleep(&moment, NULL);
	}
	if (isatty(STDERR_FILENO))
		fputs("\r", stderr);
	if (!strcmp(state, "current"))
		return EXIT_OK;
	say("%s did not get everything: it is %s, and the old leg stays", path,
	    *state ? state : "gone");
	return EXIT_COULD_NOT;
}

static bool is_here(const char *mount, unsigned int leg)
{
	char *stats = stats_get(mount), state[16] = "missing";
	const char *at = stats ? stats_leg(stats, leg - 1) : NULL;

	if (at)
		stats_text(at, "state", state, sizeof(state));
	free(stats);
	return at && strcmp(state, "missing");
}

int live_join(const char *mount, const struct newleg *how, unsigned int old)
{
	bool here = old && is_here(mount, old);
	int res = join(mount, how, how->add || here);

	if (res || !here)
		return res;
	say("%s is a leg now, and is filled before leg %u leaves; if this is "
	    "interrupted, both stay: then, when status says that %s is "
	    "current, device remove %u %s", how->path, old, how->path, old,
	    mount);
	res = await_current(mount, how->path);
	return res ? res : live_leave(mount, old);
}

int live_return(const char *mount, const char *path)
{
	int err = hand_over(mount, path, TAGFS_LEG_RETURN);

	if (err == -ENOENT) {
		say("%s is no leg of that mirror", path);
		return EXIT_COULD_NOT;
	}
	return err ? refused(path, err) : EXIT_OK;
}

int live_leave(const char *mount, unsigned int leg)
{
	struct tagfs_leg a = { .op = TAGFS_LEG_REMOVE, .leg = leg };
	int err = ask(mount, &a);

	if (err == -ENOENT)
		say("the mirror has no leg %u", leg);
	else if (err == -EBUSY)
		say("no other leg of the mirror has everything: leg %u stays",
		    leg);
	else if (err)
		return refused(mount, err);
	return err ? EXIT_COULD_NOT : EXIT_OK;
}
