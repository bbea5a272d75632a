#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_mirror.sh - a mirror of image files as a person uses it: made, mounted,
# one leg rots and is put right, one is missing, comes back, is replaced; and
# legs that don't belong together are refused.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 400

second=$work/second
third=$work/third

fill()
{
	mkdir -p "$mnt/$1"
	head -c 3000000 /dev/urandom >"$mnt/$1/random"
	seq 20000 >"$mnt/$1/numbers"
	sync "$mnt/$1/random" "$mnt/$1/numbers"
}

sums()
{
	(cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 cat | sha256sum)
}

status_says()
{
	mirror_says 30 "$1"
}

# Of all legs this one alone has healed something.
healed_on()
{
	tagfsctl status --metrics "$mnt" >"$work/metrics"
	[ "$(grep '^tagfs_leg_healed_intervals_total' "$work/metrics" |
		grep -v ' 0$' | grep -c .)" -eq 1 ] &&
		grep '^tagfs_leg_healed_intervals_total' "$work/metrics" |
		grep -v ' 0$' | grep -q "device=\"$1\""
}

json_lines()
{
	tagfsctl status --json "$mnt" | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
assert [r["what"] for r in rows] == ["status", "leg", "leg"], rows
assert rows[0]["health"] == "healed", rows[0]
assert sum(r["healed"] > 0 for r in rows[1:]) == 1, rows' &&
		python3 -c 'import json, os, sys
assert len(json.loads(os.getxattr(sys.argv[1], "tagfs.stats"))["legs"]) == 2
' "$mnt"
}

refused()
{
	! "$@"
}

log_says()
{
	grep -q "$1" "$log" "$work/stderr"
}

check "a mirror of files of different size is made" \
	mkfs.tagfs -q -s 64M --mirror "$img" "$second"
check "it is no target for another one by mistake" \
	refused mkfs.tagfs -q --mirror "$img" "$second"
check "a leg alone is refused" refused mount_fs
check "and the message says how to go on" log_says "o degraded"
must_mount -o "device=$second"
fill one
check "status knows the legs" status_says "current, leg 2 $second current"
before=$(sums)
umount_fs
check "fsck takes all legs" \
	fsck.tagfs -fp --data --device "$second" "$img"
check "fsck writes to no leg alone" refused fsck.tagfs -fp "$img"
check "but looks at it" fsck.tagfs -fn "$img"

# One rots and is put right, by reads and by a scrub; then the other.
for leg in "$img" "$second"; do
	: >"$log"
	corrupt hit flip 1 100 "$leg" >"$work/hit"
	corrupt hit tuple 2 20 "$leg" >>"$work/hit"
	must_mount -o "device=$second"
	check "what ${leg##*/} has wrong comes from the other leg" \
		[ "$(sums)" = "$before" ]
	check "a scrub looks at all legs" tagfsctl scrub start "$mnt"
	check "and finds nothing that can't be put right" \
		tagfsctl scrub wait "$mnt"
	check "what was put right is said" log_says "rewritten from"
	check "with the file and the leg" log_says \
		"/one/[a-z]*: bytes [0-9]*-[0-9]* are bad on leg . ($leg)"
	check "and counted for that leg alone" healed_on "$leg"
	check "of which status is no less JSON" json_lines
	umount_fs
	check "afterwards ${leg##*/} is whole" fsck.tagfs -fn --data "$leg"
done

# restored OPTION...: all of it, by the tree
restored()
{
	rm -rf "$work/out"
	mkdir "$work/out"
	tagfsctl restore "$@" "$work/out" >"$work/restore" 2>&1 &&
		! grep "reading all of it" "$work/restore" &&
		[ "$(mnt=$work/out sums)" = "$before" ]
}

cp --sparse=always "$img" "$third"
corrupt hit flip 3 100 "$third" >"$work/hit"
check "one leg is enough to restore from" restored "$second"
check "of one that has rotted and another all comes back" \
	restored --device "$second" "$third"
check "whichever is named first" restored --device "$third" "$second"
check "a rebuild takes what either has" eval \
	"fsck.tagfs --rebuild -n --device '$second' '$third' >'$work/rebuild'"
rm "$third"

cp --sparse=always "$second" "$third"
must_mount -o degraded
fill two
check "status says what is missing" status_says "leg 2 missing"
before=$(sums)
umount_fs

must_mount -o "device=$second"
check "what it missed is given to it" status_says "leg 2 $second current"
check "which status says, too" grep -qx \
	"resilver:   done, 100 %, [0-9]* MiB compared" <(tagfsctl status "$mnt")
check "and nothing else" [ "$(grep -o 'resilver: done: [0-9]*' "$log" |
	tail -1 | grep -o '[0-9]*')" -lt 4000000 ]
umount_fs
check "the leg that was away is whole" fsck.tagfs -fn --data "$second"
cp --sparse=always "$img" "$work/kept"
img=$second
must_mount -o degraded,ro
check "and has everything" [ "$(sums)" = "$before" ]
umount_fs
img=$work/img

# All superblocks of all legs are lost, and one of them is larger.
lone=$work/lone
cp --sparse=always "$work/img" "$lone"
cp --sparse=always "$second" "$lone.2"
lose_supers "$lone"
check "without its superblocks a leg hinders others" \
	refused fsck.tagfs --rebuild -n --device "$lone" "$lone.2"
lose_supers "$lone.2"
check "legs without superblocks are not taken together" eval \
	'refused fsck.tagfs --rebuild -y --device "$lone.2" "$lone" \
	>"$work/said" 2>&1'
check "and it is said that one will do" grep -q "name one alone" "$work/said"
check "nor are they to be restored from" \
	refused tagfsctl restore --list --device "$lone.2" "$lone"
for leg in "$lone" "$lone.2"; do
	rm -rf "$work/out"
	mkdir "$work/out"
	check "all is restored from ${leg##*/} alone" \
		tagfsctl restore "$leg" "$work/out"
	check "with all its content" \
		[ "$(mnt=$work/out sums)" = "$before" ]
	check "a rebuild of ${leg##*/} alone changes it" eval \
		'fsck.tagfs --rebuild -y "$leg" >"$work/said" 2>&1; [ $? -eq 1 ]'
	check "and says what it assumes" grep -q "newest state" "$work/said"
	check "after which it is whole" fsck.tagfs -fn --data "$leg"
	img=$leg
	must_mount
	check "and has everything, by itself" [ "$(sums)" = "$before" ]
	umount_fs
	img=$work/img
	check "but is no leg any more" refused fsck.tagfs -fn \
		--device "$second" "$leg"
done
rm -r "$lone" "$lone.2" "$work/out"

# Written apart.
img=$third
must_mount -o degraded
fill three
umount_fs
img=$work/img
check "legs that went apart are not put together" \
	refused mount_fs -o "device=$third"
check "which is said" log_says "went apart"

# The second is lost for good.
rm "$second" "$third"
truncate -s 70M "$third"
check "a new leg takes its place" mkfs.tagfs -q --replace "$third" "$img"
must_mount -o "device=$third"
check "and is given everything" status_says "leg 2 $third current"
umount_fs
check "the new leg is whole" fsck.tagfs -fn --data "$third"
check "an old one is none any more" \
	refused mount_fs -o "device=$work/kept"
img=$third
must_mount -o degraded,ro
check "the new leg has everything" [ "$(sums)" = "$before" ]
umount_fs
img=$work/img

# One more, and one less.
legs_are()
{
	tagfsctl device list "$@" >"$work/list" || return
	cut -d' ' -f4 "$work/list" | tr '\n' ' ' >"$work/states"
	grep -qx "state=${states// / state=} " "$work/states"
}

truncate -s 80M "$second"
check "a leg is added" tagfsctl device add "$second" "$img" "$third"
states="current current behind" \
	check "and is to be filled" legs_are "$img" "$third" "$second"
check "to be added again it is in the way" \
	refused tagfsctl device add "$second" "$img" "$third"
must_mount -o "device=$second,device=$third"
check "a mount fills it" status_says "leg 3 $second current"
states="current current current" check "as the list says" legs_are "$mnt"
umount_fs
check "the third leg is whole" fsck.tagfs -fn --data "$second"
check "one that is named can't be removed" \
	refused tagfsctl device remove 2 "$img" "$second" "$third"
check "another is" tagfsctl device remove 2 "$img" "$second"
states="current current" \
	check "and is no leg any more" legs_are "$img" "$second"
check "also for a mount" \
	refused mount_fs -o "device=$second,device=$third"
check "it is replaced only where one is missing" \
	refused tagfsctl device replace -f "$third" "$img" "$second"
rm "$img"
check "a lost one is replaced" tagfsctl device replace -f "$third" "$second"
img=$second
must_mount -o "device=$third"
check "and filled" status_says "leg 1 $third current"
check "nothing is lost" [ "$(sums)" = "$before" ]
umount_fs

# Beneath a mount, while somebody writes.
must_mount -o "device=$third"
(while ! [ -e "$work/enough" ]; do
	seq 5000 >"$mnt/busy" && sync "$mnt/busy" || exit
done) &
writer=$!
truncate -s 60M "$work/small"
truncate -s 90M "$work/new" "$work/newer"
echo something >"$work/used"
truncate -s 90M "$work/used"
check "a leg that is too small is refused" \
	refused tagfsctl device add "$work/small" "$mnt"
truncate -s 10M "$work/small"
check "a much smaller one, too" \
	refused tagfsctl device add "$work/small" "$mnt"
check "what may be somebody's is not overwritten" \
	refused tagfsctl device add "$work/used" "$mnt"
check "nor is a leg" refused tagfsctl device add -f "$third" "$mnt"
check "nobody else may add one" refused setpriv --reuid 65534 --clear-groups \
	tagfsctl device remove 1 "$mnt"
check "a leg joins a mirror that is in use" \
	tagfsctl device add "$work/new" "$mnt"
check "and is filled" status_says "leg 3 $work/new current"
check "one that it has is replaced" eval \
	"tagfsctl device replace --leg 1 '$work/newer' '$mnt' 2>'$work/said'"
check "and how to go on after an interruption was said" \
	grep -q "device remove 1 $mnt" "$work/said"
states="current current current" check "which is one again" legs_are "$mnt"
check "and not there any more" refused grep -q "device=$third " "$work/list"
check "a leg leaves" tagfsctl device remove 1 "$mnt"
check "another one, too" tagfsctl device remove 1 "$mnt"
check "the last one stays" refused tagfsctl device remove 1 "$mnt"
touch "$work/enough"
check "nobody has noticed" wait "$writer"
rm "$mnt/busy"
check "nothing is lost then" [ "$(sums)" = "$before" ]
umount_fs
img=$work/newer
for gone in "$second" "$third" "$work/new"; do
	check "${gone##*/} is no leg and knows it" \
		refused tagfsctl device list "$gone"
done
check "the last one is whole" fsck.tagfs -fn --data "$img"

# One that is away beneath a mount comes back.
must_mount
check "it becomes two again" tagfsctl device add -f "$second" "$mnt"
check "of which the new one is filled" status_says "leg 2 $second current"
umount_fs
must_mount -o degraded
head -c 1000000 /dev/urandom >"$mnt/more"
sync "$mnt/more"
check "what is no leg does not return" \
	refused tagfsctl device return "$third" "$mnt"
check "the one that was away does" tagfsctl device return "$second" "$mnt"
check "and is given what it missed" status_says "leg 2 $second current"
check "only that" [ "$(grep -o 'resilver: done: [0-9]*' "$log" |
	tail -1 | grep -o '[0-9]*')" -lt 2000000 ]
rm "$mnt/more"
umount_fs
check "it is whole again" fsck.tagfs -fn --data "$second"
third=$second
second=$img

# What it is called is on all legs.
check "one leg alone is not renamed" refused tagfsctl label "$second" new
check "all are" tagfsctl label --device "$third" "$second" new
check "each has the label" [ "$(tagfsctl label "$second") $(
	tagfsctl label "$third")" = "new new" ]
check "and another UUID" tagfsctl uuid --device "$third" "$second" random
check "each has that" [ "$(tagfsctl uuid "$second")" = "$(
	tagfsctl uuid "$third")" ]

# Block devices are found.
loops=()
drop_loops()
{
	for loop in "${loops[@]}"; do
		losetup -d "$loop"
	done
	loops=()
}

loops_over()
{
	local loop

	for file in "$@"; do
		loop=$(losetup -f --show "$file" 2>/dev/null) || return
		loops+=("$loop")
	done
}

if loops_over "$second" "$third"; then
	uuid=$(tagfsctl device list "$second" "$third" >/dev/null &&
		tagfsctl probe --udev "$second" | sed -n s/^ID_FS_UUID=//p)
	for img in "${loops[@]}" "UUID=$uuid"; do
		must_mount
		states="current current" \
			check "with ${img%%=*} the other leg is found" \
			legs_are "$mnt"
		check "and all is there" [ "$(sums)" = "$before" ]
		umount_fs
	done
	img=${loops[0]}
	losetup -d "${loops[1]}"
	unset "loops[1]"
	check "a leg that is no block device is not found" refused mount_fs
	cp --sparse=always "$work/kept" "$work/old"
	loops_over "$third" "$work/old"
	must_mount
	states="current current" \
		check "nor is one taken that was replaced" legs_are "$mnt"
	umount_fs
	drop_loops
	img="UUID=$uuid"
	check "a UUID that nobody has is refused" refused mount_fs
	check "which is said" log_says "no block device has it"
else
	echo "# no loop devices: nothing can be found"
fi
drop_loops
finish
