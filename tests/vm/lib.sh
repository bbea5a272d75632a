# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm/lib.sh - sourced by the scenes that need a virtual machine.
#
#  (1) A scene's promises are said in the guest; the lines come through.
#  (2) No machine, no failure: the scene is skipped, and says why.
#  (3) $work is the host's and can be written by the guest; nothing of it
#      stays.
set -u
export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL

build=$(cd "${top_builddir:-.}" && pwd)
source=$(cd "${top_srcdir:-$(dirname "$0")/../..}" && pwd)
vm=$source/tests/vm
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/tagfs-pi.XXXXXX") || exit 99
work=$(realpath "$work")
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# amount QUICK NORMAL FULL, as in lib.sh
amount()
{
	if [ -n "${TAGFS_TEST_FULL-}" ]; then
		echo "$3"
	elif [ -n "${TAGFS_TEST_QUICK-}" ]; then
		echo "$1"
	else
		echo "$2"
	fi
}

fail()
{
	echo "not ok - $*"
	failed=1
}

skip_all()
{
	echo "skip - $*"
	exit 77
}

# guest OPTIONS -- SCRIPT ARGUMENTS: a script of this directory, in a machine;
# its exit status, or that of run.  (2)
guest()
{
	local options=() status script

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	script=$vm/$2
	shift 2
	"$vm/run" -w "$work" "${options[@]}" -- env top_builddir="$build" \
		top_srcdir="$source" SAN_CFLAGS="${SAN_CFLAGS-}" \
		TAGFS_TEST_QUICK="${TAGFS_TEST_QUICK-}" \
		TAGFS_TEST_FULL="${TAGFS_TEST_FULL-}" \
		bash "$script" "$@" 2>"$work/run.err"
	status=$?
	case $status in
	77) skip_all "no virtual machine: $(tail -n 1 "$work/run.err")" ;;
	91 | 92)
		sed 's/^/# /' "$work/run.err"
		fail "the virtual machine runs to its end: $status"
		;;
	esac
	return $status
}

# The same; false is a failure of the scene.
must()
{
	guest "$@" || failed=1
}

# namespaces FORMAT...: one of each; what the machine and copy.sh must be told
# of them is in options and arguments.
namespaces()
{
	local format n=0

	options=()
	arguments=()
	for format; do
		n=$((n + 1))
		options+=(-n "$format:mib=64:img=$work/ns$n")
		arguments+=("/dev/pi/$n" "$format" "$work/ns$n")
	done
}

# layer DISK N: the Nth layer of a disk of $mib MiB, $work/DISKN.qcow2, where
# nothing has a place yet: all that is written from now on is lost unless it was
# flushed (see run).
layer()
{
	local base=()

	[ "$2" -eq 0 ] || base=(-b "$work/$1$(($2 - 1)).qcow2" -F qcow2)
	qemu-img create -q -f qcow2 -o cluster_size=4096 "${base[@]}" \
		"$work/$1$2.qcow2" $((mib * 1048576 / 512 * 520))
}
