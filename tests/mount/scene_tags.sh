#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_tags.sh - the tags are shown on request, and only then.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 200

tags()
{
	getfattr --absolute-names --only-values -n tagfs.tags "$@"
}

tags_raw()
{
	getfattr --absolute-names --only-values -n tagfs.tags.raw "$@"
}

stats()
{
	getfattr --absolute-names --only-values -n tagfs.stats "$mnt"
}

counter()
{
	stats | sed -n "s/.*\"$1\": *\\([0-9]*\\).*/\\1/p"
}

json()
{
	if command -v python3; then
		stats | python3 -m json.tool
	elif command -v jq; then
		stats | jq .
	else
		stats | tr -d '\n' | grep -q '^{.*}$'
	fi
}

mkfs 64M -L tags
must_mount
head -c 1000000 /dev/urandom >"$work/data"
cp "$work/data" "$mnt/file"
: >"$mnt/empty"
mkdir "$mnt/dir"
ln -s file "$mnt/link"
sync "$mnt/file"

check "tagfs.tags shows verified clusters" \
	grep -q "verified" <(tags "$mnt/file")
check "and which inode they belong to" \
	grep -q "inode $(stat -c %i "$mnt/file") index 0 " <(tags "$mnt/file")
check "all of them" \
	test "$(tags "$mnt/file" | grep -o 'clusters [0-9]*+[0-9]*' |
		awk -F+ '{ n += $2 } END { print n }')" -eq 245
check "tagfs.tags.raw has 16 bytes for each cluster" \
	test "$(tags_raw "$mnt/file" | wc -c)" -eq $((245 * 16))
check "no tag is the escape" \
	test -z "$(tags_raw "$mnt/file" | od -An -v -tx1 -w2 | grep 'ff ff')"
check "an empty file has no tags" test -z "$(tags_raw "$mnt/empty")"
before=$(tags_raw "$mnt/file" | sha256sum)
remount_fs
check "the tags are the same after mounting again" \
	test "$(tags_raw "$mnt/file" | sha256sum)" = "$before"
dd if="$work/data" of="$mnt/file" bs=4096 count=1 conv=notrunc,fsync \
	status=none
check "a write gives new tags" \
	test "$(tags_raw "$mnt/file" | sha256sum)" != "$before"
check "through a symbolic link" grep -q verified <(tags "$mnt/link")

check "tagfs.stats is JSON" json
check "and counts what is read" test "$(counter reads)" -ge 0
check "and has no damage to report" test "$(counter bad_guard)" -eq 0
check "and the label" grep -q '"label": *"tags"' <(stats)

check "they are not listed" \
	test -z "$(getfattr --absolute-names -dR -m - "$mnt" 2>&1)"
check "and not copied by cp -a" \
	cp -a "$mnt/file" "$mnt/copy"
check "nor by rsync -X" rsync -aX "$mnt/file" "$mnt/rsync"
check "the copies have tags of their own" test \
	"$(sync "$mnt/copy"; tags_raw "$mnt/copy" | sha256sum)" != \
	"$(tags_raw "$mnt/file" | sha256sum)"
for name in tagfs.tags tagfs.tags.raw tagfs.stats tagfs.other; do
	check "$name can't be set" \
		eval "! setfattr -n $name -v x '$mnt/file'"
	check "$name can't be removed" eval "! setfattr -x $name '$mnt/file'"
done
check "tagfs.other is not there" eval "! getfattr -n tagfs.other '$mnt/file'"

# The tags are read from the medium: a bit of the image that flips under a
# mounted file system shows, whatever the caches hold.
line="a line that is nowhere else $$ $RANDOM"
{ head -c 40000 /dev/zero; echo "$line"; } >"$mnt/victim"
sync "$mnt/victim"
at=$(grep -aboF "$line" "$img" | head -n 1 | cut -d: -f1)
if [ -n "$at" ]; then
	printf A | dd of="$img" bs=1 seek="$at" conv=notrunc status=none
	sync "$img"
	tags "$mnt/victim" >"$work/tags" 2>&1
	check "damage shows in tagfs.tags" \
		eval "! grep -q 'clusters 0+10.*verified' '$work/tags'"
	sed 's/^/# /' "$work/tags"
else
	fail "a line of a file is found in the image"
fi
finish
