#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mirror.sh STATE PART SECONDS SEED [SEED]...: in the guest, with a mirror on
# /dev/pi/1 and 2.  Check what the storms of all seeds but the first left
# behind when the power was cut; do what PART says; then let one with the first
# seed rage until the power is cut again (SECONDS 0: no more).  STATE: directory
# for what must outlive the machine.
#
#	new	the mirror is made
#	away	the second leg rots; it is pulled out, comes back, and is away
#		when the power is cut
#	back	it comes back after that
# shellcheck disable=SC2119,SC2317,SC2154,SC1091
. "${0%/*}/guest.sh"
begin

state=$1
part=$2
seconds=$3
seed=$4
shift 4
second=/dev/pi/2

refused()
{
	! "$@"
}

# count NAME LEG: of the metrics
count()
{
	tagfsctl status --metrics "$mnt" |
		sed -n "s/^tagfs_leg_$1_total{.*leg=\"$2\".* //p"
}

# counts LEG: reads that did not verify, what failed, and what was put right
counts()
{
	echo "$(count bad "$1") $(count errors "$1") $(count healed_intervals "$1")"
}

status_says()
{
	mirror_says 20 "$1"
}

# A scrub finds what it says it does: nothing, if legs have the same.
same()
{
	local one two

	one=$(counts 1)
	two=$(counts 2)
	check "$1: a scrub reads everything" eval "tagfsctl scrub start '$mnt' &&
		tagfsctl scrub wait '$mnt'"
	check "$1: both legs have the same" \
		test "$(counts 1), $(counts 2)" = "$one, $two"
}

check_storms()
{
	local old

	for old in "${seeds[@]}"; do
		check "$1: what was fsynced is there, the rest is old or new, seed $old" \
			storm check "$mnt/$old" "$state/journal.$old" "$old"
	done
}

new()
{
	check "a mirror of two devices is made" \
		mkfs.tagfs -q --mirror "$img" "$second"
	must_mount -o "device=$second"
	check "a new mirror has nothing bad" \
		test "$(counts 1), $(counts 2)" = "0 0 0, 0 0 0"
}

rot()
{
	local at n

	head -c 400000 /dev/urandom >"$work/rot"
	cp "$work/rot" "$mnt/rot.$seed"
	sync "$mnt/rot.$seed"
	read -r at n < <(blocks "$mnt/rot.$seed")
	umount_fs
	medium "$second" "$format" flip $((at + 3)) data
	medium "$second" "$format" flip $((at + n / 2 / 8 * 8 + 5)) app
	must_mount -o "device=$second"
	check "a leg rots: all is read" cmp "$work/rot" "$mnt/rot.$seed"
	check "a scrub looks at the rest" eval "tagfsctl scrub start '$mnt' &&
		tagfsctl scrub wait '$mnt'"
	check "what was bad there is counted and put right there" \
		test "$(count healed_intervals 2)" -ge 2 -a \
		"$(counts 1)" = "0 0 0"
}

pull()
{
	echo 1 >"/sys/block/$(basename "$(realpath "$second")")/device/device/remove"
}

plug()
{
	local i

	echo 1 >/sys/bus/pci/rescan
	for ((i = 0; i < 100; i++)); do
		i=$(grep -sxl 2 /sys/block/nvme*/nsid) && break
		sleep 0.1
	done
	sleep 1
	i=$(grep -xl 2 /sys/block/nvme*/nsid | head -n 1)
	i=${i%/nsid}
	ln -sfn "/dev/${i##*/}" "$second"
}

away()
{
	must_mount -o "device=$second"
	check_storms "power cut"
	same "power cut"
	rot
	pull
	cp -r "$source/engine/core" "$mnt/core.$seed"
	check "a leg is pulled out: what is written is durable" \
		sync "$mnt/core.$seed"/*
	check "and the leg is called failed" status_says "leg 2 .*failed"
	check_storms "with one leg"
	plug
	check "the leg is given back" tagfsctl device return "$second" "$mnt"
	check "and gets what it missed" status_says "current, leg 2 .*current"
	same "a leg came back"
	check "all is there" diff -r "$source/engine/core" "$mnt/core.$seed"
	umount_fs
	pull	# or it would be found
	must_mount -o degraded
	check "a mount without the leg says so" status_says "leg 2 missing"
}

back()
{
	local leg

	must_mount -o "device=$second"
	check_storms "power cut with one leg"
	check "the other one gets what it missed" \
		status_says "current, leg 2 .*current"
	same "after that"
	check_storms "both legs again"
	umount_fs
	for leg in "$img" "$second"; do
		check "$leg alone is whole" fsck.tagfs -fn --data "$leg"
	done
	[ "$seconds" = 0 ] || must_mount -o "device=$second"
}

seeds=("$@")
on /dev/pi/1 512+8
$part
[ "$seconds" = 0 ] && finish
[ $failed -eq 0 ] || exit 1
rage "$seed" "$seconds" "$state"
