#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# build.sh DIR [CONFIGURE-OPTION...]: configure and build tagfs in DIR.
# Does again only what is out of date.  The output goes to DIR/build.log.
set -u

src=$(cd "$(dirname "$0")/.." && pwd) || exit 1
mkdir -p "$1" && dir=$(cd "$1" && pwd) || exit 1
shift
log=$dir/build.log
: >"$log"

run()
{
	echo "+ $*" >>"$log"
	"$@" >>"$log" 2>&1 </dev/null && return
	tail -n 30 "$log" >&2
	echo "build: failed: $* (all of it: $log)" >&2
	exit 1
}

# A tree that was configured in place can't be built elsewhere: take a copy.
if [ -f "$src/config.status" ]; then
	run rsync -a --delete --exclude=/.git \
		--include=/build-aux/ --exclude='/build*/' \
		--exclude='*.o' --exclude='*.lo' --exclude='*.la' \
		--exclude=/Makefile --exclude=/config.status \
		--exclude=/config.h --exclude=/libtool --exclude=.deps \
		--exclude=.libs --exclude=/autom4te.cache \
		"$src/" "$dir/src/"
	src=$dir/src
fi
if [ ! -x "$src/configure" ]; then
	run "$src/autogen.sh"
fi
cd "$dir" || exit 1
if [ ! -f Makefile ] || [ "$*" != "$(cat options 2>/dev/null)" ]; then
	# configure would look for bash, in which libtool takes twice as long,
	# which is as long as the compiler.
	run env CONFIG_SHELL=/bin/sh "$src/configure" "$@"
	echo "$*" >options
fi
run make -j "$(nproc)" all
