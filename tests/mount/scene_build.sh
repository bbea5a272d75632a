#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_build.sh - tagfs is built on tagfs, and what was built works.
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 1000
export CCACHE_DISABLE=1		# all of it is work for the mount
for tool in autoreconf libtoolize git rsync; do
	command -v $tool >/dev/null || skip_all "no $tool"
done

# A clone if this is a checkout, otherwise a copy of the sources.
fetch()
{
	printf '[safe]\n\tdirectory = *\n' >"$work/gitconfig"
	if GIT_CONFIG_GLOBAL=$work/gitconfig git clone -q --no-local \
		"file://$source" "$mnt/tagfs" 2>"$work/git.out"; then
		check "git fsck" git -C "$mnt/tagfs" fsck --full
	else
		check "copy the sources" rsync -a --exclude='/build*/' \
			--include=/build-aux/ "$source/" "$mnt/tagfs"
		chmod -R u+w "$mnt/tagfs"
		rm -f "$mnt/tagfs/config.status"
	fi
}

mkfs 1G
must_mount
fetch
cd "$mnt/tagfs" || exit 99
check "autogen.sh" ./autogen.sh
mkdir "$mnt/build"
cd "$mnt/build" || exit 99
# For a quick shell: see tools/build.sh.
check "configure" env CONFIG_SHELL=/bin/sh "$mnt/tagfs/configure" \
	--disable-shared CFLAGS=-O0
check "make" make -j "$(nproc)"
check "the programs run" ./tagfs -V
if grep -q '^HAVE_CHECK_TRUE = #' Makefile; then
	skip "a unit test: no libcheck"
else
	check "make tests/engine/check_engine" make tests/engine/check_engine
	check "a unit test passes" tests/engine/check_engine
fi
check "it mounts an image in its own directory" sh -c '
	./mkfs.tagfs -q -s 64M inner.img &&
	mkdir inner &&
	./tagfs inner.img inner &&
	echo inside >inner/file &&
	umount inner &&
	flock -w 60 inner.img true &&
	./tagfs -o ro inner.img inner &&
	grep -q inside inner/file &&
	umount inner &&
	flock -w 60 inner.img true'
find . -type f ! -name 'inner.img' -exec sha256sum {} + >"$work/sums"
cd / || exit 99
umount_fs
# shellcheck disable=SC2119
must_mount
cd "$mnt/build" || exit 99
check "everything is the same after mounting again" \
	sha256sum --quiet -c "$work/sums"
check "make has nothing to do" sh -c '! make -q 2>&1 | grep .'
cd / || exit 99
check "no error in the log" test ! -s "$log"
finish
