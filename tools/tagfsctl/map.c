/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map.c - the hook of a device that fails: what could not be read once is not
 * tried again.
 *
 *  (1) Statuses are ddrescue's: '-' a bad interval, '/' a cluster or less that
 *      failed as a whole and of which not every interval was tried.  Reads of
 *      several intervals that touch either fail at once, so that whoever needs
 *      them asks for less; single ones are tried where there is no '-'.
 *  (2) Everything else that the file says is kept as it is.
 *  (3) Only errors of the device are noted.  What was read and does not verify
 *      costs nothing to read again.
 *  (4) Runs are in order of place and do not overlap. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/runs.h"
#include "core/dev.h"
#include "map.h"

#define SAVE_SECONDS	10
#define CLUSTER		8u		/* intervals */

struct run {
	uint64_t	off, end;
	char		status;
};

struct map {
	struct eng_hook	hook;		/* first */
	char		*path, *temp;
	pthread_mutex_t	lock;
	struct run	*run;		/* lock, as what follows */
	size_t		n, room;
	uint64_t	size;		/* of the device, as far as is known */
	bool		changed;
	time_t		saved;
	int		err;		/* memory was short */
};

/* ---- runs ----------------------------------------------------------------- */

/* The first one that ends behind off. */
static size_t first_locked(const struct map *m, uint64_t off)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->run[mid].end <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int insert_locked(struct map *m, size_t i, struct run r)
{
	if (tfs_array_grow(&m->run, &m->room, m->n + 1, sizeof(m->run[0])))
		return -ENOMEM;
	memmove(&m->run[i + 1], &m->run[i], (m->n - i) * sizeof(r));
	m->run[i] = r;
	m->n++;
	return 0;
}

static void remove_locked(struct map *m, size_t i)
{
	m->n--;
	memmove(&m->run[i], &m->run[i + 1], (m->n - i) * sizeof(m->run[0]));
}

/* Nothing is said of that range any more. */
static int clear_locked(struct map *m, uint64_t off, uint64_t end)
{
	size_t i = first_locked(m, off);

	while (i < m->n && m->run[i].off < end) {
		struct run *r = &m->run[i], tail = *r;

		if (r->off < off && r->end > end) {
			r->end = off;
			tail.off = end;
			return insert_locked(m, i + 1, tail);
		}
		if (r->off < off) {
			r->end = off;
			i++;
		} else if (r->end > end) {
			r->off = end;
			return 0;
		} else {
			remove_locked(m, i);
		}
	}
	return 0;
}

static void set_locked(struct map *m, uint64_t off, uint64_t end, char status)
{
	int err = clear_locked(m, off, end);
	size_t i = first_locked(m, off);

	if (!err && i && m->run[i - 1].end == off && status == '-' &&
	    m->run[i - 1].status == '-')
		m->run[i - 1].end = end;
	else if (!err)
		err = insert_locked(m, i, (struct run){ off, end, status });
	if (err)
		m->err = err;
	m->changed = true;
}

/* The worst of that range: '-', '/' or '?'. */
static char worst_locked(const struct map *m, uint64_t off, uint64_t end)
{
	char worst = '?';

	for (size_t i = first_locked(m, off);
	     i < m->n && m->run[i].off < end; i++) {
		if (m->run[i].status == '-')
			return '-';
		if (m->run[i].status == '/')
			worst = '/';
	}
	return worst;
}

/* ---- the hook ---------------------------------------------------------------- */

static uint64_t off_of(const struct eng_io *io)
{
	return eng_dev_byte(io->dev, io->start);
}

/* On the storage below a request need not be in one piece; tuples are. */
static uint64_t end_of(const struct eng_io *io)
{
	return eng_dev_byte(io->dev, io->start + io->count - 1) +
		io->dev->geo.profile->interval;
}

static bool map_begin(struct eng_hook *hook, struct eng_io *io, int *err)
{
	struct map *m = (struct map *)hook;
	char worst;

	if (io->op != ENG_READ)
		return true;
	pthread_mutex_lock(&m->lock);
	worst = worst_locked(m, off_of(io), end_of(io));
	pthread_mutex_unlock(&m->lock);
	if (worst == '-' || (worst == '/' && io->count > 1)) {
		*err = -EIO;				/* (1) */
		return false;
	}
	io->undo = (struct eng_undo *)m;
	return true;
}

/* (3) */
static bool is_device_error(int err)
{
	return err && err != -ENOMEM && err != -EINVAL && err != -EBADMSG &&
		err != -EILSEQ && err != -EINTR;
}

static void map_end(struct eng_hook *hook, struct eng_io *io, int err)
{
	struct map *m = (struct map *)hook;

	io->undo = NULL;
	if ((!err && io->count > 1) || io->count > CLUSTER)
		return;
	pthread_mutex_lock(&m->lock);
	if (is_device_error(err))
		set_locked(m, off_of(io), end_of(io), io->count > 1 ? '/' :
			   '-');
	else if (!err && worst_locked(m, off_of(io), end_of(io)) == '/')
		set_locked(m, off_of(io), end_of(io), '+');
	pthread_mutex_unlock(&m->lock);
}

static int map_flush(struct eng_hook *hook)
{
	(void)hook;
	return 0;
}

static void map_free(struct eng_hook *hook)
{
	(void)hook;
}

int map_attach(struct map *m, struct eng_dev *dev)
{
	struct eng_hook *none = NULL;
	uint64_t n = dev->geo.intervals;

	m->size = n ? eng_dev_byte(dev, n - 1) + dev->geo.profile->interval :
		0;
	if (m->n && m->run[m->n - 1].end > m->size)
		m->size = m->run[m->n - 1].end;
	return __atomic_compare_exchange_n(&dev->hook, &none, &m->hook, false,
					   __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE) ? 0 : -EBUSY;
}

/* ---- the file ------------------------------------------------------------------- */

static int take_line(struct map *m, const char *line)
{
	unsigned long long off, size;
	int used = 0;
	char status;

	if (sscanf(line, "%llx %llx %c %n", &off, &size, &status, &used) != 3 ||
	    line[used] || !strchr("?*/-+", status) || off + size < off ||
	    (m->n && off < m->run[m->n - 1].end))
		return -EINVAL;
	if (!size || status == '?')
		return 0;
	return insert_locked(m, m->n, (struct run){ off, off + size, status });
}

/* Comments, one line about where ddrescue was, and the runs. */
static int read_file(struct map *m, FILE *f)
{
	bool had_status = false;
	char line[256];
	int err = 0;

	while (!err && fgets(line, sizeof(line), f)) {
		if (*line == '#' || *line == '\n')
			continue;
		if (had_status)
			err = take_line(m, line);
		had_status = true;
	}
	if (!err && ferror(f))
		err = -EIO;
	return err;
}

static int load(struct map *m)
{
	FILE *f = fopen(m->path, "re");
	int err;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	err = read_file(m, f);
	fclose(f);
	return err;
}

static void write_run(FILE *f, uint64_t off, uint64_t end, char status)
{
	if (off < end)
		fprintf(f, "0x%08llX  0x%08llX  %c\n",
			(unsigned long long)off,
			(unsigned long long)(end - off), status);
}

static void write_locked(const struct map *m, FILE *f)
{
	uint64_t at = 0;

	fprintf(f, "# Mapfile. Created by tagfsctl\n"
		"# current_pos  current_status  current_pass\n"
		"0x00000000     ?               1\n"
		"#      pos        size  status\n");
	for (size_t i = 0; i < m->n; i++) {
		write_run(f, at, m->run[i].off, '?');
		write_run(f, m->run[i].off, m->run[i].end, m->run[i].status);
		at = m->run[i].end;
	}
	write_run(f, at, m->size, '?');
}

static int write_file(struct map *m)
{
	FILE *f = fopen(m->temp, "we");
	int err;

	if (!f)
		return -errno;
	write_locked(m, f);
	err = fflush(f) || fdatasync(fileno(f)) ? -errno : 0;
	if (fclose(f) && !err)
		err = -errno;
	if (!err && rename(m->temp, m->path))
		err = -errno;
	if (err)
		unlink(m->temp);
	return err;
}

int map_save(struct map *m, bool now)
{
	int err;

	pthread_mutex_lock(&m->lock);
	err = m->err;
	if (!err && m->changed &&
	    (now || time(NULL) >= m->saved + SAVE_SECONDS)) {
		err = write_file(m);
		m->changed = err;
		m->saved = time(NULL);
	}
	pthread_mutex_unlock(&m->lock);
	return err;
}

uint64_t map_bad(struct map *m)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->n; i++)
		if (m->run[i].status == '-' || m->run[i].status == '/')
			sum += m->run[i].end - m->run[i].off;
	pthread_mutex_unlock(&m->lock);
	return sum;
}

void map_close(struct map *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m->run);
	free(m->path);
	free(m->temp);
	free(m);
}

int map_open(struct map **out, const char *path)
{
	struct map *m = calloc(1, sizeof(*m));
	int err;

	*out = m;
	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	m->hook = (struct eng_hook){ map_begin, map_end, map_flush, map_free };
	m->changed = true;
	m->path = strdup(path);
	if (asprintf(&m->temp, "%s.new", path) < 0)
		m->temp = NULL;
	err = m->path && m->temp ? load(m) : -ENOMEM;
	if (err) {
		map_close(m);
		*out = NULL;
	}
	return err;
}
