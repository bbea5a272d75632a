#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_sigkill.sh - the daemon is killed again and again on one image: what
# was answered is there, byte for byte, and all of it can be read.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 700
command -v python3 >/dev/null || skip_all "no python3"

seeds=$(seq "$(amount 6 12 60)")
writers=

start_writers()
{
	rm -f "$work/journal/ready"
	python3 "$source/tests/support/ledger.py" run "$mnt" "$work/journal" "$1" \
		2>>"$work/writers" &
	writers=$!
	for ((i = 0; i < 200; i++)); do
		[ -e "$work/journal/ready" ] && return
		sleep 0.05
	done
	fail "the writers start"
}

# They end by themselves when the mount is gone.
await_writers()
{
	wait "$writers"
	check "the writers end as they should, seed $1" test $? -eq 0
	writers=
}

# check_ledger PROMISE [clean]
check_ledger()
{
	local promise=$1

	shift
	check "$promise" python3 "$source/tests/support/ledger.py" check "$mnt" \
		"$work/journal" "$@"
	tail -n 1 "$work/check.out"
}

reads_all()
{
	find "$mnt" -type f -exec cat {} + >/dev/null
}

# The slot of a checkpoint that was cut short may be half written.
no_damage()
{
	! grep -E 'bad|damage|check failed' "$log" | grep -v 'checkpoint slot'
}

mkfs 256M
must_mount
for seed in $seeds; do
	start_writers "$seed"
	sleep "$((seed % 2)).$((seed * 37 % 90 + 10))"
	kill_fs
	await_writers "$seed"
	must_mount
	check_ledger "SIGKILL, seed $seed: what was answered is there"
	check "SIGKILL, seed $seed: all can be read" reads_all
done
check "the log has no damage to report" no_damage

for seed in 1001 1002; do
	start_writers $seed
	sleep 1.5
	check "umount under load is refused, seed $seed" \
		eval "! umount '$mnt'"
	sleep 0.5
	kill -TERM "$writers"
	await_writers $seed
	remount_fs
	check_ledger "unmounted, seed $seed: what was written is there" clean
done
umount_fs
check "another reader finds the image whole" \
	"$source/tests/fs/spec_reader.py" check "$img"
check "still no damage to report" no_damage
finish
