/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_raw.h - storage in memory that can lose, tear, rot and lie.
 *
 * A struct sim is a disk; its struct eng_raw, from sim_raw(), is opened with
 * eng_soft_open() and may be closed and opened again any number of times:
 * closing it keeps the disk.  Writes are visible at once and durable after a
 * flush; what a power cut leaves of the others is up to a seed:
 *
 *	for (n = 0; ; n++) {
 *		struct sim *sim = sim_clone(base);
 *		sim_power_off_at(sim, n);
 *		run the operations, on errors go on to eng_dev_close();
 *		if (!sim_is_off(sim))
 *			break;			all of them were tried
 *		sim_crash(sim, seed);
 *		open again, look what is there;
 *		sim_destroy(sim);
 *	}
 *
 * Everything depends on seeds alone, unless the mode is SIM_THREAD or several
 * threads submit.  Thread-safe, but for create, clone, destroy, set_mode. */
#ifndef SIM_RAW_H
#define SIM_RAW_H

#include "io/raw.h"

struct sim;	/* fields: sim_raw.c */

enum sim_mode {
	SIM_INLINE,	/* I/O completes inside submit */
	SIM_MANUAL,	/* in sim_run(), in an order that depends on the seed;
			 * engine code that has to wait runs it by itself */
	SIM_THREAD,	/* on a thread, in such an order */
};

struct sim *sim_create(uint64_t size, uint64_t seed);
/* The same disk once more, unflushed writes included; SIM_INLINE, no faults.
 * Nothing may be in flight. */
struct sim *sim_clone(struct sim *sim);
void sim_destroy(struct sim *sim);	/* NULL is fine */
struct eng_raw *sim_raw(struct sim *sim);
/* While closed. */
void sim_set_mode(struct sim *sim, enum sim_mode mode);
/* While closed: opens are read-only, and a write fails an assertion. */
void sim_set_rdonly(struct sim *sim, bool rdonly);
/* While closed: as when a file grows or is truncated. */
void sim_resize(struct sim *sim, uint64_t size);

/* SIM_MANUAL: complete up to max requests; how many it were. */
unsigned int sim_run(struct sim *sim, unsigned int max);

/* ---- power ------------------------------------------------------------ */

/* The power goes during write n from now, 0 the next (discards count): that
 * one may or may not arrive, it and all later I/O fail with -EIO.  SIM_NOW:
 * it is off. */
#define SIM_NOW	UINT64_MAX
void sim_power_off_at(struct sim *sim, uint64_t n);
bool sim_is_off(struct sim *sim);
/* Each unflushed write is kept, dropped, or torn by sectors of 512 bytes;
 * then the power is on again.  Close the device first. */
void sim_crash(struct sim *sim, uint64_t seed);

enum sim_arrive {
	SIM_NOTHING,
	SIM_ALL,
	SIM_FRONTS,	/* the first half of each, by sectors */
	SIM_BACKS,	/* the other half */
	SIM_OTHERS,	/* every other one, the newest among them */
	SIM_NEWEST,	/* alone */
	SIM_ARRIVES
};

/* The same with nothing left to chance, for who wants each case. */
void sim_crash_as(struct sim *sim, enum sim_arrive how);
/* All unflushed writes become durable, or are forgotten. */
void sim_settle(struct sim *sim, bool keep);

/* ---- faults ----------------------------------------------------------- */

enum sim_fault {
	SIM_READ_FAIL,		/* with arg, a negative errno */
	SIM_READ_STALE,		/* what was there before the last write; needs
				 * sim_keep_old() */
	SIM_READ_MISDIRECTED,	/* what is arg bytes further (or back) */
	SIM_READ_CACHE,		/* a host's cache has it with its bits turned;
				 * reads that go past it are spared */
	SIM_WRITE_FAIL,		/* with arg; nothing is written */
	SIM_WRITE_LOST,		/* said to be done, isn't */
	SIM_WRITE_MISDIRECTED,	/* goes arg bytes further (or back) */
	SIM_WRITE_TORN,		/* said to be done; some sectors are not */
	SIM_FLUSH_FAIL,		/* with arg; nothing becomes durable */
	SIM_FLUSH_LOST,		/* said to be done, isn't */
	SIM_DISCARD_FAIL,	/* with arg */
};

/* The fault hits requests that touch [off, off + len), and flushes whatever
 * they are: the first skip of them are spared, the next count hit (0: all). */
void sim_fault(struct sim *sim, enum sim_fault what, uint64_t off,
	       uint64_t len, int64_t arg, unsigned int skip,
	       unsigned int count);
void sim_clear_faults(struct sim *sim);
/* How many requests were hit since the last clear. */
uint64_t sim_faults_hit(struct sim *sim);
void sim_keep_old(struct sim *sim);

/* ---- behind the engine's back ----------------------------------------- */

void sim_flip(struct sim *sim, uint64_t off, uint8_t mask);
void sim_peek(struct sim *sim, uint64_t off, void *buf, size_t len);
/* Durable at once. */
void sim_poke(struct sim *sim, uint64_t off, const void *buf, size_t len);
/* To and from a sparse file, for the tools.  0 or -errno. */
int sim_save(struct sim *sim, const char *path);
int sim_load(struct sim **out, const char *path, uint64_t seed);

struct sim_counts {
	uint64_t	reads, writes, flushes, discards;
	uint64_t	read_bytes, written_bytes;
	uint64_t	unflushed;	/* writes, now */
	uint64_t	blocks;		/* of 4096 bytes in memory, now */
};

void sim_counts(struct sim *sim, struct sim_counts *out);
/* Called before each write takes effect, without locks.  NULL: no more. */
void sim_on_write(struct sim *sim, void (*fn)(void *arg, uint64_t off,
					     uint64_t len), void *arg);

/* The generator that all of it uses: splitmix64. */
uint64_t sim_rand(uint64_t *state);

#endif
