#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_asked.sh - fsck.tagfs and the person at the terminal: questions, signals,
# progress, and what its exit status says.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 100
tests=$(cd "$(dirname "$0")/.." && pwd)

# on STATUS ANSWERS OPTION...: at a terminal it exits with that.
on()
{
	local want=$1 answers=$2 status

	shift 2
	python3 "$tests/support/terminal.py" "$answers" fsck.tagfs "$@" "$img" \
		>"$work/said" 2>&1
	status=$?
	[ $status -eq "$want" ] && return
	echo "status $status"
	cat "$work/said"
	return 1
}

# fsck STATUS OPTION...: without one.
fsck()
{
	local want=$1 status

	shift
	fsck.tagfs "$@" "$img" </dev/null >"$work/said" 2>&1
	status=$?
	[ $status -eq "$want" ] && return
	echo "status $status"
	cat "$work/said"
	return 1
}

says()
{
	grep -q -e "$1" "$work/said" && return
	cat "$work/said"
	return 1
}

count()
{
	test "$(grep -c -e "$1" "$work/said")" -eq "$2" && return
	cat "$work/said"
	return 1
}

sum()
{
	sha256sum <"$1"
}

again()
{
	cp --sparse=always "$work/$1" "$img"
}

# Where the data of a cluster are.
at()
{
	echo $((4096 + $1 / 63 * (8192 + 63 * 4096) + 8192 + $1 % 63 * 4096))
}

rot()
{
	printf 'ROT' | dd of="$img" bs=1 seek=$(($1 + 99)) conv=notrunc \
		2>/dev/null
}

mkfs 8M
must_mount
for i in $(seq 60); do
	echo "$i" >"$mnt/$(printf '%0200d' "$i")"
done
umount_fs
tagfsctl dump --json tree "$img" | python3 -c '
import json, sys
for line in sys.stdin:
    d = json.loads(line)
    if d["what"] == "node":
        print(d["cluster0"], d["cluster1"])' >"$work/nodes"
check "there are nodes" test "$(wc -l <"$work/nodes")" -ge 5
cp --sparse=always "$img" "$work/whole"
# The second copy of three nodes: whoever reads a first one heals it, and every
# checkpoint writes the root and the first leaf.  And the other superblock.
for n in 3 4 5; do
	rot "$(at "$(sed -n "${n}s/.* //p" "$work/nodes")")"
done
cp --sparse=always "$img" "$work/nodes.bad"
rot $((12288 - 99))
cp --sparse=always "$img" "$work/bad"
before=$(sum "$img")

# Questions.
check "each problem is asked for" on 4 n,n,n,n -f
check "with what it is" count "copy 1 of a tree node" 3
check "no is no" test "$(sum "$img")" = "$before"
again nodes.bad
check "yes to some" on 5 y,n,yes -f
check "puts these right" says "3 problems, 2 fixed"
check "for good" fsck 4 -fn
check "and leaves the other" says "1 problems"
again nodes.bad
check "a is all of them" on 1 a -f
check "and asks no more" count "Put it right" 1
check "for good" fsck 0 -fn
again nodes.bad
check "what is no answer is asked again" on 1 \
	"maybe,or perhaps yes in the end,a" -f
check "once for each line" count "Put it right" 3
check "JSON is not for questions" on 16 "" -f --json

# Signals.
again bad
check "the interrupt key ends it" on 36 ^C -f
check "which is said" says "interrupted"
check "nothing was written" test "$(sum "$img")" = "$before"
again nodes.bad
check "so does a signal, later" on 37 y,TERM -f
check "what was agreed is put right" says "interrupted; 1 problems"
check "and for good" eval 'fsck 4 -fn && says "2 problems"'
again nodes.bad
check "without questions, too" python3 - "$img" <<'END'
import fcntl, os, signal, subprocess, sys, time
# Progress goes to a pipe that is full, so it waits there.
r, w = os.pipe()
size = fcntl.fcntl(w, 1031, 4096)
os.write(w, bytes(size))
p = subprocess.Popen(["fsck.tagfs", "-fy", "-C", str(w), sys.argv[1]],
		     pass_fds=[w], stdin=subprocess.DEVNULL,
		     stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
for i in range(500):
	with open("/proc/%d/wchan" % p.pid) as f:
		if "pipe" in f.read():
			break
	time.sleep(0.01)
p.send_signal(signal.SIGINT)
err = p.communicate(timeout=60)[1]
assert b"interrupted" in err, err
assert p.returncode & 32 and not p.returncode & ~37, p.returncode
END
check "it is no worse than before" fsck 1 -fy
check "and whole then" fsck 0 -fn

# Without a decision.
again bad
check "-p puts right what needs none" fsck 1 -fp
check "-a is the same" eval 'again bad && fsck 1 -fa'
again whole
newest=$(tagfsctl dump --json slot "$img" | python3 -c '
import json, sys
print(max((json.loads(l) for l in sys.stdin), key=lambda s: s["number"])["slot"])')
last=$(tagfsctl dump --json super "$img" | python3 -c '
import json, sys
print(json.loads(sys.stdin.readline())["clusters"])')
rot $(($(at $((1 + newest))) - 99))
rot $(($(at $((last - 3 + newest))) - 99))
cp --sparse=always "$img" "$work/slot"
before=$(sum "$img")
check "-p does not take a decision" fsck 4 -fp
check "says who must" says "RUN fsck.tagfs MANUALLY"
check "and has written nothing" test "$(sum "$img")" = "$before"
check "a person can" on 1 y,a -f
check "and it is whole then" fsck 0 -fn
again slot
check "or not" on 4 n,n,n,n -f

# The bar.
again whole
check "progress is drawn" on 0 "" -fn -C 0
check "step by step" eval 'tr "\r" "\n" <"$work/said" >"$work/lines" &&
	grep -q "^step 1 of 5:" "$work/lines" &&
	grep -q "^step 5 of 5: " "$work/lines"'
check "and is gone in the end" eval \
	'tail -n 1 "$work/lines" | grep -q "problems, 0 fixed"'
again bad
check "problems have lines of their own" on 4 "" -fn -C 0
check "behind it" eval 'tr "\r" "\n" <"$work/said" |
	grep -q "^copy 0 of the superblock"'
check "where there is no terminal nothing is drawn" eval \
	'again whole && fsck 0 -fn -C 0 && ! says "step" >"$work/null"'

# The rest of what an exit status says.
check "a check that can't be is 8" test \
	"$(fsck.tagfs -fn "$work/none" >"$work/said" 2>&1; echo $?)" -eq 8
check "wrong use is 16" fsck 16 -C x -n
finish
