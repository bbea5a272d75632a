#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_memory.sh - memory runs out: a start fails or it mounts, and a mount
# goes on.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300
[ -z "$sanitizer" ] || skip_all "a sanitizer must be loaded first"
trouble=$build/tests/.libs/trouble.so
[ -f "$trouble" ] || skip_all "no $trouble"

# The one allocation that fails may be a request's.
usable()
{
	touch "$mnt/used" || touch "$mnt/used"
}

# start WHAT COMMAND...: it mounts, ends with 0, and the mount is usable; or
# it does not, says why and does not end with 0.
start()
{
	local what=$1 status

	shift
	timeout 60 "$@" >"$work/out" 2>&1
	status=$?
	if mounted "$mnt"; then
		if [ $status -ne 0 ] || ! usable; then
			echo "$what: status $status, but mounted"
			unmount -l
			return 1
		fi
		unmount
		mounts=$((mounts + 1))
	elif [ $status -eq 0 ] || [ $status -ge 124 ] || [ ! -s "$work/out" ] ||
	     grep -q 'fault' "$work/out"; then
		echo "$what: status $status without a mount"
		cat "$work/out"
		return 1
	else
		failures=$((failures + 1))
	fi
}

# That one allocation is all that fails.
one_allocation()
{
	local n

	for n in $(seq 1 "$1" "$2"); do
		start "allocation $n" env LD_PRELOAD="$trouble" \
			TROUBLE_MALLOC="$n" tagfs -o "log=$log" "$img" \
			"$mnt" || return 1
	done
}

address_space()
{
	local mib

	for mib in $(seq 4 "$1" 500); do
		start "$mib MiB of address space" bash -c \
			"ulimit -v $((mib * 1024)); exec tagfs -o 'log=$log' \
			'$img' '$mnt'" || return 1
	done
}

mkfs 64M
mounts=0 failures=0
check "whichever allocation fails, a start fails or it mounts" \
	one_allocation "$(amount 13 3 1)" 400
echo "$mounts mounts, $failures failures"
mounts=0 failures=0
check "at any limit of memory a start fails or it mounts" \
	address_space "$(amount 60 15 2)"
echo "$mounts mounts, $failures failures"

# No buffer for any thread but the first: one that there is serves everybody.
LD_PRELOAD=$trouble TROUBLE_MALLOC_ON=$work/none \
	tagfs -f -o "log=$log" "$img" "$mnt" 2>>"$work/stderr" &
daemon=$!
echo "$daemon" >"$work/daemon"
until mounted "$mnt" || ! running "$daemon"; do
	sleep 0.05
done
: >"$work/none"
for ((i = 0; i < 8; i++)); do
	(for ((j = 0; j < 200; j++)); do
		: >"$mnt/$i.$j" && echo "$i.$j" && stat "$mnt" >&2
	done; sync "$mnt/$i.0") >"$work/done.$i" 2>/dev/null &
	pids[i]=$!
done
wait "${pids[@]}"
rm "$work/none"
check "without memory for more threads the mount goes on" touch "$mnt/there"
umount_fs
must_mount
check "requests that need no more are answered" test -s "$work/done.0"
check "and what was done is there" eval \
	"(cd '$mnt' && cat '$work'/done.* | xargs ls >/dev/null)"
umount_fs
finish
