#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_share.sh - a user who asks for much does not keep others from working.
. "$(dirname "$0")/../support/lib.sh"
begin
need_space 400

mkfs 256M
must_mount

# Many extents, so that each answer is a long walk.
fragment()
{
	local i

	for i in 0 1; do
		python3 - "$mnt/big" "$i" <<'EOF' || return
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for at in range(int(sys.argv[2]), 20000, 2):
    os.pwrite(fd, b'x' * 4096, at * 4096)
    if at % 4000 < 2:
        os.fsync(fd)
os.fsync(fd)
EOF
	done
	chmod 644 "$mnt/big"
}

ask()
{
	while [ -e "$work/on" ]; do
		setpriv --reuid 65534 --clear-groups getfattr \
			--absolute-names -n tagfs.tags "$mnt/big" \
			>/dev/null 2>>"$work/asked"
		echo >>"$work/answers"
	done
}

check "a file of many extents is written" fragment
chmod 755 "$work"
touch "$work/on" "$work/asked" "$work/answers"
askers=()
for _ in $(seq 24); do
	ask &
	askers+=($!)
done
# Whatever else is done has to end long before the askers do.
busy()
{
	local i

	for i in $(seq 200); do
		echo "$i" >"$mnt/new$i" || return
		rm "$mnt/new$i" || return
	done
	sync "$mnt/big"
	dd if=/dev/zero of="$mnt/big" bs=1M count=20 conv=notrunc,fsync \
		2>/dev/null
}
check "beside 24 askers others create, remove and write" timeout 120 \
	bash -c "$(declare -f busy); mnt=$mnt busy"
answered()
{
	timeout 120 bash -c "until test -s '$work/answers'; do sleep 0.1; done"
}
check "and the askers are answered" answered
# The file is written meanwhile: an answer may be longer than the one whose
# length was asked for before.
complete()
{
	grep -v 'Numerical result out of range' "$work/asked" | grep .
	test "${PIPESTATUS[1]}" -ne 0
}

rm "$work/on"
wait "${askers[@]}"
check "every answer was one" complete
umount_fs
finish
