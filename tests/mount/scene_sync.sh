#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_sync.sh - the ways to make things durable, on a real mount: each is one
# commit with one flush, and what it promises is there after SIGKILL.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
command -v python3 >/dev/null || skip_all "no python3"
need_space 300

# commits_of PROMISE COMMITS PYTHON: the program makes so many commits.
commits_of()
{
	local promise=$1 want=$2 counts

	counts=$(cd "$mnt" && python3 -c "
import json, os
def opened(name, flags=0):
    return os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o644)
def counts():
    s = json.loads(os.getxattr('.', 'tagfs.stats'))
    return s['commits'], s['device']['raw_flushes']
os.sync()
os.fsync(opened('.' + str(os.getpid())))
before = counts()
$3
print(*(b - a for a, b in zip(before, counts())))")
	echo "$promise: commits and flushes: $counts"
	check "$promise: $want commits, a flush each" \
		test "$counts" = "$want $want"
}

# No timer, so that all commits are asked for.
mkfs 256M
must_mount -o commit=0
commits_of "write and fsync" 1 '
f = opened("fsync"); os.write(f, b"x" * 5000); os.fsync(f)'
commits_of "write and fdatasync" 1 '
f = opened("fdatasync"); os.write(f, b"x" * 5000); os.fdatasync(f)'
commits_of "O_SYNC" 1 '
f = opened("osync", os.O_SYNC); os.write(f, b"x" * 5000)'
commits_of "O_DSYNC" 1 '
f = opened("odsync", os.O_DSYNC); os.write(f, b"x" * 5000)'
commits_of "fsync of a directory" 1 '
os.mkdir("directory"); opened("directory/file")
d = os.open("directory", os.O_RDONLY); os.fsync(d)'
commits_of "fsync of what is durable" 1 '
f = opened("twice"); os.write(f, b"x" * 5000)
os.fsync(f); os.fsync(f); os.fsync(f)'

for name in fsync fdatasync osync odsync twice; do
	head -c 5000 /dev/zero | tr '\0' x >"$work/want.$name"
done
kill_fs
must_mount -o commit=0
for name in fsync fdatasync osync odsync twice; do
	check "$name is there after SIGKILL" \
		cmp "$work/want.$name" "$mnt/$name"
done
check "the file in the synced directory, too" test -f "$mnt/directory/file"
check "the log says what was replayed" \
	grep -q 'recovery: replayed commits' "$log"
umount_fs

# The timer makes durable what nobody asked for.
must_mount -o commit=1
echo timed >"$mnt/timed"
sleep 3
kill_fs
must_mount
check "what is older than the commit interval is there" \
	grep -q timed "$mnt/timed"

# Read-only: recovered in memory, and nothing is written.
echo later >"$mnt/later"
sync "$mnt/later"
kill_fs
sum=$(sha256sum <"$img")
must_mount -o ro
check "a read-only mount has what was synced" grep -q later "$mnt/later"
umount_fs
check "and has written nothing" test "$sum" = "$(sha256sum <"$img")"
must_mount
check "which the next mount has as well" grep -q later "$mnt/later"
umount_fs
finish
