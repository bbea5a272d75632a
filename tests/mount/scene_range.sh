#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_range.sh - copy_file_range() is done by the daemon: the data doesn't
# come to the caller and go back, and the copy is what it would have been.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300
# One that any user can run, if there is.
python=$(PATH=/usr/bin:$PATH command -v python3) || skip_all "no python3"

# copy FROM OFFSET TO OFFSET LENGTH: the bytes that one call copied
copy()
{
	$python -c '
import os, sys
a, b = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[3], os.O_RDWR)
print(os.copy_file_range(a, b, int(sys.argv[5]), int(sys.argv[2]),
                         int(sys.argv[4])))' "$@" 2>&1 | tail -n 1
}

# copy_all FROM TO: as cp does, until there is no more
copy_all()
{
	$python -c '
import os, sys
a = os.open(sys.argv[1], os.O_RDONLY)
b = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o600)
while os.copy_file_range(a, b, 1 << 30): pass' "$@"
}

requests()
{
	getfattr --absolute-names --only-values -n tagfs.stats "$mnt" |
		sed -n '/"requests"/s/.*"'"$1"'": \([0-9]*\).*/\1/p'
}

mkfs 128M
must_mount
cd "$mnt" || exit 1
head -c 20000000 /dev/urandom >"$work/a"
cp "$work/a" a
sync a
before=$(requests write)
check "a file is copied whole" copy_all a b
check "none of it was written by the caller" \
	test "$(requests write)" = "$before"
check "it was copied by the daemon" test "$(requests copy_file_range)" -gt 0
check "the copy is the same" cmp "$work/a" b

# What the page cache holds of either file is respected.
echo new | dd of=a bs=1 seek=5000 conv=notrunc status=none
echo new | dd of="$work/a" bs=1 seek=5000 conv=notrunc status=none
echo old | dd of=b bs=1 seek=100 conv=notrunc status=none
check "100,000 bytes inside a file" test "$(copy a 1001 b 77 100000)" = 100000
cp "$work/a" "$work/b"
echo old | dd of="$work/b" bs=1 seek=100 conv=notrunc status=none
dd if="$work/a" of="$work/b" bs=1000 skip=1001 seek=77 count=100000 \
	iflag=skip_bytes,count_bytes oflag=seek_bytes conv=notrunc status=none
check "are in their place, and nothing else changed" cmp "$work/b" b
check "past the end of the source there is nothing" \
	test "$(copy a 20000000 b 0 10)" = 0
: >grown
check "the end is where the source ends" \
	test "$(copy a 19999990 grown 0 1000)" = 10
: >grown
check "a small file" test "$(copy a 0 grown 3000 10)" = 10
check "has zeros before it, and the right size" cmp grown \
	<(head -c 3000 /dev/zero; head -c 10 "$work/a")
check "from one place of a file to another" \
	test "$(copy grown 3000 grown 500000 10)" = 10
check "as well" cmp <(tail -c 10 grown) <(head -c 10 "$work/a")
if command -v setpriv >/dev/null; then
	chmod 755 "$work"
	: >theirs
	chown 65534 theirs
	chmod 4755 theirs
	chmod 644 a
	chmod 755 .
	setpriv --reuid=65534 --regid=65534 --clear-groups $python -c '
import os
os.copy_file_range(os.open("a", os.O_RDONLY), os.open("theirs", os.O_RDWR),
                   5000)'
	check "a copy by a user clears the set-id bit" \
		test "$(stat -c %a theirs)" = 755
fi
cd "$work" || exit 1
remount_fs
check "the copy is the same after mounting again" cmp "$work/b" "$mnt/b"

# An error is an error; what was copied before it is told.
head -c 90000000 /dev/urandom >"$mnt/fill"
check "a full filesystem says so" eval \
	"copy_all $mnt/fill $mnt/more 2>&1 | grep -q 'No space left'"
rm "$mnt/more" "$mnt/fill"
check "and lives" cmp "$work/b" "$mnt/b"

# Bytes of the source that are not what was written are not copied, either.
sector=$(tagfsctl locate "$mnt/b" 9000000 |
	sed -n 's/.* sector=\([0-9]*\).*/\1/p')
umount_fs
head -c 64 /dev/urandom | dd of="$img" bs=1 seek=$((sector * 512 + 99)) \
	conv=notrunc status=none
must_mount
check "a bad interval of the source ends the copy" eval \
	"copy_all $mnt/b $mnt/c 2>&1 | grep -q 'Input/output error'"
check "what is before it was copied" test "$(stat -c %s "$mnt/c")" -gt 8000000
check "and is right" cmp -n "$(stat -c %s "$mnt/c")" "$work/b" "$mnt/c"
finish
