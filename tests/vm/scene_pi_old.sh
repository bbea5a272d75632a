#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_old.sh - NVMe namespaces on a kernel that does not pass protection
# information on: Debian 12's.
. "$(dirname "$0")/lib.sh"

formats="512+8:type1 4096+8:type1 4096+64:type1:first 4096+16:type1:crc64"
if [ -n "${TAGFS_TEST_QUICK-}" ]; then
	formats="512+8:type1"
elif [ -n "${TAGFS_TEST_FULL-}" ]; then
	formats="$formats 512+8:type3 4096+64:type1 4096+64:type3 512+64:type1"
fi
namespaces $formats
must "${options[@]}" -k bookworm -t 900 -- copy.sh nvme - "${arguments[@]}"
exit $failed
