#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_start.sh - how a mount starts, whatever it was started with: what it
# inherits, what it refuses, and that a failed start leaves nothing.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300

# ---- descriptors -----------------------------------------------------------

mkfs 64M
tagfs -f "$img" "$mnt" <&- >&- 2>&- 9<"$img" &
daemon=$!
echo "$daemon" >"$work/daemon"
for ((i = 0; i < 200; i++)); do
	mounted "$mnt" && break
	sleep 0.05
done
check "with its standard descriptors closed it mounts" mounted "$mnt"
for fd in 0 1 2; do
	check "descriptor $fd, closed at the start, is /dev/null" \
		test "$(readlink "/proc/$daemon/fd/$fd")" = /dev/null
done
echo kept >"$mnt/file"
kill -TERM "$daemon"
wait "$daemon"
check "and SIGTERM ends it with 0" test $? -eq 0
daemon=
must_mount
check "what it had to say is not in the image" grep -q kept "$mnt/file"
umount_fs

tagfs -f -o "log=$log" "$img" "$mnt" 9>"$work/inherited" &
daemon=$!
echo "$daemon" >"$work/daemon"
until mounted "$mnt" || ! running "$daemon"; do
	sleep 0.05
done
check "no other descriptor is inherited" eval \
	"! readlink /proc/$daemon/fd/* | grep -q inherited"
umount_fs

# refused PROMISE WORDS COMMAND...: with a line that has the words, without
# a mount, and not with 0.
refused()
{
	local promise=$1 words=$2 status

	shift 2
	timeout 60 "$@" >"$work/out" 2>&1
	status=$?
	if [ $status -eq 0 ] || [ $status -ge 124 ] || mounted "$mnt" ||
	   ! grep -q "$words" "$work/out"; then
		fail "$promise: status $status"
		sed 's/^/# /' "$work/out"
		mounted "$mnt" && unmount -l
		return 1
	fi
	ok "$promise"
}

sum=$(sha256sum <"$img")
refused "an image that is standard error is refused" done \
	bash -c 'tagfs "$1" "$2" 2<>"$1"; status=$?; echo done; exit $status' \
	- "$img" "$mnt"
refused "an image that is standard input is refused" "standard input" \
	bash -c 'tagfs /dev/stdin "$2" <"$1"' - "$img" "$mnt"
refused "mkfs on standard output is refused" "standard input" \
	bash -c 'mkfs.tagfs -f -q "$1" 1<>"$1"' - "$img"
refused "an inherited descriptor is no image" "No such file" \
	bash -c 'tagfs /proc/self/fd/9 "$2" 9<"$1"' - "$img" "$mnt"
refused "a log that is the image is refused" "is the image" \
	tagfs -o "log=$img" "$img" "$mnt"
refused "a log on the filesystem itself is refused" "on the filesystem" \
	tagfs -o "log=$mnt/log" "$img" "$mnt"
check "and no byte of the image has changed" \
	test "$(sha256sum <"$img")" = "$sum"
finish
