#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_log.sh - the daemon dies and leaves a log, and then something happens
# to the image: a log that is damaged costs what came after the damage and
# nothing before it, and says so; damage elsewhere is an error where it is.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 500

files=40
hits=8
seeds=$(seq "$(amount 3 10 100)")
read -r -a formats < <(amount "512+8" "512+8 4096+16" \
	"512+8 4096+16 512+8:type3")

# Every file is one commit: nothing else makes one.
make_image()
{
	local i

	rm -rf "$img" "$work/tree"
	mkfs "$2" -F "$1"
	mkdir "$work/tree"
	must_mount -o commit=0
	mkdir "$mnt/tree"
	for i in $(seq $files); do
		head -c $((RANDOM * i / 4)) /dev/urandom >"$work/tree/file$i"
		cp "$work/tree/file$i" "$mnt/tree"
		sync "$mnt/tree/file$i"
	done
	touch "$mnt/end"	# this commit says that the others are durable
	sync "$mnt/end"
	kill_fs
	mv "$img" "$work/crashed"
}

# damage KIND SEED HITS: of a new copy
damage()
{
	cp --sparse=always "$work/crashed" "$img"
	: >"$log"
	corrupt hit "$1" "$2" "$3" "$img"
}

# How many files are there, if all of them are right and none before them is
# missing.
prefix()
{
	local i n=0

	for i in $(seq $files); do
		[ -e "$mnt/tree/file$i" ] || break
		cmp -s "$work/tree/file$i" "$mnt/tree/file$i" || return 1
		n=$i
	done
	[ "$(find "$mnt/tree" -type f 2>/dev/null | wc -l)" -eq "$n" ] ||
		return 1
	echo "$n"
}

read_only()
{
	! touch "$mnt/new" 2>/dev/null
}

for format in "${formats[@]}"; do
	size=64M
	[ "$format" = 4096+16 ] && size=256M
	make_image "$format" $size
	cp --sparse=always "$work/crashed" "$img"
	: >"$log"
	must_mount
	check "$format: the log was needed" grep -q 'replayed commits' "$log"
	check "$format: all is there after a crash" test "$(prefix)" = $files
	umount_fs
	short=0
	for seed in $seeds; do
		case="$format, log, seed $seed"
		damage log "$seed" 1 || fail "$case: damage"
		must_mount
		n=$(prefix)
		check "$case: nothing before the damage is missing" \
			test -n "$n"
		if [ "${n:-0}" -lt $files ]; then
			short=$((short + 1))
			check "$case: it says so" \
				grep -q 'the log is damaged' "$log"
			check "$case: and can only be read" read_only
		fi
		umount_fs
	done
	check "$format: the log was damaged ($short times)" test $short -gt 0
	for kind in flip tuple move misdirect; do
		for seed in $seeds; do
			case="$format, $kind, seed $seed"
			damage "$kind" "$seed" $hits || fail "$case: damage"
			if ! mount_fs; then
				check "$case: only two bad copies refuse" \
					grep -q 'both copies are bad\|no usable' \
					"$log"
				continue
			fi
			check "$case: right bytes or an error" eval \
				"corrupt compare '$work/tree' '$mnt/tree' \
				>'$work/compare'" ||
				grep '^# ' "$work/compare" | head -n 20
			umount_fs
		done
	done
done
finish
