#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_big.sh - the size of the device costs neither memory nor space.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin

# Where a sparse file may be that big: not on ext4, but on tmpfs and XFS.
place=
for dir in "$work" /dev/shm; do
	[ -w "$dir" ] || continue
	img=$dir/$(basename "$work").img
	if truncate -s 16T "$img" 2>/dev/null; then
		place=$dir
	fi
	rm -f "$img"
	[ -n "$place" ] && break
done
[ -n "$place" ] || skip_all "no place for a sparse file of 16 TiB"
free=$(df -Pm "$place" | awk 'NR == 2 { print $4 }')
[ "$free" -ge 200 ] || skip_all "less than 200 MiB in $place"
# shellcheck disable=SC2064
trap "cleanup; rm -f '$img'" EXIT

blocks_mib()
{
	echo $(($(stat -c %b "$img") / 2048))
}

memory_mib()
{
	echo $(($(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' \
		"/proc/$daemon/status") / 1024))
}

# timed WHAT COMMAND...: and how long it took
timed()
{
	local start=${EPOCHREALTIME/./} what=$1

	shift
	"$@"
	echo "# $what: $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
}

timed mkfs mkfs 16T
echo "# allocated: $(blocks_mib) MiB"
check "an empty file system of 16 TiB has less than 64 MiB" \
	test "$(blocks_mib)" -lt 64
timed mount must_mount
size=$(df -B 1G --output=size "$mnt" | tail -n 1)
check "df shows at least 15 TiB" test "$size" -gt 15000
mkdir "$mnt/dir"
head -c 20M /dev/urandom >"$work/data"
check "a file can be written" timed write cp "$work/data" "$mnt/dir/file"
check "fsync" sync "$mnt/dir/file"
check "a sparse file of 10 TiB" truncate -s 10T "$mnt/sparse"
echo end >>"$mnt/sparse"
timed umount umount_fs
timed "mount again" must_mount
check "it is read back" cmp "$work/data" "$mnt/dir/file"
check "and the sparse one" test "$(tail -c 4 "$mnt/sparse")" = end
echo "# allocated: $(blocks_mib) MiB, memory: $(memory_mib) MiB"
check "the image has grown by what was written" \
	test "$(blocks_mib)" -lt $((64 + 20 * 2))
# A sanitizer's own memory is no promise of ours.
if [ -z "$sanitizer" ]; then
	check "the daemon needs less than 64 MiB" test "$(memory_mib)" -lt 64
fi
check "rm" rm "$mnt/dir/file" "$mnt/sparse"
timed umount umount_fs
check "no error in the log" test ! -s "$log"
finish
