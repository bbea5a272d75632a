#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_fence.sh - one host at a time.  The other host is this one in a mount
# namespace where it has another boot id.  It can't be given the same storage,
# which the lock would keep from it; so it gets a copy, and the signs of life
# of the first are copied, too.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300
unshare -m true 2>/dev/null || skip_all "no mount namespaces"

boot=/proc/sys/kernel/random/boot_id
echo 11111111-2222-3333-4444-555555555555 >"$work/boot_id"

# elsewhere COMMAND...: on the other host.
elsewhere()
{
	"$source/tests/support/own_mounts" sh -c 'mount --bind "$0" "$1" &&
		shift && exec "$@"' "$work/boot_id" "$boot" "$@"
}

elsewhere test -e "$boot" 2>/dev/null || skip_all "no second boot id"

# Where the fence is, in a container.
fence_at()
{
	grep -abo TFNC "$1" | head -n 1 | cut -d: -f1
}

alive()
{
	while [ -e "$work/alive" ]; do
		dd if="$img" of="$work/copy" bs=4096 count=1 conv=notrunc \
			skip=$(($1 / 4096)) seek=$(($1 / 4096)) \
			iflag=direct status=none
		sleep 0.2
	done
}

mkfs 64M
must_mount -o fence=1
echo hello >"$mnt/a"
sync "$mnt/a"
cp --sparse=always "$img" "$work/copy"
at=$(fence_at "$img")
check "the fence is a cluster without tuples" test $((at % 4096)) -eq 0
: >"$work/alive"
alive "$at" &
copier=$!
refused()
{
	elsewhere timeout 100 tagfs -f -o fence=1 "$work/copy" "$mnt" \
		>"$work/said" 2>&1
	[ $? -eq 32 ] && grep -q "has this filesystem mounted" "$work/said"
}
check "a host that lives keeps others out" refused
mkfs_refused()
{
	elsewhere timeout 100 mkfs.tagfs -q -f "$work/copy" >"$work/said" 2>&1
	[ $? -eq 1 ] && grep -q "is in use by host" "$work/said"
}
check "and its filesystem from being made over" mkfs_refused
rm "$work/alive"
wait "$copier"

# What is killed signs no more; this boot need not wait for it.
kill_fs
must_mount -o fence=1
check "this boot goes on at once" sh -c "! grep 'did not sign off' '$log'"
check "nothing is lost" grep -q hello "$mnt/a"
cp --sparse=always "$img" "$work/copy"
umount_fs

succeeds()
{
	elsewhere sh -c 'tagfs -o fence=1,log="$1" "$2" "$3" &&
		grep -q hello "$3/a" && umount "$3"' sh "$work/log2" \
		"$work/copy" "$mnt" && grep -q "did not sign off" "$work/log2"
}
check "another host waits for a dead one, and goes on" succeeds
signed_off()
{
	tagfs -o "fence=1,log=$work/log3" "$img" "$mnt" && umount "$mnt" &&
		! grep "sign" "$work/log3"
}
check "a clean unmount is not waited for" signed_off
finish
