#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_damage.sh - devices whose medium has rotted, or took a write for
# another place, or not at all.
. "$(dirname "$0")/lib.sh"

# namespaces MACHINE-OPTION... -- BACKEND FORMAT...
namespaces()
{
	local options=() arguments=() backend n=0 format

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	backend=$2
	shift 2
	rm -f "$work"/ns*
	for format; do
		n=$((n + 1))
		options+=(-n "$format:mib=48:img=$work/ns$n")
		arguments+=("/dev/pi/$n" "$format" "$work/ns$n")
	done
	must "${options[@]}" -- damage.sh "$backend" - "${arguments[@]}"
}

if [ -n "${TAGFS_TEST_QUICK-}" ]; then
	namespaces -- block 512+8:type1
	exit $failed
elif [ -n "${TAGFS_TEST_FULL-}" ]; then
	namespaces -- block 512+8:type1 512+8:type3 4096+64:type1 \
		4096+16:type1:crc64 4096+64:type1:first
	namespaces -k bookworm -- nvme 512+8:type1 512+8:type3 \
		4096+16:type1:crc64
else
	namespaces -- block 512+8:type1
	namespaces -k bookworm -- nvme 512+8:type3
fi
disks=("512+8:type1" "dif=1 dix=1")
if [ -n "${TAGFS_TEST_FULL-}" ]; then
	disks+=("512+8:type3:ip" "dif=3 dix=1 guard=1")
fi
must -- scsi.sh damage.sh block "${disks[@]}"
exit $failed
