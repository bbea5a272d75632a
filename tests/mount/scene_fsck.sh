#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_fsck.sh - fsck.tagfs on real images: what it says, exits with, changes.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300

# fsck STATUS OPTION...: it exits with that.
fsck()
{
	local want=$1 status

	shift
	fsck.tagfs "$@" "$img" </dev/null >"$work/said" 2>"$work/err"
	status=$?
	[ $status -eq "$want" ] && return
	echo "status $status"
	cat "$work/said" "$work/err"
	return 1
}

says()
{
	grep -q "$1" "$work/said" && return
	cat "$work/said"
	return 1
}

lines_are_json()
{
	test -s "$work/said" || return
	while read -r line; do
		python3 -m json.tool <<<"$line" >/dev/null || return
	done <"$work/said"
}

sum()
{
	sha256sum <"$img"
}

mkfs 64M -L fsck
must_mount
cp -a /usr/include/linux "$mnt/"
mkdir "$mnt/d"
head -c 300000 /dev/urandom >"$mnt/d/file"
: >"$mnt/d/"$'two\nlines'
ln "$mnt/d/file" "$mnt/d/name"
setfattr -n user.x -v y "$mnt/d/file"
sync "$mnt/d/file"

check "a mounted filesystem is refused" fsck 8 -n
check "who has it is said" grep -qi "tagfs\|use" "$work/err"
umount_fs
before=$(sum)
check "what was unmounted is clean" fsck 0 -n
check "and said to be" says ": clean"
check "a forced check finds nothing" fsck 0 -fn --data
check "and writes nothing" test "$(sum)" = "$before"
check "without a terminal it wants to be told" fsck 16
check "two answers are one too many" fsck 16 -n -y
check "a path is needed" test \
	"$(fsck.tagfs -n 2>/dev/null; echo $?)" -eq 16
check "what is no tagfs is an error" test \
	"$(fsck.tagfs -fn /dev/null >/dev/null 2>&1; echo $?)" -eq 8
check "JSON is JSON" fsck 0 -fn --json
check "line by line" lines_are_json
check "progress goes to a descriptor" eval \
	'fsck.tagfs -fn -C 3 "$img" 3>"$work/progress" >/dev/null &&
	grep -q "^1 [0-9]* 1000 " "$work/progress"'

# Rot in content: nothing that can be put right.
must_mount
at=$(tagfsctl locate "$mnt/d/file" 100000 2>/dev/null |
	sed -n 's/.*sector[^0-9]*\([0-9]*\).*/\1/p' | head -n 1)
umount_fs
if [ -n "$at" ]; then
	printf 'ROT' | dd of="$img" bs=1 seek=$((at * 512 + 9)) conv=notrunc \
		2>/dev/null
	check "rot in a file is found when content is read" fsck 4 -fy --data
	check "with its path" says "/d/\(file\|name\) (inode "
	check "and is nothing to the rest" fsck 0 -fn
fi

# A crash: what the log has is replayed, in memory where nothing is written.
must_mount
for i in 1 2 3 4 5; do
	echo "$i" >"$mnt/late$i"
	sync "$mnt/late$i"
done
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
unmount -l
daemon=
before=$(sum)
check "after a crash it is checked without being asked" fsck 0 -n
check "and not written with -n" test "$(sum)" = "$before"
check "-p brings it in order" fsck 0 -p
check "then it is clean" eval 'fsck 0 -p && says ": clean"'
must_mount
check "what was synced is there" test "$(cat "$mnt"/late*)" = \
	"$(printf '%s\n' 1 2 3 4 5)"
umount_fs

# One copy of the superblock.
size=$(stat -c %s "$img")
dd if=/dev/zero of="$img" bs=4096 seek=3 count=1 conv=notrunc 2>/dev/null
check "a bad superblock is found" fsck 4 -fn
check "and named" says "superblock"
check "and put right" fsck 1 -fy
check "for good" fsck 0 -fn
check "the image has kept its size" test "$(stat -c %s "$img")" -eq "$size"

# What the container keeps for itself: a header, a tuple page.
for at in 100 $((size - 4000)) 5004 9004; do
	printf 'ROT' | dd of="$img" bs=1 seek=$at conv=notrunc 2>/dev/null
	check "the container's own rot at byte $at is found" fsck 4 -fn
	check "and named" says "copy [01] at byte .*not fixed"
	check "and put right without asking" fsck 1 -fp
	check "for good" fsck 0 -fn
done

# Every superblock, slot and cluster of the log.
must_mount
find "$mnt" -type f ! -path '*/d/file' ! -path '*/d/name' -print0 | sort -z |
	xargs -0 sha256sum | sed "s,$mnt,," >"$work/before"
umount_fs
check "superblocks are destroyed" python3 - "$img" <<'EOF'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
data = os.pread(fd, size, 0)
magic = b'TAGFS\0\r\n'
at, n = data.find(magic), 0
while at >= 0:
    os.pwrite(fd, bytes(4096), at)
    n += 1
    at = data.find(magic, at + 1)
assert n == 2, n
for name in b'TSLT', b'TLOG':
    at = data.find(name)
    while at >= 0:
        if at % 4096 == 0:
            os.pwrite(fd, bytes(4096), at)
        at = data.find(name, at + 1)
EOF
check "without --rebuild it is no tagfs" fsck 8 -fy
check "a scratch directory that is not there ends it" \
	fsck 8 -y --rebuild --scratch "$work/nowhere"
check "memory is a size" fsck 16 -y --rebuild --memory 12X
check "with it what is there comes back" \
	fsck 1 -y --rebuild --memory 1M --scratch "$work"
check "and is whole" fsck 0 -fn
must_mount
find "$mnt" -type f ! -path '*/d/file' ! -path '*/d/name' -print0 | sort -z |
	xargs -0 sha256sum | sed "s,$mnt,," >"$work/after"
check "every name and byte is what it was" cmp "$work/before" "$work/after"
umount_fs

# Without the container's headers and superblocks.
size=$(stat -c %s "$img")
for at in 0 $((size / 4096 - 1)); do
	dd if=/dev/zero of="$img" bs=4096 seek="$at" count=1 conv=notrunc \
		2>/dev/null
done
check "without headers it is no container" fsck 8 -fn
check "another container is not there" \
	fsck 8 -y --rebuild --container 0123456789abcdef
check "a nonce is 32 digits" fsck 16 -y --rebuild --nonce 12
check "what is there can be found by its tuples" fsck 0 -n --rebuild
check "and comes back" fsck 0 -y --rebuild
check "with headers, and whole" fsck 0 -fn
must_mount
find "$mnt" -type f ! -path '*/d/file' ! -path '*/d/name' -print0 | sort -z |
	xargs -0 sha256sum | sed "s,$mnt,," >"$work/after"
check "every name and byte is there still" cmp "$work/before" "$work/after"
umount_fs
finish
