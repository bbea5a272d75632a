#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# copy.sh BACKEND OTHER [DEVICE FORMAT IMAGE]...: in the guest.  mkfs, mount,
# copy, read tags, mount again, compare; then the medium is asked, and the
# other backend, if there is one ("-": none).
# shellcheck disable=SC2119,SC2317,SC2154,SC1091
. "${0%/*}/guest.sh"
begin

# A mount by the other backend reads this one's files, and the other way.
cross()
{
	must_mount -o "backend=$other"
	check "$1: read by backend $other" test "$(stat_of backend)" = "$other"
	check "$1: by $other, what was copied is what is read" \
		cmp "$work/tree/random" "$mnt/tree/random"
	check "$1: written by $other" cp -a "$work/tree/random" "$mnt/more"
	remount_fs
	check "$1: and read by $backend" cmp "$work/tree/random" "$mnt/more"
	check "$1: the medium agrees on what $other wrote" \
		medium_agrees 0 "$mnt/more"
}

# Neither tags nor anything else: zeros or the escape.
discarded()
{
	local left

	left=$(medium "$image" "$format" tags "$1" "$2" | od -An -v -tx1 |
		tr -d ' \n0f')
	test -z "$left"
}

# QEMU's namespaces have 512+8 as format 1, all with the guard of the one that
# they come with.
advised()
{
	case $(realpath "$img"):$format in
	*nvme*:*crc64* | *nvme*:4096+16*)
		;;
	*nvme*:4096+*)
		check "$1: the format with small clusters is shown" grep -q \
			"nvme format /dev/nvme.* --lbaf=1 --pi=1 " "$work/mkfs"
		check "$1: and what large ones cost" \
			grep -q "takes 32 KiB, however small" "$work/mkfs"
		;;
	*)
		check "$1: there is nothing to be gained by a format" \
			eval "! grep -q 'nvme format' $work/mkfs"
	esac
}

# From each backend to each.
all_tag_bytes()
{
	tag_bytes "$img" "$backend" "$backend" || return
	[ "$other" != - ] || return 0
	tag_bytes "$img" "$backend" "$other" &&
		tag_bytes "$img" "$other" "$backend"
}

whole()
{
	local at n

	check "$1: all who are asked agree on the format" \
		pi_sources "$img" "$format"
	check "$1: all bytes of metadata that are ours come back" \
		all_tag_bytes
	mkfs_dev -f || return
	check "$1: mkfs.tagfs names its backend and why" \
		grep -q "^backend  *$backend: .*stores protection" "$work/mkfs"
	advised "$1"
	must_mount
	check "$1: mounted by backend $backend" \
		test "$(stat_of backend)" = "$backend"
	check "$1: cp -a" cp -a "$work/tree" "$mnt/tree"
	remount_fs
	compare "$1"
	check "$1: tags and tuples on the medium" medium_agrees 0 \
		"$mnt/tree/random" "$mnt/tree/some3" "$mnt/tree/buf.h"
	check "$1: the device refused nothing" test "$(stat_of refused)" = 0
	umount_fs
	if [ "$other" != - ]; then
		cross "$1"
		umount_fs
	fi
	must_mount -o discard
	read -r at n < <(blocks "$mnt/tree/random")
	check "$1: rm -r" rm -r "$mnt/tree"
	umount_fs
	check "$1: what was freed is discarded" discarded "$at" "$n"
	log_is_empty "$1"
}

# Formats with room for all tags of a cluster in an interval.
in_one_interval()
{
	local format=$format

	case $format in
	4096+64:*)
		;;
	*)
		return
		;;
	esac
	mkfs_dev -f -E tags=8 || return
	format=$format:tags8
	check "$format: clusters of one interval" \
		grep -q "^clusters .* of 4096 bytes, 16 tag bytes" "$work/mkfs"
	must_mount
	check "$format: cp -a" cp -a "$work/tree" "$mnt/tree"
	remount_fs
	compare "$format"
	check "$format: tags and tuples on the medium" medium_agrees 0 \
		"$mnt/tree/random" "$mnt/tree/some3" "$mnt/tree/buf.h"
	check "$format: the device refused nothing" \
		test "$(stat_of refused)" = 0
	umount_fs
	if [ "$other" != - ]; then
		cross "$format"
		umount_fs
	fi
	check "$format: fsck.tagfs" fsck.tagfs -f -n "$img"
	log_is_empty "$format"
}

# Where Linux does not pass tuples on, there is nothing like NVMe's commands.
no_way_to_scsi()
{
	modprobe -d "$VM_KERNEL" sd_mod
	modprobe -d "$VM_KERNEL" scsi_debug dif=1 dix=1 dev_size_mb=16
	until [ -b /dev/sda ]; do
		sleep 0.1
	done
	on /dev/sda 512+8
	mkfs_dev -n
	check "SCSI gets a container here, and it is said why" grep -q \
		"^backend *soft: the device stores .* this Linux does not" \
		"$work/mkfs"
}

backend=$1
other=$2
shift 2
make_tree
while [ $# -gt 0 ]; do
	on "$1" "$2" "${3#-}"
	whole "$2"
	in_one_interval
	shift 3
done
[ "$backend" != nvme ] || no_way_to_scsi
finish
