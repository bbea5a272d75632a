/* SPDX-License-Identifier: GPL-2.0-or-later */
/* life.c - steps, done to a filesystem and its model.  See life.h. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/life_priv.h"

static unsigned long steps_done;

unsigned long life_steps(void)
{
	return steps_done;
}

void life_begin(struct life *l, const struct story *st, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->st = st;
	l->seed = seed;
	pthread_mutex_init(&l->lock, NULL);
}

void life_end(struct life *l)
{
	life_forget(l, l->steps);
	model_destroy(l->m);
	free(l->past);
	bed_free(&l->bed);
	pthread_mutex_destroy(&l->lock);
}

void life_broken(const struct life *l, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ck_abort_msg("TAGFS_CASE=%s:%llu%s%s, step %llu: %s", l->st->name,
		     (unsigned long long)l->seed, l->cut[0] ? ":" : "", l->cut,
		     (unsigned long long)l->steps, text);
	abort();
}

static void show_step(const struct life *l, const struct step *s, int res)
{
	char buf[700];

	fprintf(stderr, "%llu: %s = %s\n", (unsigned long long)l->steps,
		step_text(s, buf, sizeof(buf)), strerror(-res));
}

/* ---- steps, to the core -------------------------------------------------- */

static int core_make(struct life *l, const struct step *s, uint32_t *ino)
{
	struct tfs_new new = {
		.mode = s->mode, .uid = s->uid, .gid = s->uid,
		.target = s->newname, .rdev_major = 5,
		.rdev_minor = (uint32_t)s->seed,
	};
	struct tfs_inode in;
	int err = tfs_create(l->bed.fs, s->dir, s->kind == DO_CREATE ?
			     s->name : NULL, &new, &in);

	if (err)
		return err;
	*ino = in.ino;
	if (s->kind == DO_CREATE)
		tfs_unref(l->bed.fs, in.ino, 1);
	return 0;
}

static int core_link(struct life *l, const struct step *s)
{
	struct tfs_inode in;
	int err = tfs_link(l->bed.fs, s->ino, s->dir, s->name, &in);

	if (!err)
		tfs_unref(l->bed.fs, s->ino, 1);
	return err;
}

static int core_set(struct life *l, const struct step *s)
{
	struct tfs_inode in = { .mode = s->mode, .uid = s->uid,
				.size = s->off };

	return tfs_setattr(l->bed.fs, s->ino, s->kind == DO_CHMOD ?
			   TFS_SET_MODE : s->kind == DO_CHOWN ? TFS_SET_UID :
			   TFS_SET_SIZE, &in);
}

/* A write, or an attribute: bytes that follow from the seed. */
static int core_put(struct life *l, const struct step *s)
{
	uint8_t *buf = malloc(s->len + 1);
	int err;

	bed_fill(buf, s->len, s->seed);
	if (s->kind == DO_WRITE)
		err = tfs_write(l->bed.fs, s->ino, s->off, buf, s->len,
				(unsigned int)s->flags);
	else
		err = tfs_setxattr(l->bed.fs, s->ino, s->name, buf, s->len,
				   s->flags, false);
	free(buf);
	return err;
}

static int core_read(struct life *l, const struct step *s)
{
	const struct model_node *n = model_node(l->m, s->ino);
	uint64_t left = n->in.size > s->off ? n->in.size - s->off : 0;
	uint8_t *buf = malloc(s->len + 1);
	ssize_t got = tfs_read_sync(l->bed.fs, s->ino, s->off, buf, s->len);

	if (got >= 0 && ((uint64_t)got != (left < s->len ? left : s->len) ||
			 (got && memcmp(buf, n->data + s->off, (size_t)got))))
		life_broken(l, "wrong bytes: inode %u, %llu+%llu, %zd read",
			    s->ino, (unsigned long long)s->off,
			    (unsigned long long)s->len, got);
	free(buf);
	return got < 0 ? (int)got : 0;
}

static int core_remount(struct life *l)
{
	int err = tfs_close(l->bed.fs);

	l->bed.fs = NULL;
	eng_dev_close(l->bed.dev);
	l->bed.dev = NULL;
	return err ? err : bed_open(&l->bed);
}

static int core_run(struct life *l, const struct step *s, uint32_t *ino)
{
	struct tfs *fs = l->bed.fs;

	switch (s->kind) {
	case DO_CREATE: case DO_TMPFILE:
		return core_make(l, s, ino);
	case DO_LINK:
		return core_link(l, s);
	case DO_UNLINK:
		return tfs_unlink(fs, s->dir, s->name);
	case DO_RMDIR:
		return tfs_rmdir(fs, s->dir, s->name);
	case DO_RENAME:
		return tfs_rename(fs, s->dir, s->name, s->newdir, s->newname,
				  (unsigned int)s->flags, NULL);
	case DO_CHMOD: case DO_CHOWN: case DO_TRUNCATE:
		return core_set(l, s);
	case DO_WRITE: case DO_SETXATTR:
		return core_put(l, s);
	case DO_RMXATTR:
		return tfs_removexattr(fs, s->ino, s->name);
	case DO_FALLOCATE:
		return tfs_fallocate(fs, s->ino, s->flags, s->off, s->len);
	case DO_READ:
		return core_read(l, s);
	case DO_FSYNC:
		return tfs_fsync(fs, s->ino, s->seed % 2);
	case DO_SYNC:
		return tfs_sync(fs);
	case DO_REMOUNT:
		return core_remount(l);
	default:
		return 0;		/* open and close: references */
	}
}

/* Whatever a call names must be held; what is open stays so. */
static int core_step(struct life *l, const struct step *s, uint32_t *ino)
{
	const uint32_t hold[] = { s->ino, s->dir, s->newdir };
	int err;

	for (int i = 0; i < 3; i++)
		if (hold[i])
			tfs_ref(l->bed.fs, hold[i], 1);
	*ino = s->kind == DO_CREATE || s->kind == DO_TMPFILE ? 0 : s->ino;
	err = core_run(l, s, ino);
	if (s->kind == DO_OPEN)
		tfs_ref(l->bed.fs, s->ino, 1);
	if (s->kind == DO_CLOSE)
		tfs_unref(l->bed.fs, s->ino, 1);
	for (int i = 0; l->bed.fs && i < 3; i++)
		if (hold[i])
			tfs_unref(l->bed.fs, hold[i], 1);
	return err;
}

/* ---- steps, to both (1) -------------------------------------------------- */

static bool same_inode(const struct tfs_inode *a, const struct tfs_inode *b)
{
	return a->ino == b->ino && a->mode == b->mode && a->uid == b->uid &&
		a->gid == b->gid && a->nlink == b->nlink &&
		a->size == b->size && a->rdev_major == b->rdev_major &&
		a->rdev_minor == b->rdev_minor &&
		(!S_ISDIR(a->mode) || a->parent == b->parent);
}

/* What was touched is what the model says, and the model notes the rest. */
void life_note(struct life *l)
{
	struct model_node *n;
	struct tfs_inode in;
	size_t at = 0;

	while ((n = model_touched(l->m, &at))) {
		int err = tfs_getattr(l->bed.fs, n->in.ino, &in);

		if (err)
			life_broken(l, "inode %u: %s", n->in.ino,
				    strerror(-err));
		if (!same_inode(&n->in, &in))
			life_broken(l, "inode %u: mode %o/%o, links %u/%u, "
				    "size %llu/%llu, uid %u/%u, parent %u/%u",
				    in.ino, n->in.mode, in.mode, n->in.nlink,
				    in.nlink, (unsigned long long)n->in.size,
				    (unsigned long long)in.size, n->in.uid,
				    in.uid, n->in.parent, in.parent);
		n->in = in;
	}
	model_settle(l->m);
}

void life_record(struct life *l, bool vague)
{
	if (l->steps + 2 > l->room) {
		l->room = l->room * 2 + 256;
		l->past = realloc(l->past, l->room * sizeof(l->past[0]));
	}
	l->past[l->steps] = (struct past){ model_strict(l->m),
					   model_loose(l->m), vague };
}

void life_forget(struct life *l, uint64_t upto)
{
	struct between **p = &l->between, *b;

	while ((b = *p)) {
		if (b->step > upto) {
			p = &b->next;
			continue;
		}
		*p = b->next;
		model_node_free(b->old);
		model_node_free(b->now);
		free(b);
	}
}

/* The inode as it was, if the step could be seen in the middle: holes come
 * in steps, and a small file leaves the tree before it is written. */
static struct model_node *before(struct life *l, const struct step *s)
{
	const struct model_node *n = model_node(l->m, s->ino);

	if (s->kind != DO_FALLOCATE &&
	    (s->kind != DO_WRITE || n->in.clusters || n->in.size > 1024))
		return NULL;
	return S_ISREG(n->in.mode) ? model_node_copy(n) : NULL;
}

static void record_between(struct life *l, struct model_node *old)
{
	struct model_node *n;
	struct between *b;

	if (!old)
		return;
	n = model_node(l->m, old->in.ino);
	b = malloc(sizeof(*b));
	*b = (struct between){
		.next = l->between, .step = l->steps, .old = old,
		.rest = model_loose(l->m) - n->loose,
		.now = model_node_copy(n),
	};
	l->between = b;
}

/* Is the space really short?  What frees always works. */
static void check_short(struct life *l, const struct step *s)
{
	const struct model_node *n = model_node(l->m, s->ino);
	uint64_t need = s->len / tfs_cluster_size(l->bed.fs) + 80;
	struct statvfs st;

	tfs_statvfs(l->bed.fs, &st);
	if (s->kind == DO_UNLINK || s->kind == DO_RMDIR ||
	    s->kind == DO_RMXATTR || s->kind == DO_FSYNC ||
	    s->kind == DO_SYNC || (s->kind == DO_TRUNCATE &&
				   s->off <= n->in.size))
		life_broken(l, "no space to free space");
	if (st.f_bavail > need + st.f_blocks / 8)
		life_broken(l, "no space, yet %llu clusters are free",
			    (unsigned long long)st.f_bavail);
}

/* Space ran out in the middle: what is there is old or new. */
static void take_middle(struct life *l, const struct step *s,
			const struct model_node *old)
{
	struct model_node *n = model_node(l->m, s->ino), *now, *got;
	struct tfs_inode in;
	uint8_t *buf;
	ssize_t len;

	model_do(l->m, s, 0);
	now = model_node_copy(n);
	if (tfs_getattr(l->bed.fs, s->ino, &in))
		life_broken(l, "no attributes");
	buf = malloc(in.size + 1);
	len = tfs_read_sync(l->bed.fs, s->ino, 0, buf, in.size);
	if (len < 0 || (uint64_t)len != in.size)
		life_broken(l, "read: %zd", len);
	model_adopt(n, buf, in.size);
	got = model_node_copy(n);
	if (!model_between(old, now, got, tfs_cluster_size(l->bed.fs)))
		life_broken(l, "neither old nor new after a lack of space");
	model_node_free(now);
	model_node_free(got);
	free(buf);
}

static bool fatal(int err)
{
	return err == -EIO || err == -EROFS;
}

/* 0, or the error after which nothing goes on: the medium is gone. */
/* The model does what the core has done; old as in before(). */
static void follow(struct life *l, const struct step *s, int want, int got,
		   uint32_t ino, const struct model_node *old)
{
	if (got == -ENOSPC && !want) {
		check_short(l, s);
		if (s->kind == DO_FALLOCATE)
			take_middle(l, s, old);
		else if (old)
			model_adopt(model_node(l->m, s->ino), old->data,
				    old->in.size);
	} else if (got != want) {
		life_broken(l, "expected %s, got %s", strerror(-want),
			    strerror(-got));
	} else if (!got) {
		model_do(l->m, s, ino);
	}
	life_note(l);
	life_record(l, false);
}

/* Of what nobody was told, all may be there. */
static void follow_failure(struct life *l, const struct step *s, int want,
			   uint32_t ino)
{
	if (!want)
		model_do(l->m, s, ino ? ino : UINT16_MAX);
	model_settle(l->m);
	life_record(l, true);
}

static void note_durable(struct life *l)
{
	pthread_mutex_lock(&l->lock);
	l->synced = l->steps;
	pthread_mutex_unlock(&l->lock);
	if (l->answered)
		l->answered(l);
}

int life_step(struct life *l, const struct step *s, uint32_t *ino)
{
	int want = model_expect(l->m, s), got;
	struct model_node *old = want ? NULL : before(l, s);

	got = core_step(l, s, ino);
	l->steps++;
	steps_done++;
	if (getenv("TAGFS_CASE"))
		show_step(l, s, got);
	if (fatal(got))
		follow_failure(l, s, want, *ino);
	else
		follow(l, s, want, got, *ino, old);
	record_between(l, old);
	if (!got && (s->kind == DO_FSYNC || s->kind == DO_SYNC ||
		     s->kind == DO_REMOUNT))
		note_durable(l);
	return fatal(got) ? got : 0;
}
