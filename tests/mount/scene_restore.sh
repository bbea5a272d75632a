#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_restore.sh - tagfsctl restore: everything comes out of what is whole,
# and of what is not what can; the device is never written to.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 400
trouble=$build/tests/.libs/trouble.so
[ -f "$trouble" ] || skip_all "no $trouble"
out=$work/out

# restore STATUS OPTION...: it exits with that.
restore()
{
	local want=$1 status

	shift
	tagfsctl restore "$@" >"$work/said" 2>"$work/err"
	status=$?
	[ $status -eq "$want" ] && return
	echo "status $status"
	tail -n 20 "$work/said" "$work/err"
	return 1
}

sum()
{
	sha256sum <"$img"
}

# What cp -a would keep: names, types, modes, owners, links, sizes, times,
# attributes, access lists, content.
picture()
{
	(
		cd "$1" || exit
		find . -mindepth 1 ! -name lost+found ! -type d -printf \
			'%P %y %m %U %G %n %s %T@ %l\n' | sort
		find . -mindepth 1 ! -name lost+found -type d -printf \
			'%P %m %U %G %T@\n' | sort
		find . -mindepth 1 ! -type l -print0 | sort -z |
			xargs -0 getfattr -d -m - 2>/dev/null
		find . -type f -print0 | sort -z | xargs -0 sha256sum
	)
}

# Bytes missing of the large file, by the report, under whichever name.
missing()
{
	python3 - "$work/report" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))
print(sum(m["length"] for m in r["missing"]
	  if m["path"] in ("/d/large", "/d/e/another name")))
END
}

member()
{
	python3 -c "import json, sys
print(json.load(open('$work/report'))['$1'])"
}

mkfs 96M -L restore
must_mount
cp -a /usr/include/linux "$mnt/"
mkdir -p "$mnt/d/e/f/g/h"
chmod 2750 "$mnt/d/e"
head -c 4000000 /dev/urandom >"$mnt/d/large"
echo small >"$mnt/d/small"
ln "$mnt/d/large" "$mnt/d/e/another name"
ln -s ../small "$mnt/d/e/f/link"
mkfifo "$mnt/d/fifo"
truncate -s 20M "$mnt/d/sparse"
echo middle | dd of="$mnt/d/sparse" bs=1 seek=9000000 conv=notrunc 2>/dev/null
setfattr -n user.x -v "some value" "$mnt/d/small"
setfattr -n user.y -v "another" "$mnt/d"
setfacl -m u:7:rw "$mnt/d/large" 2>/dev/null || skip "no setfacl"
chown 1234:5678 "$mnt/d/small"
chmod 4755 "$mnt/d/small"
: >"$mnt/d/"$'two\nlines'
touch -d '2001-02-03 04:05:06.789' "$mnt/d/small" "$mnt/d/e"
sync "$mnt/d/large"
at=$(tagfsctl locate --json "$mnt/d/large" 1000000 | python3 -c '
import json, sys
for line in sys.stdin:
	for k, v in json.loads(line).items():
		if k in ("byte", "sector"):
			print(v * (512 if k == "sector" else 1))
			sys.exit()')
spot=$at
picture "$mnt" >"$work/before"
umount_fs
cp --sparse=always "$img" "$work/whole"
before=$(sum)
chmod 400 "$img"

check "a whole filesystem is listed" restore 0 --list "$img"
check "with all names" grep -q 'd/e/another name$' "$work/said"
check "and copied" restore 0 --report "$work/report" "$img" "$out"
picture "$out" >"$work/after"
check "all is as it was" cmp "$work/before" "$work/after"
check "holes are holes" test "$(stat -c %b "$out/d/sparse")" -lt 200
check "links are links" test "$out/d/large" -ef "$out/d/e/another name"
check "the report says that nothing is missing" test "$(member complete)" = True
rm -rf "$out"
check "by pattern" restore 0 "$img" "$out" '/d/s*'
check "only what was asked for" test \
	"$(find "$out" -type f | sed "s,$out/,," | sort | tr '\n' ' ')" = \
	"d/small d/sparse "
rm -rf "$out"
check "all of it by tags alone" restore 0 --scan "$img" "$out"
picture "$out" >"$work/after"
check "is the same" cmp "$work/before" "$work/after"
rm -rf "$out"
check "not a byte of the image is another" test "$(sum)" = "$before"

# A bad spot.
chmod 600 "$img"
if [ -n "$at" ]; then
	printf 'ROT' | dd of="$img" bs=1 seek=$((at + 9)) conv=notrunc 2>/dev/null
	before=$(sum)
	check "rot in a file is found" restore 3 --report "$work/report" \
		"$img" "$out"
	check "and costs its interval" test "$(missing)" -eq 512
	check "which is zeros" cmp -s <(dd if="$out/d/large" bs=512 skip=1953 \
		count=1 2>/dev/null) <(head -c 512 /dev/zero)
	check "the file says so" getfattr -n user.tagfs.missing "$out/d/large"
	rm -rf "$out"
	check "it may cost the file" restore 3 --on-error=skip "$img" "$out"
	check "which is not there" test ! -e "$out/d/large"
	check "others are" test -e "$out/d/small"
	rm -rf "$out"
	check "or end it" restore 1 --on-error=fail "$img" "$out" '/d/large'
	rm -rf "$out"
	check "nothing was written" test "$(sum)" = "$before"
else
	fail "the place of the file is known"
fi
cp --sparse=always "$work/whole" "$img"

# A device that fails there.
failing()
{
	LD_PRELOAD=$trouble TROUBLE_BAD="$at:512,0:4096" \
		TROUBLE_BAD_LOG=$work/tried tagfsctl restore "$@" \
		>"$work/said" 2>"$work/err"
	[ $? -eq 3 ] && return
	tail -n 20 "$work/said" "$work/err"
	return 1
}
if [ -z "$sanitizer" ]; then
	check "a failing device is copied from" failing --map "$work/map" \
		--report "$work/report" "$img" "$out"
	check "each error costs its range" test "$(missing)" -eq 512
	check "the map has it" grep -qi "^0x0*$(printf %X "$at")  0x00000200  -" \
		"$work/map"
	rm "$work/tried"
	check "a second run goes on" failing --map "$work/map" --report \
		"$work/report" "$img" "$out"
	check "without trying that again" test \
		"$(grep -vc '^0 ' "$work/tried")" -eq 0
	check "keeps what is there" test "$(member kept)" -gt 100
	check "and says again what is missing" test \
		"$(missing)" -eq 512
	sed -i 's/-$/?/' "$work/map"
	check "when it reads again, all is there" restore 0 --map "$work/map" \
		"$img" "$out"
	picture "$out" >"$work/after"
	check "as it was" cmp "$work/before" "$work/after"
	rm -rf "$out"
else
	skip "a failing device, with sanitizers"
fi
echo "no map" >"$work/map"
echo "at all" >>"$work/map"
check "what is no map is refused" restore 1 --map "$work/map" "$img" "$out"

# Cut short.
before=$(sum)
truncate -s $((spot / 4096 * 4096)) "$img"
check "an image that is cut short is copied from" \
	restore 3 --report "$work/report" "$img" "$out"
check "what verifies is right" python3 - "$work/before" "$out" <<'END'
import hashlib, os, sys
want = {}
for line in open(sys.argv[1], errors="surrogateescape"):
	if len(line) > 66 and line[64:66] == "  ":
		want[line[66:].rstrip("\n")] = line[:64]
same = 0
for root, _, files in os.walk(sys.argv[2]):
	for f in files:
		path = os.path.join(root, f)
		if not os.path.isfile(path) or os.path.islink(path):
			continue
		if "user.tagfs.missing" in os.listxattr(path):
			continue
		name = "./" + os.path.relpath(path, sys.argv[2])
		if "\n" in name or "lost+found" in name:
			continue
		data = hashlib.sha256(open(path, "rb").read()).hexdigest()
		if want[name] != data:
			sys.exit(name)
		same += 1
print(same)
sys.exit(same < 100)
END
rm -rf "$out"
cp --sparse=always "$work/whole" "$img"

# Headers, superblocks, slots and most of the log are gone.
for at in 0 $(($(stat -c %s "$img") / 4096 - 1)); do
	dd if=/dev/zero of="$img" bs=4096 seek="$at" count=1 conv=notrunc \
		2>/dev/null
done
dd if=/dev/zero of="$img" bs=4096 seek=3 count=20 conv=notrunc 2>/dev/null
before=$(sum)
check "without headers and superblocks" restore 0 --report "$work/report" \
	"$img" "$out"
picture "$out" >"$work/after"
check "all is there" cmp "$work/before" "$work/after"
cp "$work/report" "$work/plenty"
rm -rf "$out"
check "with little memory as well" restore 0 --scan --memory 1M --scratch "$work" \
	--report "$work/report" "$img" "$out"
check "the report is the same" cmp "$work/plenty" "$work/report"
picture "$out" >"$work/again"
check "and so is everything" cmp "$work/after" "$work/again"
rm -rf "$out"
check "a scratch directory that is not there is said" \
	restore 1 --scan --scratch "$work/nowhere" "$img" "$out"
check "by its name" grep -q "scratch file in $work/nowhere" "$work/err"
check "memory is a size" restore 16 --memory lots "$img" "$out"
check "and nothing was written" test "$(sum)" = "$before"
finish
