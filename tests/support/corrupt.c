/* SPDX-License-Identifier: GPL-2.0-or-later */
/* corrupt.c - damage an image by seed, and prove what is read from it.
 *
 *	corrupt hit KIND SEED COUNT IMAGE [OLD]
 *	corrupt compare ORIGINAL COPY
 *
 * KIND is what happens to COUNT random clusters that hold something:
 *
 *	flip		a bit of the data
 *	tuple		a bit of a tuple
 *	page		64 bytes of the zone's tuple page become noise
 *	swap		data of two clusters change places
 *	move		data and tuples do
 *	misdirect	data and tuples do, and the addresses in them are set
 *			right: only the application tag can tell
 *	revert		a cluster that differs from OLD, an earlier copy of
 *			the image, is as it was there, tuples too: a lost write
 *	log		a bit of the log; all others leave the log alone
 *
 * (1) In all but "page" the checksums of tuple pages are made right, so that
 *     it is the tuples which must tell.
 * (2) compare wants from COPY, for every block of every file of ORIGINAL, the
 *     same bytes or an error; and every name, and no other, or an error.
 *     "refused FILE" says that some of its content could not be read, "lost
 *     FILE" that the file itself could not. */
#include "config.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format.h"
#include "soft/layout.h"

#define TRIES	1000000
#define NOISE	64u

struct image {
	int		fd;
	struct soft_layout lay;
	uint64_t	id;
	uint32_t	group_bytes;	/* of a cluster's data */
	uint32_t	meta_bytes;	/* and of its tuples */
	uint64_t	log_end;	/* cluster after the log */
};

/* A cluster, and the newest tuple page of its zone. */
struct spot {
	uint64_t	zone;
	uint32_t	group;		/* in the zone */
	uint64_t	page_off;	/* of that page in the image */
	struct soft_disk_page page;
	uint8_t		data[65536];
};

static uint64_t seed;

/* splitmix64 */
static uint64_t rnd(uint64_t below)
{
	uint64_t x = seed += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (x ^ (x >> 31)) % below;
}

static void get(const struct image *im, uint64_t off, void *buf, size_t len)
{
	if (pread(im->fd, buf, len, (off_t)off) != (ssize_t)len)
		err(99, "read at %llu", (unsigned long long)off);
}

static void put(const struct image *im, uint64_t off, const void *buf,
		size_t len)
{
	if (pwrite(im->fd, buf, len, (off_t)off) != (ssize_t)len)
		err(99, "write at %llu", (unsigned long long)off);
}

/* ---- the container ------------------------------------------------------ */

static void find_log(struct image *im)
{
	struct tfs_disk_super super;

	get(im, soft_data_off(&im->lay, 0, 0), &super, sizeof(super));
	im->log_end = get_le64(super.log_start) + get_le64(super.log_clusters);
}

static void image_open(struct image *im, const char *name)
{
	struct soft_disk_head head;
	const struct eng_profile *p;

	im->fd = open(name, O_RDWR);
	if (im->fd < 0)
		err(99, "%s", name);
	get(im, 0, &head, sizeof(head));
	if (get_le64(head.magic) != SOFT_HEAD_MAGIC)
		errx(99, "%s: no container", name);
	for (unsigned int i = 0; (p = eng_profile_at(i)); i++)
		if (p->interval == get_le32(head.interval) &&
		    p->meta_size == get_le16(head.meta_size) &&
		    p->pi_offset == get_le16(head.pi_offset) &&
		    p->pi_size == head.pi_size && p->type == head.type)
			break;
	if (!p || soft_layout(&im->lay, p, get_le64(head.size)))
		errx(99, "%s: unknown format", name);
	im->id = get_le64(head.id);
	im->group_bytes = im->lay.group * p->interval;
	im->meta_bytes = im->lay.group * p->meta_size;
	if (im->group_bytes > sizeof(((struct spot *)0)->data))
		errx(99, "%s: clusters too big", name);
	find_log(im);
}

static uint64_t data_off(const struct image *im, const struct spot *s)
{
	return soft_data_off(&im->lay, s->zone, s->group * im->lay.group);
}

static uint8_t *spot_tuples(const struct image *im, struct spot *s)
{
	return s->page.tuples + s->group * im->meta_bytes;
}

/* The newest page of s->zone.  False: none was ever written. */
static bool load_page(const struct image *im, struct spot *s)
{
	struct soft_disk_page page;
	uint64_t best = 0;

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t off = soft_zone_off(&im->lay, s->zone) +
			i * SOFT_BLOCK;

		get(im, off, &page, sizeof(page));
		if (get_le64(page.magic) != SOFT_PAGE_MAGIC ||
		    get_le64(page.id) != im->id || get_le64(page.gen) <= best)
			continue;
		best = get_le64(page.gen);
		s->page = page;
		s->page_off = off;
	}
	return best;
}

/* (1) */
static void store_page(const struct image *im, struct spot *s)
{
	soft_page_seal(&s->page);
	put(im, s->page_off, &s->page, sizeof(s->page));
}

/* An application tag of all ones is a cluster without content. */
static bool has_content(const struct image *im, struct spot *s)
{
	const uint8_t *app = spot_tuples(im, s) + im->lay.profile->pi_offset +
		(im->lay.profile->pi_size == 16 ? 8 : 2);

	return app[0] != 0xff || app[1] != 0xff;
}

static void load_data(const struct image *im, struct spot *s)
{
	get(im, data_off(im, s), s->data, im->group_bytes);
}

static void store_data(const struct image *im, const struct spot *s)
{
	put(im, data_off(im, s), s->data, im->group_bytes);
}

static bool in_log(const struct image *im, const struct spot *s)
{
	uint64_t cluster = s->zone * (im->lay.zone_intervals / im->lay.group) +
		s->group;

	return cluster >= TFS_AT_LOG && cluster < im->log_end;
}

static void pick(const struct image *im, struct spot *s, bool of_log)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		s->zone = rnd(im->lay.zones);
		s->group = (uint32_t)rnd(soft_zone_count(&im->lay, s->zone) /
					 im->lay.group);
		if (in_log(im, s) == of_log && load_page(im, s) &&
		    has_content(im, s)) {
			load_data(im, s);
			return;
		}
	}
	errx(99, "the image is empty");
}

/* ---- damage --------------------------------------------------------------- */

static void flip_bit(void *buf, size_t len)
{
	size_t at = rnd(len);

	((uint8_t *)buf)[at] ^= (uint8_t)(1 << rnd(8));
}

static void hit_flip(const struct image *im, struct spot *s)
{
	flip_bit(s->data, im->group_bytes);
	store_data(im, s);
}

static void hit_tuple(const struct image *im, struct spot *s)
{
	flip_bit(spot_tuples(im, s), im->meta_bytes);
	store_page(im, s);
}

static void hit_page(const struct image *im, struct spot *s)
{
	uint64_t off = s->page_off + rnd(SOFT_BLOCK - NOISE);
	uint8_t noise[NOISE];

	for (unsigned int i = 0; i < NOISE; i++)
		noise[i] = (uint8_t)rnd(256);
	put(im, off, noise, NOISE);
}

static void set_refs(const struct image *im, struct spot *s)
{
	const struct eng_profile *p = im->lay.profile;
	uint64_t ref = s->zone * im->lay.zone_intervals +
		s->group * im->lay.group;
	uint8_t *t = spot_tuples(im, s) + p->pi_offset;

	if (p->type == 3)
		return;
	for (unsigned int i = 0; i < im->lay.group; i++, ref++)
		for (unsigned int b = 0; b < 4; b++)
			t[i * p->meta_size + p->pi_size - 1u - b] =
				(uint8_t)(ref >> 8 * b);
}

/* Exchange what is in a and b; both may be in one zone. */
static void exchange(const struct image *im, struct spot *a, struct spot *b,
		     bool tuples, bool refs)
{
	uint8_t data[sizeof(a->data)], ta[SOFT_ROOM], tb[SOFT_ROOM];

	memcpy(data, a->data, im->group_bytes);
	memcpy(a->data, b->data, im->group_bytes);
	memcpy(b->data, data, im->group_bytes);
	store_data(im, a);
	store_data(im, b);
	if (!tuples)
		return;
	memcpy(ta, spot_tuples(im, a), im->meta_bytes);
	memcpy(tb, spot_tuples(im, b), im->meta_bytes);
	memcpy(spot_tuples(im, a), tb, im->meta_bytes);
	if (refs)
		set_refs(im, a);
	store_page(im, a);
	load_page(im, b);	/* it may be the same one */
	memcpy(spot_tuples(im, b), ta, im->meta_bytes);
	if (refs)
		set_refs(im, b);
	store_page(im, b);
}

/* False: this cluster is as it was. */
static bool hit_revert(const struct image *im, const struct image *old,
		       struct spot *s)
{
	static struct spot was;

	was.zone = s->zone;
	was.group = s->group;
	if (!load_page(old, &was))
		return false;
	load_data(old, &was);
	if (!has_content(old, &was) ||
	    !memcmp(was.data, s->data, im->group_bytes))
		return false;
	memcpy(spot_tuples(im, s), spot_tuples(old, &was), im->meta_bytes);
	store_page(im, s);
	memcpy(s->data, was.data, im->group_bytes);
	store_data(im, s);
	return true;
}

static void hit(const struct image *im, const struct image *old,
		const char *kind)
{
	static struct spot a, b;

	pick(im, &a, !strcmp(kind, "log"));
	if (!strcmp(kind, "flip") || !strcmp(kind, "log")) {
		hit_flip(im, &a);
	} else if (!strcmp(kind, "tuple")) {
		hit_tuple(im, &a);
	} else if (!strcmp(kind, "page")) {
		hit_page(im, &a);
	} else if (!strcmp(kind, "revert") && old) {
		for (unsigned int i = 0; !hit_revert(im, old, &a); i++) {
			if (i == TRIES)
				errx(99, "nothing has changed");
			pick(im, &a, false);
		}
	} else {
		do
			pick(im, &b, false);
		while (!memcmp(a.data, b.data, im->group_bytes));
		if (!strcmp(kind, "swap"))
			exchange(im, &a, &b, false, false);
		else if (!strcmp(kind, "move"))
			exchange(im, &a, &b, true, false);
		else if (!strcmp(kind, "misdirect"))
			exchange(im, &a, &b, true, true);
		else
			errx(99, "%s: unknown kind", kind);
	}
}

/* ---- proof ----------------------------------------------------------------- */

static struct {
	unsigned long files, right, refused, lost, wrong;
} sum;

static void lost(const char *name)
{
	sum.lost++;
	printf("lost %s: %s\n", name, strerror(errno));
}

static void wrong(const char *name, const char *what)
{
	sum.wrong++;
	printf("# wrong: %s: %s\n", name, what);
}

static void compare_content(const char *orig, const char *copy,
			    const char *name)
{
	int a = open(orig, O_RDONLY), b = open(copy, O_RDONLY);
	unsigned char want[4096], got[4096];
	unsigned long bad = 0;
	ssize_t len;

	if (a < 0)
		err(99, "%s", orig);
	if (b < 0) {
		lost(name);
		close(a);
		return;
	}
	for (off_t off = 0; (len = pread(a, want, sizeof(want), off)) > 0;
	     off += len) {
		ssize_t res = pread(b, got, sizeof(got), off);

		if (res < 0)
			bad++;	/* EIO; EUCLEAN if metadata is lost */
		else if (res != len || memcmp(want, got, (size_t)len))
			wrong(name, "content");
		else
			sum.right++;
	}
	if (bad)
		printf("refused %s\n", name);
	sum.refused += bad;
	close(a);
	close(b);
}

static void compare_link(const char *orig, const char *copy, const char *name)
{
	char want[PATH_MAX], got[PATH_MAX];
	ssize_t a = readlink(orig, want, sizeof(want));
	ssize_t b = readlink(copy, got, sizeof(got));

	if (b < 0)
		lost(name);
	else if (a != b || memcmp(want, got, (size_t)a))
		wrong(name, "target");
	else
		sum.right++;
}

static void compare_dir(const char *orig, const char *copy, const char *name);

static void compare_any(const char *orig, const char *copy, const char *name)
{
	struct stat a, b;

	sum.files++;
	if (lstat(orig, &a))
		err(99, "%s", orig);
	if (lstat(copy, &b)) {
		if (errno == ENOENT)
			wrong(name, "missing");
		else
			lost(name);
		return;
	}
	if (a.st_mode != b.st_mode ||
	    (!S_ISDIR(a.st_mode) && a.st_size != b.st_size))
		wrong(name, "attributes");
	else if (S_ISDIR(a.st_mode))
		compare_dir(orig, copy, name);
	else if (S_ISREG(a.st_mode))
		compare_content(orig, copy, name);
	else if (S_ISLNK(a.st_mode))
		compare_link(orig, copy, name);
}

/* Are all names of b in a?  An error in reading them is one refusal. */
static void no_other_names(const char *orig, const char *copy,
			   const char *name)
{
	char path[2 * PATH_MAX];
	DIR *d = opendir(copy);
	struct dirent *de;
	struct stat st;

	if (!d) {
		lost(name);
		return;
	}
	while (errno = 0, (de = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", orig, de->d_name);
		if (lstat(path, &st))
			wrong(path, "should not be there");
	}
	if (errno)
		lost(name);
	closedir(d);
}

static void compare_dir(const char *orig, const char *copy, const char *name)
{
	char a[2 * PATH_MAX], b[2 * PATH_MAX], n[2 * PATH_MAX];
	DIR *d = opendir(orig);
	struct dirent *de;

	if (!d)
		err(99, "%s", orig);
	while ((de = readdir(d))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		snprintf(a, sizeof(a), "%s/%s", orig, de->d_name);
		snprintf(b, sizeof(b), "%s/%s", copy, de->d_name);
		snprintf(n, sizeof(n), "%s/%s", name, de->d_name);
		compare_any(a, b, n);
	}
	closedir(d);
	no_other_names(orig, copy, name);
}

int main(int argc, char **argv)
{
	struct image im, old;

	if (argc == 4 && !strcmp(argv[1], "compare")) {
		compare_any(argv[2], argv[3], "");
		printf("# %lu files: %lu blocks right, %lu refused, "
		       "%lu lost, %lu wrong\n", sum.files, sum.right,
		       sum.refused, sum.lost, sum.wrong);
		return sum.wrong ? 1 : 0;
	}
	if (argc < 6 || strcmp(argv[1], "hit"))
		return 99;
	image_open(&im, argv[5]);
	if (argc > 6)
		image_open(&old, argv[6]);
	seed = strtoull(argv[3], NULL, 10);
	for (int n = atoi(argv[4]); n; n--)
		hit(&im, argc > 6 ? &old : NULL, argv[2]);
	return 0;
}
