/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs.h - the filesystem as its callers see it: ops.c, mkfs and the tests.
 *
 * Everything here is thread-safe once tfs_open() returned.  Functions return
 * 0 (or a count where said so) or a negative errno, which is the one the
 * system call should fail with; but -EILSEQ and -EBADMSG are -EIO there.  Inode numbers passed in must be held with
 * tfs_ref() (the root always is).  Nothing here checks permissions of the
 * caller: the kernel does (default_permissions). */
#ifndef TFS_FS_H
#define TFS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

#include "tagpi.h"

struct tfs;

/* ---- who must not wait --------------------------------------------------- */

/* What a call returns, without having changed anything, that would have to
 * wait for the device, for space or for a commit on a thread that must not. */
#define TFS_WAITS	(-520)
/* This thread must not, or may again.  It may, too, once a change was made:
 * what has begun is finished. */
void tfs_nowait(bool on);
/* Call fn on this thread before a call other than a sync waits for a node, a
 * commit or a checkpoint; once at least for each that does.  NULL: no more. */
void tfs_on_wait(void (*fn)(void *arg), void *arg);

/* ---- a filesystem ------------------------------------------------------ */

struct tfs_mkfs {
	uint8_t		uuid[16];
	char		label[32];	/* zero-padded UTF-8 */
	uint32_t	root_uid, root_gid;
	bool		dry_run;	/* only fill in the result */
	/* Called now and then with 0..100; may be NULL. */
	void		(*progress)(int percent);
	/* the result */
	uint32_t	cluster_size;
	uint64_t	clusters;
	uint64_t	fixed;		/* of them superblocks, slots, log */
	uint64_t	free;
};

/* Devices of which each may be one leg of a mirror, opened. */
struct tfs_legs_how {
	unsigned int	n;		/* at most 4 */
	struct eng_dev	*leg[4];
	const char	*name[4];	/* for messages */
	bool		degraded;	/* go on where some are missing */
	bool		rdonly;		/* as they were opened */
	struct eng_pool	*pool;
};

/* What to mount: the mirror of these legs, which are its own from then on, or
 * the only device, which is no leg.  On error a line went to the log:
 * -ENODEV some are missing; -ESTALE one does not belong there any more, or all
 * were left behind; -ENOTUNIQ one is there twice. */
int tfs_legs_open(struct eng_dev **out, const struct tfs_legs_how *how);
/* Of a mirror that is mounted for writing: dev takes the place of a leg that is
 * not here, or is one more, and is behind from the beginning; durable on
 * return.  It is the caller's still, and written from the next mount on.
 * -ENOENT: none is missing; add: -ENODEV: one is, -EMLINK: there are four;
 * -ENOSPC: it is smaller than tfs_intervals(); -EINVAL: another profile. */
int tfs_legs_join(struct tfs *fs, struct eng_dev *dev, bool add);
/* A leg, counted from 0, which is not here, is none any more; durable on
 * return.  -EBUSY: it is here; -ENOENT: there is no such leg. */
int tfs_legs_leave(struct tfs *fs, unsigned int leg);

/* The same beneath a mount that others use, and beside no resilver, which is to
 * be started afterwards. */
enum tfs_legs_as {
	TFS_LEGS_ADD,		/* one more */
	TFS_LEGS_REPLACE,	/* for one that is not here */
	TFS_LEGS_RETURN,	/* it was left behind */
};

/* On success dev is the mirror's, and gets all that is written from now on.
 * As tfs_legs_join(), and: -ENOTBLK: this is no mirror; -EROFS; -EXDEV: of
 * another kind than the legs, which needs an unmount; to return: -ENOENT: it
 * is no leg of this one, -ENOTUNIQ: that leg is here, -ESTALE: it was written
 * apart.  Any other error: it was to become a leg, and the mount may have
 * failed with it. */
int tfs_legs_join_live(struct tfs *fs, struct eng_dev *dev, const char *name,
		       enum tfs_legs_as as);
/* A leg, counted from 0, whether it is here or not; then its device is closed.
 * -EBUSY: no other one has everything; -ENOENT: there is no such leg. */
int tfs_legs_leave_live(struct tfs *fs, unsigned int leg);
uint64_t tfs_intervals(const struct tfs *fs);

/* How a leg is, by its number from 0. */
struct tfs_leg_info {
	const char	*name;		/* of its device, as long as that is
					 * open; NULL: it is not here */
	const char	*state;		/* "current", "behind", "failed",
					 * "missing" */
	uint64_t	left;		/* not current: what came after this
					 * commit may be missing there */
};

/* dev: what tfs_legs_open() made.  False: there is no such leg. */
bool tfs_legs_info(const struct eng_dev *dev, unsigned int leg,
		   struct tfs_leg_info *out);

/* Make an empty filesystem on dev, which may be a mirror (eng_mirror_create())
 * that belongs to nobody.  -ENOSPC: too small. */
int tfs_mkfs(struct eng_dev *dev, struct tfs_mkfs *how);

/* Who mounts, where hosts share storage; made up by tests. */
struct tfs_host {
	uint8_t		boot[16];	/* of its kernel */
	char		node[64];	/* its name, zero-padded */
	bool		manual;		/* renews nothing by itself, and does
					 * not look at the clock */
};

struct tfs_mount {
	bool		rdonly;
	bool		rescue;		/* with rdonly: a device that is shorter
					 * than the filesystem will do */
	bool		relatime;	/* keep access times: within a day, and
					 * later than the last change; else
					 * none are kept */
	bool		strictatime;	/* with relatime: after every read */
	bool		noacl;		/* access lists are not obeyed, and
					 * can't be seen or set */
	bool		image;		/* what has no content will do, too */
	bool		accept;		/* where acknowledged changes may be
					 * missing, go on without them: fsck */
	/* Before anything is replayed or written, with what the newest
	 * checkpoint has.  0, or why not to go on.  NULL: nothing to do. */
	int		(*ready)(void *arg, struct tfs *fs);
	void		*ready_arg;
	bool		discard;	/* freed clusters, after the checkpoint */
	unsigned int	commit;		/* seconds between commits; 0: only on demand */
	size_t		cache;		/* bytes of cached tree nodes; 0: default */
	unsigned int	fence;		/* ms between signs of life for other
					 * hosts; 0: none, and none are awaited */
	const struct tfs_host *host;	/* NULL: this one */
	/* Sleep, while another host is waited for.  False: give up, with
	 * -EINTR.  NULL: just sleep. */
	bool		(*pause)(void *arg, unsigned int ms);
	void		*pause_arg;
};

/* Mount.  dev is borrowed until tfs_close().  On error a line went to the
 * log: -EMEDIUMTYPE no tagfs here, -EUCLEAN damaged, -EOPNOTSUPP made by a
 * newer version.  May turn how->rdonly on (unknown ro_compat feature). */
int tfs_open(struct tfs **out, struct eng_dev *dev, struct tfs_mount *how);
/* Final checkpoint (unless read-only) and free.  The error of the
 * checkpoint. NULL is fine. */
int tfs_close(struct tfs *fs);
/* Is the filesystem on dev, if there is one, marked by another host that may
 * write (1: yes, its name is in host), and, if wait, does that one live
 * (-EBUSY)?  host: room for 65 bytes. */
int tfs_in_use(struct eng_dev *dev, const struct tfs_mount *how, bool wait,
	       char *host);
/* Change a mount: of how, whether it is read-only and which access times are
 * kept.  Read-only: what was done before is in a checkpoint on return.
 * -EROFS: opened read-only, or an error has made it so. */
int tfs_remount(struct tfs *fs, const struct tfs_mount *how);
bool tfs_rdonly(const struct tfs *fs);	/* asked for, or after an error */
/* When it was opened: nothing was to be replayed, and nothing was odd. */
bool tfs_was_clean(const struct tfs *fs);
/* All that was done before is durable. */
int tfs_sync(struct tfs *fs);
int tfs_statvfs(struct tfs *fs, struct statvfs *st);

/* In clusters: all there are for content and tree, and of them those that any
 * file may have. */
struct tfs_room {
	uint64_t	all, avail;
	bool		reserved;	/* files have places besides */
};

struct tfs_room tfs_room(struct tfs *fs);
/* JSON text, malloced into *out; its length.  requests: members of an object
 * of that name; or NULL. */
int tfs_stats(struct tfs *fs, const char *requests, char **out);
const uint8_t *tfs_uuid(const struct tfs *fs);
/* Valid as long as nobody sets another one; the other has it copied. */
const char *tfs_label(const struct tfs *fs);
void tfs_get_label(struct tfs *fs, char label[33]);
/* Durable on return.  -EINVAL: too long, or not printable UTF-8. */
int tfs_set_label(struct tfs *fs, const char *label);

/* Tell the device what is free. */
struct tfs_trim {
	uint64_t	from, len;	/* bytes of the device, about */
	uint64_t	least;		/* only runs of so many bytes */
	bool		(*stop)(void *arg);	/* asked now and then; or NULL */
	void		*arg;
	uint64_t	done;		/* out: bytes */
};

/* -EOPNOTSUPP: the device does not want to know; -EINTR: stopped. */
int tfs_trim(struct tfs *fs, struct tfs_trim *t);

/* ---- inodes ------------------------------------------------------------ */

struct tfs_inode {
	uint32_t	ino;
	uint32_t	mode;
	uint32_t	uid, gid;
	uint32_t	nlink;
	uint32_t	parent;		/* of a directory; else a hint: one
					 * that named it, or 0 */
	uint64_t	size;
	uint64_t	clusters;	/* mapped, reservations included */
	uint64_t	birth;		/* generation */
	uint32_t	rdev_major, rdev_minor;
	uint32_t	flags;		/* TFS_INODE_* of format.h */
	struct timespec	atime, mtime, ctime, btime;
};

/* Count n references as the kernel's lookups do.  An inode without names
 * lives until the last one is gone; tfs_unref() then frees it. */
int tfs_ref(struct tfs *fs, uint32_t ino, uint64_t n);	/* 0, -ENOMEM */
void tfs_unref(struct tfs *fs, uint32_t ino, uint64_t n);

/* Mark ino as one whose attributes the holder of its references should ask
 * for again; nothing if it has none. */
void tfs_stale_add(struct tfs *fs, uint32_t ino);
/* Up to max of those marked, which no longer are; 0: there are none. */
unsigned int tfs_stale_take(struct tfs *fs, uint32_t *ino, unsigned int max);

int tfs_getattr(struct tfs *fs, uint32_t ino, struct tfs_inode *out);
/* It was read: keep its access time, if relatime has it kept and due.  0 or
 * TFS_WAITS; that it could not be kept is no error. */
int tfs_accessed(struct tfs *fs, uint32_t ino);

enum {
	TFS_SET_MODE	= 1 << 0,
	TFS_SET_UID	= 1 << 1,
	TFS_SET_GID	= 1 << 2,
	TFS_SET_SIZE	= 1 << 3,
	TFS_SET_ATIME	= 1 << 4,
	TFS_SET_MTIME	= 1 << 5,
	TFS_SET_CTIME	= 1 << 6,	/* else: now, if anything is set */
	TFS_KILL_PRIV	= 1 << 7,	/* clear S_ISUID, and S_ISGID of executables */
};

/* Set the fields of *attr that mask names; *attr becomes the new whole. */
int tfs_setattr(struct tfs *fs, uint32_t ino, unsigned int mask,
		struct tfs_inode *attr);
/* As FS_IOC_GETFLAGS has them, or FS_IOC_FSGETXATTR; and from there: -EOPNOTSUPP
 * if there are some that we have not. */
uint32_t tfs_flags_out(uint32_t flags, bool xflags);
int tfs_flags_in(uint32_t flags, bool xflags, uint32_t *out);
/* Set those of TFS_INODE_USER that flags has, and clear the others; *out is the
 * new whole.  What was being written is written before, and afterwards the
 * calls above and below fail with -EPERM as the flags say. */
bool tfs_has_locks(const struct tfs *fs);	/* i or a was ever set */
int tfs_setflags(struct tfs *fs, uint32_t ino, uint32_t flags,
		 struct tfs_inode *out);
uint32_t tfs_cluster_size(const struct tfs *fs);

/* ---- names (names are not terminated by length: NUL-terminated strings) - */

/* As every call that returns an inode in *out: takes one reference on it. */
int tfs_lookup(struct tfs *fs, uint32_t dir, const char *name,
	       struct tfs_inode *out);

struct tfs_new {
	uint32_t	mode;		/* type and permissions, before umask */
	uint32_t	umask;		/* not applied if a default ACL rules */
	uint32_t	uid, gid;	/* of the caller; S_ISGID of dir obeyed */
	uint32_t	rdev_major, rdev_minor;
	const char	*target;	/* of a symbolic link */
	bool		force;		/* in an immutable directory, too */
};

/* Any type.  name == NULL: O_TMPFILE, a file without a name. */
int tfs_create(struct tfs *fs, uint32_t dir, const char *name,
	       const struct tfs_new *new, struct tfs_inode *out);
int tfs_link(struct tfs *fs, uint32_t ino, uint32_t dir, const char *name,
	     struct tfs_inode *out);
int tfs_unlink(struct tfs *fs, uint32_t dir, const char *name);
int tfs_rmdir(struct tfs *fs, uint32_t dir, const char *name);
/* flags: RENAME_NOREPLACE; RENAME_EXCHANGE; RENAME_WHITEOUT: a character
 * device 0/0, of the owner that white says, stays where the name was. */
int tfs_rename(struct tfs *fs, uint32_t dir, const char *name,
	       uint32_t newdir, const char *newname, unsigned int flags,
	       const struct tfs_new *white);
/* Target, terminated; malloced into *out. */
int tfs_readlink(struct tfs *fs, uint32_t ino, char **out);

struct tfs_dirent {
	uint64_t	cookie;		/* continue after this entry */
	uint32_t	ino;
	uint32_t	type;		/* S_IFMT bits */
	char		name[256];
	struct tfs_inode attr;		/* if asked for */
};

/* Call fill for the entries after cookie (0: from the start, "." and ".."
 * included), until it returns non-zero (that entry was not taken) or the
 * end.  Holds no lock while fill runs.  plus: attr is wanted, and a
 * reference is taken on every inode that fill took ("." and ".." excepted,
 * and those with attr.ino 0: their inode is damaged). */
int tfs_readdir(struct tfs *fs, uint32_t dir, uint64_t cookie, bool plus,
		int (*fill)(void *arg, const struct tfs_dirent *de),
		void *arg);

/* ---- extended attributes ------------------------------------------------ */

/* size 0: only the length is asked for.  Returns the length; -ERANGE. */
ssize_t tfs_getxattr(struct tfs *fs, uint32_t ino, const char *name,
		     void *buf, size_t size);
/* flags: XATTR_CREATE, XATTR_REPLACE.  kill_sgid: setting an access ACL by
 * somebody outside the file's group clears S_ISGID. */
int tfs_setxattr(struct tfs *fs, uint32_t ino, const char *name,
		 const void *value, size_t size, int flags, bool kill_sgid);
int tfs_removexattr(struct tfs *fs, uint32_t ino, const char *name);
/* trusted: names that begin so, too, which only an administrator may see. */
ssize_t tfs_listxattr(struct tfs *fs, uint32_t ino, char *buf, size_t size,
		      bool trusted);

/* The same in steps, each of a bounded number of names.  A name that is there
 * all the time is listed once; one that comes or goes meanwhile may be. */
struct tfs_xattr_list {
	uint32_t	ino;
	char		*buf;
	size_t		size;		/* 0: count only */
	bool		trusted;
	/* zero at first */
	size_t		len;		/* so far */
	uint64_t	at;
	bool		done;
};

int tfs_xattr_list_step(struct tfs *fs, struct tfs_xattr_list *ls);

/* ---- content ------------------------------------------------------------ */

/* One read.  The caller fills the first part and keeps it until end(). */
struct tfs_read {
	uint32_t	ino;
	uint64_t	off;
	size_t		len;
	bool		accessed;	/* as tfs_accessed(), before end() */
	/* Where the answer may be put together, or NULL: page-aligned, and
	 * with room for what comes with the range, whole intervals. */
	void		*room;
	size_t		room_size;
	/* Once, on any thread, the caller's included.  err: 0 or -errno; if
	 * 0, len bytes at data are the answer (fewer than asked: end of
	 * file), verified, valid until end() returns. */
	void		(*end)(struct tfs_read *rd, int err, const void *data,
			       size_t len);
	void		*arg;
};

void tfs_read(struct tfs *fs, struct tfs_read *rd);
/* The same, waiting.  Bytes read. */
ssize_t tfs_read_sync(struct tfs *fs, uint32_t ino, uint64_t off, void *buf,
		      size_t len);

enum {
	TFS_WRITE_CACHED  = 1,	/* from the page cache: times come separately */
	TFS_WRITE_KILL_PRIV = 2,
};

/* All of it or an error. */
int tfs_write(struct tfs *fs, uint32_t ino, uint64_t off, const void *buf,
	      size_t len, unsigned int flags);
/* mode as fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE. */
int tfs_fallocate(struct tfs *fs, uint32_t ino, int mode, uint64_t off,
		  uint64_t len);
/* SEEK_DATA or SEEK_HOLE; the offset, or -ENXIO. */
int64_t tfs_lseek(struct tfs *fs, uint32_t ino, uint64_t off, int whence);

/* The same in steps of bounded work, for callers that can be told to stop.
 * Set the first three, step until it fails or done is set; at is the answer
 * then. */
struct tfs_seek {
	uint32_t	ino;
	int		whence;
	uint64_t	at;
	bool		begun, done;
};

int tfs_seek_step(struct tfs *fs, struct tfs_seek *sk);
int tfs_fsync(struct tfs *fs, uint32_t ino, bool datasync);

/* ---- the tags ------------------------------------------------------------ */

/* Text with one line per extent, read from the medium and verified; malloced
 * into *out, its length.  raw: the 16-bit tags themselves, big-endian, one
 * per protection interval of every mapped cluster in file order.  Longer than
 * limit bytes: the text ends with a line that says so; raw is -E2BIG.  stop,
 * which may be NULL, is asked before each batch: true ends it with -EINTR. */
ssize_t tfs_tags(struct tfs *fs, uint32_t ino, bool raw, size_t limit,
		 bool (*stop)(void *arg), void *arg, char **out);

#endif
