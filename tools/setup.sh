#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Install what is needed to build and test tagfs, if anything is missing.
# Debian 12 and 13, Ubuntu 24.04, Fedora; elsewhere, and without root or sudo, it
# says what is missing.
set -u

missing=

# need PACKAGE COMMAND: the package that brings a command
need()
{
	command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}

# need_pc PACKAGE MODULE: the package that brings a pkg-config module
need_pc()
{
	pkg-config --exists "$2" 2>/dev/null || missing="$missing $1"
}

# need_sanitizer PACKAGE COMPILER LIST: the package that brings its libraries
need_sanitizer()
{
	echo 'int main(void) { return 0; }' |
		"$2" "-fsanitize=$3" -x c -o /dev/null - 2>/dev/null ||
		missing="$missing $1"
}

# What Fedora calls a package of Debian.
fedora()
{
	case $1 in
	build-essential) echo gcc make libasan libubsan ;;
	xz-utils) echo xz ;;
	busybox-static) echo busybox ;;
	qemu-utils) echo qemu-img ;;
	libfuse3-dev) echo fuse3-devel ;;
	libisal-dev) echo isa-l-devel ;;
	liburing-dev) echo liburing-devel ;;
	libblkid-dev) echo libblkid-devel ;;
	check) echo check-devel ;;
	libclang-rt-dev) echo compiler-rt ;;
	pkg-config) echo pkgconf-pkg-config ;;
	lintian | mmdebstrap) ;;	# there only to make Debian's packages
	*) echo "$1" ;;
	esac
}

look()
{
	missing=
	need build-essential cc
	need build-essential make
	need clang clang
	need_sanitizer build-essential cc address,undefined
	need_sanitizer libclang-rt-dev clang thread
	need autoconf autoreconf
	need automake automake
	need libtool libtoolize
	need pkg-config pkg-config
	need fuse3 fusermount3
	need attr getfattr
	need acl setfacl
	need rsync rsync
	need git git
	need xz-utils xz
	need python3 python3
	# A virtual machine with devices that have protection information.
	need qemu-system-x86 qemu-system-x86_64
	need qemu-utils qemu-img
	need busybox-static busybox
	need cpio cpio
	need kmod modprobe
	need nvme-cli nvme
	# Clean systems, to make packages in.
	need mmdebstrap mmdebstrap
	need lintian lintian
	need ccache ccache
	need_pc libfuse3-dev fuse3
	need_pc liburing-dev liburing
	need_pc libblkid-dev blkid
	need_pc check check
	test -f /usr/include/isa-l/crc.h || missing="$missing libisal-dev"
	# shellcheck disable=SC2086
	if [ "$manager" = dnf ]; then
		missing=$(for p in $missing; do fedora "$p"; done)
	fi
	# shellcheck disable=SC2086
	missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
	missing=${missing% }
}

PATH=$PATH:/usr/sbin:/sbin
manager=
for m in apt-get dnf; do
	if [ -z "$manager" ] && command -v $m >/dev/null 2>&1; then
		manager=$m
	fi
done
look
if [ -z "$missing" ]; then
	echo "setup: everything needed is installed"
	exit 0
fi
echo "setup: missing: $missing"
root=
if [ "$(id -u)" -ne 0 ]; then
	root=sudo
	command -v sudo >/dev/null 2>&1 || root=no
fi
if [ "$root" = no ] || [ -z "$manager" ]; then
	echo "setup: please install them (names of Debian)" >&2
	exit 1
fi
apt()
{
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o Dpkg::Use-Pty=0 "$@" </dev/null
}
# shellcheck disable=SC2086
install_missing()
{
	if [ "$manager" = dnf ]; then
		$root dnf -q -y install $missing </dev/null
	else
		apt update && apt install --no-install-recommends $missing
	fi
}
if ! install_missing; then
	echo "setup: $manager failed" >&2
	exit 1
fi
look
if [ -n "$missing" ]; then
	echo "setup: still missing: $missing" >&2
	exit 1
fi
