#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_plain.sh - where io_uring is refused, as in a container of Docker's,
# everything works all the same, and the log says how.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
export TAGFS_TEST_URING=off	# there is none for FUSE either
begin

how=
# In the background of mount_fs, whose child this becomes.
tagfs()
{
	# shellcheck disable=SC2086
	exec refuse $how "$build/tagfs" "$@"
}

mkfs.tagfs()
{
	# shellcheck disable=SC2086
	refuse $how "$build/mkfs.tagfs" "$@" 2>>"$work/stderr"
}

# So that it has to be read again.
forget_image()
{
	sync "$img"
	dd if="$img" iflag=nocache count=0 status=none
}

make_tree()
{
	mkdir "$work/tree"
	cp -a --parents /usr/include/linux /etc "$work/tree" 2>/dev/null
	head -c 40000000 /dev/urandom >"$work/tree/random"
}

same()
{
	diff -r --no-dereference "$work/tree" "$mnt/tree"
}

one_way()
{
	rm -f "$img"
	how="setup EPERM"
	mkfs 400M
	how=$1
	: >"$log"
	must_mount
	check "$how: the log says so" \
		grep -q 'no io_uring here .*threads read and write' "$log"
	cp -a "$work/tree" "$mnt/tree"
	check "$how: a tree is copied in" same
	umount_fs
	forget_image
	must_mount
	check "$how: it is there after a new mount, read from the image" same
	umount_fs
	# shellcheck disable=SC2086
	check "$how: fsck.tagfs reads all of it, and finds nothing" \
		refuse $how fsck.tagfs -fn --data "$img"
}

refuse setup EPERM true 2>/dev/null
[ $? -ne 77 ] || skip_all "no seccomp here"
make_tree
one_way "setup EPERM"
one_way "enter EPERM"
one_way "setup ENOSYS"
finish
