/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c - the life of a mount: create, mount, loop, stop, destroy.
 *
 * (1) The loop may end while requests are with other threads.  Reads finish
 *     by themselves; a seek may hang in a notification until the connection
 *     is gone.  So: wait for the reads, take the mount away, stop notify.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/ops_priv.h"

/* libfuse says some lines in pieces. */
static void log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char line[512];		/* lock */
	static size_t len;		/* lock */

	pthread_mutex_lock(&lock);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len += strlen(line + len);
	if (len && (line[len - 1] == '\n' || len == sizeof(line) - 1)) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		eng_log((int)level, "%s", line);
		len = 0;
	}
	pthread_mutex_unlock(&lock);
}

static struct fuse_session *session_new(struct tfs_ops *ops,
					const struct tfs_ops_how *how)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;

	if (!fuse_opt_add_arg(&args, "tagfs") &&
	    !fuse_opt_add_arg(&args, "-o") &&
	    !fuse_opt_add_arg(&args, how->options) &&
	    !(how->debug && fuse_opt_add_arg(&args, "-d")))
		se = fuse_session_new(&args, &tfs_fuse_ops,
				      sizeof(tfs_fuse_ops), ops);
	fuse_opt_free_args(&args);
	return se;
}

int tfs_ops_create(struct tfs_ops **out, struct tfs *fs,
		   const struct tfs_ops_how *how)
{
	struct tfs_ops *ops = calloc(1, sizeof(*ops));

	*out = NULL;
	if (!ops)
		return -ENOMEM;
	ops->fs = fs;
	ops->writeback = how->writeback;
	ops->single = how->single;
	pthread_mutex_init(&ops->lock, NULL);
	pthread_cond_init(&ops->idle, NULL);
	fuse_set_log_func(log_fuse);
	ops->se = session_new(ops, how);
	if (!ops->se) {
		tfs_ops_destroy(ops);
		return -EINVAL;
	}
	*out = ops;
	return 0;
}

int tfs_ops_mount(struct tfs_ops *ops, const char *mountpoint)
{
	int err;

	if (fuse_session_mount(ops->se, mountpoint))
		return -EIO;
	ops->mounted = true;
	err = tfs_wire_attach(ops->se);
	if (!err)
		err = tfs_loop_create(&ops->loop, ops->se, ops->single);
	if (!err)
		err = tfs_late_start(&ops->late, ops->se, ops->fs);
	return err;
}

static void wait_pending(struct tfs_ops *ops)
{
	pthread_mutex_lock(&ops->lock);
	while (ops->pending)
		pthread_cond_wait(&ops->idle, &ops->lock);
	pthread_mutex_unlock(&ops->lock);
}

static void unmount(struct tfs_ops *ops)
{
	if (ops->mounted)
		fuse_session_unmount(ops->se);
	ops->mounted = false;
}

int tfs_ops_loop(struct tfs_ops *ops)
{
	int err = tfs_loop_run(ops->loop);

	wait_pending(ops);	/* (1) */
	unmount(ops);
	tfs_late_stop(&ops->late);
	return err;
}

void tfs_ops_stop(struct tfs_ops *ops)
{
	tfs_loop_stop(ops->loop);
}

uint64_t tfs_ops_writes(struct tfs_ops *ops)
{
	return ops->writes;
}

void tfs_ops_destroy(struct tfs_ops *ops)
{
	if (!ops)
		return;
	unmount(ops);
	tfs_late_stop(&ops->late);
	tfs_loop_destroy(ops->loop);
	if (ops->se)
		fuse_session_destroy(ops->se);
	pthread_cond_destroy(&ops->idle);
	pthread_mutex_destroy(&ops->lock);
	free(ops);
}

const char *tfs_ops_version(void)
{
	return fuse_pkgversion();
}
