# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# guest.sh - sourced by what runs in the virtual machine: lib.sh's mounts, of
# a device instead of an image.
#
#  (1) The scene's device is $img, its format (as tests/support/medium takes it)
#      $format, and what the device stores it in $image: a file of the host,
#      or the device itself where there is none.
. "$top_srcdir/tests/support/lib.sh"

format=
image=

# on DEVICE FORMAT [IMAGE]: from now on
on()
{
	img=$1
	format=$2
	image=${3:-$1}
	: >"$log"
	: >"$work/stderr"
}

# mkfs_dev [OPTION...]: its output is $work/mkfs
mkfs_dev()
{
	mkfs.tagfs "$@" "$img" >"$work/mkfs" 2>&1 && return
	fail "mkfs.tagfs $* $img"
	sed 's/^/# /' "$work/mkfs"
	return 1
}

# stat_of NAME: a number or word of tagfs.stats
stat_of()
{
	getfattr --absolute-names --only-values -n tagfs.stats "$mnt" |
		tr ',{' '\n\n' | sed -n "s/^ *\"$1\": *\"\\{0,1\\}\\([^\"}]*\\).*/\\1/p" |
		head -n 1
}

# extents FILE: first cluster and number of clusters, a line for each
extents()
{
	getfattr --absolute-names --only-values -n tagfs.tags "$1" |
		sed -n 's/^clusters [0-9]*+\([0-9]*\) at \([0-9]*\):.*/\2 \1/p'
}

# blocks FILE: the same in blocks of the device
blocks()
{
	local per at n

	per=$(($(stat_of cluster_size) / ${format%%+*}))
	extents "$1" | while read -r at n; do
		echo "$((at * per)) $((n * per))"
	done
}

# Do the tags on the medium say what tagfs says that they do, and is the rest
# of each tuple right?  $1: number of the first block of the partition.
medium_agrees()
{
	local file at n

	for file in "${@:2}"; do
		getfattr --absolute-names --only-values -n tagfs.tags.raw \
			"$file" >"$work/said"
		: >"$work/found"
		while read -r at n; do
			medium "$image" "$format" tags $((at + $1)) "$n" \
				>>"$work/found" || return
			medium "$image" "$format" check $((at + $1)) "$n" ||
				return
		done < <(blocks "$file")
		test -s "$work/said" || return
		cmp "$work/said" "$work/found" || return
	done
}

# A tree with some of everything, made once.
make_tree()
{
	local i

	mkdir "$work/tree"
	cp -a "$source"/engine/core/*.h "$source"/engine/soft/*.h "$work/tree"
	head -c 1000000 /dev/urandom >"$work/tree/random"
	for i in 1 2 3; do
		head -c $((i * 7777)) /dev/urandom >"$work/tree/some$i"
	done
	truncate -s 20M "$work/tree/sparse"
	echo end >>"$work/tree/sparse"
	ln -s random "$work/tree/link"
}

# compare WHAT
compare()
{
	check "$1: what was copied is what is read" \
		diff -r --no-dereference "$work/tree" "$mnt/tree"
}

log_is_empty()
{
	check "$1: nothing to complain of" eval 'cat "$log"; test ! -s "$log"'
}

# rage SEED SECONDS STATE: a storm that goes on until the power is cut, so many
# seconds after it has begun.  STATE keeps its journal.  Returns only by exit.
rage()
{
	storm run "$mnt/$1" "$3/journal.$1" "$1" 60 2>"$3/storm.err" &
	until [ -s "$3/journal.$1" ]; do
		if ! kill -0 $! 2>/dev/null; then
			cat "$3/storm.err"
			fail "seed $1: the storm begins"
			exit 1
		fi
		sleep 0.1
	done
	echo "$2" >"$VM_CUT"
	wait $!
	cat "$3/storm.err"
	fail "the power is cut before the storm ends"
	exit 1
}
