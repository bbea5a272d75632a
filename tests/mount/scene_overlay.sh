#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_overlay.sh - overlayfs has its upper and work directory on a tagfs:
# copies, whiteouts, opaque directories, renames, files without names.
# shellcheck disable=SC2119
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 100
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null
grep -qw overlay /proc/filesystems || skip_all "no overlayfs in this kernel"

lower=$work/lower
over=$work/over

no_overlay()
{
	if mountpoint -q "$over"; then
		umount "$over" || umount -l "$over"
	fi
}

trap 'no_overlay; cleanup' EXIT

overlay()
{
	mount -t overlay overlay -o "lowerdir=$lower,upperdir=$mnt/up" \
		-o "workdir=$mnt/work,redirect_dir=on" "$over"
}

is_whiteout()
{
	[ "$(stat -c '%F %t %T' "$1")" = 'character special file 0 0' ]
}

attr()
{
	getfattr --absolute-names --only-values -n "trusted.overlay.$1" "$2"
}

says()
{
	[ "$(cat "$1")" = "$2" ]
}

no_name()
{
	python3 - "$1" <<-EOF
		import os, sys
		fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)
		os.write(fd, b'nobody')
		os.link('/proc/self/fd/%d' % fd, sys.argv[1] + '/found',
		        src_dir_fd=fd, follow_symlinks=True)
	EOF
}

# Names and types, as readdir has them.
listing()
{
	find "$1" -mindepth 1 -printf '%y %P\n' | sort
}

# trusted.* as somebody else sees it: nothing.
names_for()
{
	setpriv --reuid "$1" --regid "$1" --clear-groups \
		getfattr --absolute-names -m - "$2"
}

mkdir -p "$lower/dir/sub" "$lower/full" "$over"
echo one >"$lower/one"
echo two >"$lower/dir/two"
echo three >"$lower/dir/sub/three"
echo four >"$lower/full/four"
chmod 755 "$work"

mkfs 64M
must_mount
mkdir "$mnt/up" "$mnt/work"
check "overlayfs takes tagfs as upper and work directory" overlay || finish

echo more >>"$over/one"
check "a changed file is copied up" test -f "$mnt/up/one"
rm "$over/dir/two"
check "a removed file leaves a whiteout" is_whiteout "$mnt/up/dir/two"
check "and is gone" test ! -e "$over/dir/two"

mv "$over/one" "$over/uno"
check "a rename leaves one in the same step" is_whiteout "$mnt/up/one"
check "with the content at the new name" \
	says "$over/uno" "$(printf 'one\nmore')"

rm -r "$over/full"
mkdir "$over/full"
check "a directory made anew is opaque" test "$(attr opaque "$mnt/up/full")" = y
check "and shows nothing from below" test -z "$(ls -A "$over/full")"

mv "$over/dir" "$over/moved"
check "a directory is renamed" says "$over/moved/sub/three" three
check "by a redirect" test "$(attr redirect "$mnt/up/moved")" = dir
check "which leaves a whiteout" is_whiteout "$mnt/up/dir"

if command -v python3 >/dev/null; then
	check "a file without a name gets one" no_name "$over"
	check "and has its content" says "$over/found" nobody
	rm -f "$over/found"
else
	skip "O_TMPFILE: no python3"
fi

if command -v setpriv >/dev/null; then
	check "root sees what overlayfs keeps" \
		grep -q trusted.overlay <(names_for 0 "$mnt/up/full")
	check "others do not" \
		test -z "$(names_for 65534 "$mnt/up/full")"
else
	skip "trusted.* of others: no setpriv"
fi

want=$(listing "$over")
check "names have their types" test "$want" = "$(printf '%s\n' \
	'd full' 'd moved' 'd moved/sub' 'f moved/sub/three' 'f uno')"
check "overlayfs lets go" umount "$over"
remount_fs
check "after a mount it is taken again" overlay
check "with all that was there" test "$want" = "$(listing "$over")"
no_overlay
check "nothing was reported bad" test ! -s "$log"
finish
