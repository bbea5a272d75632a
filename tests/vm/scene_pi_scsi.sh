#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_scsi.sh - SCSI disks with T10 protection information, types 1 and 3,
# CRC and IP checksums, through the block layer.
. "$(dirname "$0")/lib.sh"

disks=("512+8:type1" "dif=1 dix=1"
	"512+8:type1:ip" "dif=1 dix=1 guard=1"
	"512+8:type3" "dif=3 dix=1"
	"4096+8:type1" "dif=1 dix=1 sector_size=4096"
	"4096+8:type3:ip" "dif=3 dix=1 sector_size=4096 guard=1")
if [ -n "${TAGFS_TEST_QUICK-}" ]; then
	disks=("${disks[@]:0:2}")
elif [ -n "${TAGFS_TEST_FULL-}" ]; then
	disks+=("512+8:type3:ip" "dif=3 dix=1 guard=1"
		"4096+8:type3" "dif=3 dix=1 sector_size=4096"
		"4096+8:type1:ip" "dif=1 dix=1 sector_size=4096 guard=1")
fi
must -t 600 -- scsi.sh copy.sh block "${disks[@]}"
exit $failed
