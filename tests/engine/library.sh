#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# library.sh - libtagpi as another program meets it: installed somewhere,
# found by pkg-config, with the functions of its header and no others.
. "$(dirname "$0")/../support/lib.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dest=$work/dest
lib=$dest${libdir:-/usr/local/lib}
header=$dest${includedir:-/usr/local/include}/tagpi.h
example=$source/engine/extra/example/blocks.c
blocks=$work/blocks
CC=${CC:-cc}
: "${SAN_CFLAGS=}"

tagpi()
{
	PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest \
		pkg-config "$@" tagpi
}

# The words are options: they have to be split.
# shellcheck disable=SC2046,SC2086
compile()
{
	$CC $SAN_CFLAGS -Wall -Wextra -Werror -o "$blocks" "$example" \
		$(tagpi --cflags --libs "$@")
}

says()
{
	LD_LIBRARY_PATH=$lib "$@" "$work/image" >"$work/out" 2>&1 ||
		{ cat "$work/out"; return 1; }
	printf 'interval %d: tag %04x\n' \
		100 0x4200 101 0x4201 102 0x4202 103 0x4203 \
		104 0x4204 105 0x4205 106 0x4206 107 0x4207 >"$work/want"
	echo "interval 105: app tag: expected 4204, found 4205" >>"$work/want"
	diff "$work/want" "$work/out"
}

functions()
{
	grep -oE '\beng_[a-z0-9_]+\(' "$1" | tr -d '(' | sort -u
}

exports()
{
	functions "$header" >"$work/declared" ||
		return 1
	nm -D --defined-only "$lib/libtagpi.so" |
		sed -n 's/^[0-9a-f]* [TDBR] \(.*\)@@TAGPI_.*/\1/p' |
		sort >"$work/exported"
	test -s "$work/exported" && diff "$work/declared" "$work/exported" &&
		! nm -D --defined-only "$lib/libtagpi.so" | grep -v '@@TAGPI_' |
		grep -v ' A '
}

linked()
{
	readelf -d "$blocks" | grep 'NEEDED.*libtagpi\.so\.0'
}

check "the example runs in the build tree" \
	says "$build/engine/extra/example/blocks"
check "a wrong use of it is refused" \
	test "$("$build/engine/extra/example/blocks" 2>/dev/null; echo $?)" = 2
check "everything installs under a DESTDIR" \
	make -C "$build" install DESTDIR="$dest"
if [ -e "$lib/libtagpi.so" ]; then
	check "exactly the functions of the header are exported" exports
else
	skip "configured without a shared library"
fi
man3=$(find "$dest" -name tagpi.3)
if command -v man >/dev/null; then
	check "the manual page is formatted without a complaint" \
		test -z "$(MANWIDTH=80 man --warnings -l "$man3" 2>&1 >/dev/null)"
else
	skip "no man: the manual page is not formatted"
fi
if command -v c++ >/dev/null; then
	check "the header is also C++" \
		c++ -Wall -Wextra -Werror -fsyntax-only -x c++ "$header"
else
	skip "no C++ compiler: the header is not tried with one"
fi
if ! command -v pkg-config >/dev/null; then
	skip "no pkg-config: nothing is compiled with what is installed"
	exit "$failed"
fi
if [ -e "$lib/libtagpi.so" ]; then
	check "the example compiles with what pkg-config says" compile
	check "and runs with the shared library" says "$blocks"
	check "it is linked to that library" linked
	rm -f "$lib"/libtagpi.so*
fi
if [ -e "$lib/libtagpi.a" ]; then
	check "it compiles with the static library, too" compile --static
	check "and runs with none" says "$blocks"
else
	skip "configured without a static library"
fi
exit "$failed"
