#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_manners.sh - the programs as a person types them: sizes, what keeps
# mkfs from overwriting, what it says to programs, versions and help.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin

# size WORDS BYTES
size()
{
	rm -f "$img"
	mkfs.tagfs -q -s "$1" "$img" 2>"$work/out"
	check "-s '$1' makes $2 bytes" \
		test "$(stat -c %s "$img" 2>/dev/null)" = "$2"
}

size 8M 8388608
size 8m 8388608
size 8MiB 8388608
size 8MB 8000000
size 0.01G 10737418
size "8 MB" 8000000
size 9000000 9000000
size 9000000B 9000000
for bad in 5X 1.5 1e3 -1 "" 0 M 1GG 99999999999P; do
	check "-s '$bad' is refused" eval \
		"! mkfs.tagfs -n -q -s '$bad' $work/none"
done
mkfs.tagfs -q -s 1M "$work/small" >"$work/out" 2>&1
check "what is too small is told so" grep -q "too small" "$work/out"
check "and not left behind" test ! -e "$work/small"

# refused PROMISE: mkfs without -f
refused()
{
	if mkfs.tagfs -q "$work/target" >"$work/out" 2>&1 </dev/null; then
		fail "$1"
	elif ! grep -q -- "use -f" "$work/out"; then
		fail "$1: -f is not named"
		sed 's/^/# /' "$work/out"
	else
		ok "$1"
	fi
}

head -c 1M /dev/urandom >"$work/target"
truncate -s 16M "$work/target"
refused "random data are not overwritten"
rm "$work/target"
{
	printf 'QFI\373\0\0\0\3'
	head -c 100 /dev/zero
} >"$work/target"
truncate -s 16M "$work/target"
refused "nor a disk image of another program"
rm "$work/target"
truncate -s 16M "$work/target"
printf x | dd of="$work/target" bs=1 seek=8388700 conv=notrunc status=none
refused "nor something further in"
check "-f overwrites" mkfs.tagfs -q -f "$work/target"
rm "$work/target"
truncate -s 16M "$work/target"
check "zeros are nothing" mkfs.tagfs -q "$work/target"
if command -v script >/dev/null; then
	head -c 16M /dev/urandom >"$work/target"
	echo n | script -qec "mkfs.tagfs -q $work/target" /dev/null \
		>"$work/out" 2>&1
	check "at a terminal it asks" grep -q "Overwrite it" "$work/out"
	check "no is no" eval "! tagfsctl probe $work/target"
	echo y | script -qec "mkfs.tagfs -q $work/target" /dev/null \
		>"$work/out" 2>&1
	check "yes is yes" tagfsctl probe "$work/target"
else
	skip "questions at a terminal: no script"
fi

rm -f "$img"
mkfs.tagfs --json -s 16M -L 'a "b" \c' -E root_owner=12:34 "$img" \
	>"$work/json"
check "--json is one object" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert d["size"] == 16 << 20 and d["label"] == "a \"b\" \\c", d
assert (d["root_uid"], d["root_gid"]) == (12, 34), d
assert d["usable_bytes"] < d["size"] and not d["dry_run"], d' "$work/json"
must_mount
check "-E root_owner is the owner of the root" \
	test "$(stat -c %u:%g "$mnt")" = 12:34
umount_fs
for bad in root_owner root_owner= root_owner=1 root_owner=a:b \
	root_owner=1:2x stride=4; do
	check "-E $bad is refused" eval \
		"! mkfs.tagfs -n -q -s 16M -E $bad $work/none"
done

check "what a cluster of 32 KiB costs is said" eval "mkfs.tagfs -n -s 35M \
	-F 4096+64 $work/none | grep -q 'takes 32 KiB, however small'"
check "and nothing of the kind where it is one of 4 KiB" eval \
	"! mkfs.tagfs -n -s 16M $work/none | grep -q 'however small'"

ln -s "$build/tagfs" "$work/mount.tagfs"
ln -s "$build/tagfs" "$work/umount.tagfs"
for program in tagfs mkfs.tagfs fsck.tagfs tagfsctl; do
	check "$program -V says its name and version" eval \
		"$program -V | grep -qE '^$program [0-9]+\.'"
	check "$program --version is the same" eval \
		"cmp <($program -V) <($program --version)"
	check "$program --help fits a screen" test \
		"$($program --help | wc -l)" -le 24
	check "in 80 columns" eval "! $program --help | grep -q '.\{81\}'"
done
check "mount.tagfs -V and --version answer, too" eval \
	"$work/mount.tagfs -V && $work/mount.tagfs --version"
check "and umount.tagfs" eval \
	"$work/umount.tagfs -V && $work/umount.tagfs --version"
check "tagfsctl VERB --help says what it takes" eval \
	"tagfsctl scrub --help | grep -q 'Usage: tagfsctl scrub'"
finish
