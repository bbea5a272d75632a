#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_nvme.sh - NVMe namespaces in each format of protection information,
# through the block layer of a new kernel, and around it.
. "$(dirname "$0")/lib.sh"

formats="512+8:type1 512+8:type3 4096+8:type1 4096+64:type1:first
	4096+64:type1 4096+16:type1:crc64"
if [ -n "${TAGFS_TEST_QUICK-}" ]; then
	formats="512+8:type1 4096+16:type1:crc64"
elif [ -n "${TAGFS_TEST_FULL-}" ]; then
	formats="$formats 512+8:type2 512+8:type1:first 4096+8:type3
		4096+64:type3 4096+64:type1:crc64 4096+64:type1:first:crc64
		4096+16:type3:crc64 512+64:type1 512+16:type1:first
		4096+16:type1"
fi
namespaces $formats
must "${options[@]}" -t 900 -- copy.sh block nvme "${arguments[@]}"
exit $failed
