#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_kill.sh - the daemon dies under load: what was fsynced is there, and
# everything else is old or new.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 1000

seeds=$(seq "$(amount 3 8 100)")
storm=

# Until it has begun, for 20 seconds at most.
start_storm()
{
	storm run "$mnt/$1" "$work/journal.$1" "$1" 60 2>"$work/storm.err" &
	storm=$!
	await 20 test -e "$work/journal.$1"
}

end_storm()
{
	kill "$storm" 2>/dev/null
	wait "$storm" 2>/dev/null
	storm=
}

check_storm()
{
	check "$2: what was fsynced is there, the rest is old or new" \
		storm check "$mnt/$1" "$work/journal.$1" "$1"
	echo "$(tail -n 1 "$work/check.out") (seed $1)"
}

# The slot of a checkpoint that was cut short may be half written.
no_damage()
{
	! grep -E 'bad|damage|check failed' "$log" | grep -v 'checkpoint slot'
}

mkfs 512M
must_mount
for seed in $seeds; do
	start_storm "$seed"
	sleep "$((seed % 3)).$((seed * 7 % 10))"
	kill_fs
	end_storm
	must_mount
	check_storm "$seed" "SIGKILL, seed $seed"
done
remount_fs
for seed in $seeds; do
	check_storm "$seed" "SIGKILL, seed $seed, mounted again"
done
check "the log has no damage to report" no_damage

# While it is used it can't be unmounted, and nothing happens to it.
seed=1001
start_storm $seed
sleep 1
check "umount of a mount in use is refused" eval "! umount '$mnt'"
sleep 1
check "and it goes on" kill -0 "$storm"
end_storm
check_storm $seed "umount under load"

# A process killed in the middle of a rename leaves an error at the mount that
# means no loss.
for seed in 1011 1012 1013 1014; do
	start_storm $seed
	sleep 0.4
	end_storm
done

# SIGTERM cuts the users off, after all that they have written is written.
seed=1002
start_storm $seed
sleep 2
pid=$daemon
daemon=
kill -TERM "$pid"
wait "$pid"
status=$?
check "SIGTERM under load ends with 0" test $status -eq 0 || dump
end_storm
mounted "$mnt" && unmount -l
must_mount
check_storm $seed "SIGTERM under load"
check "still no damage to report" no_damage
finish
