#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_findings.sh - what was found bad is known until it is not bad any more,
# and a scrub goes on where it was, whatever ended the mount.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 700

value()
{
	sed -n "s/.* $1=\"\{0,1\}\([^\" ]*\).*/\1/p"
}

exits()
{
	local want=$1 got

	shift
	"$@"
	got=$?
	[ $got -eq "$want" ]
}

errors()
{
	tagfsctl errors "$mnt"
}

# is NAME VALUE: the scrub is, soon
is()
{
	for ((i = 0; i < 300; i++)); do
		[ "$(tagfsctl scrub status "$mnt" | value "$1")" = "$2" ] &&
			return
		sleep 0.1
	done
	tagfsctl scrub status "$mnt"
	return 1
}

mkfs 256M
must_mount -o scrub_warn=30
check "that nobody has scrubbed it is said, if asked for" \
	grep -q "no scrub has ever read all of it" "$log"
mkdir "$mnt/dir"
head -c 60000000 /dev/urandom >"$mnt/dir/file"
cp "$mnt/dir/file" "$work/file"

# ---- what was found
umount_fs
: >"$log"
check "the image can be damaged" corrupt hit flip 7 12 "$img"
must_mount
check "what was unmounted cleanly is nothing to tell of" \
	eval "! grep -q 'not cleanly' '$log'"
for f in "$mnt"/dir/*; do
	dd if="$f" of=/dev/null bs=4096 conv=noerror status=none \
		2>"$work/dd"
done
errors >"$work/before"
check "what can't be read is on the list" \
	grep -q "kind=data path=/dir/file .* healed=false" "$work/before"
umount_fs
: >"$log"
must_mount
errors >"$work/after"
check "and after a remount" cmp "$work/before" "$work/after"
check "which tells how many there are" grep -q \
	"places are known to be bad" "$log"
check "a scrub of the list finds them again" exits 3 eval \
	"tagfsctl scrub start --errors '$mnt' && tagfsctl scrub wait '$mnt'"
check "and no more" test "$(errors | wc -l)" -eq "$(wc -l <"$work/after")"
check "the status counts them" grep -q \
	"^known bad: *$(grep -c healed=false "$work/after") places" \
	<(tagfsctl status "$mnt")
first=$(value offset <"$work/after" | head -n 1)
truncate -s "$((first / 4096 * 4096))" "$mnt/dir/file"
check "what was cut off is no error any more" exits 0 errors
cp "$work/file" "$mnt/dir/file"
sync "$mnt/dir/file"
check "nor is what was written again" exits 0 errors

# ---- how far a scrub was
tagfsctl scrub start --rate 12 "$mnt"
sleep 1.5
tagfsctl scrub pause "$mnt"
check "a scrub is paused" is state paused
was=$(tagfsctl scrub status "$mnt" | value regions_done)
bytes=$(tagfsctl scrub status "$mnt" | value bytes)
umount_fs
must_mount
check "it is so after an unmount" is state paused
check "and where it was" is bytes "$bytes"
kill_fs
: >"$log"
must_mount
check "that it was not cleanly unmounted is said" \
	grep -q "not cleanly unmounted" "$log"
check "after SIGKILL it is paused still" is state paused
check "and where it was, after SIGKILL" is regions_done "$was"
check "it goes on" tagfsctl scrub resume "$mnt"
umount_fs
must_mount
check "and with the next mount, by itself" grep -qE \
	"state=(running|finished)" <(tagfsctl scrub status "$mnt")
check "to the end" exits 0 tagfsctl scrub wait "$mnt"
check "everything was read, and hardly anything twice" test \
	"$(tagfsctl scrub status "$mnt" | value bytes)" -ge 60000000 -a \
	"$(tagfsctl scrub status "$mnt" | value bytes)" -lt 61000000
umount_fs
must_mount
check "which is known later" grep -q "state=finished .* whole=2" \
	<(tagfsctl scrub status "$mnt")
umount_fs
check "the image is whole" fsck.tagfs -n -f "$img"
check "for another reader, too" "$source/tests/fs/spec_reader.py" check "$img"
finish
