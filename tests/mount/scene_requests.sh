#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_requests.sh - what the kernel has cached it does not ask for again,
# whoever walks the paths; and new files cost no more than they must.
# shellcheck disable=SC2119
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 100
command -v setpriv >/dev/null || skip_all "no setpriv"

walks=500

# requests KIND: so far
requests()
{
	getfattr --absolute-names --only-values -n tagfs.stats "$mnt" |
		sed -n '/"requests"/s/.*"'"$1"'": \([0-9]*\).*/\1/p'
}

# walk USER DIRECTORY PATH: from there
walk()
{
	# shellcheck disable=SC2016
	(cd "$2" && setpriv --reuid "$1" --regid "$1" --clear-groups bash -c \
		'for ((i = 0; i < $1; i++)); do [ -e "$0" ] || exit; done' \
		"$3" "$walks")
}

all()
{
	local kind

	for kind in getxattr getattr statx lookup; do
		requests $kind | grep . || echo 0
	done
}

# asked WHO USER DIRECTORY PATH: how often, after once.
asked()
{
	walk "$2" "$3" "$4" || fail "$1: the path is there"
	all >"$work/before"
	walk "$2" "$3" "$4"
	all >"$work/after"
	paste "$work/before" "$work/after" | awk '{ n += $2 - $1 }
		END { print n }'
}

# A few: asking for the counts is requests, too.
few=40

asks_nothing()
{
	check "$1: $walks walks along a path are no requests" \
		test "$(asked "$@")" -lt $few
}

# Some kernels don't cache the root's access list, whoever asks for it.
asks_for_root()
{
	local n

	n=$(asked "$@")
	if [ "$n" -lt $few ]; then
		ok "$1: $walks walks through the root are no requests"
	else
		check "$1: a walk through the root is one request at most" \
			test "$n" -lt $((walks + few))
		skip "$1: this kernel never caches the root's access list"
	fi
}

mkfs 64M
chmod 755 "$work"
must_mount
# On a mount where nothing was opened yet.
for i in $(seq 50); do
	head -c 1000 /dev/zero >"$mnt/new$i"
done
check "new files are not released" test -z "$(requests release)"
check "a new file of 1000 bytes is one lookup, mknod and write each" test \
	"$(requests lookup) $(requests mknod) $(requests write)" = "50 50 50"
rm "$mnt"/new*
mkdir -p "$mnt/a/b"
echo x >"$mnt/a/b/c"
check "each kind of request is counted" test "$(requests mkdir)" -eq 2
asks_nothing "root" 0 "$mnt" "$mnt/a/b/c"
asks_nothing "somebody else" 65534 "$mnt/a" b/c
asks_for_root "somebody else" 65534 "$mnt" "$mnt/a/b/c"
if command -v setfacl >/dev/null; then
	setfacl -m u:65533:rwx "$mnt/a"
	asks_nothing "somebody with a list" 65533 "$mnt/a" b/c
	setfacl -m u:65533:--- "$mnt"
	check "a list that shuts him out does so at once" \
		test -z "$(walk 65533 / "$mnt/a/b/c" && echo in)"
fi
finish
