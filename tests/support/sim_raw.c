/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_raw.c - see sim_raw.h.
 *  (1) A block's `now` is what reads see, its `disk` what survives; both may
 *      be absent: `now` is `disk` then, `disk` is zeros.
 *  (2) The unflushed list has every write since the last flush, in order,
 *      with its bytes: disk + list = now.
 *  (3) end() is called without the lock. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/sim_page.h"
#include "support/sim_raw.h"

#define BLOCK	SIM_PAGE
#define SECTOR	512u

struct sim_block {
	struct sim_block *next;
	uint64_t	no;
	uint8_t		*disk, *now, *old;	/* (1) */
};

/* A write or, without data, a discard: (2) */
struct sim_write {
	struct sim_write *next;
	uint64_t	off, len;
	uint8_t		*data;
};

struct sim_rule {
	struct sim_rule	*next;
	enum sim_fault	what;
	uint64_t	off, len;
	int64_t		arg;
	unsigned int	skip, count;
	bool		spent;
};

struct sim {
	struct eng_raw	raw;
	enum sim_mode	mode;
	uint64_t	rand;
	pthread_mutex_t	lock;		/* all that follows */
	pthread_cond_t	cond;
	struct sim_block **hash;
	size_t		mask;
	struct sim_write *unflushed, **unflushed_tail;
	struct sim_rule	*rules;
	struct sim_counts counts;
	uint64_t	hits;
	bool		keep_old;
	bool		armed, off;
	uint64_t	left;		/* writes until the power goes */
	struct eng_raw_io **queue;	/* submitted, not completed */
	size_t		queued, room;
	size_t		ending;		/* in end() */
	bool		stop;
	pthread_t	thread;
	bool		has_thread;
	void		(*on_write)(void *arg, uint64_t off, uint64_t len);
	void		*on_write_arg;
};

uint64_t sim_rand(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static struct sim *to_sim(struct eng_raw *raw)
{
	return (struct sim *)raw;
}

/* ---- blocks ----------------------------------------------------------- */

static struct sim_block **block_slot(struct sim *sim, uint64_t no)
{
	struct sim_block **p;

	p = &sim->hash[(no * 0x9e3779b97f4a7c15ull >> 32) & sim->mask];
	while (*p && (*p)->no != no)
		p = &(*p)->next;
	return p;
}

static void hash_grow(struct sim *sim)
{
	struct sim_block **old = sim->hash, *b, *next;
	size_t n = sim->mask + 1;

	sim->mask = n * 4 - 1;
	sim->hash = need(calloc(n * 4, sizeof(*sim->hash)));
	for (size_t i = 0; i < n; i++)
		for (b = old[i]; b; b = next) {
			struct sim_block **p = block_slot(sim, b->no);

			next = b->next;
			b->next = NULL;
			*p = b;
		}
	free(old);
}

static struct sim_block *block_get(struct sim *sim, uint64_t no)
{
	struct sim_block **p = block_slot(sim, no), *b = *p;

	if (b)
		return b;
	b = need(calloc(1, sizeof(*b)));
	b->no = no;
	*p = b;
	if (++sim->counts.blocks > sim->mask)
		hash_grow(sim);
	return b;
}

static void block_free(struct sim_block *b)
{
	sim_page_put(&b->disk);
	sim_page_put(&b->now);
	sim_page_put(&b->old);
	free(b);
}

static uint8_t *block_now(const struct sim_block *b)
{
	return b->now ? b->now : b->disk;
}

enum layer { NOW, DISK, OLD };

static void get_bytes(struct sim *sim, enum layer layer, uint64_t off,
		      uint8_t *buf, size_t len)
{
	while (len) {
		const struct sim_block *b = *block_slot(sim, off / BLOCK);
		size_t at = off % BLOCK, n = BLOCK - at;
		const uint8_t *from = b ? block_now(b) : NULL;

		if (b && layer == OLD && b->old)
			from = b->old;
		if (n > len)
			n = len;
		if (from)
			memcpy(buf, from + at, n);
		else
			memset(buf, 0, n);
		off += n, buf += n, len -= n;
	}
}

/* data NULL: zeros. */
static void put_block(struct sim *sim, enum layer layer, uint64_t off,
		      const uint8_t *data, size_t n)
{
	struct sim_block *b = block_get(sim, off / BLOCK);
	uint8_t **page = layer == NOW ? &b->now : &b->disk, *to;

	if (layer == NOW && sim->keep_old) {
		sim_page_put(&b->old);
		b->old = sim_page_ref(block_now(b));
		if (!b->old)
			sim_page_own(&b->old);
	}
	if (layer == NOW && !b->now)
		b->now = sim_page_ref(b->disk);
	sim_page_own(page);
	to = *page + off % BLOCK;
	if (data)
		memcpy(to, data, n);
	else
		memset(to, 0, n);
}

static void put_bytes(struct sim *sim, enum layer layer, uint64_t off,
		      const uint8_t *data, size_t len)
{
	while (len) {
		size_t n = BLOCK - off % BLOCK;

		if (n > len)
			n = len;
		put_block(sim, layer, off, data, n);
		off += n, len -= n;
		if (data)
			data += n;
	}
}

static void zero_block(struct sim *sim, enum layer layer,
		       const struct sim_block *b, uint64_t off, uint64_t end)
{
	uint64_t from = b->no * BLOCK > off ? b->no * BLOCK : off;
	uint64_t to = (b->no + 1) * BLOCK < end ? (b->no + 1) * BLOCK : end;

	if (from < to)
		put_block(sim, layer, from, NULL, to - from);
}

/* Only blocks that exist can need zeros; len may be huge. */
static void zero_bytes(struct sim *sim, enum layer layer, uint64_t off,
		       uint64_t len)
{
	uint64_t end = off + len;
	struct sim_block *b;

	if (len / BLOCK < sim->mask) {
		for (uint64_t no = off / BLOCK; no * BLOCK < end; no++)
			if ((b = *block_slot(sim, no)))
				zero_block(sim, layer, b, off, end);
		return;
	}
	for (size_t i = 0; i <= sim->mask; i++)
		for (b = sim->hash[i]; b; b = b->next)
			zero_block(sim, layer, b, off, end);
}

/* ---- unflushed writes ------------------------------------------------- */

static void unflushed_add(struct sim *sim, uint64_t off, uint64_t len,
			  uint8_t *data)
{
	struct sim_write *w = need(calloc(1, sizeof(*w)));

	w->off = off;
	w->len = len;
	w->data = data;
	*sim->unflushed_tail = w;
	sim->unflushed_tail = &w->next;
	sim->counts.unflushed++;
}

static void write_to_disk(struct sim *sim, const struct sim_write *w)
{
	if (w->data)
		put_bytes(sim, DISK, w->off, w->data, w->len);
	else
		zero_bytes(sim, DISK, w->off, w->len);
}

static void write_torn(struct sim *sim, enum layer layer,
		       const struct sim_write *w, uint64_t *rand)
{
	uint64_t sectors = w->len / SECTOR, cut = sim_rand(rand) % sectors;
	unsigned int how = sim_rand(rand) % 3;

	if (!w->data)
		return;
	for (uint64_t i = 0; i < sectors; i++)
		if (how == 0 ? i < cut : how == 1 ? i > cut :
		    sim_rand(rand) % 2)
			put_bytes(sim, layer, w->off + i * SECTOR,
				  w->data + i * SECTOR, SECTOR);
}

/* Reads see the disk again; (2) holds with an empty list. */
static void unflushed_clear(struct sim *sim)
{
	struct sim_write *w;

	while ((w = sim->unflushed)) {
		sim->unflushed = w->next;
		free(w->data);
		free(w);
	}
	sim->unflushed_tail = &sim->unflushed;
	sim->counts.unflushed = 0;
	for (size_t i = 0; i <= sim->mask; i++)
		for (struct sim_block *b = sim->hash[i]; b; b = b->next) {
			sim_page_put(&b->now);
		}
}

static void write_settle(struct sim *sim, struct sim_write *w)
{
	uint64_t end = w->off + w->len;

	write_to_disk(sim, w);
	for (uint64_t no = w->off / BLOCK; w->data && no * BLOCK < end; no++)
		sim_page_put(&block_get(sim, no)->now);
	free(w->data);
	free(w);
}

/* Cheaper than unflushed_clear() if the disk is large: only what was written
 * is looked at.  now == disk in the end, so the order of dropping is free. */
static void flush_all(struct sim *sim)
{
	struct sim_write *w;
	bool zeros = false;

	while ((w = sim->unflushed)) {
		sim->unflushed = w->next;
		zeros |= !w->data;
		write_settle(sim, w);
	}
	sim->unflushed_tail = &sim->unflushed;
	sim->counts.unflushed = 0;
	if (zeros)
		unflushed_clear(sim);
}

/* ---- faults ----------------------------------------------------------- */

static struct sim_rule *rule_hit(struct sim *sim, enum sim_fault what,
				 uint64_t off, uint64_t len)
{
	struct sim_rule *r;

	for (r = sim->rules; r; r = r->next) {
		if (r->what != what || r->spent)
			continue;
		if (len && (off >= r->off + r->len || off + len <= r->off))
			continue;
		if (r->skip) {
			r->skip--;
			continue;
		}
		if (r->count && !--r->count)
			r->spent = true;
		sim->hits++;
		return r;
	}
	return NULL;
}

void sim_fault(struct sim *sim, enum sim_fault what, uint64_t off,
	       uint64_t len, int64_t arg, unsigned int skip,
	       unsigned int count)
{
	struct sim_rule *r = need(calloc(1, sizeof(*r)));

	r->what = what;
	r->off = off;
	r->len = len;
	r->arg = arg;
	r->skip = skip;
	r->count = count;
	pthread_mutex_lock(&sim->lock);
	r->next = sim->rules;
	sim->rules = r;
	pthread_mutex_unlock(&sim->lock);
}

void sim_clear_faults(struct sim *sim)
{
	struct sim_rule *r;

	pthread_mutex_lock(&sim->lock);
	while ((r = sim->rules)) {
		sim->rules = r->next;
		free(r);
	}
	sim->hits = 0;
	pthread_mutex_unlock(&sim->lock);
}

uint64_t sim_faults_hit(struct sim *sim)
{
	uint64_t n;

	pthread_mutex_lock(&sim->lock);
	n = sim->hits;
	pthread_mutex_unlock(&sim->lock);
	return n;
}

void sim_keep_old(struct sim *sim)
{
	sim->keep_old = true;
}

/* ---- one request ------------------------------------------------------ */

static uint64_t io_bytes(const struct eng_raw_io *io)
{
	uint64_t len = 0;

	for (int i = 0; i < io->niov; i++)
		len += io->iov[i].iov_len;
	return len;
}

static void turn_bits(struct eng_raw_io *io)
{
	for (int i = 0; i < io->niov; i++) {
		uint8_t *at = io->iov[i].iov_base;

		for (size_t j = 0; j < io->iov[i].iov_len; j++)
			at[j] = ~at[j];
	}
}

static int read_locked(struct sim *sim, struct eng_raw_io *io)
{
	struct sim_rule *r = rule_hit(sim, SIM_READ_FAIL, io->off, io->len);
	enum layer layer = NOW;
	uint64_t off = io->off;

	sim->counts.reads++;
	if (r)
		return (int)r->arg;
	if (rule_hit(sim, SIM_READ_STALE, io->off, io->len))
		layer = OLD;
	r = rule_hit(sim, SIM_READ_MISDIRECTED, io->off, io->len);
	if (r)
		off += (uint64_t)r->arg;
	for (int i = 0; i < io->niov; i++) {
		get_bytes(sim, layer, off, io->iov[i].iov_base,
			  io->iov[i].iov_len);
		off += io->iov[i].iov_len;
	}
	if (!io->direct && rule_hit(sim, SIM_READ_CACHE, io->off, io->len))
		turn_bits(io);
	sim->counts.read_bytes += io->len;
	return 0;
}

static uint8_t *io_flatten(const struct eng_raw_io *io)
{
	uint8_t *data = need(malloc(io->len)), *at = data;

	for (int i = 0; i < io->niov; i++) {
		memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	return data;
}

/* True: the power goes during this write. */
static bool power_goes(struct sim *sim)
{
	if (!sim->armed || sim->left--)
		return false;
	sim->armed = false;
	sim->off = true;
	return true;
}

static void torn_now(struct sim *sim, struct eng_raw_io *io, uint8_t *data)
{
	struct sim_write w = { .off = io->off, .len = io->len, .data = data };

	write_torn(sim, NOW, &w, &sim->rand);
	/* As now is: what is lost now is lost for good. */
	get_bytes(sim, NOW, w.off, data, w.len);
	unflushed_add(sim, w.off, w.len, data);
}

static int write_locked(struct sim *sim, struct eng_raw_io *io)
{
	struct sim_rule *r = rule_hit(sim, SIM_WRITE_FAIL, io->off, io->len);
	uint64_t off = io->off;
	uint8_t *data;

	assert(!sim->raw.rdonly);
	sim->counts.writes++;
	if (r)
		return (int)r->arg;
	if (rule_hit(sim, SIM_WRITE_LOST, io->off, io->len))
		return 0;
	data = io_flatten(io);
	if (rule_hit(sim, SIM_WRITE_TORN, io->off, io->len)) {
		torn_now(sim, io, data);
		return 0;
	}
	r = rule_hit(sim, SIM_WRITE_MISDIRECTED, io->off, io->len);
	if (r)
		off += (uint64_t)r->arg;
	if (power_goes(sim)) {
		unflushed_add(sim, off, io->len, data);
		return -EIO;
	}
	put_bytes(sim, NOW, off, data, io->len);
	unflushed_add(sim, off, io->len, data);
	sim->counts.written_bytes += io->len;
	return 0;
}

static int perform(struct sim *sim, struct eng_raw_io *io)
{
	int err = -EIO;

	if (io->write && sim->on_write)
		sim->on_write(sim->on_write_arg, io->off, io->len);
	pthread_mutex_lock(&sim->lock);
	if (!sim->off)
		err = io->write ? write_locked(sim, io) :
				  read_locked(sim, io);
	pthread_mutex_unlock(&sim->lock);
	return err;
}

/* ---- completion modes ------------------------------------------------- */

static void enqueue(struct sim *sim, struct eng_raw_io *io)
{
	pthread_mutex_lock(&sim->lock);
	if (sim->queued == sim->room) {
		sim->room = sim->room ? sim->room * 2 : 64;
		sim->queue = need(realloc(sim->queue, sim->room *
					  sizeof(*sim->queue)));
	}
	sim->queue[sim->queued++] = io;
	pthread_cond_broadcast(&sim->cond);
	pthread_mutex_unlock(&sim->lock);
}

static void sim_submit(struct eng_raw *raw, struct eng_raw_io *io)
{
	struct sim *sim = to_sim(raw);

	io->len = io_bytes(io);
	assert(io->len && io->off % SECTOR == 0 && io->len % SECTOR == 0);
	assert(io->niov > 0 && io->niov <= 1024);
	assert(io->off + io->len <= raw->size);
	if (sim->mode == SIM_INLINE)
		eng_raw_end(io, perform(sim, io));
	else
		enqueue(sim, io);
}

/* Any of the queue, not the first.  NULL: empty. */
static struct eng_raw_io *dequeue_locked(struct sim *sim)
{
	struct eng_raw_io *io;
	size_t i;

	if (!sim->queued)
		return NULL;
	i = sim_rand(&sim->rand) % sim->queued;
	io = sim->queue[i];
	sim->queue[i] = sim->queue[--sim->queued];
	sim->ending++;
	return io;
}

static void complete(struct sim *sim, struct eng_raw_io *io)
{
	eng_raw_end(io, perform(sim, io));
	pthread_mutex_lock(&sim->lock);
	sim->ending--;
	pthread_cond_broadcast(&sim->cond);
	pthread_mutex_unlock(&sim->lock);
}

unsigned int sim_run(struct sim *sim, unsigned int max)
{
	struct eng_raw_io *io;
	unsigned int n;

	for (n = 0; n < max; n++) {
		pthread_mutex_lock(&sim->lock);
		io = dequeue_locked(sim);
		pthread_mutex_unlock(&sim->lock);
		if (!io)
			break;
		complete(sim, io);
	}
	return n;
}

static void sim_pump(struct eng_raw *raw)
{
	sim_run(to_sim(raw), 1);
}

static void *sim_thread(void *arg)
{
	struct sim *sim = arg;
	struct eng_raw_io *io;

	pthread_mutex_lock(&sim->lock);
	while (!sim->stop || sim->queued) {
		io = dequeue_locked(sim);
		if (!io) {
			pthread_cond_wait(&sim->cond, &sim->lock);
			continue;
		}
		pthread_mutex_unlock(&sim->lock);
		complete(sim, io);
		pthread_mutex_lock(&sim->lock);
	}
	pthread_mutex_unlock(&sim->lock);
	return NULL;
}

static void stop_thread(struct sim *sim)
{
	if (!sim->has_thread)
		return;
	pthread_mutex_lock(&sim->lock);
	sim->stop = true;
	pthread_cond_broadcast(&sim->cond);
	pthread_mutex_unlock(&sim->lock);
	pthread_join(sim->thread, NULL);
	sim->has_thread = sim->stop = false;
}

/* ---- the other operations --------------------------------------------- */

static int sim_flush(struct eng_raw *raw)
{
	struct sim *sim = to_sim(raw);
	struct sim_rule *r;
	int err = 0;

	pthread_mutex_lock(&sim->lock);
	sim->counts.flushes++;
	if (sim->off)
		err = -EIO;
	else if ((r = rule_hit(sim, SIM_FLUSH_FAIL, 0, 0)))
		err = (int)r->arg;
	else if (!rule_hit(sim, SIM_FLUSH_LOST, 0, 0))
		flush_all(sim);
	pthread_mutex_unlock(&sim->lock);
	return err;
}

static int discard_locked(struct sim *sim, uint64_t off, uint64_t len)
{
	struct sim_rule *r = rule_hit(sim, SIM_DISCARD_FAIL, off, len);

	assert(!sim->raw.rdonly);
	sim->counts.discards++;
	if (r)
		return (int)r->arg;
	if (power_goes(sim)) {
		unflushed_add(sim, off, len, NULL);
		return -EIO;
	}
	zero_bytes(sim, NOW, off, len);
	unflushed_add(sim, off, len, NULL);
	return 0;
}

static int sim_discard(struct eng_raw *raw, uint64_t off, uint64_t len)
{
	struct sim *sim = to_sim(raw);
	int err = -EIO;

	assert(off % SECTOR == 0 && len && len % SECTOR == 0);
	assert(off + len <= raw->size);
	pthread_mutex_lock(&sim->lock);
	if (!sim->off)
		err = discard_locked(sim, off, len);
	pthread_mutex_unlock(&sim->lock);
	return err;
}

static void sim_close(struct eng_raw *raw)
{
	struct sim *sim = to_sim(raw);

	if (sim->mode == SIM_MANUAL)
		sim_run(sim, -1u);
	pthread_mutex_lock(&sim->lock);
	while (sim->queued || sim->ending)
		pthread_cond_wait(&sim->cond, &sim->lock);
	pthread_mutex_unlock(&sim->lock);
}

static const struct eng_raw_ops sim_ops = {
	.submit = sim_submit, .flush = sim_flush, .discard = sim_discard,
	.close = sim_close,
};

static const struct eng_raw_ops sim_manual_ops = {
	.submit = sim_submit, .flush = sim_flush, .discard = sim_discard,
	.close = sim_close, .pump = sim_pump,
};

/* ---- power ------------------------------------------------------------ */

void sim_power_off_at(struct sim *sim, uint64_t n)
{
	pthread_mutex_lock(&sim->lock);
	sim->armed = true;
	sim->off |= n == SIM_NOW;
	sim->left = n;
	pthread_mutex_unlock(&sim->lock);
}

bool sim_is_off(struct sim *sim)
{
	bool off;

	pthread_mutex_lock(&sim->lock);
	off = sim->off;
	pthread_mutex_unlock(&sim->lock);
	return off;
}

/* Four kinds of power cut: nothing arrives; everything; any of it, in any
 * state; everything up to some write. */
static void crash_locked(struct sim *sim, uint64_t seed)
{
	uint64_t rand = seed, n = sim->counts.unflushed, i = 0;
	unsigned int kind = seed < 2 ? (unsigned int)seed :
			    2 + sim_rand(&rand) % 2;
	uint64_t cut = n ? sim_rand(&rand) % n : 0;

	for (struct sim_write *w = sim->unflushed; w; w = w->next, i++) {
		unsigned int fate = sim_rand(&rand) % 3;

		if (kind == 0 || (kind == 3 && i > cut))
			fate = 0;
		else if (kind == 1 || (kind == 3 && i < cut))
			fate = 1;
		if (fate == 1)
			write_to_disk(sim, w);
		else if (fate == 2)
			write_torn(sim, DISK, w, &rand);
	}
	unflushed_clear(sim);
}

void sim_crash(struct sim *sim, uint64_t seed)
{
	pthread_mutex_lock(&sim->lock);
	assert(!sim->queued && !sim->ending);
	crash_locked(sim, seed);
	sim->off = sim->armed = false;
	pthread_mutex_unlock(&sim->lock);
}

/* Write i of n. */
static void arrive(struct sim *sim, const struct sim_write *w,
		   enum sim_arrive how, uint64_t i, uint64_t n)
{
	uint64_t half = w->len / SECTOR / 2 * SECTOR;

	if (how == SIM_ALL || (how == SIM_NEWEST && i + 1 == n) ||
	    (how == SIM_OTHERS && (n - i) % 2))
		write_to_disk(sim, w);
	else if (w->data && how == SIM_FRONTS)
		put_bytes(sim, DISK, w->off, w->data, half);
	else if (w->data && how == SIM_BACKS)
		put_bytes(sim, DISK, w->off + half, w->data + half,
			  w->len - half);
}

void sim_crash_as(struct sim *sim, enum sim_arrive how)
{
	uint64_t i = 0;

	pthread_mutex_lock(&sim->lock);
	assert(!sim->queued && !sim->ending);
	for (struct sim_write *w = sim->unflushed; w; w = w->next)
		arrive(sim, w, how, i++, sim->counts.unflushed);
	unflushed_clear(sim);
	sim->off = sim->armed = false;
	pthread_mutex_unlock(&sim->lock);
}

void sim_settle(struct sim *sim, bool keep)
{
	pthread_mutex_lock(&sim->lock);
	if (keep)
		flush_all(sim);
	else
		unflushed_clear(sim);
	pthread_mutex_unlock(&sim->lock);
}

/* ---- behind the engine's back ----------------------------------------- */

void sim_peek(struct sim *sim, uint64_t off, void *buf, size_t len)
{
	pthread_mutex_lock(&sim->lock);
	get_bytes(sim, NOW, off, buf, len);
	pthread_mutex_unlock(&sim->lock);
}

void sim_poke(struct sim *sim, uint64_t off, const void *buf, size_t len)
{
	pthread_mutex_lock(&sim->lock);
	put_bytes(sim, DISK, off, buf, len);
	put_bytes(sim, NOW, off, buf, len);
	pthread_mutex_unlock(&sim->lock);
}

void sim_flip(struct sim *sim, uint64_t off, uint8_t mask)
{
	uint8_t byte;

	sim_peek(sim, off, &byte, 1);
	byte ^= mask;
	sim_poke(sim, off, &byte, 1);
}

static int save_blocks(struct sim *sim, int fd)
{
	for (size_t i = 0; i <= sim->mask; i++)
		for (struct sim_block *b = sim->hash[i]; b; b = b->next)
			if (block_now(b) && pwrite(fd, block_now(b), BLOCK,
					(off_t)(b->no * BLOCK)) != BLOCK)
				return -EIO;
	return 0;
}

int sim_save(struct sim *sim, const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600), err;

	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&sim->lock);
	err = ftruncate(fd, (off_t)sim->raw.size) ? -errno :
						   save_blocks(sim, fd);
	pthread_mutex_unlock(&sim->lock);
	return close(fd) && !err ? -errno : err;
}

static int load_blocks(struct sim *sim, int fd)
{
	uint8_t buf[BLOCK];
	off_t off = 0;
	ssize_t n;

	while ((off = lseek(fd, off, SEEK_DATA)) >= 0) {
		n = pread(fd, buf, BLOCK, off);
		if (n < 0)
			return -errno;
		put_bytes(sim, DISK, (uint64_t)off, buf, (size_t)n);
		off += n;
	}
	return 0;
}

int sim_load(struct sim **out, const char *path, uint64_t seed)
{
	int fd = open(path, O_RDONLY), err;
	struct stat st;

	*out = NULL;
	if (fd < 0)
		return -errno;
	fstat(fd, &st);
	*out = sim_create((uint64_t)st.st_size, seed);
	err = load_blocks(*out, fd);
	close(fd);
	if (err) {
		sim_destroy(*out);
		*out = NULL;
	}
	return err;
}

void sim_counts(struct sim *sim, struct sim_counts *out)
{
	pthread_mutex_lock(&sim->lock);
	*out = sim->counts;
	pthread_mutex_unlock(&sim->lock);
}

void sim_on_write(struct sim *sim, void (*fn)(void *arg, uint64_t off,
					     uint64_t len), void *arg)
{
	sim->on_write = fn;
	sim->on_write_arg = arg;
}

/* ---- create, destroy -------------------------------------------------- */

struct sim *sim_create(uint64_t size, uint64_t seed)
{
	struct sim *sim = need(calloc(1, sizeof(*sim)));

	sim->raw.ops = &sim_ops;
	sim->raw.size = size;
	sim->raw.serial = true;
	sim->raw.name = "sim";
	sim->rand = seed;
	sim->mask = 1023;
	sim->hash = need(calloc(sim->mask + 1, sizeof(*sim->hash)));
	sim->unflushed_tail = &sim->unflushed;
	pthread_mutex_init(&sim->lock, NULL);
	pthread_cond_init(&sim->cond, NULL);
	return sim;
}

static uint8_t *dup_bytes(const uint8_t *from, size_t len)
{
	return from ? memcpy(need(malloc(len)), from, len) : NULL;
}

struct sim *sim_clone(struct sim *sim)
{
	struct sim *copy = sim_create(sim->raw.size, sim->rand);

	pthread_mutex_lock(&sim->lock);
	assert(!sim->queued && !sim->ending);
	for (size_t i = 0; i <= sim->mask; i++)
		for (struct sim_block *b = sim->hash[i]; b; b = b->next) {
			struct sim_block *c = block_get(copy, b->no);

			c->disk = sim_page_ref(b->disk);
			c->now = sim_page_ref(b->now);
			c->old = sim_page_ref(b->old);
		}
	for (struct sim_write *w = sim->unflushed; w; w = w->next)
		unflushed_add(copy, w->off, w->len,
			      dup_bytes(w->data, w->len));
	copy->keep_old = sim->keep_old;
	pthread_mutex_unlock(&sim->lock);
	return copy;
}

void sim_destroy(struct sim *sim)
{
	struct sim_block *b;

	if (!sim)
		return;
	stop_thread(sim);
	sim_clear_faults(sim);
	unflushed_clear(sim);
	for (size_t i = 0; i <= sim->mask; i++)
		while ((b = sim->hash[i])) {
			sim->hash[i] = b->next;
			block_free(b);
		}
	free(sim->hash);
	free(sim->queue);
	pthread_mutex_destroy(&sim->lock);
	pthread_cond_destroy(&sim->cond);
	free(sim);
}

struct eng_raw *sim_raw(struct sim *sim)
{
	return &sim->raw;
}

void sim_set_mode(struct sim *sim, enum sim_mode mode)
{
	stop_thread(sim);
	sim->mode = mode;
	sim->raw.ops = mode == SIM_MANUAL ? &sim_manual_ops : &sim_ops;
	sim->raw.serial = mode != SIM_THREAD;
	if (mode != SIM_THREAD)
		return;
	if (pthread_create(&sim->thread, NULL, sim_thread, sim))
		abort();
	sim->has_thread = true;
}

void sim_set_rdonly(struct sim *sim, bool rdonly)
{
	sim->raw.rdonly = rdonly;
}

void sim_resize(struct sim *sim, uint64_t size)
{
	sim->raw.size = size;
	for (size_t i = 0; i <= sim->mask; i++)
		for (struct sim_block **p = &sim->hash[i], *b; (b = *p); ) {
			if (b->no * BLOCK < size) {
				p = &b->next;
				continue;
			}
			*p = b->next;
			sim->counts.blocks--;
			block_free(b);
		}
}
