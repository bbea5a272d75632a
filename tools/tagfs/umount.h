/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umount.h - tagfs as umount.tagfs. */
#ifndef TAGFS_UMOUNT_H
#define TAGFS_UMOUNT_H

/* The program; its exit status. */
int umount_main(int argc, char **argv);
/* It shall be called for that mount.  Best effort. */
void umount_announce(const char *source, const char *point);
/* syncfs(2) of the mount that fd is on; 0 or -errno.  EINTR is no loss: so
 * the kernel notes that a process was killed while it sent the times of a
 * file, and it tells once what it noted. */
int umount_sync(int fd);

#endif
