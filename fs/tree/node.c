/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node.c - the bytes of one B+tree node.
 *
 *  (1) A node in memory is the cluster as it goes to the medium, but for
 *      sequence and checksum, which tfs_node_seal() sets in a copy.
 *  (2) Items ascend strictly within [low, high).  Values lie above
 *      header->values, without order; removing leaves a hole, which the next
 *      insertion that needs the room squeezes out.
 *  (3) node->live is the header, the items and their values, without holes.
 *  (4) What tfs_node_decode() passed has sound positions and lengths, and no
 *      values that overlap; past it only the content of values needs checks,
 *      by their decoders. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tree/node.h"

static struct tfs_disk_node *head(const struct tfs_node *node)
{
	return (struct tfs_disk_node *)node->buf;
}

static struct tfs_disk_item *items(const struct tfs_node *node)
{
	return (struct tfs_disk_item *)(node->buf +
					sizeof(struct tfs_disk_node));
}

struct tfs_ptr tfs_ptr_decode(const void *val)
{
	struct tfs_disk_ptr d;

	memcpy(&d, val, sizeof(d));
	return (struct tfs_ptr){
		.addr = { le64toh(d.addr[0]), le64toh(d.addr[1]) },
		.seq = le64toh(d.seq),
	};
}

void tfs_ptr_encode(struct tfs_disk_ptr *d, const struct tfs_ptr *ptr)
{
	d->addr[0] = htole64(ptr->addr[0]);
	d->addr[1] = htole64(ptr->addr[1]);
	d->seq = htole64(ptr->seq);
}

void tfs_node_init(const struct tfs *fs, struct tfs_node *node, uint8_t level,
		   struct tfs_key low, struct tfs_key high)
{
	struct tfs_disk_node *h = head(node);

	memset(node->buf, 0, fs->csize);
	h->magic = htole32(TFS_NODE_MAGIC);
	memcpy(h->nonce, tfs_nonce(fs), TFS_NONCE);
	tfs_key_encode(&h->low, &low);
	tfs_key_encode(&h->high, &high);
	h->level = level;
	h->values = htole32(fs->csize);
	node->level = level;
	node->live = sizeof(*h);
}

unsigned int tfs_node_items(const struct tfs_node *node)
{
	return le16toh(head(node)->items);
}

struct tfs_key tfs_node_low(const struct tfs_node *node)
{
	return tfs_key_decode(&head(node)->low);
}

struct tfs_key tfs_node_high(const struct tfs_node *node)
{
	return tfs_key_decode(&head(node)->high);
}

struct tfs_key tfs_node_key(const struct tfs_node *node, unsigned int i)
{
	return tfs_key_decode(&items(node)[i].key);
}

struct tfs_item tfs_node_item(const struct tfs_node *node, unsigned int i)
{
	const struct tfs_disk_item *it = &items(node)[i];

	return (struct tfs_item){
		.key = tfs_key_decode(&it->key),
		.val = node->buf + le16toh(it->pos),
		.len = le16toh(it->len),
	};
}

unsigned int tfs_node_find(const struct tfs_node *node,
			   const struct tfs_key *key, bool *exact)
{
	unsigned int lo = 0, hi = tfs_node_items(node);

	*exact = false;
	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		struct tfs_key k = tfs_node_key(node, mid);
		int c = tfs_key_cmp(&k, key);

		if (!c) {
			*exact = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

unsigned int tfs_node_child(const struct tfs_node *node,
			    const struct tfs_key *key)
{
	bool exact;
	unsigned int i = tfs_node_find(node, key, &exact);

	return exact || !i ? i : i - 1;
}

struct tfs_ptr tfs_node_ptr(const struct tfs_node *node, unsigned int i)
{
	return tfs_ptr_decode(tfs_node_item(node, i).val);
}

void tfs_node_set_ptr(struct tfs_node *node, unsigned int i,
		      const struct tfs_ptr *ptr)
{
	struct tfs_disk_ptr d;

	tfs_ptr_encode(&d, ptr);
	memcpy(node->buf + le16toh(items(node)[i].pos), &d, sizeof(d));
}

static unsigned int room_after(const struct tfs_node *node, unsigned int n)
{
	return le32toh(head(node)->values) - sizeof(struct tfs_disk_node) -
		n * sizeof(struct tfs_disk_item);
}

bool tfs_node_fits(const struct tfs *fs, const struct tfs_node *node,
		   unsigned int len)
{
	return node->live + sizeof(struct tfs_disk_item) + len <= fs->csize;
}

/* Put an item after the last one; there is contiguous room. */
static void append(struct tfs_node *node, const struct tfs_key *key,
		   const void *val, unsigned int len)
{
	struct tfs_disk_node *h = head(node);
	unsigned int n = tfs_node_items(node);
	uint32_t pos = le32toh(h->values) - len;
	struct tfs_disk_item *it = &items(node)[n];

	assert(sizeof(*h) + (n + 1) * sizeof(*it) + len <=
	       le32toh(h->values));
	if (len)
		memcpy(node->buf + pos, val, len);
	*it = (struct tfs_disk_item){ .pos = htole16(pos),
				      .len = htole16(len) };
	tfs_key_encode(&it->key, key);
	h->values = htole32(pos);
	h->items = htole16(n + 1);
	node->live += sizeof(*it) + len;
}

/* Empty the node, keeping its bounds. */
static void clear(const struct tfs *fs, struct tfs_node *node)
{
	struct tfs_disk_node *h = head(node);

	memset(node->buf + sizeof(*h), 0, fs->csize - sizeof(*h));
	h->items = 0;
	h->values = htole32(fs->csize);
	node->live = sizeof(*h);
}

static struct tfs_node *shadow(const struct tfs *fs,
			       const struct tfs_node *node,
			       struct tfs_node *copy, uint8_t *buf)
{
	memcpy(buf, node->buf, fs->csize);
	*copy = (struct tfs_node){ .buf = buf, .level = node->level };
	return copy;
}

static void compact(const struct tfs *fs, struct tfs_node *node)
{
	uint8_t buf[TFS_CLUSTER_MAX] __attribute__((aligned(8)));
	struct tfs_node old;

	shadow(fs, node, &old, buf);
	clear(fs, node);
	for (unsigned int i = 0; i < tfs_node_items(&old); i++) {
		struct tfs_item it = tfs_node_item(&old, i);

		append(node, &it.key, it.val, it.len);
	}
}

void tfs_node_insert(const struct tfs *fs, struct tfs_node *node,
		     unsigned int i, const struct tfs_key *key,
		     const void *val, unsigned int len)
{
	unsigned int n = tfs_node_items(node);
	struct tfs_disk_item last;

	if (room_after(node, n) < sizeof(struct tfs_disk_item) + len)
		compact(fs, node);
	append(node, key, val, len);
	last = items(node)[n];
	memmove(&items(node)[i + 1], &items(node)[i],
		(n - i) * sizeof(last));
	items(node)[i] = last;
}

void tfs_node_remove(struct tfs_node *node, unsigned int i)
{
	struct tfs_disk_node *h = head(node);
	unsigned int n = tfs_node_items(node);
	struct tfs_disk_item *it = &items(node)[i];
	unsigned int len = le16toh(it->len), pos = le16toh(it->pos);

	memset(node->buf + pos, 0, len);
	if (pos == le32toh(h->values))
		h->values = htole32(pos + len);
	memmove(it, it + 1, (n - i - 1) * sizeof(*it));
	memset(&items(node)[n - 1], 0, sizeof(*it));
	h->items = htole16(n - 1);
	node->live -= sizeof(*it) + len;
}

/* Item j of node as if (key, val, len) stood at i. */
static struct tfs_item virtual_item(const struct tfs_node *node,
				    unsigned int i, unsigned int j,
				    const struct tfs_item *add)
{
	if (j == i)
		return *add;
	return tfs_node_item(node, j < i ? j : j - 1);
}

/* How many of the n + 1 items stay on the left: half of the bytes, or, where
 * the newcomer is the last, all the others (keys often come in order). */
static unsigned int split_at(const struct tfs_node *node, unsigned int i,
			     const struct tfs_item *add)
{
	unsigned int n = tfs_node_items(node), j;
	uint32_t sum = 0, half = (node->live - sizeof(struct tfs_disk_node) +
				  add->len + sizeof(struct tfs_disk_item)) / 2;

	if (i == n)
		return n;
	for (j = 0; j < n && sum < half; j++)
		sum += virtual_item(node, i, j, add).len +
			sizeof(struct tfs_disk_item);
	return j;
}

void tfs_node_split(const struct tfs *fs, struct tfs_node *node,
		    struct tfs_node *right, unsigned int i,
		    const struct tfs_key *key, const void *val,
		    unsigned int len)
{
	uint8_t buf[TFS_CLUSTER_MAX] __attribute__((aligned(8)));
	struct tfs_item add = { .key = *key, .val = val, .len = len };
	unsigned int at = split_at(node, i, &add);
	struct tfs_node old;
	struct tfs_key mid;

	shadow(fs, node, &old, buf);
	mid = virtual_item(&old, i, at, &add).key;
	tfs_node_init(fs, right, node->level, mid, tfs_node_high(node));
	clear(fs, node);
	tfs_key_encode(&head(node)->high, &mid);
	for (unsigned int j = 0; j <= tfs_node_items(&old); j++) {
		struct tfs_item it = virtual_item(&old, i, j, &add);

		append(j < at ? node : right, &it.key, it.val, it.len);
	}
}

bool tfs_node_can_merge(const struct tfs *fs, const struct tfs_node *left,
			const struct tfs_node *right)
{
	return left->live + right->live - sizeof(struct tfs_disk_node) <=
		fs->csize;
}

void tfs_node_merge(const struct tfs *fs, struct tfs_node *left,
		    const struct tfs_node *right)
{
	compact(fs, left);
	head(left)->high = head(right)->high;
	for (unsigned int i = 0; i < tfs_node_items(right); i++) {
		struct tfs_item it = tfs_node_item(right, i);

		append(left, &it.key, it.val, it.len);
	}
}

bool tfs_node_sparse(const struct tfs *fs, const struct tfs_node *node)
{
	return node->live < fs->csize / 3;
}

static size_t crc_at(void)
{
	return offsetof(struct tfs_disk_node, crc);
}

void tfs_node_seal(const struct tfs *fs, void *buf, uint64_t seq)
{
	struct tfs_disk_node *h = buf;

	h->seq = htole64(seq);
	h->crc = htole32(tfs_crc32c(buf, fs->csize, crc_at()));
}

static bool padded(const struct tfs_disk_key *d)
{
	return !d->pad[0] && !d->pad[1] && !d->pad[2];
}

/* Sound pads, position and length; the value's type is its decoder's.  An
 * empty value lies nowhere, but its position is in the node all the same. */
static const char *check_item(const struct tfs *fs,
			      const struct tfs_node *node, unsigned int i,
			      uint32_t values)
{
	const struct tfs_disk_item *it = &items(node)[i];
	uint32_t pos = le16toh(it->pos), len = le16toh(it->len);

	if (it->pad || !padded(&it->key))
		return "item padding";
	if (node->level && len != sizeof(struct tfs_disk_ptr))
		return "length of a node pointer";
	if (len > TFS_VALUE_MAX)
		return "value too long";
	if (pos + len > fs->csize || (len && pos < values))
		return "value out of bounds";
	return NULL;
}

/* A set of bytes of one node. */
struct bytes {
	uint64_t	word[TFS_CLUSTER_MAX / 64];
};

/* False: some of the bytes are in the set already. */
static bool claim(struct bytes *set, uint32_t pos, uint32_t len)
{
	while (len) {
		uint32_t n = 64 - pos % 64;
		uint64_t mask;

		if (n > len)
			n = len;
		mask = (n == 64 ? ~0ull : (1ull << n) - 1) << pos % 64;
		if (set->word[pos / 64] & mask)
			return false;
		set->word[pos / 64] |= mask;
		pos += n;
		len -= n;
	}
	return true;
}

static const char *check_items(const struct tfs *fs, struct tfs_node *node)
{
	struct tfs_disk_node *h = head(node);
	unsigned int n = tfs_node_items(node);
	uint32_t values = le32toh(h->values);
	struct tfs_key low = tfs_node_low(node), high = tfs_node_high(node);
	struct bytes set;

	memset(set.word, 0, fs->csize / 8);
	node->live = sizeof(*h);
	for (unsigned int i = 0; i < n; i++) {
		struct tfs_key key = tfs_node_key(node, i);
		struct tfs_key prev = i ? tfs_node_key(node, i - 1) : low;
		const char *bad = check_item(fs, node, i, values);
		int c = tfs_key_cmp(&prev, &key);

		if (bad)
			return bad;
		if (c > 0 || (i && !c) || tfs_key_cmp(&key, &high) >= 0)
			return "keys out of order";
		if (node->level && !i && c)
			return "first child's bound";
		if (!claim(&set, le16toh(items(node)[i].pos),
			   le16toh(items(node)[i].len)))
			return "values, some overlap";
		node->live += sizeof(struct tfs_disk_item) +
			le16toh(items(node)[i].len);
	}
	return NULL;
}

const char *tfs_node_decode(const struct tfs *fs, struct tfs_node *node,
			    uint8_t level, const struct tfs_key *low,
			    const struct tfs_key *high)
{
	struct tfs_disk_node *h = head(node);
	struct tfs_key l = tfs_node_low(node), u = tfs_node_high(node);
	uint32_t values = le32toh(h->values);

	if (le32toh(h->magic) != TFS_NODE_MAGIC)
		return "magic";
	if (le32toh(h->crc) != tfs_crc32c(node->buf, fs->csize, crc_at()))
		return "checksum";
	if (memcmp(h->nonce, tfs_nonce(fs), TFS_NONCE))
		return "nonce";
	if (le64toh(h->seq) != node->ptr.seq)
		return "sequence";
	if (h->level != level || h->pad)
		return "level";
	if (!padded(&h->low) || !padded(&h->high))
		return "padding of a bound";
	if (tfs_key_cmp(&l, low) || tfs_key_cmp(&u, high))
		return "bounds";
	if (values > fs->csize || values < sizeof(*h) +
	    tfs_node_items(node) * sizeof(struct tfs_disk_item))
		return "number of items";
	if (level && !tfs_node_items(node))
		return "no children";
	node->level = level;
	return check_items(fs, node);
}
