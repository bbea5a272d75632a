#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_uring.sh - FUSE over io_uring: chosen as asked for, right under load
# from every processor, and at every end that a mount can come to.  Then what
# is asked of the other transport about requests.  Any other scene goes over it
# with TAGFS_TEST_URING=on.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
export TAGFS_TEST_URING=on
begin
need_space 700
command -v taskset >/dev/null || skip_all "no taskset"
cpus=$(nproc)

over_uring()
{
	getfattr --absolute-names --only-values -n tagfs.stats "$mnt" |
		sed -n 's/.*"over_io_uring": \([0-9]*\).*/\1/p'
}

refuses()
{
	! tagfs -f -o "$1" "$img" "$mnt" 2>"$work/refused" &&
		grep -q "$2" "$work/refused"
}

# Writers and readers on each processor, ending with the mount.
start_load()
{
	local cpu

	load=()
	for ((cpu = 0; cpu < cpus; cpu++)); do
		taskset -c "$cpu" bash -c 'cd "$0" || exit
			for ((i = 0; ; i++)); do
				head -c $((i % 7 * 9000 + 1)) /dev/zero \
					>"f.$1.$((i % 50))" || exit
				cat "f.$1".* >/dev/null || exit
				mkdir "d.$1" && rmdir "d.$1"
			done' "$mnt" "$cpu" >/dev/null 2>&1 &
		load+=($!)
	done
	sleep "$(amount 1 3 10)"
}

end_load()
{
	[ ${#load[@]} -gt 0 ] || return 0
	kill "${load[@]}" 2>/dev/null
	wait "${load[@]}" 2>/dev/null
	load=()
}

# ends PROMISE: the daemon does, within 30 seconds.
ends()
{
	local i pid=$daemon status

	for ((i = 0; i < 300; i++)); do
		running "$pid" || break
		sleep 0.1
	done
	if running "$pid"; then
		fail "$1"
		dump
		return 1
	fi
	daemon=
	wait "$pid"
	status=$?
	if [ "$status" -eq "$2" ]; then
		ok "$1"
	else
		fail "$1: exit status $status, not $2"
		dump
	fi
}

sum()
{
	(cd "$mnt/keep" && find . -type f -exec md5sum {} + | sort)
}

mkfs 256M
check "a value that there is not is refused" refuses uring=maybe "bad value"
check "one request at a time and io_uring don't go together" \
	bash -c '! tagfs -f -s -o uring=on "$1" "$2" 2>"$3/why" &&
		grep -q "one request at a time" "$3/why"' - "$img" "$mnt" "$work"

TAGFS_TEST_URING=off must_mount
check "off: nothing comes over io_uring" test "$(over_uring)" -eq 0
umount_fs
TAGFS_TEST_URING=auto must_mount
check "auto: used where the kernel has it" test "$(over_uring)" -gt 0
umount_fs

must_mount
mkdir "$mnt/keep"
for i in 1 2 3 4; do
	head -c $((i * 700001)) /dev/urandom >"$mnt/keep/$i"
done
sum >"$work/sums"
for ((cpu = 0; cpu < cpus; cpu++)); do
	before=$(over_uring)
	taskset -c "$cpu" stat "$mnt"/keep/* "$mnt/none.$cpu" >/dev/null 2>&1
	check "requests from processor $cpu come over io_uring" \
		test "$(over_uring)" -gt "$before"
done

# More of those that wait for requests than a queue has places.
truncate -s 64M "$mnt/holes"
check "seeks of more callers than places, with dirty pages" \
	timeout 120 python3 -c '
import os, sys, threading
def seek(i):
    fd = os.open(sys.argv[1], os.O_RDWR)
    for j in range(8):
        os.pwrite(fd, b"x", (i * 8 + j) * 65536)
        if os.lseek(fd, (i * 8 + j) * 65536, os.SEEK_DATA) != (i * 8 + j) * 65536:
            os._exit(1)
t = [threading.Thread(target=seek, args=(i,)) for i in range(100)]
for x in t: x.start()
for x in t: x.join()
' "$mnt/holes"
rm "$mnt/holes"

# Past the page caches of the mount and, as far as it can be had, of the host.
head -c 24M /dev/urandom >"$work/cold"
cp "$work/cold" "$mnt/cold"
remount_fs
check "cold reads of all sizes from every processor" \
	timeout 120 python3 -c '
import mmap, os, random, sys, threading
mnt, image, want, seconds = sys.argv[1:5]
want = open(want, "rb").read()
end = threading.Event()
def read(seed):
    r = random.Random(seed)
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[seed % len(cpus)]})
    fd = os.open(mnt, os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 1 << 20)
    while not end.is_set():
        size = 4096 << r.choice((0, 0, 0, 1, 4, 5, 8))
        at = r.randrange(0, len(want), 4096)
        n = os.preadv(fd, [memoryview(buf)[:size]], at)
        if n != min(size, len(want) - at) or buf[:n] != want[at:at + n]:
            print(f"seed {seed}: {n} of {size} at {at}: wrong")
            os._exit(1)
t = [threading.Thread(target=read, args=(i,)) for i in range(8)]
for x in t: x.start()
fd = os.open(image, os.O_RDONLY)
while not end.wait(0.02):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    seconds = float(seconds) - 0.02
    if seconds < 0: end.set()
for x in t: x.join()
' "$mnt/cold" "$img" "$work/cold" "$(amount 2 4 20)"

start_load
check "umount under load is refused" eval "! umount '$mnt' 2>/dev/null"
end_load
check "what was written stays" eval "sum | cmp - '$work/sums'"
remount_fs
check "and after a new mount" eval "sum | cmp - '$work/sums'"

start_load
kill -STOP "$daemon"
sleep 0.5
kill -CONT "$daemon"
check "stopped and continued under load, it answers" \
	timeout 20 stat "$mnt/keep/1"
end_load

start_load
kill -TERM "$daemon"
ends "SIGTERM under load: it ends in order" 0
end_load
must_mount
check "SIGTERM under load: all is there" eval "sum | cmp - '$work/sums'"

cp "$mnt/keep/4" "$mnt/keep/5"
sum >"$work/sums"
kill -TERM "$daemon"
ends "SIGTERM with dirty pages: it ends in order" 0
must_mount
check "SIGTERM: what was written before is there" \
	eval "sum | cmp - '$work/sums'"

start_load
kill_fs
end_load
must_mount
check "SIGKILL under load: all is there" eval "sum | cmp - '$work/sums'"

minor=$(($(stat -c %d "$mnt") & 255))
mkdir "$work/control"
start_load
if mount -t fusectl none "$work/control" 2>/dev/null; then
	echo 1 >"$work/control/$minor/abort"
	umount "$work/control"
	umount -l "$mnt"
	ends "a connection that is cut off ends the daemon" 0
else
	skip "cutting the connection off: no fusectl"
fi
end_load
must_mount
check "cut off: all is there" eval "sum | cmp - '$work/sums'"
umount_fs

uring_let_go
bash "$(dirname "$0")/scene_requests.sh" || failed=1
finish
