#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_pi_trouble.sh - devices with protection information that are in use,
# write-protected, remounted, divided, too small, formatted anew, or gone.
. "$(dirname "$0")/lib.sh"

parts=(mkfs containers exclusion write_protection remount partitions formats
	media adapters disappearing)
must -n "512+8:type1:mib=48:img=$work/ns1" -n 512:mib=48 \
	-n 512+8:type1:mib=1 -- trouble.sh "$work/ns1" \
	"${@:-${parts[@]}}"
exit $failed
