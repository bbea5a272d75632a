#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scsi.sh SCRIPT BACKEND [FORMAT ARGUMENTS]...: in the guest.  Run SCRIPT of
# this directory for disks that scsi_debug makes with those ARGUMENTS, one
# after the other.
set -u
here=${0%/*}
script=$1
backend=$2
shift 2
failed=0
modprobe -d "$VM_KERNEL" sd_mod

while [ $# -gt 0 ]; do
	# shellcheck disable=SC2086
	modprobe -d "$VM_KERNEL" scsi_debug delay=0 lbpu=1 dev_size_mb=48 $2
	for ((i = 0; i < 100; i++)); do
		[ ! -b /dev/sda ] || break
		sleep 0.1
	done
	bash "$here/$script" "$backend" - /dev/sda "$1" - || failed=1
	modprobe -d "$VM_KERNEL" -r scsi_debug
	shift 2
done
exit $failed
