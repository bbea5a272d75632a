#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_slow.sh - the end of a mount whose storage is slow, or hangs: nothing
# is lost without a word, and nobody has to wait for ever.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 500
command -v python3 >/dev/null || skip_all "no python3"
command -v taskset >/dev/null || skip_all "no taskset"
[ -z "$sanitizer" ] || skip_all "a sanitizer must be loaded first"
trouble=$build/tests/.libs/trouble.so
[ -f "$trouble" ] || skip_all "no $trouble"

# slow_fs MS [OPTION...]
slow_fs()
{
	local ms=$1

	shift
	LD_PRELOAD=$trouble TROUBLE_MS=$ms TROUBLE_STUCK=$work/stuck \
		tagfs -f -o "log=$log" "$@" "$img" "$mnt" 2>>"$work/stderr" &
	daemon=$!
	echo "$daemon" >"$work/daemon"
	until mounted "$mnt"; do
		running "$daemon" || return 1
		sleep 0.05
	done
	stat "$mnt" >"$work/stat"
}

# Change pages of a mapped file and hold it open until told.
# dirty NAME PAGES: every second page, so that the kernel can't merge them
dirty()
{
	rm -f "$work/dirty"
	python3 - "$mnt/$1" "$2" "$work/dirty" <<'PY' &
import mmap, os, sys, time
name, pages, done = sys.argv[1], int(sys.argv[2]), sys.argv[3]
f = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(f, 2 * pages * 4096)
m = mmap.mmap(f, 2 * pages * 4096)
for i in range(pages):
    m[2 * i * 4096:2 * i * 4096 + 8] = b'%08d' % i
open(done, 'w').close()
time.sleep(1000)
PY
	holder=$!
	until [ -e "$work/dirty" ]; do
		sleep 0.05
	done
}

release()
{
	kill "$holder"
	wait "$holder" 2>/dev/null
}

# whole NAME PAGES
whole()
{
	python3 - "$mnt/$1" "$2" <<'PY'
import sys
pages = int(sys.argv[2])
f = open(sys.argv[1], 'rb')
lost = 0
for i in range(pages):
    f.seek(2 * i * 4096)
    lost += f.read(8) != b'%08d' % i
print(lost, "of", pages, "pages are lost")
sys.exit(lost != 0)
PY
}

# ends SECONDS: the daemon's exit status, or 124
ends()
{
	local n=$(($1 * 10)) pid=$daemon

	while running "$pid"; do
		n=$((n - 1))
		[ $n -gt 0 ] || return 124
		sleep 0.1
	done
	daemon=
	wait "$pid"
}

# The first of them may be gone.
threads_left()
{
	[ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null |
		wc -l)" -gt 1 ]
}

all_run()
{
	local pid

	for pid; do
		running "$pid" || return
	done
}

all_end()
{
	local pid

	for pid; do
		wait "$pid" || return
	done
}

mkfs 256M
pages=$(amount 400 1000 4000)

# Storage that pauses far longer than a moment in which no write begins: all
# who serve are at a write, and the kernel holds the rest.
slow_fs 100
dirty held 2000
kill -TERM "$daemon"
sleep 0.7
: >"$work/stuck"
sleep 3
check "storage that pauses: SIGTERM waits" running "$daemon"
rm "$work/stuck"
ends 250
check "and ends with 0" test $? -eq 0
release
must_mount
check "and everything that was written before is there" whole held 2000
umount_fs

slow_fs 20
dirty unmounted "$pages"
release
umount "$mnt"
ends 250
check "slow storage: after umount it ends with 0" test $? -eq 0
must_mount
check "and everything is there" whole unmounted "$pages"
umount_fs

# A writer that never stops does not keep the mount.
slow_fs 20
dirty beside 100
dd if=/dev/zero of="$mnt/endless" bs=4k count=100000000 conv=notrunc \
	2>/dev/null &
writer=$!
sleep 1
kill -TERM "$daemon"
ends 250
check "SIGTERM ends below a writer that goes on, with 0" test $? -eq 0
release
kill "$writer"
wait "$writer" 2>/dev/null
must_mount
check "and what was written before is there" whole beside 100
rm -f "$mnt/endless"
umount_fs

# Killed while it has the kernel write what only it can take.
slow_fs 0
dirty killed 2000
: >"$work/stuck"
kill -TERM "$daemon"
sleep 2
kill -KILL "$daemon"
for ((i = 0; i < 100; i++)); do
	threads_left "$daemon" || break
	sleep 0.1
done
check "killed at its end: nothing of it stays" eval "! threads_left '$daemon'"
[ "$failed" -eq 0 ] || finish
wait "$daemon" 2>/dev/null
daemon=
rm "$work/stuck"
release
must_mount
check "after which the image is mounted as ever" touch "$mnt/usable"
umount_fs

# Storage that hangs, for many callers of one processor.
slow_fs 0
waiting=()
: >"$work/stuck"
for ((i = 0; i < 12; i++)); do
	taskset -c 0 dd if=/dev/zero of="$mnt/waiting.$i" bs=4k count=1 \
		conv=fsync 2>/dev/null &
	waiting+=($!)
done
sleep 2
check "hanging storage: all who sync wait" all_run "${waiting[@]}"
taskset -c 0 timeout 20 stat "$mnt/none" >"$work/stat" 2>&1
check "and who needs no storage is answered" test $? -eq 1
rm "$work/stuck"
all_end "${waiting[@]}"
check "and all are done when it is back" test $? -eq 0
umount_fs

# To the end of the mount.
slow_fs 0
dirty hung 50
: >"$work/stuck"
kill -TERM "$daemon"
sleep 1
check "hanging storage: SIGTERM waits" running "$daemon"
kill -TERM "$daemon"
sleep 0.5
check "a second one says what may be lost" \
	grep -q 'cut off: .* writes of .* KiB were not finished' "$log"
kill -TERM "$daemon"
ends 20
check "and the third leaves at once, not with 0" test $? -eq 32
check "without a mount" eval "! mounted '$mnt'"
rm "$work/stuck"
release
must_mount
check "after which the image is mounted as ever" touch "$mnt/usable"
umount_fs
finish
