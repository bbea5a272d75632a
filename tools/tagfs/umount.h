/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umount.h - tagfs as umount.tagfs. */
#ifndef TAGFS_UMOUNT_H
#define TAGFS_UMOUNT_H

/* The program; its exit status. */
int umount_main(int argc, char **argv);
/* It shall be called for that mount.  Best effort. */
void umount_announce(const char *source, const char *point);

#endif
