#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_ioctl.sh - what other programs ask of any filesystem: fstrim, the
# label, and what udev is told.
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
