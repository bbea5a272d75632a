#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_power.sh - the power is cut under load, and what was written since
# the last flush is lost with it: what was fsynced is there, and everything
# else is old or new.
. "$(dirname "$0")/lib.sh"
command -v qemu-img >/dev/null || skip_all "no qemu-img"

cuts=$(amount 1 3 40)
mib=128
format=512+8

seeds=()
for ((i = 0; i <= cuts; i++)); do
	seed=$((RANDOM % 10000 * 100 + i))
	seconds=$((1 + RANDOM % 4)).$((RANDOM % 10))
	[ $i -lt "$cuts" ] || seconds=0
	# Both ways to the device, taking turns.
	suite=trixie-backports
	[ $((i % 2)) -eq 0 ] || suite=bookworm
	layer disk $i
	guest -k $suite -n "$format:type1:img=$work/disk$i.qcow2" -- \
		power.sh "$work" "$seconds" "$seed" "${seeds[@]}"
	status=$?
	if [ $status -ne 90 ] && { [ $status -ne 0 ] || [ $seconds != 0 ]; }
	then
		fail "cut $i, $suite, seed $seed"
		break
	fi
	# The newest first; of the old ones a few are enough.
	seeds=("$seed" "${seeds[@]:0:3}")
done
exit $failed
