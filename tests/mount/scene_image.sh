#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_image.sh - tagfsctl image: what fsck.tagfs says of an image is what it
# says of the filesystem, and what is not for others is not in it.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 300
shot=$work/shot
trouble=$build/tests/.libs/trouble.so

# image STATUS OPTION...: it exits with that.
image()
{
	local want=$1 status

	shift
	tagfsctl image "$@" >"$work/said" 2>"$work/err"
	status=$?
	[ $status -eq "$want" ] && return
	echo "status $status"
	cat "$work/said" "$work/err"
	return 1
}

# What fsck.tagfs says, without what an image can't have: the numbers of checksums
# that do not fit.
verdict()
{
	fsck.tagfs -n -f "${@:2}" "$1" >"$work/out" 2>&1
	echo "status $?" >>"$work/out"
	sed -E "s,$1,IMAGE,g; s/expected [^;:]*//g; s/found [^;:]*//g" "$work/out"
}

# Nor names.  Where tags are damaged, those that are not are wrong as well.
nameless()
{
	sed -E "s,^/.* \(inode,(inode,; s/'[^']*'/NAME/g" "$1" |
		sed -E "s/interval [0-9]+: (escape|app) check failed/WRONG/"
}

# same OPTION...: the image by these options is to fsck.tagfs what the
# filesystem is, of which "$work/a" knows already.
same()
{
	local mode=$1

	shift
	rm -f "$shot"
	tagfsctl image $mode "$img" "$shot" >/dev/null 2>&1 || return
	verdict "$shot" "$@" >"$work/b"
	if [ "$mode" = --anonymise ]; then
		diff <(nameless "$work/a") <(nameless "$work/b")
	else
		diff "$work/a" "$work/b"
	fi
}

# all_same PROMISE [OPTION...]: of fsck.tagfs
all_same()
{
	local promise=$1

	shift
	verdict "$img" "$@" >"$work/a"
	check "$promise" same "" "$@"
	check "$promise, without names" same --anonymise "$@"
}

# SECRET and what follows stands in all that must not be seen.
fill()
{
	local i

	mkdir -p "$mnt/SECRETDIR/deep/deeper"
	cp -a /usr/include/linux/netfilter* "$mnt/"
	for i in $(seq 40); do
		echo "SECRETBODY $i" >"$mnt/SECRETDIR/SECRETSMALL$i"
	done
	yes SECRETBLOCK | head -c 300000 >"$mnt/SECRETDIR/SECRETLARGE"
	ln "$mnt/SECRETDIR/SECRETLARGE" "$mnt/SECRETDIR/deep/SECRETLINK"
	ln -s SECRETTARGET "$mnt/SECRETDIR/symbolic"
	mkfifo "$mnt/SECRETDIR/deep/fifo"
	truncate -s 20M "$mnt/SECRETDIR/sparse"
	setfattr -n user.SECRETATTR -v SECRETVALUE "$mnt/SECRETDIR/SECRETSMALL1"
	setfattr -n user.SECRETLONG -v "$(yes SECRETVALUE | head -c 5000)" \
		"$mnt/SECRETDIR/SECRETSMALL2"
	setfacl -m u:7:rw "$mnt/SECRETDIR/SECRETLARGE" 2>/dev/null
	setfacl -m d:u:7:rw "$mnt/SECRETDIR/deep" 2>/dev/null
	rm "$mnt/SECRETDIR/SECRETSMALL9"
}

# The daemon dies with a log of commits behind the checkpoint.
crash()
{
	local i

	for i in 1 2 3 4 5 6; do
		yes SECRETLATE | head -c $((i * 9000)) \
			>"$mnt/SECRETDIR/SECRETLATE$i"
		echo SECRETLATE >"$mnt/SECRETDIR/SECRETTINY$i"
		ln -s SECRETTARGET "$mnt/SECRETDIR/SECRETSYM$i"
		sync "$mnt/SECRETDIR/SECRETLATE$i"
	done
	echo unsynced >"$mnt/SECRETDIR/SECRETLOST"
	kill -KILL "$daemon"
	wait "$daemon" 2>/dev/null
	unmount -l
	daemon=
}

mkfs 24M -L SECRETLABEL
must_mount
fill
check "what is mounted is refused" image 1 "$img" "$shot"
check "and nothing is left behind" test -z "$(ls "$work"/shot* 2>/dev/null)"
umount_fs
before=$(sha256sum <"$img")
check "an image is made" image 0 "$img" "$shot"
check "that names are in it is said" grep -q anonymise "$work/err"
check "it is its owner's" test "$(stat -c %a "$shot")" = 600
check "what exists is kept" image 1 "$img" "$shot"
check "unless told otherwise" image 0 -f --json --anonymise "$img" "$shot"
check "the report is JSON" python3 -m json.tool "$work/said"
check "nothing is left beside it" test "$(ls "$work"/shot* | wc -l)" -eq 1
check "the source is not overwritten" image 1 -f "$img" "$img"
ln -s "$img" "$work/other"
check "by another name neither" image 1 -f "$img" "$work/other"
check "nor is a device" image 1 -f "$img" /dev/null
check "not both ways at once" image 16 --anonymise --with-inline "$img" "$shot"
check "it is sparse" test "$(stat -c %b "$shot")" -lt 4096
check "and gets small" test "$(xz -1 -c "$shot" | wc -c)" -lt 200000
check "no name and no content is in it" eval '! grep -q SECRET "$shot"'
check "its owner may see both" image 0 -f --with-inline "$img" "$shot"
check "names and what is in leaves" eval 'grep -q SECRETLARGE "$shot" &&
	grep -q SECRETBODY "$shot"'
check "and no blocks" eval '! grep -q SECRETBLOCK "$shot"'
check "else names alone" eval 'image 0 -f "$img" "$shot" &&
	grep -q SECRETLARGE "$shot" && grep -q SECRETTARGET "$shot" &&
	! grep -q "SECRETBODY\|SECRETBLOCK" "$shot"'
check "the content is not looked for" eval \
	'fsck.tagfs -fn --data "$shot" 2>&1 | grep -q "no content"'
check "it can't be mounted" eval \
	'! tagfs "$shot" "$mnt" 2>"$work/err" && grep -q "metadata image" "$work/err"'
check "nor copied out" test "$(tagfsctl restore --scan "$shot" "$work/o" \
	>/dev/null 2>&1; echo $?)" -eq 1
all_same "fsck.tagfs finds in it what it finds in the filesystem"
all_same "and would rebuild the same" --rebuild
check "the filesystem is as it was" test "$(sha256sum <"$img")" = "$before"

# A log.
must_mount
crash
all_same "a log is replayed as in the filesystem"
check "no name and no content of the log is in it" eval \
	'! grep -q SECRET "$shot"'
cp --sparse=always "$img" "$work/crashed"
at=$(grep -abo SECRETLATE "$img" | tail -n 1 | cut -d: -f 1)
printf 'ROT' | dd of="$img" bs=1 seek="$at" conv=notrunc 2>/dev/null
all_same "a commit that proves nothing does not in the image"
check "a repair can be tried on it" eval \
	'fsck.tagfs -fy "$shot" >/dev/null 2>&1; test $? -le 1'
check "and holds" fsck.tagfs -fn "$shot"

# Damage.
n=0
for kind in flip page log $(amount "" "tuple swap move" "tuple swap move"); do
	n=$((n + 1))
	cp --sparse=always "$work/crashed" "$img"
	corrupt hit $kind $n $((20 * (1 + n % 3))) "$img" >/dev/null 2>&1
	verdict "$img" >"$work/a"
	mode=
	[ $((n % 2)) -eq 0 ] && mode=--anonymise
	check "damage of the kind $kind is the same $mode" same "$mode"
done
for at in 0 4096 8192 12288 266240; do
	printf 'ROTROTROT' | dd of="$img" bs=1 seek=$((at + 33)) conv=notrunc \
		2>/dev/null
done
all_same "so is that of headers, pages and superblocks"
lose_supers "$img"
verdict "$img" --rebuild >"$work/a"
check "and what would come back" same --anonymise --rebuild
check "no name is in what is damaged" eval '! grep -q SECRET "$shot"'

# What can't be read.
if [ -f "$trouble" ] && [ -z "$sanitizer" ]; then
	rm -f "$shot"
	cp --sparse=always "$work/crashed" "$img"
	check "what can't be read costs itself" eval \
		'LD_PRELOAD=$trouble TROUBLE_BAD="8192:4096,12288:4096" \
		image 3 "$img" "$shot"'
	check "and is said" grep -q "can't be read" "$work/err"
	check "fsck.tagfs goes on without it" test \
		"$(fsck.tagfs -fn "$shot" >/dev/null 2>&1; echo $?)" -eq 4
fi

# Other tuples, larger clusters.
for tags in 1 8; do
	rm -f "$img" "$shot" "$work/crashed"
	mkfs 48M -F 4096+64:type1:crc64 -E tags=$tags
	must_mount
	fill
	crash
	all_same "with $tags other tags in a tuple it is the same"
	check "and as silent" eval '! grep -q SECRET "$shot"'
done
lose_supers "$img"
verdict "$img" --rebuild >"$work/a"
check "also where no superblock says so" same --anonymise --rebuild
finish
