#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_blocks.sh - files that are open and just written, before and after the
# kernel has sent their content: whoever looks at block counts to find holes
# finds all of it.  And who may keep set-id bits, whatever changes the content.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
command -v python3 >/dev/null || skip_all "no python3"
need_space 300

files=$(amount 100 600 1000)
mkfs 256M
must_mount

# hold FILES: write them, in part through a mapping, and keep them open until
# the file "go" is there.
cat >"$work/hold.py" <<'END'
import mmap, os, sys, time
top, count, go = sys.argv[1], int(sys.argv[2]), sys.argv[3]
held = []
for i in range(count):
    f = open('%s/%d' % (top, i), 'wb+')
    size = (1, 700, 5000, 70000)[i % 4] + i
    data = bytes((i + k) % 251 + 1 for k in range(min(size, 997)))
    data = (data * (size // len(data) + 1))[:size]
    if i % 3 == 2:
        f.truncate(size)
        m = mmap.mmap(f.fileno(), size)
        m[:] = data
        held.append(m)
    else:
        f.write(data)
        f.flush()
    held.append(f)
print('written', flush=True)
while not os.path.exists(go):
    time.sleep(0.05)
END

# holding NAME: such files in a directory of that name, held by a process.
holding()
{
	mkdir "$mnt/$1"
	rm -f "$work/go" "$work/held"
	python3 "$work/hold.py" "$mnt/$1" "$files" "$work/go" >"$work/held" &
	holder=$!
	while [ ! -s "$work/held" ] && running "$holder"; do
		sleep 0.05
	done
	grep -q written "$work/held"
}

let_go()
{
	: >"$work/go"
	wait "$holder"
}

none_is_empty()
{
	! find "$1" -type f -printf '%b %p\n' | grep '^0 '
}

# copied PROMISE NAME: what is in $work/copy is what is in the open files.
copied()
{
	check "$1" diff -r "$mnt/$2" "$work/copy"
	rm -rf "$work/copy"
}

holding now
check "open files that were just written have blocks" none_is_empty "$mnt/now"
mkdir "$work/copy"
tar -C "$mnt/now" -S -cf - . | tar -C "$work/copy" -xf -
copied "tar -S of open files" now
let_go

holding cp
cp -r --sparse=auto "$mnt/cp" "$work/copy"
copied "cp --sparse=auto of open files" cp
let_go

if command -v rsync >/dev/null; then
	holding rsync
	rsync -rS "$mnt/rsync/" "$work/copy"
	copied "rsync -S of open files" rsync
	let_go
else
	skip "no rsync"
fi

# Written to where it was empty, or one hole, all along.
holding later
: >"$mnt/later/empty"
truncate -s 1M "$mnt/later/hole"
before=$(stat -c %b "$mnt/later/empty")
exec 7>>"$mnt/later/empty" 8<>"$mnt/later/hole"
head -c 100000 /dev/zero | tr '\0' y >&7
printf data >&8
check "an empty file has at most one block" test "$before" -le 1
mkdir "$work/copy"
tar -C "$mnt/later" -S -cf - . | tar -C "$work/copy" -xf -
copied "tar -S of files that were empty when they were opened" later
exec 7>&- 8>&-
sync "$mnt/later"/*
sleep 3
counted()
{
	[ "$(stat -c %b "$mnt/later/empty")" -ge 192 ] &&
		[ "$(du -s --block-size=1 "$mnt/later/3" | cut -f 1)" -ge 70003 ]
}
check "open files are counted soon after they were written" counted
let_go
truncate -s 100M "$mnt/sparse"
is_sparse()
{
	[ $(($(stat -c %b "$mnt/sparse") * 512)) -lt 10000 ] &&
		cp --sparse=auto "$mnt/sparse" "$work/sparse" &&
		[ "$(stat -c %b "$work/sparse")" -lt 1000 ]
}
check "a file without data is sparse" is_sparse

# ---- set-id bits -------------------------------------------------------------

# as USER-ID PYTHON: with f open for reading and writing.
as()
{
	python3 -c "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def fallocate(f, mode, off, n):
    if libc.fallocate(f, mode, ctypes.c_long(off), ctypes.c_long(n)):
        raise OSError(ctypes.get_errno(), 'fallocate')
os.setgroups([])
os.setgid($1); os.setuid($1)
f = os.open('$mnt/priv', os.O_RDWR)
$2"
}

mode_after()
{
	: >"$mnt/priv"
	head -c 20000 /dev/zero >"$mnt/priv"
	chmod "$1" "$mnt/priv"
	stat "$mnt/priv" >"$work/stat"
	as "$2" "$3" && stat -c %a "$mnt/priv"
}

umount_fs
must_mount -o allow_other
chmod 755 "$mnt" "$work"
for change in "os.write(f, b'x')" "os.ftruncate(f, 5)" \
	"fallocate(f, 0, 0, 40000)" "fallocate(f, 1, 0, 90000)" \
	"fallocate(f, 3, 0, 5000)" "fallocate(f, 16, 0, 5000)"; do
	check "set-id bits go with another's $change" \
		test "$(mode_after 6777 1234 "$change")" = 777
	check "S_ISGID stays without execution, $change" \
		test "$(mode_after 2766 1234 "$change")" = 2766
	check "root keeps them, $change" \
		test "$(mode_after 6777 0 "$change")" = 6777
done
finish
