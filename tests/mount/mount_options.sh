#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# mount_options.sh - tagfs keeps its command line's promises: what is refused,
# with which exit status and words, and how a mount begins and ends.
#
# Runs as root or as an ordinary user with fusermount3; parts that can't run
# are named.  Exit status 77: nothing could run.
top=$(pwd)
TAGFS=${TAGFS:-$top/tagfs}
MKFS=${MKFS:-$top/mkfs.tagfs}
failed=0

skip_all() { echo "SKIP: $*"; exit 77; }
skip() { echo "skip - $*"; }
ok() { echo "ok - $*"; }
fail() { echo "not ok - $*"; sed 's/^/# /' "$dir/out" 2>/dev/null; failed=1; }

[ -x "$TAGFS" ] && [ -x "$MKFS" ] || skip_all "tagfs is not built"
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip_all "no access to /dev/fuse"
root=false
[ "$(id -u)" = 0 ] && root=true
$root || command -v fusermount3 >/dev/null || skip_all "no fusermount3"

# Where /dev/fuse is root's alone, one for all in a namespace of our own.
fuse_mode=$(stat -c %a /dev/fuse)
if $root && [ "${fuse_mode#"${fuse_mode%?}"}" != 6 ] && [ -z "$OWN_FUSE" ] &&
   command -v unshare >/dev/null; then
	node=$(mktemp -u /tmp/tagfs-fuse.XXXXXX)
	mknod -m 666 "$node" c 10 229 &&
		OWN_FUSE=1 "$(dirname "$0")/../support/own_mounts" sh -c \
		'mount --bind "$0" /dev/fuse && rm "$0"; exec "$1"' "$node" "$0"
	exit
fi

dir=$(mktemp -d /tmp/tagfs-options.XXXXXX) || exit 99
dir=$(realpath "$dir")
img=$dir/img mnt=$dir/mnt log=$dir/log
mkdir "$mnt" "$dir/mnt2"
chmod 755 "$dir"

mounted() { grep -q " $1 .* - fuse.tagfs " /proc/self/mountinfo; }
undo() {
	if [ "$(id -u)" = 0 ]; then umount "$1"; else fusermount3 -u "$1"; fi
}
cleanup() {
	for m in "$mnt" "$dir/mnt2" "$dir/user/mnt"; do
		mounted "$m" && undo "$m"
	done
	if [ -n "$loop" ]; then
		blockdev --setrw "$loop"
		losetup -d "$loop"
	fi
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 99' INT TERM

# expect STATUS WORDS NAME COMMAND...: that exit status, and the words, a
# basic regular expression, in what it said.
expect() {
	want=$1 words=$2 name=$3
	shift 3
	"$@" >"$dir/out" 2>&1 </dev/null
	got=$?
	if [ $got != "$want" ]; then
		fail "$name: status $got, not $want"
	elif [ -n "$words" ] && ! grep -q "$words" "$dir/out"; then
		fail "$name: '$words' was not said"
	else
		ok "$name"
	fi
}

wait_for() {	# wait_for COMMAND...: until it succeeds, 10 s at most
	n=100
	until "$@"; do
		n=$((n - 1))
		[ $n -gt 0 ] || return 1
		sleep 0.1
	done
}
not() { ! "$@"; }
gone() { not kill -0 "$1" 2>/dev/null; }

# ---- what is refused ---------------------------------------------------

"$MKFS" -q -s 64M "$img" || { fail "mkfs"; exit 1; }
expect 1 Usage "no arguments" "$TAGFS"
expect 1 Usage "one argument" "$TAGFS" "$img"
expect 0 Usage "help" "$TAGFS" -h
expect 0 "tagfs [0-9]" "version" "$TAGFS" -V
expect 32 "No such file" "missing image" "$TAGFS" "$dir/none" "$mnt"
expect 32 "No such file" "missing mount point" "$TAGFS" "$img" "$dir/none"
expect 32 "Not a directory" "mount point is a file" "$TAGFS" "$img" "$img"
expect 1 "bad value" "bad number" "$TAGFS" "$img" "$mnt" -o commit=soon
expect 1 "unknown option" "unknown option" "$TAGFS" "$img" "$mnt" -o nonsense
expect 1 "" "unwritable log" "$TAGFS" "$img" "$mnt" -o "log=$dir/none/log"
truncate -s 64M "$dir/foreign"
expect 32 "foreign" "an image of zeros" "$TAGFS" "$dir/foreign" "$mnt"
head -c 1000 /dev/zero >"$dir/short"
expect 32 "short" "an image of 1000 bytes" "$TAGFS" "$dir/short" "$mnt"
if command -v mke2fs >/dev/null; then
	mke2fs -q -t ext4 "$dir/foreign"
	expect 32 "foreign" "an image of ext4" "$TAGFS" "$dir/foreign" "$mnt"
	expect 1 "ext4" "mkfs on ext4" "$MKFS" "$dir/foreign"
	expect 0 "" "mkfs -f on ext4" "$MKFS" -q -f "$dir/foreign"
else
	skip "ext4: no mke2fs"
fi
mounted "$mnt" && fail "something is mounted"

# ---- damaged ----------------------------------------------------------

# The headers' and the superblocks' blocks; one copy each, then both.
cp --sparse=always "$img" "$dir/bad"
dd if=/dev/urandom of="$dir/bad" bs=4096 count=1 conv=notrunc status=none
dd if=/dev/urandom of="$dir/bad" bs=4096 seek=3 count=1 conv=notrunc \
	status=none
expect 0 "" "first header and superblock damaged" \
	"$TAGFS" "$dir/bad" "$mnt" -o ro,log="$log"
mounted "$mnt" && undo "$mnt"
cp --sparse=always "$img" "$dir/bad"
dd if=/dev/urandom of="$dir/bad" bs=1M count=32 conv=notrunc status=none
dd if=/dev/urandom of="$dir/bad" bs=1M seek=32 count=32 conv=notrunc \
	status=none
expect 32 "bad" "everything damaged" "$TAGFS" "$dir/bad" "$mnt"
mounted "$mnt" && fail "a damaged image is mounted"

# ---- a mount in the background -----------------------------------------

expect 0 "" "mount" "$TAGFS" "$img" "$mnt" -o log="$log"
mounted "$mnt" && ok "visible at once" || fail "not visible"
echo hello >"$mnt/a" && [ "$(cat "$mnt/a")" = hello ] && ok "usable" ||
	fail "not usable"
expect 32 "already mounted on $mnt" "mount twice" "$TAGFS" "$img" \
	"$dir/mnt2"
expect 1 "mounted on $mnt" "mkfs -f while mounted" "$MKFS" -f "$img"
undo "$mnt"
expect 0 "" "mount again at once" "$TAGFS" "$img" "$mnt" -o "ro,log=$log"
[ "$(cat "$mnt/a")" = hello ] && ok "content kept" || fail "content lost"
touch "$mnt/b" 2>"$dir/out" && fail "-o ro writes" || ok "-o ro"
expect 0 "" "second reader" "$TAGFS" "$img" "$dir/mnt2" -o "ro,log=$log"
mounted "$dir/mnt2" && undo "$dir/mnt2"
undo "$mnt"
cp "$img" "$dir/odd, name"
expect 0 "" "comma and blank in the name" "$TAGFS" "$dir/odd, name" "$mnt" \
	-o log="$log"
expect 32 "already mounted" "and it is recognised" "$TAGFS" \
	"$dir/odd, name" "$dir/mnt2"
undo "$mnt"

# ---- foreground and signals ---------------------------------------------

for sig in TERM INT HUP; do
	# Background jobs of a shell ignore SIGINT: ask env for the default.
	env --default-signal=INT "$TAGFS" -f "$img" "$mnt" \
		>"$dir/out" 2>&1 &
	pid=$!
	wait_for mounted "$mnt" || fail "-f does not mount"
	echo $sig >"$mnt/signal"
	kill -$sig $pid
	wait $pid && ok "SIG$sig ends -f with 0" || fail "SIG$sig: status $?"
	mounted "$mnt" && fail "still mounted after SIG$sig"
	"$TAGFS" "$img" "$mnt" -o log="$log"
	[ "$(cat "$mnt/signal")" = $sig ] && ok "SIG$sig keeps writes" ||
		fail "SIG$sig loses writes"
	undo "$mnt"
done

"$TAGFS" -f "$img" "$mnt" -o log="$log" >"$dir/out" 2>&1 &
pid=$!
wait_for mounted "$mnt"
exec 9>"$mnt/busy"
head -c 3000000 /dev/urandom | tee "$dir/random" >&9
kill -TERM $pid
wait $pid && ok "SIGTERM in use ends with 0" || fail "SIGTERM in use: $?"
exec 9>&-
mounted "$mnt" && fail "still mounted after SIGTERM in use"
"$TAGFS" "$img" "$mnt" -o log="$log"
cmp "$dir/random" "$mnt/busy" && ok "and writes what was delayed" ||
	fail "delayed writes are lost"
undo "$mnt"

# A daemon at its last checkpoint, acted by flock.
if command -v flock >/dev/null; then
	flock "$img" sleep 1.5 &
	sleep 0.3
	expect 0 "" "waits for the image" "$TAGFS" "$img" "$mnt" -o log="$log"
	undo "$mnt"
	wait
else
	skip "waiting: no flock"
fi

# ---- what needs root ------------------------------------------------------

if $root; then
	"$TAGFS" "$img" "$mnt" -o log="$log"
	opts=$(sed -n "s|.* $mnt \\([^ ]*\\) .*|\\1|p" /proc/self/mountinfo)
	case ,$opts, in
	*,nosuid,*|*,nodev,*) fail "root's mount has $opts" ;;
	*) ok "root's mount allows devices and set-id" ;;
	esac
	if command -v setpriv >/dev/null; then
		setpriv --reuid 65534 --regid 65534 --clear-groups \
			ls "$mnt" >/dev/null 2>"$dir/out" &&
			ok "others may enter" || fail "others are kept out"
	fi
	dev=$(sed -n "s|^[0-9]* [0-9]* \\([0-9:]*\\) .* $mnt .*|\\1|p" \
		/proc/self/mountinfo)
	ra=/sys/class/bdi/$dev/read_ahead_kb
	if [ -w "$ra" ]; then
		[ "$(cat "$ra")" -ge 1024 ] && ok "read-ahead is raised" ||
			fail "read-ahead is $(cat "$ra")"
	else
		skip "read-ahead: no $ra"
	fi
	undo "$mnt"
	if loop=$(losetup -f --show "$img" 2>/dev/null); then
		expect 1 "in use by $loop" "mkfs behind a loop device" \
			"$MKFS" -f "$img"
		expect 0 "" "mount a block device" "$TAGFS" "$loop" "$mnt" \
			-o log="$log"
		expect 1 "mounted on" "mkfs on it" "$MKFS" -f "$loop"
		undo "$mnt"
		sleep 1
		blockdev --setro "$loop"
		expect 0 "write-protected" "write-protected" "$TAGFS" "$loop" \
			"$mnt" -o log="$log"
		undo "$mnt"
		expect 32 "write-protected" "write-protected, -o rw" "$TAGFS" \
			"$loop" "$mnt" -o rw
		blockdev --setrw "$loop"
		losetup -d "$loop"
		loop=
	else
		loop=
		skip "block devices: no loop device"
	fi
else
	skip "root's mounts: not root"
fi

# ---- an ordinary user -------------------------------------------------------

user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
if ! $root; then
	:	# all of the above was that
elif ! command -v setpriv >/dev/null || ! command -v fusermount3 >/dev/null ||
     [ "${fuse_mode#"${fuse_mode%?}"}" != 6 ]; then
	skip "ordinary user: needs setpriv, fusermount3 and /dev/fuse for all"
else
	mkdir "$dir/user" "$dir/user/mnt"
	cp "$TAGFS" "$MKFS" "$dir/user"
	chown -R 65534:65534 "$dir/user"
	u=$dir/user
	expect 0 "" "a user makes an image" user "$u/mkfs.tagfs" -q -s 64M \
		"$u/img"
	expect 0 "" "and mounts it" user "$u/tagfs" "$u/img" "$u/mnt" \
		-o log="$u/log"
	expect 0 "" "and writes" user sh -c "echo mine >$u/mnt/a"
	expect 1 "" "root is kept out" test -e "$u/mnt/a"
	expect 0 "" "and unmounts" user fusermount3 -u "$u/mnt"
	chmod 600 "$img"
	expect 1 "denied" "an image of others" user "$u/tagfs" "$img" \
		"$u/mnt"
fi

exit $failed
