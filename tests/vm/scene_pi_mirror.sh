#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_mirror.sh - a mirror of two devices with protection information:
# the power is cut under load and each leg loses what it had not flushed, one
# rots, one is pulled out and comes back, one is away while power is cut.
. "$(dirname "$0")/lib.sh"
command -v qemu-img >/dev/null || skip_all "no qemu-img"

rounds=$(amount 1 1 10)
mib=96
format=512+8

# boot STATUS PART SECONDS SEED [SEED]...: of mirror.sh
boot()
{
	local status

	layer a $boots
	layer b $boots
	guest -n "$format:type1:img=$work/a$boots.qcow2" \
		-n "$format:type1:own:img=$work/b$boots.qcow2" -- \
		mirror.sh "$work" "${@:2}"
	status=$?
	boots=$((boots + 1))
	[ $status -eq "$1" ] && return
	fail "boot $boots: mirror.sh ${*:2}: $status"
	exit 1
}

soon()
{
	echo $((1 + RANDOM % 3)).$((RANDOM % 10))
}

boots=0
seed=$((RANDOM % 10000 * 100))
boot 90 new "$(soon)" $seed
for ((i = 0; i < rounds; i++)); do
	boot 90 away "$(soon)" $((seed + 1)) $seed
	last=0
	[ $i -eq $((rounds - 1)) ] || last=$(soon)
	status=90
	[ "$last" != 0 ] || status=0
	boot $status back "$last" $((seed + 2)) $((seed + 1)) $seed
	seed=$((seed + 2))
done
exit $failed
