/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control.h - the thread that hears signals, and how a mount ends. */
#ifndef TAGFS_CONTROL_H
#define TAGFS_CONTROL_H

#include <stdbool.h>

#include "fuse/ops.h"
#include "place.h"

struct control;

struct control_how {
	const char	*name;		/* of the mount, in messages */
	bool		foreground;
	bool		log;		/* report_reopen() makes sense */
	int		parent;		/* a pipe, open as long as somebody
					 * waits for us; -1: nobody does */
	/* The mount answers: called once, by the thread.  False: end it. */
	bool		(*ready)(void *arg);
	void		*arg;
};

/* Signals to be heard must be blocked already. */
int control_start(struct control **out, const struct control_how *how);
/* Sleep.  False: we are to end. */
bool control_pause(struct control *c, unsigned int ms);
/* From now on there is a mount, which tfs_ops_loop() is about to serve; to
 * end it is our business. */
void control_serve(struct control *c, struct tfs_ops *ops,
		   const struct place *place);
/* tfs_ops_loop() has returned: end the connection and forget ops.  0; or
 * -errno: never ready, told to end first (-EINTR), or something may be lost.
 * False in *idle: ops is still in use and must not be destroyed. */
int control_close(struct control *c, bool *idle);
/* NULL is fine. */
void control_stop(struct control *c);

#endif
