#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_ctl.sh - tagfsctl tells what is where, and finds what has rotted.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 200

json()
{
	if command -v python3 >/dev/null; then
		python3 -c 'import json, sys
for line in sys.stdin:
    json.loads(line)'
	else
		grep -q '^{.*}$'
	fi
}

json_of()
{
	"$@" >"$work/json" && json <"$work/json"
}

# value NAME: of the line on standard input, as name=value
value()
{
	sed -n "s/.* $1=\"\\{0,1\\}\\([^\" ]*\\).*/\\1/p"
}

exits()
{
	local want=$1 got

	shift
	"$@"
	got=$?
	[ $got -eq "$want" ]
}

mkfs 64M -L "a label"
for part in super slot log tree; do
	check "dump $part of an image" tagfsctl dump $part "$img"
	check "the same as JSON" json_of tagfsctl dump --json $part "$img"
done
check "a cluster of the superblock says so" \
	grep -q "kind=superblock" <(tagfsctl dump record 0 "$img")
root=$(tagfsctl dump slot "$img" | value root0 | tail -n 1)
check "the root is a node" \
	grep -q "^node:.*state=good" <(tagfsctl dump node "$root" "$img")
check "a cluster past the end is refused" \
	exits 1 tagfsctl dump record 99999999 "$img"

uuid=$(tagfsctl uuid "$img")
check "probe speaks as blkid" test "$(tagfsctl probe "$img")" = \
	"$img: LABEL=\"a label\" UUID=\"$uuid\" TYPE=\"tagfs\""
check "and for scripts" grep -qx "UUID=$uuid" \
	<(tagfsctl probe --export "$img")
check "a label is set" tagfsctl label "$img" other
check "and shown" test "$(tagfsctl label "$img")" = other
check "a UUID is set" tagfsctl uuid "$img" random
check "and is another one" test "$(tagfsctl uuid "$img")" != "$uuid"
check "both copies have it" test "$(tagfsctl dump super "$img" |
	grep -c "state=good.*label=other")" -eq 2
check "a label that is too long is refused" exits 1 tagfsctl label "$img" \
	123456789012345678901234567890123
head -c 1M /dev/zero >"$work/none"
check "nothing is found in other files" exits 2 tagfsctl probe "$work/none"

must_mount
mkdir "$mnt/dir"
line="a line that is nowhere else $$ $RANDOM"
{ head -c 40000 /dev/zero; echo "$line"; } >"$mnt/dir/victim"
head -c 4000000 /dev/urandom >"$mnt/big"
echo tiny >"$mnt/tiny"
truncate -s 1M "$mnt/holes"
sync -f "$mnt/big"

check "tags of a file" grep -q verified <(tagfsctl tags "$mnt/big")
tagfsctl locate "$mnt/dir/victim" 40000 >"$work/place"
sector=$(value sector <"$work/place")
at=$(grep -aboF "$line" "$img" | head -n 1 | cut -d: -f1)
check "locate knows the sector of a byte" test "$sector" = $((at / 512))
check "and from the sector the file" grep -q "path=/dir/victim" \
	<(tagfsctl locate --lba "$sector" "$mnt")
check "and the offset" test "$(tagfsctl locate --lba "$sector" "$mnt" |
	value offset)" = $((40000 / 512 * 512))
check "locate as JSON" json_of tagfsctl locate --json "$mnt/dir/victim"
check "a hole is nowhere" grep -q "state=hole" \
	<(tagfsctl locate "$mnt/holes" 5000)
check "what is small is in the tree" grep -q "state=inline" \
	<(tagfsctl locate "$mnt/tiny")
free=$((sector + 8))
while tagfsctl locate --lba "$free" "$mnt" | grep -q "kind="; do
	free=$((free + 2000))
done
check "what nobody has written is free, the tree says" \
	grep -q "state=free tags=of-something-else as-told-by=tree" \
	<(tagfsctl locate --lba "$free" "$mnt")
check "tuples are no data" grep -q "state=no-data" \
	<(tagfsctl locate --lba 9 "$mnt")
check "a mounted one can't be renamed" exits 1 tagfsctl label "$img" x
check "but be probed" grep -q 'LABEL="other"' <(tagfsctl probe "$img")

check "status in words" grep -q "^health: *good" <(tagfsctl status "$mnt")
check "status is JSON" json_of tagfsctl status --json "$mnt"
check "metrics have a value in each line" test -z \
	"$(tagfsctl status --metrics "$mnt" |
		grep -vE '^(#|tagfs_[a-z_]+\{.*\} [0-9]+$)')"

# A scrub: nothing, and after a bit has turned behind its back, the place.
scrub()
{
	tagfsctl scrub start --rate 0 "$mnt" && tagfsctl scrub wait "$mnt"
}

remount_fs
check "no scrub was there yet" grep -q "state=never" \
	<(tagfsctl scrub status "$mnt")
check "nothing can be paused" exits 1 tagfsctl scrub pause "$mnt"
check "a scrub finds nothing" exits 0 scrub
check "and has read the files" test "$(tagfsctl scrub status "$mnt" |
	value bytes)" -ge 4000000
check "and the tree" test "$(tagfsctl scrub status "$mnt" |
	value nodes)" -ge 1
check "no errors are listed" exits 0 tagfsctl errors "$mnt"
check "one may be paused" eval "tagfsctl scrub start --rate 1 '$mnt' &&
	tagfsctl scrub pause '$mnt'"
check "another one does not start" exits 1 tagfsctl scrub start "$mnt"
check "it goes on" tagfsctl scrub resume "$mnt"
tagfsctl scrub pause "$mnt"
check "it can be cancelled" tagfsctl scrub cancel "$mnt"
check "which is no success" exits 1 tagfsctl scrub wait "$mnt"
if [ -n "$at" ]; then
	printf A | dd of="$img" bs=1 seek="$at" conv=notrunc status=none
	sync "$img"
	check "a scrub finds what has rotted" exits 3 scrub
	tagfsctl errors "$mnt" >"$work/errors"
	check "names the file" grep -q "path=/dir/victim" "$work/errors"
	check "the place" grep -q "offset=$((40000 / 4096 * 4096)) " \
		"$work/errors"
	check "and the check" grep -q "check=guard expected=" "$work/errors"
	check "once" test "$(wc -l <"$work/errors")" -eq 1
	check "errors as JSON" json < <(tagfsctl errors --json "$mnt")
	check "the status says so" grep -q "^health: *damaged" \
		<(tagfsctl status "$mnt")
	rm "$mnt/dir/victim"
	check "what is deleted is no error any more" \
		exits 0 tagfsctl errors "$mnt"
	head -c 100000 "$mnt/big" >"$mnt/dir/again"
	sync "$mnt/dir/again"
	sector=$(tagfsctl locate "$mnt/dir/again" 8192 | value sector)
	umount_fs
	printf XYZ | dd of="$img" bs=1 seek=$((sector * 512 + 5)) \
		conv=notrunc status=none
	must_mount
	check "what has rotted can't be read" \
		exits 1 dd if="$mnt/dir/again" of=/dev/null status=none
	umount_fs
	must_mount
	tagfsctl errors "$mnt" >"$work/errors"
	check "which is known after a remount" \
		grep -q "path=/dir/again .* offset=8192 .* stored=true" \
		"$work/errors"
	dd if="$mnt/big" of="$mnt/dir/again" bs=4096 count=10 conv=notrunc \
		status=none
	sync "$mnt/dir/again"
	check "until it is overwritten" exits 0 tagfsctl errors "$mnt"
	check "the next scrub has nothing to say" exits 0 scrub
	check "nor has the status" \
		test "$(tagfsctl scrub status --json "$mnt" |
			grep -c '"uncorrectable": 0')" -eq 1
else
	fail "a line of a file is found in the image"
fi
head -c 40000 "$mnt/big" >"$mnt/dir/victim"
tagfsctl scrub start --rate 1 "$mnt"
umount_fs
must_mount
check "a mount ends though a scrub runs, which goes on" \
	grep -qE "state=(running|finished)" \
	<(tagfsctl scrub status "$mnt")
sync "$mnt/dir/victim"
sector=$(tagfsctl locate "$mnt/dir/victim" 0 | value sector)
umount_fs
check "and that one is free" grep -q "state=free .*as-told-by=tree" \
	<(tagfsctl locate --lba "$free" "$img")
check "an image tells the same of a sector" grep -q "path=/dir/victim" \
	<(tagfsctl locate --lba "$sector" "$img")
printf 'ROT' | dd of="$img" bs=1 seek=$((sector * 512 + 99)) conv=notrunc \
	2>/dev/null
check "also where it is damaged" grep -q "path=/dir/victim" \
	<(tagfsctl locate --lba "$sector" "$img")
finish
