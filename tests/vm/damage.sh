#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# damage.sh BACKEND OTHER [DEVICE FORMAT IMAGE]...: in the guest.  The medium
# is changed behind the device's back: each change is noticed, the log names
# the file and the check, exactly that is refused, and all else can be read.
# shellcheck disable=SC2119,SC2317,SC2154,SC1091
. "${0%/*}/guest.sh"
begin

files="whole data guard ref app swap1 swap2 lost"

make_files()
{
	local f

	mkdir -p "$work/files"
	for f in $files; do
		head -c 120000 /dev/urandom >"$work/files/$f"
	done
}

# nth FILE: a block in the middle of a file
nth()
{
	local at n

	read -r at n < <(blocks "$mnt/$1")
	echo $((at + n / 2 / 8 * 8 + 3))
}

# hurt WHAT BLOCK: false if the device can't be made to
hurt()
{
	if [ -f "$image" ] || [ "$1" = app ]; then
		medium "$image" "$format" flip "$2" "$1"
		return
	fi
	# Without tuples from the kernel a SCSI disk keeps the old ones.
	echo 0 >/sys/block/sda/integrity/write_generate
	head -c "${format%%+*}" /dev/urandom >"$work/sector"
	dd if="$work/sector" of="$img" bs="${format%%+*}" seek="$2" \
		oflag=direct conv=notrunc status=none
	echo 1 >/sys/block/sda/integrity/write_generate
}

# Cluster of block $2 over that of block $1, tuples and all.
misdirect()
{
	medium "$image" "$format" get $(($2 / 8 * 8)) 8 |
		medium "$image" "$format" put $(($1 / 8 * 8))
}

# The cluster of a block as it was before the file was written.
lose()
{
	medium "$work/before" "$format" get $(($1 / 8 * 8)) 8 |
		medium "$image" "$format" put $(($1 / 8 * 8))
}

# caught FORMAT FILE CHECK
caught()
{
	check "$1: $2 is refused" grep -qx "refused /$2" "$work/compare"
	check "$1: $2: the log names file and check: $3" \
		grep "/$2: .*$3" "$log" || grep "/$2: " "$log"
}

place()
{
	local f

	must_mount
	if [ -f "$image" ]; then
		cp --sparse=always "$image" "$work/before"
	fi
	for f in $files; do
		cp "$work/files/$f" "$mnt/$f"
	done
	sync -f "$mnt/whole"
	sync "$mnt"/*
	for f in $files; do
		eval "at_$f=$(nth "$f")"
	done
	umount_fs
}

image_damage()
{
	hurt guard "$at_guard"
	hurt ref "$at_ref"
	misdirect "$at_swap1" "$at_swap2"
	lose "$at_lost"
	hurt data 0	# of the first superblock
}

image_caught()
{
	local ref=ref

	case $format in
	*type3*) ref=app ;;
	*) caught "$1" ref "ref check failed" ;;
	esac
	caught "$1" guard "guard check failed"
	caught "$1" swap1 "$ref check failed"
	caught "$1" lost "check failed"
	check "$1: a damaged superblock is told, and the other used" \
		grep "superblock at the start is damaged (guard)" "$log"
}

whole()
{
	local data="guard check failed"

	mkfs_dev -f -q || return
	place
	hurt data "$at_data"
	hurt app "$at_app"
	if [ -f "$image" ]; then
		image_damage
	else
		data="refused by the device"
	fi
	: >"$log"
	must_mount -o "backend=$backend"
	check "$1: right bytes or an error" eval \
		"corrupt compare '$work/files' '$mnt' >'$work/compare'"
	tail -n 1 "$work/compare"
	caught "$1" data "$data"
	caught "$1" app "app check failed"
	[ ! -f "$image" ] || image_caught "$1"
	check "$1: the device found some of it itself" \
		test "$(stat_of refused)" -gt 0
	check "$1: nothing else is refused" \
		test -z "$(grep -Ex 'refused /(whole|swap2)|lost .*' \
		"$work/compare")"
	umount_fs
}

backend=$1
shift 2
make_files
while [ $# -gt 0 ]; do
	on "$1" "$2" "${3#-}"
	whole "$2, $backend"
	shift 3
done
finish
