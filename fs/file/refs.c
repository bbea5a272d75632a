/* SPDX-License-Identifier: GPL-2.0-or-later */
/* refs.c - the inodes in use: references, and locks on ranges of content.
 *  (1) An inode is in the table exactly while it has references, locked
 *      ranges, or somebody waiting for one.
 *  (2) `orphan` is a hint and only ever set: whoever drops the last reference
 *      calls tfs_orphan_reclaim(), which looks whether it is still true.
 *  (3) The shard's lock is a leaf.  The tree lock may be held around it;
 *      nothing that takes a lock is called under it.
 *  (4) Memory is asked for before a lock is taken.  Who counts a reference
 *      under the tree lock brings a spare entry for the table along. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tfs.h"
#include "file/refs.h"

#define SHARDS		64u
#define BUCKETS_MIN	16u

struct range {
	struct range	*next;
	uint64_t	first, last;
};

struct tfs_inuse {
	struct tfs_inuse	*next;
	uint32_t	ino;
	bool		orphan;		/* (2) */
	unsigned int	waiting;	/* for a range */
	uint64_t	count;
	struct range	*ranges;	/* disjoint, in no order */
	struct tfs_inuse	*stale_next;
	struct tfs_inuse	**stale_at;	/* NULL: not marked as stale */
};

struct shard {
	pthread_mutex_t	lock;		/* protects all of the shard */
	pthread_cond_t	freed;		/* some range of some inode */
	struct tfs_inuse	**bucket;
	size_t		buckets;	/* a power of two */
	size_t		refs;
	struct tfs_inuse	*stale;		/* those that are marked */
} __attribute__((aligned(64)));

struct tfs_refs {
	struct shard	shard[SHARDS];
};

static struct shard *shard_lock(struct tfs *fs, uint32_t ino)
{
	struct shard *sh = &fs->refs->shard[ino % SHARDS];

	pthread_mutex_lock(&sh->lock);
	return sh;
}

static struct tfs_inuse **bucket_of(struct shard *sh, uint32_t ino)
{
	return &sh->bucket[ino / SHARDS & (sh->buckets - 1)];
}

static struct tfs_inuse *ref_find(struct shard *sh, uint32_t ino)
{
	struct tfs_inuse *ref = *bucket_of(sh, ino);

	while (ref && ref->ino != ino)
		ref = ref->next;
	return ref;
}

/* Twice the buckets; without memory for them, chains stay longer. */
static void shard_grow(struct shard *sh)
{
	struct tfs_inuse **old = sh->bucket, **at, *ref, *next;
	size_t n = sh->buckets;
	struct tfs_inuse **bucket = calloc(2 * n, sizeof(*bucket));

	if (!bucket)
		return;
	sh->bucket = bucket;
	sh->buckets = 2 * n;
	for (size_t i = 0; i < n; i++) {
		for (ref = old[i]; ref; ref = next) {
			next = ref->next;
			at = bucket_of(sh, ref->ino);
			ref->next = *at;
			*at = ref;
		}
	}
	free(old);
}

/* Its entry, or the spare one as a new entry: (4). */
static struct tfs_inuse *ref_get(struct shard *sh, uint32_t ino,
			   struct tfs_inuse **spare)
{
	struct tfs_inuse *ref = ref_find(sh, ino), **at;

	if (ref)
		return ref;
	if (sh->refs >= sh->buckets)
		shard_grow(sh);
	ref = *spare;
	*spare = NULL;
	assert(ref);
	*ref = (struct tfs_inuse){ .ino = ino };
	at = bucket_of(sh, ino);
	ref->next = *at;
	*at = ref;
	sh->refs++;
	return ref;
}

static void stale_del(struct tfs_inuse *ref)
{
	if (!ref->stale_at)
		return;
	*ref->stale_at = ref->stale_next;
	if (ref->stale_next)
		ref->stale_next->stale_at = ref->stale_at;
	ref->stale_at = NULL;
}

/* Take it out of the table if (1) says so. */
static void ref_settle(struct shard *sh, struct tfs_inuse *ref)
{
	struct tfs_inuse **at = bucket_of(sh, ref->ino);

	if (!ref->count)
		stale_del(ref);
	if (ref->count || ref->ranges || ref->waiting)
		return;
	while (*at != ref)
		at = &(*at)->next;
	*at = ref->next;
	sh->refs--;
	free(ref);
}

int tfs_refs_create(struct tfs_refs **out)
{
	struct tfs_refs *refs = aligned_alloc(64, sizeof(*refs));
	struct shard *sh;

	*out = NULL;
	if (!refs)
		return -ENOMEM;
	for (size_t i = 0; i < SHARDS; i++) {
		sh = &refs->shard[i];
		*sh = (struct shard){ .buckets = BUCKETS_MIN };
		sh->bucket = calloc(sh->buckets, sizeof(*sh->bucket));
		if (!sh->bucket) {
			while (i--)
				free(refs->shard[i].bucket);
			free(refs);
			return -ENOMEM;
		}
		pthread_mutex_init(&sh->lock, NULL);
		pthread_cond_init(&sh->freed, NULL);
	}
	*out = refs;
	return 0;
}

static void shard_destroy(struct shard *sh)
{
	struct tfs_inuse *ref;

	for (size_t i = 0; i < sh->buckets; i++) {
		while ((ref = sh->bucket[i])) {
			assert(!ref->ranges && !ref->waiting);
			sh->bucket[i] = ref->next;
			free(ref);
		}
	}
	free(sh->bucket);
	pthread_cond_destroy(&sh->freed);
	pthread_mutex_destroy(&sh->lock);
}

void tfs_refs_destroy(struct tfs_refs *refs)
{
	if (!refs)
		return;
	for (size_t i = 0; i < SHARDS; i++)
		shard_destroy(&refs->shard[i]);
	free(refs);
}

struct tfs_inuse *tfs_ref_spare(void)
{
	return calloc(1, sizeof(struct tfs_inuse));
}

void tfs_ref_with(struct tfs *fs, uint32_t ino, uint64_t n,
		  struct tfs_inuse **spare)
{
	struct shard *sh = shard_lock(fs, ino);

	ref_get(sh, ino, spare)->count += n;
	pthread_mutex_unlock(&sh->lock);
}

int tfs_ref(struct tfs *fs, uint32_t ino, uint64_t n)
{
	struct tfs_inuse *spare = tfs_ref_spare();

	if (!spare)
		return -ENOMEM;
	if (n)
		tfs_ref_with(fs, ino, n, &spare);
	free(spare);
	return 0;
}

bool tfs_refs_drop(struct tfs *fs, uint32_t ino, uint64_t n)
{
	struct shard *sh = shard_lock(fs, ino);
	struct tfs_inuse *ref = ref_find(sh, ino);
	bool last = false;

	/* The root may be forgotten without ever having been looked up. */
	if (ref && n) {
		ref->count -= n < ref->count ? n : ref->count;
		last = !ref->count && ref->orphan;
		ref_settle(sh, ref);
	}
	pthread_mutex_unlock(&sh->lock);
	return last;
}

bool tfs_refs_held(struct tfs *fs, uint32_t ino)
{
	struct shard *sh = shard_lock(fs, ino);
	struct tfs_inuse *ref = ref_find(sh, ino);
	bool held = ref && ref->count;

	pthread_mutex_unlock(&sh->lock);
	return held;
}

bool tfs_refs_orphan(struct tfs *fs, uint32_t ino)
{
	struct shard *sh = shard_lock(fs, ino);
	struct tfs_inuse *ref = ref_find(sh, ino);
	bool held = ref && ref->count;

	if (held)
		ref->orphan = true;
	pthread_mutex_unlock(&sh->lock);
	return held;
}

static bool range_busy(const struct tfs_inuse *ref, uint64_t first, uint64_t last)
{
	const struct range *r;

	for (r = ref->ranges; r; r = r->next)
		if (first <= r->last && r->first <= last)
			return true;
	return false;
}

int tfs_range_lock(struct tfs *fs, uint32_t ino, uint64_t first,
		   uint64_t last)
{
	struct tfs_inuse *spare = tfs_ref_spare(), *ref;
	struct range *r = malloc(sizeof(*r));
	struct shard *sh;

	if (!spare || !r) {
		free(spare);
		free(r);
		return -ENOMEM;
	}
	sh = shard_lock(fs, ino);
	ref = ref_get(sh, ino, &spare);
	assert(first <= last);
	ref->waiting++;
	while (range_busy(ref, first, last))
		pthread_cond_wait(&sh->freed, &sh->lock);
	ref->waiting--;
	*r = (struct range){ ref->ranges, first, last };
	ref->ranges = r;
	pthread_mutex_unlock(&sh->lock);
	free(spare);
	return 0;
}

void tfs_range_unlock(struct tfs *fs, uint32_t ino, uint64_t first,
		      uint64_t last)
{
	struct shard *sh = shard_lock(fs, ino);
	struct tfs_inuse *ref = ref_find(sh, ino);
	struct range **at, *r;

	assert(ref);
	at = &ref->ranges;
	while (*at && ((*at)->first != first || (*at)->last != last))
		at = &(*at)->next;
	r = *at;
	assert(r);
	*at = r->next;
	if (ref->waiting)
		pthread_cond_broadcast(&sh->freed);
	ref_settle(sh, ref);
	pthread_mutex_unlock(&sh->lock);
	free(r);
}

void tfs_stale_add(struct tfs *fs, uint32_t ino)
{
	struct shard *sh = shard_lock(fs, ino);
	struct tfs_inuse *ref = ref_find(sh, ino);

	if (ref && ref->count && !ref->stale_at) {
		ref->stale_next = sh->stale;
		ref->stale_at = &sh->stale;
		if (sh->stale)
			sh->stale->stale_at = &ref->stale_next;
		sh->stale = ref;
	}
	pthread_mutex_unlock(&sh->lock);
}

unsigned int tfs_stale_take(struct tfs *fs, uint32_t *ino, unsigned int max)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < SHARDS && n < max; i++) {
		struct shard *sh = shard_lock(fs, i);

		while (sh->stale && n < max) {
			ino[n++] = sh->stale->ino;
			stale_del(sh->stale);
		}
		pthread_mutex_unlock(&sh->lock);
	}
	return n;
}
