#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_limits.sh - a mount does what POSIX and Linux promise, at its limits:
# the cases of limits.c, before and after mounting again.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space "$(amount 500 500 6000)"

space_is_back()
{
	local i

	for ((i = 0; i < 20; i++)); do
		sync "$mnt"
		[ "$(df --output=used -m "$mnt" | tail -n 1)" -lt 40 ] &&
			return
		sleep 1
	done
	df -m "$mnt"
	return 1
}

entries=$(amount 20000 100000 300000)
whole=$(amount "" "" all)

mkfs 8G
must_mount
cases limits run "$mnt" "$entries"
cases limits write "$mnt/big" ${whole:+"$whole"}
free=$(stat -f -c %f "$mnt")
remount_fs
check "free space is the same after mounting again" \
	test "$(stat -f -c %f "$mnt")" -ge $((free - 1000))
cases limits again "$mnt" "$entries"
cases limits read "$mnt/big" ${whole:+"$whole"}
check "rm -r" eval "rm -r '$mnt'/*"
check "all space comes back" space_is_back
check "no error in the log" test ! -s "$log"

# As much as there is, then everything else still works.
umount_fs
rm "$img"
mkfs 64M
must_mount
: >"$mnt/before"
dd if=/dev/urandom of="$mnt/full" bs=64k count=2000 conv=fsync \
	2>"$work/dd.out"
check "a full file system says so" grep -q "No space left" "$work/dd.out"
check "files can still be removed" rm "$mnt/full"
sync "$mnt"
check "and written again" \
	dd if=/dev/urandom of="$mnt/half" bs=64k count=400 conv=fsync
sum=$(sha256sum <"$mnt/half")
remount_fs
check "and are there after mounting again" \
	test "$(sha256sum <"$mnt/half")" = "$sum"
finish
