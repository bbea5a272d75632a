#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_packages.sh - a release makes Debian packages in clean systems, and they
# can be installed, used by a line in fstab, and purged.
#
# TAGFS_TEST_PACKAGES: suites whose clean systems are made if they are not in
# the cache; others are skipped then.  "none": nothing is tried.
. "$(dirname "$0")/../support/lib.sh"

here=$source/tests/packages
patience=600	# with the mirror
work=$(mktemp -d) || exit 1
trap 'rm -rf --one-file-system "$work"' EXIT

[ -z "$sanitizer" ] || skip_all "packages: made from the plain build only"
[ "$(id -u)" -eq 0 ] || skip_all "packages: needs root"
[ -e /dev/fuse ] || skip_all "packages: needs /dev/fuse"
unshare --mount --pid --fork true 2>/dev/null ||
	skip_all "packages: needs namespaces"

# dir_of SUITE KIND: to $root
dir_of()
{
	root=$(timeout $patience "$here/root" "$1" "$2" 2>"$work/why")
	case $? in
	0)
		return 0
		;;
	77)
		skip "packages of $1: $(tail -n 1 "$work/why")"
		;;
	124)
		skip "packages of $1: no clean system within $patience s"
		;;
	*)
		fail "packages of $1: a clean system"
		tail -n 20 "$work/why" | sed 's/^/# /'
		;;
	esac
	return 1
}

# step PROMISE ARGUMENTS-OF-in...
step()
{
	local promise=$1 from=$SECONDS

	shift
	timeout 900 "$here/in" "$@" >"$work/out" 2>&1 </dev/null
	case $? in
	0)
		ok "$promise"
		echo "# in $((SECONDS - from)) s"
		;;
	77)
		skip "$promise: $(tail -n 1 "$work/out")"
		;;
	*)
		fail "$promise"
		tail -n 40 "$work/out" | sed 's/^/# /'
		return 1
		;;
	esac
}

# boot_step PROMISE ROOT SHARED: what the container was is removed.
boot_step()
{
	local group=tagfs-packages.$$ said=$3/said

	: >"$said"
	step "$1" "$2" "$3" /shared/boot "$group" || sed 's/^/# /' "$said"
	mkdir -p "$work/groups"
	unshare --mount sh -c 'mount -t cgroup2 groups "$1" &&
		find "$1/$2" -depth -type d -exec rmdir {} +' \
		sh "$work/groups" "$group" 2>/dev/null
}

packages()
{
	local suite=$1 shared=$work/$1 build_root root

	dir_of "$suite" build || return
	build_root=$root
	dir_of "$suite" run || return
	mkdir -p "$shared/over"
	cp "$here/build" "$here/use" "$here/boot" "$here/units" "$tarball" \
		"$shared/"
	step "$suite: packages are built from a release" \
		"$build_root" "$shared" \
		/shared/build "/shared/$(basename "$tarball")" || return
	# They differ in what they depend on: lintian need not see all.
	if [ -n "$looked" ] && [ -z "${TAGFS_TEST_FULL-}" ]; then
		:
	elif command -v lintian >/dev/null; then
		looked=yes
		check "$suite: lintian finds no error" \
			lintian --allow-root --fail-on error \
			--tag-display-limit 0 "$shared"/debs/*.changes
	else
		skip "$suite: no lintian here"
	fi
	step "$suite: installed, mounted by fstab, used, purged" \
		"$root" "$shared" /shared/use
	boot_step "$suite: systemd's units and journal" "$root" "$shared"
}

# Is there a clean system, or shall there be one?
wanted()
{
	case " $asked " in
	*" $1 "*) return ;;
	esac
	[ -d "$TAGFS_PACKAGES_CACHE/$1.build" ] &&
		[ -d "$TAGFS_PACKAGES_CACHE/$1.run" ]
}

asked=${TAGFS_TEST_PACKAGES-}
[ "$asked" != none ] || skip_all "packages: not wanted"
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tagfs-packages
export TAGFS_PACKAGES_CACHE=${TAGFS_PACKAGES_CACHE:-$cache}	# as in root
looked=
tarball=
for suite in bookworm trixie; do
	if ! wanted "$suite"; then
		skip "packages of $suite: no clean system in the cache, and" \
			"none was asked for (make check-packages)"
		continue
	fi
	# Where all is slow, or nothing is in the cache, one has to do.
	if [ "$SECONDS" -gt 800 ] && [ -z "${TAGFS_TEST_FULL-}" ]; then
		skip "packages of $suite: the others took $SECONDS s"
		continue
	fi
	if [ -z "$tarball" ]; then
		check "a release is packed" make -C "$build" dist || exit 1
		tarball=$(ls -t "$build"/tagfs-*.tar.xz | head -n 1)
	fi
	packages "$suite"
done
[ -n "$tarball" ] || exit 77
exit "$failed"
