#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_posix.sh - some hundred questions on what POSIX and Linux promise of
# files get the answers that ext4 gives.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300
python=$(PATH=/usr/bin:$PATH command -v python3) || skip_all "no python3"
command -v mkfs.ext4 >/dev/null || skip_all "no mkfs.ext4"
user=65534

# ask NAME: the questions, in the filesystem at $mnt
ask()
{
	mkdir "$mnt/$1"
	"$python" -B "$source/tests/mount/posix" "$mnt/$1" "$user" \
		>"$work/$1" 2>"$work/errors" </dev/null
	check "$1: all questions were asked" test ! -s "$work/errors"
}

# Where the answers differ, and why.
#  - truncate(2) to the size that a file has: the kernel stamps files of FUSE
#    itself when their size changes.  XFS does as we do.
#  - What the page cache still has of a file that was just written is read
#    there; no request says that it was.
known='truncate to the same:|read of what was not read for long:'

same_as_ext4()
{
	diff <(grep -vE "$known" "$work/ext4") <(grep -vE "$known" "$work/$1")
}

chmod 755 "$work"
truncate -s 100M "$work/ext4.img"
mkfs.ext4 -q -F -b 4096 "$work/ext4.img"
mount -o loop "$work/ext4.img" "$mnt" ||
	skip_all "no loop device, or no ext4 here"
ask ext4
umount "$mnt"
check "there are hundreds of answers" test "$(wc -l <"$work/ext4")" -gt 600

mkfs 100M
for how in writeback no_writeback; do
	must_mount -o $how
	ask $how
	check "$how: the answers are the same" same_as_ext4 $how
	umount_fs
done
finish
