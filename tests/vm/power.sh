#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# power.sh STATE SECONDS SEED [SEED]...: in the guest.  Check what the storms
# of all seeds but the first left behind when the power was cut; then let one
# with the first seed rage until it is cut again (SECONDS 0: no more).  STATE:
# directory for what must outlive the machine.
# shellcheck disable=SC2119,SC2317,SC2154,SC1091
. "${0%/*}/guest.sh"
begin

state=$1
seconds=$2
seed=$3
shift 3

# The slot of a checkpoint that was cut short may be half written.
no_damage()
{
	! grep -E 'bad|damage|check failed' "$log" | grep -v 'checkpoint slot'
}

check_storm()
{
	check "power cut, seed $1$2: what was fsynced is there, the rest is old or new" \
		storm check "$mnt/$1" "$state/journal.$1" "$1"
	echo "$(tail -n 1 "$work/check.out") (seed $1)"
}

on /dev/pi/1 512+8
if [ $# -eq 0 ]; then
	mkfs_dev -q || exit 1
fi
must_mount
for old; do
	check_storm "$old" ""
done
if [ $# -gt 0 ]; then
	remount_fs
	check_storm "$1" ", mounted again"
	check "seed $1: no damage to report" no_damage
	check "seed $1: the device refused nothing" \
		test "$(stat_of refused)" = 0
fi
[ "$seconds" = 0 ] && finish
[ $failed -eq 0 ] || exit 1
rage "$seed" "$seconds" "$state"
