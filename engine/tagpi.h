/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tagpi.h - protection information with application tags, from userspace.
 *
 * The public interface of the integrity engine.  One struct eng_io is one
 * request and carries its own protection payload: data segments, one
 * application tag and one tuple per protection interval.  A write has its
 * tuples generated before it leaves; a read is verified (guard, reference
 * tag, application tag) in a worker pool after its completion and before the
 * caller's own completion runs.
 *
 * Words and layouts: T10 SBC-4 (protection information), NVMe base
 * specification 2.0 and NVM command set (end-to-end data protection), and
 * the Linux UAPI.  Units: an address or a count without another unit is in
 * protection intervals of the device; sizes are bytes.  Functions return 0
 * or a negative errno:
 *	-EBADMSG	verification failed; eng_io.fault says which check
 *	-EILSEQ		the device or the kernel refused the protection info
 *	-EUCLEAN	a structure on the medium is damaged
 *	-EBUSY		somebody else has the device open
 *
 * Memory.  A call that lacks memory fails with -ENOMEM (or NULL), and nothing
 * else fails with it.  These few wait instead, until somebody puts back what
 * they need, and must not be called with a lock that he may want:
 *	eng_io_get(), eng_buf_get()	of their largest size class alone,
 *					which max_io or more than 128 segments
 *					fall into; smaller ones never wait
 *	eng_io_get_wait(), eng_io_prep()
 *	eng_io_clone(), eng_io_split()
 * A request that was submitted needs no more memory, but for a container's
 * tuple pages that are not in its cache.  eng_io_submit() itself may wait for
 * a flush of the container where its cache is full of unwritten tuples, and
 * shortly for a kernel that lacks memory.
 */
#ifndef TAGPI_H
#define TAGPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- profiles: what a protected device looks like --------------------- */

enum eng_guard {
	ENG_GUARD_CRC16,	/* T10-DIF, polynomial 0x8bb7 */
	ENG_GUARD_IP,		/* RFC 1071 checksum, SCSI DIX only */
	ENG_GUARD_CRC64,	/* NVMe 64-bit guard, CRC-64/NVMe */
};

struct eng_profile {
	const char	*name;		/* "512+8:type1", canonical */
	uint32_t	interval;	/* data bytes under one tuple */
	uint16_t	meta_size;	/* metadata bytes per interval */
	uint16_t	pi_offset;	/* where in them the tuple begins */
	uint8_t		pi_size;	/* 8, or 16 with the 64-bit guard */
	uint8_t		type;		/* 1, 2 or 3 */
	enum eng_guard	guard;
	uint8_t		tags;		/* application tags of an interval: 1;
					 * or ENG_TAGS, eng_profile_tags() */
};

/* The profile of that name (aliases such as "512+8" are known), or NULL. */
const struct eng_profile *eng_profile_find(const char *name);
/* Profile number i of the table, or NULL past its end; for listings. */
const struct eng_profile *eng_profile_at(unsigned int i);
/* Is it the same format on a medium? */
bool eng_profile_equal(const struct eng_profile *a, const struct eng_profile *b);
/* What the two differ in, in a word ("interval", "guard", ...); NULL if they
 * are equal, names and numbers of tags apart. */
const char *eng_profile_differs(const struct eng_profile *a,
				const struct eng_profile *b);
/* The same format with that many application tags in each interval, 1 or
 * ENG_TAGS: the tuple's, and after it the others in the first bytes of the
 * metadata beside the tuple, big-endian.  NULL: there is no room for them, or
 * an interval is no run of its own.  Only 1 is in the table; names say
 * ":tags8". */
enum { ENG_TAGS = 8 };
const struct eng_profile *eng_profile_tags(const struct eng_profile *p,
					   unsigned int tags);
/* What Linux calls the format in sysfs: "T10-DIF-TYPE1-CRC". */
const char *eng_profile_format(const struct eng_profile *p);
/* Bytes of an interval that are the caller's, as eng_io_set_tag() fills
 * them: the application tag, type 3's reference tag, and all metadata beside
 * the tuple. */
uint16_t eng_profile_tag_size(const struct eng_profile *p);
/* Sectors of 512 bytes, as Linux counts, in intervals.  Nothing else
 * converts between the two.  -EINVAL: not whole intervals. */
int eng_profile_intervals(const struct eng_profile *p, uint64_t sectors,
			  uint64_t *intervals);
/* Bytes of the smallest power-of-two run of intervals, at least 4096, whose
 * application tags hold tag_bytes. */
uint32_t eng_profile_run(const struct eng_profile *p, unsigned int tag_bytes);

/* ---- what went wrong -------------------------------------------------- */

enum eng_fault_kind {
	ENG_FAULT_NONE,
	ENG_FAULT_GUARD,	/* the bytes changed */
	ENG_FAULT_REF,		/* they belong to another address */
	ENG_FAULT_APP,		/* another owner, offset or write */
	ENG_FAULT_ESCAPE,	/* never written, or deallocated */
	ENG_FAULT_DEVICE,	/* the device refused, and did not say why */
};

struct eng_fault {
	enum eng_fault_kind kind;
	uint64_t	interval;	/* on the device */
	uint64_t	expected;
	uint64_t	actual;
};

const char *eng_fault_name(enum eng_fault_kind kind);

/* Where messages for a person go; the default is standard error.  level is
 * one of syslog(3)'s.  Set once, before anything else is called. */
void eng_log_to(void (*fn)(int level, const char *line));
void eng_log(int level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- verify workers --------------------------------------------------- */

struct eng_pool;	/* fields: pool.c */

/* workers = 0: one per online processor. */
int eng_pool_create(struct eng_pool **out, unsigned int workers);
/* The same promises without threads: work is done where it is queued. */
int eng_pool_create_serial(struct eng_pool **out);
/* All queued work is done first.  NULL is fine. */
void eng_pool_destroy(struct eng_pool *pool);

/* ---- devices ---------------------------------------------------------- */

struct eng_dev;		/* fields: core/dev.h */

enum eng_op { ENG_READ, ENG_WRITE };

struct eng_geometry {
	const struct eng_profile *profile;
	const char	*format;	/* eng_profile_format() */
	uint16_t	tag_size;	/* eng_profile_tag_size() */
	uint64_t	intervals;	/* size of the device */
	uint32_t	max_io;		/* most intervals in one eng_io */
	uint32_t	align;		/* of data segments in memory; 1: any */
	const char	*backend;	/* "block", "nvme", "soft", "mirror" */
	bool		shared;		/* other hosts may have it, too */
	bool		image;		/* a container in which data were left
					 * out, for others to look at */
};

enum {
	ENG_OPEN_RDONLY	= 1,	/* nothing is ever written, not even repairs */
	/* A container without any header is found by its tuple pages; with
	 * RDONLY one that is cut short is opened, with what is left. */
	ENG_OPEN_RESCUE	= 2,
};

struct eng_open {
	unsigned int	flags;		/* ENG_OPEN_* */
	struct eng_pool	*pool;		/* borrowed for the device's life */
	size_t		cache;		/* bytes for cached tuples; 0: default */
	const char	*backend;	/* this one or none; NULL: find out */
	uint64_t	id;		/* RESCUE: of the container that is
					 * meant; 0: the youngest */
};

/* How a path is protected.  The backends, in the order in which they are
 * taken:
 *	block	a block device that stores protection information, tuples
 *		passed through io_uring (IORING_RW_ATTR_FLAG_PI, Linux 6.14)
 *	nvme	the same of an NVMe namespace where the kernel is older:
 *		commands to its generic device (Linux 5.19, and root)
 *	soft	a software container on anything else
 * A container on a device of the first two kinds stays one. */
struct eng_probe {
	const char	*backend;	/* for a new filesystem */
	const struct eng_profile *profile;	/* of the device; soft: NULL */
	char		why[192];	/* this backend, and none before it */
	char		advice[192];	/* a command that would erase it and
					 * turn native protection on, or with
					 * profile: make 16 tag bytes fit a
					 * smaller eng_profile_run(); or "" */
};

/* Nothing is changed or locked.  Errors as for eng_dev_open(). */
int eng_dev_probe(struct eng_probe *out, const char *path);

/* Find out what path is and open it.  The storage under it, by whatever names
 * it is reached, has one user, or readers alone if RDONLY: O_EXCL on a block
 * device, flock and an open file description lock on a file, both on a loop
 * device and what it shows.  On success *out is
 * yours until eng_dev_close(); on error it is NULL and one line that says
 * what, where, expected and found went to the log.
 * -EMEDIUMTYPE: no protected device and no container. */
int eng_dev_open(struct eng_dev **out, const char *path,
		 const struct eng_open *how);
/* Waits for I/O in flight; does not flush.  NULL is fine. */
void eng_dev_close(struct eng_dev *dev);
const struct eng_geometry *eng_dev_geometry(const struct eng_dev *dev);
/* Every write that completed before the call is durable, tuples included,
 * when it returns 0.  Thread-safe; concurrent calls share the work.  After
 * a failure the state of unflushed writes is unknown, and every later flush
 * fails too. */
int eng_dev_flush(struct eng_dev *dev);
/* Tell the device that the content is no longer needed; it reads back as
 * an escape or as before.  -EOPNOTSUPP where it can't. */
int eng_dev_discard(struct eng_dev *dev, uint64_t start, uint64_t count);
/* Does this device generate on writes, or verify on reads?  Both until they
 * are switched off.  Without, a read passes as it comes, and a write needs
 * ENG_IO_PROTECTED.  A switch is for requests that are submitted later. */
bool eng_dev_enabled(const struct eng_dev *dev, enum eng_op op);
void eng_dev_enable(struct eng_dev *dev, enum eng_op op, bool on);
/* Move the bytes of a few intervals, a multiple of 4096 in memory aligned to
 * that, past every cache of this host and without verifying anything: for
 * what hosts that share a device leave each other.  Waits.  A container has no
 * tuples for them: whatever was protected there is not any more.  A device of
 * its own has, and tags are what a write stores.  A write has left this host
 * when it returns, and is no more durable than others before a flush. */
int eng_dev_bypass(struct eng_dev *dev, enum eng_op op, uint64_t start,
		   void *buf, size_t bytes, const uint16_t *tags);
/* From here on each interval has so many application tags, 1 (as every device is
 * opened) or ENG_TAGS, wherever tags are given or told.  A medium does not say
 * which; its owner knows.  No request is under way, and a payload that was
 * taken before is not used any more.  -EOPNOTSUPP: the format has no room
 * (eng_profile_tags()). */
int eng_dev_set_tags(struct eng_dev *dev, unsigned int tags);
/* Drop clean caches, so that the next reads come from the medium. */
void eng_dev_drop_caches(struct eng_dev *dev);

/* A JSON object of counters of this device (cache hits, repairs, ...),
 * written to buf like snprintf does.  Of the container, raw_writes,
 * raw_write_bytes and raw_flushes are what reached the storage below it: the
 * data and the container's own; a flush that callers share is one. */
int eng_dev_stats(struct eng_dev *dev, char *buf, size_t size);

/* ---- the software container ------------------------------------------- */

struct eng_soft_geometry {
	uint64_t	intervals;	/* usable */
	uint64_t	overhead;	/* bytes that PI and headers take */
};

/* What a container of that profile in size bytes would hold. -ENOSPC: too
 * small for one zone. */
int eng_soft_geometry(const struct eng_profile *p, uint64_t size,
		      struct eng_soft_geometry *out);
/* Make a container over all of path (a file or block device of its present
 * size).  Whatever was protected there before is unwritten afterwards. */
int eng_soft_format(const char *path, const struct eng_profile *p);

/* ---- I/O -------------------------------------------------------------- */

enum {
	ENG_IO_TAGS_OUT	= 1,	/* read: report the tags, don't compare them */
	ENG_IO_MEDIUM	= 2,	/* read: from the medium, past clean caches */
	/* The caller answers for the tuples.  Write: they are there, from
	 * eng_io_generate() or from him.  Read: they are left to him and to
	 * eng_io_verify(). */
	ENG_IO_PROTECTED = 4,
	/* Read: an interval that is an escape was never written, which is no
	 * fault, but nothing is known of its data.  The others are verified
	 * all the same.  TAGS_OUT reports such a tag as 0xffff. */
	ENG_IO_ESCAPES	= 8,
	/* Read, of a mirror: all of its legs are looked at, and those that
	 * don't have what is answered are given it.  The caller sees to it
	 * that nobody writes there meanwhile.  Means nothing elsewhere. */
	ENG_IO_LEGS	= 16,
};

/* One request.  Owned by the caller, except from eng_io_submit() until its
 * end() is called. */
struct eng_io {
	/* From eng_io_get(). */
	struct eng_dev	*dev;
	uint16_t	*tags;		/* profile->tags per interval, host
					 * order: write: to store; read:
					 * expected */
	/* Set by the caller. */
	enum eng_op	op;
	unsigned int	flags;		/* ENG_IO_* */
	uint64_t	start;
	/* Runs once, on any thread, the submitter's included; must not wait
	 * for other I/O.  It may free the io. */
	void		(*end)(struct eng_io *io);
	void		*arg;
	unsigned int	leg;		/* read, of a mirror: the number of the
					 * leg that is to answer, plus 1; 0:
					 * any */
	/* The result, valid in end(). */
	int		err;		/* 0 or -errno */
	struct eng_fault fault;		/* if err is -EBADMSG: the first one; if
					 * -EILSEQ: as far as is known */
	uint32_t	healed;		/* intervals of it that a leg of a mirror
					 * had wrong, and has no more */
	/* Of a read that a mirror has answered: legs that had some of it wrong
	 * (a mask), and where, in intervals from start on. */
	unsigned int	bad_legs;
	uint32_t	bad_at, bad_end;
	/* The engine's own; see io.c. */
	struct iovec	*iov;
	unsigned int	niov, max_iov;
	uint32_t	count, max_count;	/* intervals in iov; room */
	uint8_t		*tuples;	/* count * meta_size, as on the medium */
	void		*mem;		/* what the pools get back */
	unsigned int	pool_class;
	unsigned int	users;		/* itself and its clones; atomic */
	struct eng_io	*owner;		/* of a clone: has tags and tuples */
	int		add_err;	/* of the first add that failed */
	bool		filled;		/* the tuples are those of the data */
	bool		refs;		/* type 3: reference tags were set */
	struct eng_undo	*undo;		/* inject.c: an injected fault */
	struct eng_io	*next;		/* in a queue */
	void		(*work)(struct eng_io *io);	/* pool.c */
	void		*priv;		/* the backend's memory, with mem */
};

/* A payload with room for count intervals in segs data segments, from the
 * device's pools.  NULL: more than max_io intervals or 1024 segments, or no
 * memory (the largest size class has a reserve and waits for it instead).
 * Metadata bytes outside the tuples are zero and yours. */
struct eng_io *eng_io_get(struct eng_dev *dev, uint32_t count,
			  unsigned int segs);
/* The same for a caller that must not fail: every size waits for the reserve
 * if there is no memory.  NULL: too large.  The caller holds no other payload
 * that was not submitted yet, and is not inside an end(). */
struct eng_io *eng_io_get_wait(struct eng_dev *dev, uint32_t count,
			       unsigned int segs);
/* Memory that clones use goes back with the last of them.  NULL is fine. */
void eng_io_put(struct eng_io *io);
/* Append a data segment, a whole number of intervals, which must stay valid
 * until end().  -ENOSPC: the payload is full; -EINVAL: not whole intervals
 * or misaligned.  A request to which an add failed can't be submitted: it
 * ends with the same error. */
int eng_io_add(struct eng_io *io, void *data, size_t bytes);
/* A payload for these segments with all of them attached, for op at start;
 * or an error, and then *out is NULL.  Waits for memory on the terms of
 * eng_io_get_wait().  Tags and end() are the caller's to set. */
int eng_io_prep(struct eng_io **out, struct eng_dev *dev, enum eng_op op,
		uint64_t start, const struct iovec *iov, unsigned int niov);
/* Will the engine generate or verify for it?  Not if the device's switch is
 * off, and not if it is protected already. */
bool eng_io_enabled(const struct eng_io *io);
/* Fill the tuples of a write now and not when it is submitted, and make it
 * ENG_IO_PROTECTED.  Data and tags must stay as they are from here on.
 * -EINVAL: a read, protected already, or a tag is the escape. */
int eng_io_generate(struct eng_io *io);
/* Check data and tuples of a request that has them: a read that ended, a
 * write that was generated.  Changes only io->fault and, with TAGS_OUT, the
 * tags.  -EINVAL: there are none. */
int eng_io_verify(struct eng_io *io);

/* The caller's bytes of a request as one string: for each interval its
 * application tag, big-endian as on the medium; in type 3 the reference tag;
 * then the metadata before and behind the tuple.  tag_size bytes each. */
size_t eng_io_tag_size(const struct eng_io *io);
/* Scatter the string over a write before it is submitted or generated, after
 * its segments were added; what is left of the space becomes 0.  Sets
 * io->tags, too.  -ENOSPC: too long; -EINVAL: a read, protected already, or
 * an application tag of 0xffff. */
int eng_io_set_tag(struct eng_io *io, const void *tag, size_t len);
/* Gather the first len bytes from a read that ended, or a write that was
 * generated.  -ENOSPC: it has not so many; -EINVAL: it has no tuples; the
 * error of the read if it failed. */
int eng_io_get_tag(const struct eng_io *io, void *tag, size_t len);

/* Start it.  Every failure is reported through end(). */
void eng_io_submit(struct eng_io *io);
/* Submit and wait; end and arg are the engine's meanwhile.  io->err. */
int eng_io_run(struct eng_io *io);

/* ---- windows ----------------------------------------------------------
 *
 * Data, tags, tuples and start of a request move together, so that interval
 * n of it stays the same one on the device.  None of this is for a request
 * that is under way.  -EINVAL: not within the request. */

/* The first n intervals are done: go on behind them. */
int eng_io_advance(struct eng_io *io, uint32_t n);
/* Only count intervals from the first on (of the request) are left. */
int eng_io_trim(struct eng_io *io, uint32_t first, uint32_t count);
/* A second request for a part of the first: with segments of its own, but
 * tags and tuples are those of the first, which may be put before it.  op
 * and flags are the same, end() is not set.  Waits for memory; the caller
 * holds no other clone that was not submitted yet, and is not inside an
 * end(). */
int eng_io_clone(struct eng_io **out, struct eng_io *io, uint32_t first,
		 uint32_t count);
/* In two: *out is a clone of the first n intervals, io has the others. */
int eng_io_split(struct eng_io **out, struct eng_io *io, uint32_t n);

/* Aligned, pooled memory for data (alignment 4096).  NULL: no memory (up to
 * max_io, the largest size has a reserve and waits for it instead). */
void *eng_buf_get(struct eng_dev *dev, size_t bytes);
void eng_buf_put(struct eng_dev *dev, void *buf, size_t bytes);

/* ---- faults on purpose ------------------------------------------------
 *
 * For programs that test how they take it.  Rules belong to an open device
 * and concern its requests from then on; a read is spoilt after the transfer
 * and before it is verified, a write on its way to the medium.  The caller's
 * own data and tags stay as they are. */

enum eng_inject_kind {
	ENG_INJECT_GUARD,	/* flip a bit of one interval's guard */
	ENG_INJECT_REF,		/* of its reference tag */
	ENG_INJECT_APP,		/* of its application tag */
	ENG_INJECT_DATA,	/* of its data */
	ENG_INJECT_ESCAPE,	/* make its tuple an escape */
	ENG_INJECT_FAIL,	/* nothing moves; the request ends with err */
	ENG_INJECT_LOSE,	/* write: nothing moves; it ends with 0 */
	ENG_INJECT_MISDIRECT,	/* it goes to interval `to` instead */
	ENG_INJECT_FLUSH,	/* a flush fails with err */
};

struct eng_inject_rule {
	enum eng_inject_kind kind;
	enum eng_op	op;		/* requests of this kind */
	uint64_t	start, count;	/* that have an interval of these;
					 * count 0: any */
	uint32_t	chance;		/* one in so many, by the seed; 0: all */
	unsigned int	times;		/* so often, then no more; 0: always */
	uint32_t	bit;		/* which, modulo the size of the field */
	int		err;		/* negative */
	uint64_t	to;
};

/* One more rule; of those that apply to a request the first does, alone.  Of
 * several intervals in range one is spoilt, by the seed.  -EINVAL: no such
 * fault. */
int eng_inject_add(struct eng_dev *dev, const struct eng_inject_rule *rule);
/* No more rules.  Requests under way may still be hit. */
void eng_inject_clear(struct eng_dev *dev);
/* The same seed and the same requests in the same order: the same faults. */
int eng_inject_seed(struct eng_dev *dev, uint64_t seed);
/* How many faults there were so far. */
uint64_t eng_inject_hits(struct eng_dev *dev);

/* ---- the checks themselves, for use without a device ------------------ */

uint64_t eng_guard_compute(enum eng_guard guard, const void *data, size_t len);
/* Fill count tuples (meta_size apart) for data, with tags (never 0xffff)
 * and with reference tags from ref on; type 3 has none, and gets 0.  Other
 * metadata bytes stay as they are; where PI is last, the guard covers those
 * before it. */
void eng_generate(const struct eng_profile *p, const void *data,
		  uint8_t *tuples, uint32_t count, uint64_t ref,
		  const uint16_t *tags);
/* Verify; tags == NULL: any but the escape.  0 or -EBADMSG with *fault,
 * whose interval counts from ref. */
int eng_verify(const struct eng_profile *p, const void *data,
	       const uint8_t *tuples, uint32_t count, uint64_t ref,
	       const uint16_t *tags, struct eng_fault *fault);
/* The tuple's application tag, and all p->tags of an interval (an escape: all
 * 0xffff); meta: all its metadata. */
uint16_t eng_tuple_tag(const struct eng_profile *p, const uint8_t *meta);
void eng_tuple_tags(const struct eng_profile *p, const uint8_t *meta,
		    uint16_t *tags);

#ifdef __cplusplus
}
#endif

#endif
