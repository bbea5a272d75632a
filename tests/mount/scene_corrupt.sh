#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_corrupt.sh - never one wrong byte: whatever happens to an image, a
# read gives what was written or an error, and the log names the file.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 1000

hits=40
seeds=$(seq "$(amount 1 2 50)")
read -r -a formats < <(amount "512+8" "512+8 4096+8 4096+64" \
	"512+8 4096+8 4096+64 4096+16 512+8:type3")
kinds="flip tuple page swap move misdirect revert"

# How many blocks of 4 KiB one hit may cost: "page" 64 bytes, in up to two
# sectors of tuples; the others one or two clusters.
cost()
{
	local cluster=$1

	case $2 in
	page) echo $((128 * cluster)) ;;
	swap | move | misdirect) echo $((2 * cluster)) ;;
	*) echo $((1 * cluster)) ;;
	esac
}

make_tree()
{
	local i

	mkdir "$work/tree"
	if [ -d /usr/include/linux ]; then
		cp -a /usr/include/linux "$work/tree"
	fi
	for i in $(seq 60); do
		head -c $((RANDOM * i / 4)) /dev/urandom >"$work/tree/file$i"
		ln -s "file$i" "$work/tree/link$i"
	done
}

# What was rewritten on the way is free again after a checkpoint, so more than
# one round may fit.
fill()
{
	local i

	for i in 1 2 3 4 5 6 7 8; do
		dd if=/dev/urandom of="$mnt/filler$i" bs=1M count=110
		remount_fs
		if ! head -c 1M /dev/urandom >"$mnt/more" ||
		   ! sync "$mnt/more"; then
			return 0
		fi
	done
	return 1
}

# Make $work/new of $work/tree, in clusters that held something else before,
# and an older copy of it, $work/old.
make_image()
{
	rm -f "$img" "$work/old"
	mkfs 96M -F "$1"
	must_mount
	check "$1: the image is filled" fill
	umount_fs
	cp --sparse=always "$img" "$work/old"
	must_mount
	rm "$mnt"/*
	remount_fs
	check "$1: cp -a" cp -a "$work/tree" "$mnt/tree"
	cluster=$(getfattr --absolute-names --only-values -n tagfs.stats \
		"$mnt" | sed -n 's/.*"cluster_size": *\([0-9]*\).*/\1/p')
	cluster=$((cluster / 4096))
	umount_fs
	mv "$img" "$work/new"
}

named_in_log()
{
	local path

	if grep -q 'both copies are bad' "$log"; then
		return	# then names can be lost, too
	fi
	sed -n 's/^refused //p' "$work/compare" | sort -u |
		while read -r path; do
			grep -qF "/tree$path: " "$log" && continue
			echo "not in the log: /tree$path"
		done
	if grep -q '^lost ' "$work/compare"; then
		echo "not in the log: what was lost"
	fi
}

total=0
caught=0
for format in "${formats[@]}"; do
	[ -d "$work/tree" ] || make_tree
	make_image "$format"
	for kind in $kinds; do
		for seed in $seeds; do
			case="$format, $kind, seed $seed"
			cp --sparse=always "$work/new" "$img"
			: >"$log"
			old=
			[ "$kind" = revert ] && old=$work/old
			corrupt hit "$kind" "$seed" $hits "$img" \
				${old:+"$old"} || fail "$case: damage"
			if ! mount_fs; then
				fail "$case: can be mounted"
				dump
				continue
			fi
			check "$case: right bytes or an error" eval \
				"corrupt compare '$work/tree' '$mnt/tree' \
				>'$work/compare'" ||
				grep '^# ' "$work/compare" | head -n 20
			umount_fs
			refused=$(sed -n 's/.*right, \([0-9]*\) refused.*/\1/p' \
				"$work/compare")
			limit=$((hits * $(cost $cluster "$kind")))
			check "$case: no more is refused than was damaged" \
				test "$refused" -le $limit
			unnamed=$(named_in_log)
			check "$case: the log names every file" \
				test -z "$unnamed" || echo "$unnamed"
			echo "# $case: $hits hits," \
				"$(tail -n 1 "$work/compare")" \
				"$(grep -o '[a-z]* check failed' "$log" |
				sort | uniq -c | tr '\n' ' ')"
			total=$((total + hits))
			caught=$((caught + refused))
		done
	done
done
echo "# $total hits, $caught blocks refused"
check "something was hit" test $caught -gt 0
finish
