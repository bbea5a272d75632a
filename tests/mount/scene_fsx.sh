#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_fsx.sh - a file of a mount is what was done to it, however it is
# written, mapped, cut and punched; with and without the write-back cache.
# shellcheck disable=SC2119
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 600

steps=$(amount 300 1000 20000)
seeds=$(seq "$(amount 1 3 50)")

for format in 512+8 4096+8; do
	for option in writeback no_writeback; do
		rm -f "$img"
		mkfs 256M -F $format
		must_mount -o $option
		for seed in $seeds; do
			for size in 6000 1000000 20000000; do
				check "$format, $option: fsx, seed $seed, $size bytes" \
					fsx "$mnt/file" "$seed" "$steps" $size
			done
		done
		umount_fs
	done
done
check "nothing was reported bad" test ! -s "$log"
finish
