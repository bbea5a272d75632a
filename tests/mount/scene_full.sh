#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_full.sh - a full filesystem says so: to write(2), though the kernel
# delays what is written, to those who had their file open before, to several
# at once and to a database; and what was taken is there.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 400
mkfs 128M
must_mount
size=$(($(stat -f -c '%b * %S' "$mnt")))

# full COMMAND...: ends, and with this error.
full()
{
	timeout 120 "$@" >"$work/out" 2>&1
	[ $? -ne 124 ] && grep -qiE 'no space|full' "$work/out"
}

exec 8>"$mnt/before"
echo first >&8
check "dd until it is full ends with ENOSPC" full \
	dd if=/dev/urandom of="$mnt/dd" bs=1M
check "and its file is no larger than the filesystem" \
	test "$(stat -c %s "$mnt/dd")" -le "$size"
dd if="$mnt/dd" bs=1M status=none | sha256sum >"$work/sum"
check "who had a file open before is told by write" full \
	dd if=/dev/zero of=/dev/fd/8 bs=64k count=64 oflag=append conv=notrunc
check "so is who makes a new file" full \
	dd if=/dev/zero of="$mnt/new" bs=64k count=64
rm -f "$mnt/new"
check "a write past the cache is, too" full \
	dd if=/dev/zero of="$mnt/direct" bs=1M count=8 oflag=direct
rm -f "$mnt/direct"
exec 8>&-
remount_fs
check "what was taken is there after a remount" eval \
	"dd if=$mnt/dd bs=1M status=none | sha256sum | cmp - $work/sum"
check "and no line says that something of it was lost" eval \
	"! grep -q '/dd: .*written by a program' $log"
rm "$mnt/dd"
check "with space again, writes go on" cp /bin/sh "$mnt/new"
check "and are whole" cmp /bin/sh "$mnt/new"

# Several at once, in small pieces: none runs for ever.
for i in 1 2 3; do
	timeout 120 dd if=/dev/zero of="$mnt/many$i" bs=37k \
		2>"$work/many$i" &
	pids[i]=$!
done
for i in 1 2 3; do
	wait "${pids[i]}"
	check "writer $i of three is told" \
		grep -q 'No space left' "$work/many$i"
done
sum=$(du -bc "$mnt"/many? | tail -n 1 | cut -f1)
# What they are told late depends on how fast we are.
late=${sanitizer:+4}
check "what they were told is written is not much more than there is" \
	test "$sum" -le $((size + (${late:-1} << 24)))
rm "$mnt"/many?

# ---- a database -------------------------------------------------------------

if command -v sqlite3 >/dev/null; then
	sqlite3 "$mnt/db" "create table t(n integer primary key, x blob);" \
		"insert into t values (1, randomblob(1000));"
	full sqlite3 "$mnt/db" "with recursive c(i) as (select 2 union all
		select i + 1 from c where i < 400000)
		insert into t select i, randomblob(1000) from c;"
	check "a database that outgrows the filesystem says so" \
		grep -qiE 'full|disk I/O' "$work/out"
	check "and is what it was before" eval \
		"[ \"\$(sqlite3 $mnt/db 'select count(*) from t')\" = 1 ]"
	check "and sound" eval \
		"[ \"\$(sqlite3 $mnt/db 'pragma integrity_check')\" = ok ]"
	remount_fs
	check "after a remount, too" eval \
		"[ \"\$(sqlite3 $mnt/db 'pragma integrity_check')\" = ok ]"
	rm -f "$mnt"/db*
else
	skip "a database: no sqlite3"
fi

# ---- what was promised ------------------------------------------------------

fallocate -l 8M "$mnt/promised"
timeout 120 dd if=/dev/zero of="$mnt/rest" bs=1M 2>/dev/null
check "what fallocate reserved can be written when all is full" \
	dd if=/dev/urandom of="$mnt/promised" bs=1M count=8 conv=notrunc,fsync
finish
