#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_copy.sh - a real tree that is copied in comes out as it was: content,
# modes, owners, times to the nanosecond, links, attributes and ACLs.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space "$(amount 1500 2500 8000)"

tree=$work/tree

# Real files, as many as the time allows, and some of everything else.
make_tree()
{
	local dirs d

	mkdir -p "$tree"
	dirs=$(amount "/usr/include/linux /etc" \
		"/usr/include /etc /usr/share/perl" "/usr/share /usr/include")
	for d in $dirs; do
		if [ -d "$d" ]; then
			cp -a --parents "$d" "$tree" 2>/dev/null
		fi
	done
	mkdir "$tree/odd"
	cd "$tree/odd" || exit 99
	echo one >file
	ln file link
	ln -s nowhere dangling
	mkfifo fifo
	mknod null c 1 3
	mknod block b 7 200
	install -m 4755 /dev/null setuid
	install -m 2775 -d setgid
	install -m 1777 -d sticky
	touch -d '1901-12-13 20:45:53.123456789' old
	touch -d '2345-06-07 08:09:10.987654321' future
	chown 12345:54321 future
	truncate -s 200M sparse
	echo end >>sparse
	: >$'a name\nwith * and \xff'
	head -c 3000000 /dev/urandom >random
	# The file system of $work may not have them.
	if setfattr -n user.note -v "a value" file 2>/dev/null; then
		setfattr -n trusted.note -v "of root" file
		setfattr -n security.note -v "of security" file
	else
		skip "attributes: not in ${TMPDIR:-/tmp}"
	fi
	if setfacl -m u:12345:rw,g:54321:r file 2>/dev/null; then
		setfacl -d -m u:12345:rwx setgid
	else
		skip "ACLs: not in ${TMPDIR:-/tmp}"
	fi
	cd "$work" || exit 99
}

# Everything that stat knows and copies keep.
list_stats()
{
	(cd "$1" && find . -printf '%P %y %m %U %G %n %l %T@ ' \
		\( -type f -printf '%s\n' -o -printf '\n' \) | sort)
}

list_devices()
{
	(cd "$1" && find . \( -type c -o -type b \) \
		-exec stat -c '%n %t %T' {} + | sort)
}

list_content()
{
	(cd "$1" && find . -type f ! -name sparse -print0 | sort -z |
		xargs -0 sha256sum)
}

list_attrs()
{
	(cd "$1" && find . -print0 | sort -z |
		xargs -0 getfattr -dh -m - --)
}

list_acls()
{
	(cd "$1" && find . ! -type l -print0 | sort -z |
		xargs -0 getfacl -pn --)
}

prepare()
{
	local l

	for l in stats devices content attrs acls; do
		list_$l "$tree" >"$work/want.$l"
	done
}

# compare WHAT COPY
compare()
{
	local l

	for l in stats devices content attrs acls; do
		list_$l "$2" >"$work/got.$l" 2>&1
		check "$1: $l as in the original" \
			diff "$work/want.$l" "$work/got.$l"
	done
	check "$1: diff -r finds nothing" diff -r --no-dereference \
		--exclude=fifo --exclude=null --exclude=block \
		--exclude=sparse "$tree" "$2"
	check "$1: a sparse file stays sparse" \
		test "$(stat -c %b "$2/odd/sparse")" -lt 100
	check "$1: the end of the sparse file" \
		test "$(tail -c 4 "$2/odd/sparse")" = end
}

make_tree
prepare
echo "# $(wc -l <"$work/want.stats") files," \
	"$(du -sm "$tree" | cut -f1) MiB"
mkfs "$(amount 1G 2G 8G)"
must_mount
check "cp -a" cp -a "$tree" "$mnt/cp"
# A time is set also if it is of the second in which the copy was made.
check "rsync -aHAX" rsync -aHAXS --numeric-ids --modify-window=-1 \
	"$tree/" "$mnt/rsync"
compare "cp -a, before unmounting" "$mnt/cp"
remount_fs
compare "cp -a" "$mnt/cp"
compare "rsync -aHAX" "$mnt/rsync"
check "rsync finds nothing to do" \
	test -z "$(rsync -aHAXin --numeric-ids "$tree/" "$mnt/cp")"
check "rm -r" rm -r "$mnt/cp" "$mnt/rsync"
check "an empty file system remains" test -z "$(ls -A "$mnt")"
check "no error in the log" test ! -s "$log"
finish
