#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_ioctl.sh - what other programs ask of any filesystem: fstrim, the
# label, the flags of chattr, and what udev is told.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300
mkfs 128M -L 'first name'
must_mount

# label: the label as the kernel's ioctl has it; set_label TEXT
label()
{
	python3 -c '
import fcntl, os, sys
b = bytearray(256)
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x81009431, b)
print(bytes(b).rstrip(b"\0").decode())' "$mnt"
}

set_label()
{
	python3 -c '
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x41009432,
            os.fsencode(sys.argv[2]).ljust(256, b"\0"))' "$mnt" "$1"
}

used()
{
	du -k "$img" | cut -f1
}

check "the label can be asked for" test "$(label)" = "first name"
check "and set" set_label "other name"
check "it is the new one" test "$(label)" = "other name"
check "one of 32 bytes is refused" eval \
	"! set_label 0123456789012345678901234567890x"
check "and one that is no text" eval "! set_label $'a\nb'"
kill_fs
must_mount
check "it is still the new one after a crash" test "$(label)" = "other name"
python=$(PATH=/usr/bin:$PATH command -v python3)
if command -v setpriv >/dev/null &&
	chmod 755 "$work" &&
	setpriv --reuid=65534 --clear-groups "$python" -c ''; then
	check "a user may not set it" eval \
		"! setpriv --reuid=65534 --clear-groups $python -c '
import fcntl, os
fcntl.ioctl(os.open(\"$mnt\", os.O_RDONLY), 0x41009432, bytes(256))'"
fi
check "udev is told the type" grep -qx ID_FS_TYPE=tagfs \
	<(tagfsctl probe --udev "$img")
check "the label, encoded" grep -qxF 'ID_FS_LABEL_ENC=other\x20name' \
	<(tagfsctl probe --udev "$img")
check "the UUID that probe says" eval \
	"tagfsctl probe $img | grep -q \$(tagfsctl probe --udev $img |
		sed -n s/ID_FS_UUID=//p)"
tagfsctl probe --udev /etc/passwd >"$work/out" 2>&1
check "and nothing of other files, with status 2" eval \
	"[ $? = 2 ] && [ ! -s $work/out ]"

# ---- chattr -----------------------------------------------------------------

# refused COMMAND...: with "Operation not permitted"
refused()
{
	"$@" >"$work/out" 2>&1 && return 1
	grep -q 'not permitted' "$work/out" && return
	cat "$work/out"
	return 1
}

# flags NAME: as lsattr shows them, without the dashes
flags()
{
	lsattr -d "${2-$mnt}/$1" | cut -d ' ' -f 1 | tr -d e-
}

# put NAME MODE TEXT: open with >MODE< and write
put()
{
	"$python" -c '
import os, sys
how = getattr(os, sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDWR | how)
os.write(fd, os.fsencode(sys.argv[3]))
os.fsync(fd)' "$mnt/$1" "$2" "$3"
}

same()
{
	cmp "$work/fixed" "$mnt/fixed"
}

locked()
{
	check "$1: it is immutable" test "$(flags fixed)" = i
	check "$1: no write" refused put fixed O_RDWR text
	check "$1: nor one behind its end" refused put fixed O_APPEND text
	check "$1: no truncate" refused truncate -s 5 "$mnt/fixed"
	check "$1: no removal" refused rm -f "$mnt/fixed"
	check "$1: no other name" refused mv "$mnt/fixed" "$mnt/moved"
	check "$1: no more names" refused ln "$mnt/fixed" "$mnt/moved"
	check "$1: nothing takes its name" refused mv -f "$mnt/kind" \
		"$mnt/fixed"
	check "$1: no other mode" refused chmod 600 "$mnt/fixed"
	check "$1: no other times" refused touch "$mnt/fixed"
	check "$1: no attributes" refused setfattr -n user.x -v 1 "$mnt/fixed"
	check "$1: no space" refused fallocate -l 9M "$mnt/fixed"
	check "$1: it can be read to the end" same
	stat "$mnt/fixed" >/dev/null
	ls -l "$mnt" >/dev/null
	check "$1: which changes nothing of that" same
	sleep 0.1
	check "$1: no write after somebody looked" refused put fixed O_RDWR x
}

# To $work/back, with flags.
restored()
{
	local back=$work/back

	tagfsctl restore --map "$work/map" "$img" "$back" &&
		test "$(flags light "$back") $(flags dir "$back")" = "adA i" &&
		test "$(flags second "$back")" = i &&
		test "$back/second" -ef "$back/dir/fixed"
}

# Requests to open something since it was mounted.
opens()
{
	getfattr --absolute-names --only-values -n tagfs.stats "$mnt" |
		"$python" -c 'import json, sys
print(json.load(sys.stdin)["requests"].get("open", 0))'
}

chattr_scene()
{
	local how=$1

	head -c 300000 /dev/urandom >"$work/fixed"
	cp "$work/fixed" "$mnt/fixed"	# and not yet durable
	echo kind >"$mnt/kind"
	exec 8<>"$mnt/fixed"
	check "$how: chattr +i" chattr +i "$mnt/fixed"
	check "$how: no write by who had it open" refused eval \
		"echo text >&8"
	exec 8>&-
	locked "$how"
	check "$how: what was written before is" same
	mkdir "$mnt/dir"
	touch "$mnt/dir/old"
	chattr +i "$mnt/dir"
	check "$how: an immutable directory gains no names" refused \
		touch "$mnt/dir/new"
	check "$how: and loses none" refused rm -f "$mnt/dir/old"
	check "$how: what is in it can be written" eval \
		"echo x >'$mnt/dir/old'"
	chattr =a "$mnt/dir"
	check "$how: an append-only one gains them" touch "$mnt/dir/new"
	check "$how: and loses none" refused rm -f "$mnt/dir/new"
	touch "$mnt/log"
	chattr +a "$mnt/log"
	"$python" -c '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for i in range(3000):
    os.write(fd, b"%06d\0\n" % i * 100)
    if i % 700 == 699:
        os.fsync(fd)' "$mnt/log"
	sync "$mnt/log"
	check "$how: an append-only file takes everything" test \
		"$(stat -c %s "$mnt/log")" = 2400000
	sum=$(sha256sum <"$mnt/log")
	put log O_RDWR none 2>/dev/null
	check "$how: a write over its begin fails" test $? -ne 0
	check "$how: no truncate of it" refused truncate -s 5 "$mnt/log"
	check "$how: no removal" refused rm -f "$mnt/log"
	mkdir "$mnt/quiet"
	chattr +dA "$mnt/quiet"
	touch "$mnt/quiet/new"
	sync "$mnt/quiet"
	check "$how: d and A come from the directory" test \
		"$(flags quiet/new)" = dA
	check "$how: what is not there is not taken" eval \
		"! chattr +c '$mnt/kind' 2>/dev/null"
	kill_fs
	check "$how: the image says it to older programs" grep -q \
		incompat=49 <(tagfsctl dump super "$img")
	must_mount -o "$how"
	check "$how: it is all there after a crash" test \
		"$(flags fixed) $(flags dir) $(flags log)" = "i a a"
	locked "$how, after a crash"
	check "$how: the log is what was appended" test \
		"$(sha256sum <"$mnt/log")" = "$sum"
	umount_fs
	check "$how: fsck has nothing to say" fsck.tagfs -n -f "$img"
	check "$how: nor has another reader" \
		"$source/tests/fs/spec_reader.py" check "$img"
	must_mount -o "$how"
	chattr -i "$mnt/fixed"
	chattr -a "$mnt/log" "$mnt/dir"
	check "$how: what is cleared can be written" put fixed O_RDWR text
	check "$how: and removed" rm -r "$mnt/fixed" "$mnt/log" "$mnt/dir" \
		"$mnt/quiet" "$mnt/kind"
}

if command -v chattr >/dev/null && command -v setfattr >/dev/null; then
	umount_fs
	rm "$img"
	mkfs 128M
	must_mount
	touch "$mnt/light"
	chattr +dA "$mnt/light"
	remount_fs
	for ((i = 0; i < 20; i++)); do
		cat "$mnt/light"
	done
	check "d and A cost no opens" test "$(opens)" -le 1
	chattr +a "$mnt/light"
	remount_fs
	for ((i = 0; i < 20; i++)); do
		cat "$mnt/light"
	done
	check "a does" test "$(opens)" -ge 20
	mkdir "$mnt/dir"
	echo text >"$mnt/dir/fixed"
	ln "$mnt/dir/fixed" "$mnt/second"
	chattr +i "$mnt/dir/fixed" "$mnt/dir"
	umount_fs
	if touch "$work/try" && chattr +i "$work/try" 2>/dev/null; then
		chattr -i "$work/try"
		check "restore brings flags back" restored
		check "also those of a run before" restored
		chattr -R -i -a "$work/back"
		rm -r "$work/back"
	else
		skip "restore of flags: not in $work"
	fi
	rm "$img"
	mkfs 128M
	for how in $(amount writeback "no_writeback writeback"); do
		must_mount -o "$how"
		chattr_scene "$how"
		[ $how = writeback ] || umount_fs
	done
	: >"$mnt/his"
	chown 65534 "$mnt/his"
	as_user="setpriv --reuid=65534 --clear-groups"
	if $as_user true 2>/dev/null; then
		check "its owner may set d" $as_user chattr +d "$mnt/his"
		check "and not i" eval "! $as_user chattr +i $mnt/his 2>&1"
		check "and nobody else's" eval \
			"! $as_user chattr +d $mnt 2>&1"
	fi
else
	skip "chattr: not here"
fi

# ---- fstrim -----------------------------------------------------------------

dd if=/dev/urandom of="$mnt/gone" bs=1M count=40 status=none
dd if=/dev/urandom of="$mnt/kept" bs=1M count=20 status=none
sync "$mnt/gone" "$mnt/kept"
sum=$(sha256sum <"$mnt/kept")
rm "$mnt/gone"
before=$(used)
if fstrim -v "$mnt" >"$work/out" 2>&1; then
	check "fstrim gives back what was deleted" \
		test "$(used)" -lt $((before - 35000))
	check "and says how much" grep -qE '[0-9]+ bytes' "$work/out"
	remount_fs
	check "what is there stays" test "$(sha256sum <"$mnt/kept")" = "$sum"
	for ((i = 0; i < 40; i++)); do
		fstrim "$mnt" || break
	done &
	trimmer=$!
	for ((i = 0; i < 12; i++)); do
		cp "$mnt/kept" "$mnt/copy$((i % 3))" || break
		rm "$mnt/copy$(((i + 1) % 3))" 2>/dev/null
	done
	wait $trimmer
	for f in "$mnt"/copy*; do
		check "what is written during fstrim is whole" \
			test "$(sha256sum <"$f")" = "$sum"
	done
	free=$(stat -f -c %f "$mnt")
	umount_fs
	check "and the filesystem is" fsck.tagfs -n -f --data "$img"
	must_mount
	check "with as much free as before" \
		test "$(stat -f -c %f "$mnt")" -ge $((free - 64))
else
	skip "fstrim: the file under the image can't"
	sed 's/^/# /' "$work/out"
fi
finish
