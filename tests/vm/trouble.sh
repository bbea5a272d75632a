#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# trouble.sh IMAGE PART...: in the guest, with /dev/pi/1 of 512+8:type1 stored in
# IMAGE, 2 without protection, and 3 of 512+8:type1 and one MiB.  What is to
# be refused is, in words that say why, and nothing is lost by it.
# shellcheck disable=SC2119,SC2317,SC2154,SC1091
. "${0%/*}/guest.sh"
begin
host=$1
shift

# refused PROMISE WORDS COMMAND...
refused()
{
	local promise=$1 words=$2

	shift 2
	if "$@" >"$work/refused" 2>&1; then
		fail "$promise: succeeds"
	elif grep -q "$words" "$work/refused" "$work/stderr" "$log"; then
		ok "$promise"
	else
		fail "$promise: not in these words: $words"
		sed 's/^/# /' "$work/refused" "$work/stderr"
	fi
}

of_mkfs()
{
	on /dev/pi/1 512+8 "$host"
	mkfs_dev -n
	check "a dry run names the backend" grep -q "^backend *block: " \
		"$work/mkfs"
	refused "and changes nothing" "no usable superblock" mount_fs
	mkfs_dev -q
	refused "a filesystem that is there is not overwritten" \
		"contains a tagfs file system" mkfs.tagfs "$img"
	on /dev/pi/3 512+8
	refused "a device that is too small" "device" mkfs.tagfs "$img"
}

# A container on a device that needs none, and back.
of_containers()
{
	on /dev/pi/1 512+8 "$host"
	mkfs_dev -f -F 4096+8
	check "-F makes a container where none is needed, and says so" \
		grep -q "^backend *soft: -F asks" "$work/mkfs"
	must_mount
	check "it is found again as one" test "$(stat_of backend)" = soft
	umount_fs
	refused "but not as a device with protection of its own" \
		"no usable superblock" mount_fs -o backend=block
	mkfs_dev -f
	must_mount
	check "mkfs.tagfs without -F takes the device's own" \
		test "$(stat_of backend)" = block
	umount_fs
}

of_exclusion()
{
	local other

	on /dev/pi/1 512+8 "$host"
	for other in block nvme; do
		must_mount -o "backend=$other"
		refused "$other: mkfs.tagfs on what is mounted" "mounted\|in use" \
			mkfs.tagfs -f "$img"
		refused "$other: mounted a second time" "already mounted" \
			tagfs "$img" "$work/tree"
		refused "$other: opened exclusively by others" "busy\|already mounted" \
			mount "$img" "$work/tree"
		umount_fs
	done
}

of_write_protection()
{
	local by

	on /dev/pi/1 512+8 "$host"
	must_mount
	cp "$work/tree/random" "$mnt/file"
	umount_fs
	blockdev --setro "$img"
	for by in block nvme; do
		must_mount -o "backend=$by"
		check "$by: a write-protected device is mounted read-only" \
			grep -q "write-protected, mounting read-only" "$log"
		check "$by: and read" cmp "$work/tree/random" "$mnt/file"
		refused "$by: writes are refused" "Read-only" touch "$mnt/new"
		umount_fs
		: >"$log"
		refused "$by: or the mount, if it shall be writable" \
			"is write-protected" mount_fs -o "rw,backend=$by"
	done
	blockdev --setrw "$img"
}

# remount FLAG: as mount(8) would, which finds an installed tagfs only.
remount()
{
	tagfs -o "remount,$1" "$img" "$mnt"
}

# What was mounted read-only is opened anew to be written, with a log that was
# replayed in memory and a file that stays open.
of_remount()
{
	local by

	on /dev/pi/1 512+8 "$host"
	for by in block nvme; do
		must_mount -o "backend=$by"
		cp "$work/tree/random" "$mnt/$by"
		sync "$mnt/$by"
		kill_fs
		blockdev --setro "$img"
		must_mount -o "ro,backend=$by"
		exec 7<"$mnt/$by"
		refused "$by: remount,rw of what is write-protected" \
			"write-protected" remount rw
		blockdev --setrw "$img"
		check "$by: remount,rw" remount rw
		check "$by: takes a file" cp "$work/tree/some3" "$mnt/$by.new"
		check "$by: what was open is read" \
			cmp "$work/tree/random" /dev/fd/7
		exec 7<&-
		sync "$mnt/$by.new"
		kill_fs
		must_mount
		check "$by: what was written survives a crash" \
			cmp "$work/tree/some3" "$mnt/$by.new"
		check "$by: the medium agrees" medium_agrees 0 "$mnt/$by" \
			"$mnt/$by.new"
		check "$by: remount,ro and back" eval \
			"remount ro && remount rw && touch $mnt/$by.more"
		umount_fs
	done
	check "remounts: fsck.tagfs" fsck.tagfs -f -n "$img"
}

of_partitions()
{
	local start=2304 part

	on /dev/pi/1 512+8 "$host"
	check "a partition is added" addpart "$img" 1 "$start" 60000
	part=$(realpath "$img")p1
	on "$part" 512+8 "$host"
	mkfs_dev -f
	must_mount
	cp -a "$work/tree" "$mnt/tree"
	remount_fs
	compare "partition"
	check "partition: tags and tuples on the medium, numbered as there" \
		medium_agrees "$start" "$mnt/tree/random"
	umount_fs
	must_mount -o backend=nvme
	compare "partition, by nvme"
	cp "$work/tree/random" "$mnt/more"
	remount_fs
	check "partition: written by nvme, read by block" \
		cmp "$work/tree/random" "$mnt/more"
	check "partition: the medium agrees on what nvme wrote" \
		medium_agrees "$start" "$mnt/more"
	refused "the device is in use while its partition is" \
		"in use\|mounted" mkfs.tagfs -f /dev/pi/1
	umount_fs
	resizepart /dev/pi/1 1 30000
	: >"$log"
	refused "a partition that was made smaller" \
		"smaller than the filesystem" mount_fs
	delpart /dev/pi/1 1
}

# What mkfs.tagfs says is tried.
of_formats()
{
	local command

	on /dev/pi/2 512+8
	mkfs_dev -n
	check "a namespace without protection gets a container" \
		grep -q "^backend *soft: .*without metadata" "$work/mkfs"
	command=$(grep -o 'nvme format .*' "$work/mkfs")
	check "and the command is shown that turns protection on" \
		test -n "$command"
	if ! command -v nvme >/dev/null; then
		skip "formatting a namespace: no nvme"
		return
	fi
	check "it works: $command" eval "$command --force"
	mkfs_dev -f
	must_mount
	check "and then the device protects itself" \
		test "$(stat_of backend)" = block
	umount_fs
	eval "${command/--lbaf=?/--lbaf=5} --force" >"$work/format" 2>&1
	: >"$log"
	refused "formatted in another way: no filesystem" \
		"no usable superblock" mount_fs
}

# A sector that can't be read, of a disk that says so.
of_media()
{
	local opts=/sys/bus/pseudo/drivers/scsi_debug/opts

	scsi_disk dif=1 dix=1
	mkfs_dev
	must_mount
	head -c 10M /dev/urandom >"$work/large"
	cp "$work/large" "$mnt/large"
	remount_fs
	echo 2 >"$opts"
	refused "a sector that can't be read is an error" "Input/output" \
		cat "$mnt/large"
	check "the log names the file" grep -q "/large: .*error" "$log"
	echo 0 >"$opts"
	remount_fs
	check "and all is there when it can be read again" \
		cmp "$work/large" "$mnt/large"
	remount_fs
	echo 32 >"$opts"
	echo 5 >"${opts%/*}/every_nth"
	check "what is refused once is read again, and good" \
		cmp "$work/large" "$mnt/large"
	echo 0 >"${opts%/*}/every_nth"
	echo 0 >"$opts"
	check "which is counted" test "$(stat_of reread)" -gt 0
	umount_fs
	modprobe -r -d "$VM_KERNEL" scsi_debug
}

scsi_disk()
{
	modprobe -d "$VM_KERNEL" sd_mod
	modprobe -d "$VM_KERNEL" scsi_debug delay=0 dev_size_mb=32 "$@"
	until [ -b /dev/sda ]; do
		sleep 0.1
	done
	on /dev/sda 512+8
}

# adapter WHY ARGUMENTS...
adapter()
{
	local why=$1

	shift
	scsi_disk "$@"
	mkfs_dev -n
	check "$*: a container, since $why" \
		grep -q "^backend *soft: .*$why" "$work/mkfs"
	modprobe -r -d "$VM_KERNEL" scsi_debug
}

# Disk or host adapter alone is not enough.
of_adapters()
{
	adapter "host adapter does not pass it on" dif=1 dix=0
	adapter "does not store" dif=0 dix=1
	adapter "no protection information" dif=0 dix=0
}

of_disappearing()
{
	disappear block
	disappear nvme
}

disappear()
{
	local by=$1 i

	on /dev/pi/1 512+8 "$host"
	[ "$by" = nvme ] || mkfs_dev -f
	must_mount -o "backend=$by"
	cp -a "$work/tree" "$mnt/$by"
	sync -f "$mnt"
	sync "$mnt/$by/random"
	cp "$work/tree/random" "$mnt/lost"
	echo 1 >"/sys/block/$(basename "$(realpath "$img")")/device/device/remove"
	refused "$by: a device that is gone: fsync fails" "" sync "$mnt/lost"
	refused "$by: and so does what comes after" "" touch "$mnt/later"
	check "$by: the daemon is still there" running "$daemon"
	unmount
	wait "$daemon"
	daemon=
	echo 1 >/sys/bus/pci/rescan
	for ((i = 0; i < 100; i++)); do
		grep -qsxl 1 /sys/block/nvme*/nsid && break
		sleep 0.1
	done
	sleep 1
	i=$(grep -xl 1 /sys/block/nvme*/nsid)
	i=${i%/nsid}
	ln -sf "/dev/${i##*/}" /dev/pi/1
	must_mount
	check "$by: when it is back, what was fsynced is there" \
		diff -r --no-dereference "$work/tree" "$mnt/$by"
	umount_fs
}

make_tree
for part; do
	"of_$part"
done
finish
