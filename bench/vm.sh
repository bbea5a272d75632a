#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm.sh [OPTION of bench/verify]...: in the build directory.  bench/verify on
# emulated devices of each kind, in virtual machines: through the block layer
# of a new kernel, and with NVMe's commands on one that passes no protection
# information on.  One table; README says what it tells.
set -eu -o pipefail
export LC_ALL=C
formats="512+8:type1 4096+8:type1 4096+64:type1 4096+16:type1:crc64"

# on_devices [OPTION...] DEVICE...: in the guest.
on_devices()
{
	local i

	case " $* " in
	*" /dev/sda "*)
		modprobe -d "$VM_KERNEL" sd_mod
		modprobe -d "$VM_KERNEL" scsi_debug delay=0 dev_size_mb=64 \
			dif=1 dix=1
		for ((i = 0; i < 100; i++)); do
			[ ! -b /dev/sda ] || break
			sleep 0.1
		done
		;;
	esac
	exec bench/verify --fill --size 32 --rounds 3 "$@"
}

# machine SUITE DEVICE...
machine()
{
	local options=() format suite=$1

	shift
	for format in $formats; do
		options+=(-n "$format:mib=64")
	done
	"$here/../tests/vm/run" -k "$suite" "${options[@]}" -t 900 -- \
		bash "$here/vm.sh" --guest "${flags[@]}" "$@"
}

here=$(cd "$(dirname "$0")" && pwd)
if [ "${1-}" = --guest ]; then
	shift
	on_devices "$@"
fi
flags=("$@")
machine trixie-backports /dev/pi/{1..4} /dev/sda
machine bookworm /dev/pi/{1..4} | tail -n +5
