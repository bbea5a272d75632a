#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_fstab.sh - a line in fstab: mount(8) and umount(8) with the helpers as
# they are installed, for root and for a user; what mount(8) takes as an
# option, what a remount changes, and that umount returns when it is over.
#
# In a mount namespace of its own, where /etc/fstab and /sbin are what the
# scene makes of them.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"

if [ -z "${OWN_MOUNTS-}" ] && [ "$(id -u)" -eq 0 ]; then
	command -v unshare >/dev/null || skip_all "no unshare"
	OWN_MOUNTS=1 exec "$source/tests/support/own_mounts" "$0"
fi
begin
need_space 400

# ---- a system with tagfs installed ------------------------------------------

sbin=$(realpath /sbin)
mkdir "$work/over" "$work/over/up" "$work/over/work"
mount -t tmpfs none "$work/over" &&
	mkdir "$work/over/up" "$work/over/work" &&
	mount -t overlay -o "lowerdir=$sbin,upperdir=$work/over/up,workdir=$work/over/work" \
		none "$sbin" || skip_all "no overlay for $sbin"
for name in mount.tagfs mount.fuse.tagfs mount.fuseblk.tagfs \
	umount.tagfs umount.fuse.tagfs umount.fuseblk.tagfs; do
	ln -s "$build/tagfs" "$sbin/$name"
done
fstab=$work/fstab
: >"$fstab"
mount --bind "$fstab" /etc/fstab || skip_all "no fstab of our own"
chmod 755 "$work"

undo()
{
	cd /
	mounted "$mnt" && umount -i -l "$mnt"
	umount -i -l "$sbin" /etc/fstab "$work/over"
	rm -rf "$work"
}
trap undo EXIT

mkfs 64M
mkdir "$work/mnt2"

# status WANTED PROMISE COMMAND...
status()
{
	local want=$1 promise=$2 got

	shift 2
	timeout 60 "$@" >"$work/out" 2>&1
	got=$?
	if [ $got -eq "$want" ]; then
		ok "$promise"
	else
		fail "$promise: status $got, not $want"
		sed 's/^/# /' "$work/out"
		return 1
	fi
}

said()
{
	if grep -q -- "$2" "$work/out"; then
		ok "$1"
	else
		fail "$1: '$2' was not said"
		sed 's/^/# /' "$work/out"
	fi
}

# Nobody has the image any more.
free_now()
{
	flock -n "$img" true
}

free_soon()
{
	local i

	for ((i = 0; i < 300; i++)); do
		free_now && return
		sleep 0.1
	done
	return 1
}

# ---- mount -t tagfs, umount -------------------------------------------------

status 0 "mount -t tagfs mounts" mount -t tagfs "$img" "$mnt"
check "the kernel shows it" mounted "$mnt"
for ((i = 0; i < 200; i++)); do
	echo "$i" >"$mnt/file$i"
done
status 0 "umount unmounts" umount "$mnt"
check "the last checkpoint was over when umount returned" free_now
fsck.tagfs -n "$img" >"$work/out" 2>&1
check "and fsck finds nothing to do" test $? -eq 0
check "nor a log to replay" eval "! grep -qi replay $work/out"

status 0 "-f (fake) mounts nothing" mount -f -t tagfs "$img" "$mnt"
check "and nothing is there" eval "! mounted $mnt"
status 32 "an image that is not there is 32" \
	mount -t tagfs "$work/none" "$mnt"
status 32 "a mount point that is not there is 32" \
	mount -t tagfs "$img" "$work/none"
status 32 "what is no tagfs is 32" mount -t tagfs /etc/passwd "$mnt"
status 1 "an unknown option is 1" mount -t tagfs -o nonsense "$img" "$mnt"
status 1 "a bad value is 1" mount -t tagfs -o commit=soon "$img" "$mnt"
status 32 "not mounted is 32" umount.tagfs "$mnt"

mount -t tagfs "$img" "$mnt"
exec 8>"$mnt/open"
status 32 "umount of what is in use is 32" umount "$mnt"
said "with the reason" "busy"
check "and it stays usable" touch "$mnt/still"
exec 8>&-
status 32 "a second mount of the same image is 32" \
	mount -t tagfs "$img" "$work/mnt2"
said "and says where it is" "already mounted"
mount --bind "$mnt" "$work/mnt2"
status 0 "umount returns where a bind mount keeps it in use" umount "$mnt"
check "which still works" touch "$work/mnt2/bound"
status 0 "and ends it" umount "$work/mnt2"
check "with the checkpoint that follows" free_soon

mount -t tagfs "$img" "$mnt"
exec 8>"$mnt/open"
status 0 "a lazy umount returns at once" umount -l "$mnt"
exec 8>&-
check "and the daemon ends with the last user" free_soon

# ---- fstab ------------------------------------------------------------------

echo "$img $mnt tagfs noatime,nofail,_netdev,x-systemd.automount,x-systemd.device-timeout=5 0 2" >"$fstab"
status 0 "mount -a" mount -a
check "mounts the line of fstab" mounted "$mnt"
status 0 "mount -a again" mount -a
check "mounts nothing twice" \
	test "$(grep -c " $mnt " /proc/self/mountinfo)" = 1
check "noatime is shown" eval "grep ' $mnt ' /proc/self/mountinfo |
	grep -q noatime"
status 0 "umount by the source" umount "$img"
echo "$work/none $mnt tagfs nofail 0 0" >"$fstab"
status 0 "nofail: a device that is not there is no failure" mount -a
echo "$work/none $mnt tagfs defaults 0 0" >"$fstab"
mount -a 2>/dev/null
check "without it, it is one" test $? -ne 0
echo "$img $mnt tagfs noauto 0 0" >"$fstab"
mount -a
check "noauto waits" eval "! mounted $mnt"
status 0 "and mounts by name" mount "$mnt"
umount "$mnt"

# Every option of mount(8) that is not a filesystem's own.
for o in defaults,async,atime,diratime,relatime,dev,exec,suid,symfollow,rw \
	sync,dirsync,noatime,nodiratime,nodev,noexec,nosuid,nosymfollow,ro \
	norelatime,strictatime,lazytime,silent,iversion,mand,acl,user_xattr \
	nostrictatime,nolazytime,loud,noiversion,nomand,noacl,nofail,_netdev \
	owner,group x-systemd.requires=a,comment=a,errors=remount-ro \
	users,errors=continue; do
	mount -t tagfs -o "$o" "$img" "$mnt" 2>"$work/out" && umount "$mnt" &&
		continue
	fail "-o $o is taken"
	sed 's/^/# /' "$work/out"
done
ok "the options of mount(8) were tried"

# ---- what options mean ------------------------------------------------------

mount -t tagfs -o nosymfollow,noexec,nodev,nosuid "$img" "$mnt"
ln -s /etc/passwd "$mnt/link"
cp /bin/true "$mnt/true"
check "nosymfollow: no link is followed" eval "! cat $mnt/link"
check "noexec: nothing is executed" eval "! $mnt/true"
umount "$mnt"
mount -t tagfs -o strictatime,nodiratime "$img" "$mnt"
mkdir "$mnt/dir"
touch -a -d 2001-01-01 "$mnt/still" "$mnt/dir"
touch -a -d 2031-01-01 "$mnt/true"
umount "$mnt"
mount -t tagfs -o strictatime,nodiratime "$img" "$mnt"
cat "$mnt/true" >/dev/null
ls "$mnt/dir"
check "strictatime: a read is noted, even if the time was later" \
	test "$(stat -c %X "$mnt/true")" -le "$(date +%s)"
check "nodiratime: not that of a directory" \
	test "$(date -d @"$(stat -c %X "$mnt/dir")" +%Y)" = 2001
umount "$mnt"
if command -v setfacl >/dev/null; then
	mount -t tagfs "$img" "$mnt"
	setfacl -m u:1:r "$mnt/still"
	setfacl -d -m u:1:r "$mnt/dir"
	umount "$mnt"
	mount -t tagfs -o noacl "$img" "$mnt"
	check "noacl: none can be set" eval "! setfacl -m u:2:r $mnt/still"
	check "nor seen" eval "! getfattr -d -m - $mnt/still | grep -q acl"
	touch "$mnt/dir/new"
	umount "$mnt"
	mount -t tagfs "$img" "$mnt"
	check "without it they are back" eval \
		"getfacl -c $mnt/still | grep -q 'user:.*:r--'"
	check "and were not inherited meanwhile" eval \
		"! getfacl -c $mnt/dir/new | grep -q 'user:.*:r--'"
	umount "$mnt"
else
	skip "access lists: no setfacl"
fi
mount -t tagfs -o dirsync "$img" "$mnt"
mkdir "$mnt/made"
pid=$(pgrep -f "mount.tagfs.*$img|tagfs.*$img" | head -n 1)
check "the daemon can be found" test -n "$pid"
kill -KILL "$pid"
umount -l "$mnt" 2>/dev/null
mount -t tagfs "$img" "$mnt"
check "dirsync: a directory made is there after a crash" test -d "$mnt/made"
umount "$mnt"

# ---- remount ----------------------------------------------------------------

mount -t tagfs "$img" "$mnt"
dd if=/dev/urandom of="$mnt/data" bs=1M count=8 status=none
sum=$(sha256sum <"$mnt/data")
status 0 "remount,ro" mount -o remount,ro "$mnt"
check "refuses a new file" eval "! touch $mnt/never"
check "the kernel shows it read-only" eval \
	"grep ' $mnt ' /proc/self/mountinfo | grep -q ' - [^ ]* [^ ]* ro'"
cp --sparse=always "$img" "$work/copy"
tagfs -o ro "$work/copy" "$work/mnt2"
check "and all that was written is in the image at once" test \
	"$(sha256sum <"$work/mnt2/data")" = "$sum"
umount "$work/mnt2"
sum1=$(sha256sum <"$img")
cat "$mnt/data" >/dev/null
sleep 6
check "nothing is written to it any more" test \
	"$(sha256sum <"$img")" = "$sum1"
status 0 "remount,rw" mount -o remount,rw "$mnt"
check "takes a new file" eval "echo new >$mnt/new"
sync "$mnt/new"
pid=$(pgrep -f "mount.tagfs.*$img|tagfs.*$img" | head -n 1)
kill -KILL "$pid"
umount -l "$mnt" 2>/dev/null
mount -t tagfs "$img" "$mnt"
check "which survives a crash" grep -q new "$mnt/new"
exec 8>"$mnt/open"
status 32 "remount,ro with a file open for writing is 32" \
	mount -o remount,ro "$mnt"
check "and changes nothing" touch "$mnt/writable"
exec 8>&-
status 0 "remount,noexec" mount -o remount,noexec "$mnt"
check "takes effect" eval "! $mnt/true"
check "and leaves the rest" touch "$mnt/writable"
umount "$mnt"
# killed: the daemon, in the middle of it
killed()
{
	pid=$(pgrep -f "mount.tagfs.*$img|tagfs.*$img" | head -n 1)
	kill -KILL "$pid"
	umount -l "$mnt" 2>/dev/null
	free_soon
}

mount -t tagfs "$img" "$mnt"
exec 9>"$mnt/orphan"
rm "$mnt/orphan"
echo late >"$mnt/late"
sync "$mnt/late"
killed
exec 9>&-
sum=$(sha256sum <"$img")
mount -t tagfs -o ro "$img" "$mnt"
check "a read-only mount replays the log" grep -q late "$mnt/late"
exec 9<"$mnt/late"
tagfs -o ro "$img" "$work/mnt2"
status 32 "no remount,rw while others read it" mount -o remount,rw "$mnt"
said "which is said" "somebody else has it"
umount "$work/mnt2"
check "and nothing was written" test "$(sha256sum <"$img")" = "$sum"
check "nor can be" eval "! touch $mnt/never"
status 0 "remount,rw of what was mounted read-only" \
	mount -o remount,rw "$mnt"
check "takes a new file" eval "echo first >$mnt/first"
check "files that are open go on" grep -q late <&9
exec 9<&-
status 32 "nobody may read beside it now" tagfs -o ro "$img" "$work/mnt2"
sync "$mnt/first"
killed
mount -t tagfs -o ro "$img" "$mnt"
check "what was written survives a crash" grep -q first "$mnt/first"
status 0 "remount,rw again" mount -o remount,rw "$mnt"
status 0 "and back" mount -o remount,ro "$mnt"
check "refuses a new file" eval "! touch $mnt/never"
status 0 "and once more" mount -o remount,rw "$mnt"
check "takes one" touch "$mnt/second"
umount "$mnt"
fsck.tagfs -n -f "$img" >"$work/out" 2>&1
check "fsck has nothing to say" test $? -eq 0
if loop=$(losetup -f --show "$img" 2>/dev/null); then
	mount -t tagfs -o ro "$loop" "$mnt"
	status 0 "remount,rw of a block device" mount -o remount,rw "$mnt"
	check "takes a file" eval "echo block >$mnt/block && sync $mnt/block"
	status 32 "which nobody else gets" tagfs "$loop" "$work/mnt2"
	umount "$mnt"
	losetup -d "$loop"
	loop=$(losetup -r -f --show "$img")
	mount -t tagfs -o ro "$loop" "$mnt"
	status 32 "but not if it is write-protected" \
		mount -o remount,rw "$mnt"
	said "which is said" "write-protected"
	check "and can be read" grep -q block "$mnt/block"
	umount "$mnt"
	losetup -d "$loop"
else
	skip "remounts of a block device: no loop device"
fi

# The medium changed beneath a mount that only reads: what it knows is of a life
# that is over.
cp --sparse=always "$img" "$work/later"
tagfs "$work/later" "$work/mnt2"
umount "$work/mnt2"
mount -t tagfs -o ro "$img" "$mnt"
dd if="$work/later" of="$img" bs=1M conv=notrunc status=none
sum=$(sha256sum <"$img")
status 32 "no remount,rw of what was written elsewhere" \
	mount -o remount,rw "$mnt"
said "which is said" "written elsewhere since it was mounted"
check "and nothing is written to it" test "$(sha256sum <"$img")" = "$sum"
check "nor can be" eval "! touch $mnt/never"
status 32 "not the second time either" mount -o remount,rw "$mnt"
umount "$mnt"

# Damaged: a log of which not all can be told.
mount -t tagfs -o commit=300 "$img" "$mnt"
for ((i = 0; i < 40; i++)); do
	echo "$i" >"$mnt/log$i"
	sync "$mnt/log$i"
done
killed
corrupt hit log 1 1 "$img" >"$work/hit"
sum=$(sha256sum <"$img")
mount -t tagfs -o ro "$img" "$mnt"
status 32 "no remount,rw of what was found damaged" mount -o remount,rw "$mnt"
said "which is said" "damaged"
check "and nothing is written to it" test "$(sha256sum <"$img")" = "$sum"
umount "$mnt"
rm "$work/later"

# All legs of a mirror or none.
first=$img second=$work/second
rm "$img"
mkfs.tagfs -q -s 64M --mirror "$img" "$second"
mount -t tagfs -o "device=$second" "$img" "$mnt"
echo kept >"$mnt/kept"
sync "$mnt/kept"
killed
sum=$(cat "$img" "$second" | sha256sum)
mount -t tagfs -o "ro,device=$second" "$img" "$mnt"
exec 8<"$second"
flock -s 8
status 32 "no remount,rw while others read a leg" mount -o remount,rw "$mnt"
said "which is said" "somebody else has it"
check "the other leg is for readers as before" flock -n -s "$img" true
check "and nothing was written" test "$(cat "$img" "$second" |
	sha256sum)" = "$sum"
exec 8<&-
status 0 "remount,rw of a mirror" mount -o remount,rw "$mnt"
check "takes a file" eval "echo both >$mnt/both && sync $mnt/both"
check "of which nobody else gets a leg" eval "! flock -n -s $img true &&
	! flock -n -s $second true"
killed
mount -t tagfs -o ro,degraded "$second" "$mnt"
check "and each leg has it" grep -q both "$mnt/both"
check "and what was there" grep -q kept "$mnt/kept"
img=$second
status 0 "remount,rw without the other leg" mount -o remount,rw "$mnt"
check "takes a file" eval "echo one >$mnt/one && sync $mnt/one"
umount "$mnt"
free_soon
img=$first
mount -t tagfs -o "ro,device=$second" "$img" "$mnt"
status 0 "remount,rw with one that is behind" mount -o remount,rw "$mnt"
check "gives it what it missed" mirror_says 30 "leg 1 $img current"
umount "$mnt"
mount -t tagfs -o ro,degraded "$img" "$mnt"
check "really" grep -q one "$mnt/one"

# Somebody who has one leg alone writes to it.
cp --sparse=always "$img" "$work/later"
tagfs -o degraded "$work/later" "$work/mnt2"
umount "$work/mnt2"
dd if="$work/later" of="$img" bs=1M conv=notrunc status=none
status 32 "no remount,rw of a leg that was written elsewhere" \
	mount -o remount,rw "$mnt"
said "which is said" "written elsewhere since it was mounted"
umount "$mnt"
rm "$img" "$second" "$work/later"
mkfs 64M

# ---- what can't be written --------------------------------------------------

chmod 444 "$img"
if chattr +i "$img" 2>/dev/null; then
	status 0 "an immutable image is mounted" mount -t tagfs "$img" "$mnt"
	said "read-only, with a line" "write-protected"
	check "really" eval "! touch $mnt/never"
	umount "$mnt"
	status 32 "but not if rw was asked for" tagfs -o rw "$img" "$mnt"
	chattr -i "$img"
else
	skip "an immutable image: no chattr here"
fi
chmod 644 "$img"

# ---- the journal ------------------------------------------------------------

mount -t tmpfs none /run
mkdir -p /run/systemd/journal
python3 - >"$work/journal" <<'END' &
import json
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/systemd/journal/socket")
s.settimeout(120)
while True:
    left, entry = s.recv(1 << 18), {}
    while left:
        name, left = left.split(b"\n", 1)
        if b"=" in name:
            name, value = name.split(b"=", 1)
        else:
            n = int.from_bytes(left[:8], "little")
            value, left = left[8:8 + n], left[9 + n:]
        entry[name.decode()] = value.decode()
    print(json.dumps(entry), flush=True)
END
listener=$!
for ((i = 0; i < 100; i++)); do
	[ ! -S /run/systemd/journal/socket ] || break
	sleep 0.1
done
mount -t tagfs "$img" "$mnt"
bad=$'two\nlines'
dd if=/dev/urandom of="$mnt/$bad" bs=64K count=1 conv=fsync status=none
at=$(tagfsctl locate --json "$mnt/$bad" 12000 |
	sed -n 's/.*"sector": \([0-9]*\).*/\1/p')
umount "$mnt"
printf 'something else' |
	dd of="$img" bs=512 seek="$at" conv=notrunc status=none
mount -t tagfs "$img" "$mnt"
check "what was damaged is an error" eval "! cat '$mnt/$bad'"
for ((i = 0; i < 100; i++)); do
	! grep -q TAGFS_CHECK "$work/journal" || break
	sleep 0.1
done
check "the journal has a line with fields" python3 -c '
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
e = [e for e in lines if "TAGFS_CHECK" in e][0]
want = {"PRIORITY": "3", "SYSLOG_IDENTIFIER": "tagfs",
        "TAGFS_MOUNT": sys.argv[2], "TAGFS_DEVICE": sys.argv[3],
        "TAGFS_INODE": sys.argv[4], "TAGFS_CHECK": "guard",
        "TAGFS_PATH": "/two\nlines", "TAGFS_UUID": sys.argv[5]}
for name, value in want.items():
    assert e.get(name) == value, (name, value, e)
off, n = int(e["TAGFS_OFFSET"]), int(e["TAGFS_LENGTH"])
assert off <= 12000 < off + n, e
assert e["MESSAGE"].startswith(sys.argv[2] + ": "), e
assert "\n" not in e["MESSAGE"], e' \
	"$work/journal" "$mnt" "$img" "$(stat -c %i "$mnt/$bad")" \
	"$(tagfsctl probe --udev "$img" | sed -n 's/^ID_FS_UUID=//p')"
kill "$listener"
umount "$mnt"
umount /run

# ---- a user -----------------------------------------------------------------

user=$(getent passwd nobody | cut -d: -f3)
if [ -u "$(command -v fusermount3)" ] && [ -u /bin/mount ] &&
   command -v setpriv >/dev/null; then
	fuse=$(stat -c %a /dev/fuse)
	mknod -m 666 "$work/fuse" c 10 229
	mount --bind "$work/fuse" /dev/fuse
	as=(setpriv --reuid="$user" --regid="$user" --clear-groups)
	chown "$user" "$img" "$mnt"
	echo "$img $mnt tagfs noauto,user 0 0" >"$fstab"
	status 0 "user: mounts by the line of fstab" "${as[@]}" mount "$mnt"
	check "as himself" eval "grep ' $mnt ' /proc/self/mountinfo |
		grep -q user_id=$user"
	check "without devices and set-id bits" eval \
		"grep ' $mnt ' /proc/self/mountinfo | grep -q nosuid,nodev"
	status 0 "and unmounts" "${as[@]}" umount "$mnt"
	check "with the last checkpoint over" free_now
	chown 0 "$img"
	chmod 644 "$img"
	status 0 "an image that he may only read" "${as[@]}" tagfs "$img" "$mnt"
	check "is mounted read-only" eval \
		"grep ' $mnt ' /proc/self/mountinfo | grep -q ' ro,'"
	status 0 "he unmounts it" "${as[@]}" umount "$mnt"
	chmod 600 "$img"
	status 1 "an image that is not his is 1" "${as[@]}" tagfs "$img" "$mnt"
	umount -l /dev/fuse
	: "$fuse"
else
	skip "a user's mounts: no set-id mount or fusermount3"
fi
exit $failed
