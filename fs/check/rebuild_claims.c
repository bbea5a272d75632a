/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_claims.c - which clusters are in use, and which were not at which
 * commit: (3) and (5) of rebuild.c. */
#include <stdlib.h>
#include <string.h>

#include "check/rebuild_priv.h"
#include "file/extent.h"
#include "tree/freemap.h"

static uint64_t *bits_of(uint64_t **maps, uint64_t region)
{
	if (!maps[region])
		maps[region] = calloc(TFS_REGION_WORDS, sizeof(uint64_t));
	return maps[region];
}

int tfs_rb_claim(struct rebuild *rb, uint64_t addr, uint64_t len)
{
	while (len && addr < rb->fs->super.clusters) {
		unsigned int bit = addr % TFS_REGION_BITS;
		unsigned int n = TFS_REGION_BITS - bit;
		uint64_t *map = bits_of(rb->claim, addr / TFS_REGION_BITS);

		if (!map)
			return -ENOMEM;
		if (n > len)
			n = len;
		tfs_bits_put(map, bit, n, true);
		addr += n;
		len -= n;
	}
	return 0;
}

/* (3) */
bool tfs_rb_is_dead(const struct rebuild *rb, uint64_t addr, uint64_t seq)
{
	uint64_t region = addr / TFS_REGION_BITS;
	unsigned int bit = addr % TFS_REGION_BITS;
	const uint64_t *map = rb->map[region];

	return seq <= rb->map_seq[region] &&
		(!map || !(map[bit / 64] >> bit % 64 & 1));
}

int tfs_rb_take_map(struct rebuild *rb, const struct tfs_item *item,
		    uint64_t seq)
{
	uint64_t region = item->key.off, *map;

	if (region >= tfs_region_count(rb->fs) ||
	    item->len != TFS_REGION_BYTES)
		return 0;
	map = bits_of(rb->map, region);
	if (!map)
		return -ENOMEM;
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++) {
		uint64_t w;

		memcpy(&w, (const uint8_t *)item->val + 8 * i, 8);
		map[i] = le64toh(w);
	}
	rb->map_seq[region] = seq;
	return 0;
}

/* Between these keys all bitmaps are known; those that are not there are of
 * regions that were free. */
void tfs_rb_know_maps(struct rebuild *rb, const struct tfs_key *low,
		      const struct tfs_key *high, uint64_t seq)
{
	uint64_t n = tfs_region_count(rb->fs);

	for (uint64_t i = 0; i < n; i++) {
		struct tfs_key key = tfs_key(0, TFS_T_REGION, i);

		if (tfs_key_cmp(&key, low) >= 0 &&
		    tfs_key_cmp(&key, high) < 0)
			rb->map_seq[i] = seq;
	}
}

int tfs_rb_claim_extent(struct rebuild *rb, const struct tfs_item *item)
{
	struct tfs_extent ext;

	if (!item->key.obj || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(rb->fs, item, &ext) || !ext.addr)
		return 0;
	rb->mapped += ext.len;
	return tfs_rb_claim(rb, ext.addr, ext.len);
}

/* (5) */
int tfs_rb_guess_maps(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	uint64_t n = tfs_region_count(fs), map[TFS_REGION_WORDS], sum = 0;
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		memset(map, 0, sizeof(map));
		for (unsigned int k = 0; k < TFS_REGION_WORDS; k++)
			map[k] |= (rb->map[i] ? rb->map[i][k] : 0) |
				(rb->claim[i] ? rb->claim[i][k] : 0);
		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_region_guess(fs, i, map);
		pthread_rwlock_unlock(&fs->tree);
		sum += err ? 0 : *tfs_region_free(fs, i);
	}
	fs->free = sum;
	return err;
}
