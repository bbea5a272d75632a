#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_signals.sh - signals are heard at any time, and end the mount that is
# ours and no other.
# shellcheck disable=SC2119,SC2317
# Whoever runs this may have signals ignored, which daemons then respect.
if [ -z "${SIGNALS_AS_USUAL-}" ]; then
	SIGNALS_AS_USUAL=1 exec env --default-signal=HUP,INT,TERM \
		bash "$0" "$@"
fi
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 500

ended()
{
	! running "$1"
}

has_child()
{
	child=$(cat "/proc/$parent/task/$parent/children")
	child=${child%% *}
	[ -n "$child" ]
}

# ends PROMISE STATUS: the daemon does, with that status
ends()
{
	local pid=$daemon status

	if ! await 60 ended "$pid"; then
		fail "$1: it goes on"
		kill -KILL "$pid"
		wait "$pid"
		daemon=
		unmount -l
		return 1
	fi
	daemon=
	wait "$pid"
	status=$?
	check "$1 (exit status $status)" test $status -eq "$2"
}

said()
{
	grep -q "$1" "$log" "$work/stderr"
}

device()
{
	stat -c %d "$1"
}

mkfs 64M
mkdir "$work/other" "$work/bind"

# ---- while the image is busy ----------------------------------------------

exec 7<"$img"
flock 7
env --default-signal=INT tagfs -f "$img" "$mnt" 2>>"$work/stderr" &
daemon=$!
await 20 said '; waiting'
kill -INT "$daemon"
ends "Ctrl-C ends the wait for a busy image" 8

tagfs "$img" "$mnt" 2>>"$work/stderr" &
parent=$!
await 60 has_child
kill -TERM "$parent"
wait "$parent"
check "a background start that is killed leaves no child behind" \
	await 20 ended "$child"
exec 7<&-
check "and no mount" eval "! mounted '$mnt'"

# ---- others' mounts ---------------------------------------------------------

must_mount
echo covered >"$mnt/file"
mount -t tmpfs over "$mnt"
echo mine >"$mnt/over"
kill -TERM "$daemon"
ends "SIGTERM ends what is mounted over, but says that it stays" 32
check "what is mounted over it is still there" grep -q mine "$mnt/over"
check "a line says that the mount stays" said 'other filesystems are mounted'
umount "$mnt"
umount -l "$mnt"
must_mount
check "and all was written" grep -q covered "$mnt/file"

mkdir "$mnt/sub"
mount -t tmpfs below "$mnt/sub"
echo mine >"$mnt/sub/below"
exec 8<"$mnt/sub/below"
echo deep >"$mnt/deep"
sub=$(device "$mnt/sub")
kill -TERM "$daemon"
ends "SIGTERM ends what has a mount below" 32
check "what is mounted below is still there" \
	grep -q " 0:$((sub & 255)) / $mnt/sub " /proc/self/mountinfo
exec 8<&-
umount -l "$mnt"
must_mount
check "and all was written, too" grep -q deep "$mnt/deep"

exec 8>"$mnt/busy"
umount -l "$mnt"
mount -t tmpfs after "$mnt"
echo mine >"$mnt/after"
echo lazily >&8
kill -TERM "$daemon"
ends "SIGTERM ends what was unmounted lazily" 0
check "what was mounted there since is still there" grep -q mine "$mnt/after"
exec 8>&-
umount "$mnt"
must_mount
check "and what was written since is there" grep -q lazily "$mnt/busy"
umount_fs

# The path leads elsewhere: to another filesystem, which is not to be synced
# or unmounted in our place.
mkdir -p "$work/a/mnt"
tagfs -f -o "log=$log" "$img" "$work/a/mnt" 2>>"$work/stderr" &
daemon=$!
await 20 mounted "$work/a/mnt"
exec 8>"$work/a/mnt/renamed"
mv "$work/a" "$work/b"
mkdir -p "$work/a/mnt"
mount -t tmpfs other "$work/a/mnt"
head -c 3000000 /dev/urandom | tee "$work/random" >&8
kill -TERM "$daemon"
ends "SIGTERM finds a mount whose parent was renamed" 0
check "it is gone" eval "! mounted '$work/b/mnt'"
check "and what is mounted at its old path is not" \
	mountpoint -q "$work/a/mnt"
exec 8>&-
umount "$work/a/mnt"
must_mount
check "all was written, by the file that was open" \
	cmp "$work/random" "$mnt/renamed"

# ---- users elsewhere --------------------------------------------------------

mount --bind "$mnt" "$work/bind"
echo bound >"$work/bind/bound"
kill -TERM "$daemon"
ends "SIGTERM ends a mount that a bind mount holds" 0
check "the bind mount is not unmounted" \
	grep -q " $work/bind " /proc/self/mountinfo
umount -l "$work/bind"
must_mount
check "and what was written there is there" grep -q bound "$mnt/bound"

unshare -m --propagation private sleep 100 &
holder=$!
sleep 0.5
echo private >"$mnt/private"
kill -TERM "$daemon"
ends "SIGTERM ends a mount that is in a private namespace" 0
kill "$holder"
wait "$holder" 2>/dev/null
must_mount
check "and all was written" grep -q private "$mnt/private"

unshare -m --propagation private sleep 100 &
holder=$!
sleep 0.5
umount "$mnt"
sleep 0.5
check "unmounted here but not there it goes on" running "$daemon"
kill -TERM "$daemon"
ends "and SIGTERM ends it" 0
kill "$holder"
wait "$holder" 2>/dev/null
must_mount

# ---- a signal that comes twice ----------------------------------------------

head -c 3000000 "$work/random" >"$mnt/twice"
exec 8>"$mnt/twice.busy"
kill -TERM "$daemon"
kill -TERM "$daemon"
ends "SIGTERM sent twice at once, as timeout does, is one" 0
exec 8>&-
must_mount
check "and loses nothing" cmp "$work/random" "$mnt/twice"

# ---- SIGHUP -----------------------------------------------------------------

mv "$log" "$log.1"
kill -HUP "$daemon"
check "SIGHUP opens the log anew" await 20 test -s "$log"
check "and does not unmount" mounted "$mnt"
umount_fs
mount_fs
kill -TERM "$daemon"
ends "the mount that was hung up on ends" 0

tagfs -o "log=$log" "$img" "$mnt" 2>>"$work/stderr"
pid=$(pgrep -f "tagfs -o log=$log $img $mnt")
kill -HUP "$pid"
sleep 0.5
check "SIGHUP does not end a mount in the background" mounted "$mnt"
kill -TERM "$pid"
check "which SIGTERM does" await 20 eval "! mounted '$mnt'"
await 60 ended "$pid"

# ---- messages without a file -------------------------------------------------

if [ -e /dev/log ] || [ -S /run/systemd/journal/socket ] ||
	[ ! -w /dev/kmsg ] || ! dmesg >/dev/null 2>&1
then
	skip "messages in the kernel's log: there is another one, or it is closed"
else
	corrupt hit flip 7 40 "$img" >/dev/null
	tagfs "$img" "$mnt" 2>"$work/out"
	check "a mount that succeeds says nothing" test ! -s "$work/out"
	cat "$mnt"/* >/dev/null 2>&1
	check "without a system log the kernel's has what is damaged" \
		eval "dmesg | grep -q 'tagfs\[.*$mnt: .*expected'"
	pid=$(pgrep -f "tagfs $img $mnt")
	unmount
	await 60 ended "$pid"
	mkfs 64M -f
fi

# ---- what whoever starts it ignores ------------------------------------------

# ignores SIGNAL: does the daemon?
ignores()
{
	local bits

	bits=$(sed -n 's/^SigIgn:[[:space:]]*//p' "/proc/$daemon/status")
	[ $((0x$bits >> ($(builtin kill -l "$1") - 1) & 1)) -eq 1 ]
}

trap '' CHLD HUP
must_mount
trap - CHLD HUP
check "an ignored SIGHUP stays so" ignores HUP
check "SIGCHLD does not: it waits for processes of its own" \
	eval "! ignores CHLD"
umount_fs

# ---- a start that can't end well ---------------------------------------------

tagfs "$img" "$mnt" -o allow_root 2>"$work/out"
check "allow_root, which can't be kept, is refused" \
	eval "test $? -eq 1 && grep -q allow_root '$work/out'"
check "max_read= is accepted" mount_fs -o max_read=65536
head -c 1000000 "$work/random" >"$mnt/max_read"
echo 3 2>/dev/null >/proc/sys/vm/drop_caches
check "and reads are right" \
	cmp <(head -c 1000000 "$work/random") "$mnt/max_read"
umount_fs
finish
