# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# lib.sh - sourced by the scenes, scene_*.sh: a mount of their own.
#
#  (1) A scene says each promise in one line: "ok - " or "not ok - " and the
#      promise; what can't run here is "skip - " and why.  run-tests counts
#      these lines.
#  (2) The daemon is a child of the scene (tagfs -f): its end is awaited and
#      its exit status is part of the test, so that what sanitizers find at
#      the end counts.
#  (3) However a scene ends, nothing stays: no mount, no daemon, no file.
#      A watchdog ends the daemon of a scene that hangs, which lets go of
#      everybody who waits for it.
#
#  (4) Mounts are over /dev/fuse or over io_uring, as TAGFS_TEST_URING says: off
#      (the default) or on.  The kernel's switch for it is turned on by the
#      first scene that wants it and back by the last.
#
# From the environment: top_builddir, top_srcdir, SAN_CFLAGS (set by make
# check), TMPDIR, TAGFS_TEST_QUICK, TAGFS_TEST_FULL, TAGFS_TEST_URING.
set -u
export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL

build=$(cd "${top_builddir:-.}" && pwd)
# shellcheck disable=SC2034
source=$(cd "${top_srcdir:-$(dirname "$0")/../..}" && pwd)
PATH=$build:$build/tests/support:$PATH:/usr/sbin:/sbin
# shellcheck disable=SC2034
case ${SAN_CFLAGS-} in
*thread*) sanitizer=thread ;;
*address*) sanitizer=address ;;
*) sanitizer= ;;
esac
failed=0
daemon=
work=

ok()
{
	echo "ok - $*"
}

fail()
{
	echo "not ok - $*"
	failed=1
}

skip()
{
	echo "skip - $*"
}

skip_all()
{
	skip "$*"
	exit 77
}

# check PROMISE COMMAND...: what it says is shown only if it fails.
check()
{
	local promise=$1

	shift
	if "$@" >"$work/check.out" 2>&1; then
		ok "$promise"
	else
		fail "$promise"
		echo "# $*"
		head -n 40 "$work/check.out" | sed 's/^/# /'
		return 1
	fi
}

# mirror_says SECONDS TEXT: the mirror's line of the status, by then.
mirror_says()
{
	local i

	for ((i = 0; i < $1 * 10; i++)); do
		tagfsctl status "$mnt" >"$work/status"
		grep -q "^mirror:.*$2" "$work/status" && return
		sleep 0.1
	done
	cat "$work/status" "$log"
	return 1
}

# Run a program of ours that says its promises itself.
cases()
{
	"$@" || failed=1
}

# The first argument for a quick run, the second for a normal one, the third
# for a full one.
amount()
{
	if [ -n "${TAGFS_TEST_FULL-}" ]; then
		echo "$3"
	elif [ -n "${TAGFS_TEST_QUICK-}" ]; then
		echo "$1"
	else
		echo "$2"
	fi
}

mounted()
{
	grep -q " $1 .* - fuse.tagfs " /proc/self/mountinfo
}

# mkfs SIZE [OPTION...]
mkfs()
{
	local size=$1

	shift
	mkfs.tagfs -q -s "$size" "$@" "$img" || {
		fail "mkfs.tagfs -s $size $*"
		exit 1
	}
}

# mount_fs [OPTION...]: 0, or 1 if tagfs refused.
mount_fs()
{
	tagfs -f -o "log=$log,uring=${TAGFS_TEST_URING:-off}" "$@" "$img" "$mnt" \
		2>>"$work/stderr" &
	daemon=$!
	echo "$daemon" >"$work/daemon"
	while ! mounted "$mnt"; do
		if ! running "$daemon"; then
			wait "$daemon"
			daemon=
			return 1
		fi
		sleep 0.05
	done
	stat "$mnt" >"$work/stat"
}

# shellcheck disable=SC2120
must_mount()
{
	mount_fs "$@" && return
	fail "the image can be mounted"
	dump
	exit 1
}

uring_switch=/sys/module/fuse/parameters/enable_uring
uring_lock=/tmp/tagfs-scene-uring.lock

# (4)  Whoever has the lock shared wants it on.  False: it can't be had.
uring_wanted()
{
	[ -w $uring_switch ] || return 1
	exec 9<>"$uring_lock"
	flock -s 9
	if [ "$(cat $uring_switch)" != Y ]; then
		echo Y >$uring_switch
		echo changed >"$uring_lock"
	fi
	[ "$(cat $uring_switch)" = Y ]
}

uring_let_go()
{
	{ : >&9; } 2>/dev/null || return 0
	if flock -n 9 &&
	   [ -s "$uring_lock" ]; then
		echo N >$uring_switch
		: >"$uring_lock"
	fi
	exec 9>&-
}

# Also false for a child that has ended and was not awaited.
running()
{
	local state

	state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
	[ -n "$state" ] && [ "${state%% *}" != Z ]
}

dump()
{
	tail -n 40 "$work/stderr" | sed 's/^/# /'
}

unmount()
{
	if [ "$(id -u)" -eq 0 ]; then
		umount "$@" "$mnt"
	else
		fusermount3 -u "${@/-l/-z}" "$mnt"
	fi
}

# A false return: the daemon failed.
umount_fs()
{
	local status pid=$daemon

	unmount || {
		fail "unmount"
		return 1
	}
	daemon=
	wait "$pid"
	status=$?
	[ $status -eq 0 ] && return
	fail "the daemon ends with 0: $status"
	dump
	return 1
}

remount_fs()
{
	umount_fs
	# shellcheck disable=SC2119
	must_mount
}

# As a crash of the program; what the kernel holds is lost.
kill_fs()
{
	local pid=$daemon

	daemon=
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	unmount -l
}

cleanup()
{
	trap '' HUP INT TERM
	cd /
	: >"$work/ending"
	if mounted "$mnt"; then
		unmount -l
	fi
	if [ -n "$daemon" ]; then
		for ((i = 0; i < 100; i++)); do
			running "$daemon" || break
			sleep 0.1
		done
		kill -KILL "$daemon" 2>/dev/null
		wait "$daemon" 2>/dev/null
	fi
	uring_let_go
	rm -rf "$work"
}

# Is the scene still there, and not another process of that number?
is_parent()
{
	local stat

	read -r stat <"/proc/$BASHPID/stat"
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	[ "$2" = $$ ]
}

# (3)  The shell ends when the command that it waits for does.
watchdog()
{
	local i pid pids

	for ((i = 0; i < $1; i++)); do
		sleep 1
		if [ ! -d "$work" ] || ! is_parent; then
			exit
		fi
	done
	echo "not ok - the scene ends within $1 s" >&3
	kill -TERM $$
	while is_parent && [ -d "$work" ] && [ ! -e "$work/ending" ]; do
		read -r pid <"$work/daemon" && kill -KILL "$pid"
		read -r -a pids <"/proc/$$/task/$$/children"
		for pid in "${pids[@]}"; do
			[ "$pid" = "$BASHPID" ] || kill -KILL "$pid"
		done
		sleep 1
	done
}

begin()
{
	local limit

	work=$(mktemp -d "${TMPDIR:-/tmp}/tagfs-scene.XXXXXX") || exit 99
	work=$(realpath "$work")
	img=$work/img
	mnt=$work/mnt
	log=$work/log
	mkdir "$mnt"
	: >"$log"
	: >"$work/stderr"
	trap cleanup EXIT
	trap 'exit 99' HUP INT TERM
	limit=$(amount 600 900 3600)
	watchdog "$limit" 3>&1 >/dev/null 2>&1 &
	[ -x "$build/tagfs" ] || skip_all "tagfs is not built in $build"
	[ "$(id -u)" -eq 0 ] || skip_all "not root"
	[ -c /dev/fuse ] || skip_all "no /dev/fuse"
	mount -t tmpfs none "$mnt" 2>/dev/null ||
		skip_all "no permission to mount here"
	umount "$mnt"
	[ "${TAGFS_TEST_URING:-off}" = off ] || uring_wanted ||
		skip_all "this kernel has no FUSE over io_uring"
}

# await SECONDS COMMAND...: until it succeeds
await()
{
	local n=$(($1 * 20))

	shift
	until "$@" 2>/dev/null; do
		n=$((n - 1))
		[ $n -gt 0 ] || return 1
		sleep 0.05
	done
}

# lose_supers IMAGE: all that begins like a superblock
lose_supers()
{
	local at

	for at in $(grep -aboP 'TAGFS\x00\r' "$1" | cut -d: -f 1); do
		dd if=/dev/zero of="$1" bs=4096 seek=$((at / 4096)) count=1 \
			conv=notrunc 2>/dev/null
	done
}

# need_space MIB: of the directory for images
need_space()
{
	local free

	free=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$1" ] ||
		skip_all "$1 MiB of free space needed in ${TMPDIR:-/tmp}"
}

finish()
{
	if mounted "$mnt"; then
		umount_fs
	fi
	if grep -qE 'Sanitizer|runtime error' "$work/stderr"; then
		fail "sanitizers have nothing to say"
		dump
	fi
	exit $failed
}
