#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scene_sandbox.sh - once the mount is up, the daemon has given up what it does
# not need, in all of its threads; what it does need still works.
# shellcheck disable=SC2119,SC2317
. "$(dirname "$0")/../support/lib.sh"
begin

# field NAME: of all threads, each value once
field()
{
	sed -n "s/^$1:[[:space:]]*//p" /proc/"$daemon"/task/*/status | sort -u
}

# What would let it load modules, become others, or change their files.
no_capabilities()
{
	local caps

	for caps in $(field CapPrm) $(field CapBnd); do
		[ $((0x$caps & ~0x12a4006)) -eq 0 ] || {
			field CapPrm
			return 1
		}
	done
}

core_limit()
{
	awk '/^Max core file size/ { print $5 }' "/proc/$daemon/limits"
}

no_messages()
{
	! grep -E 'no filter|capabilities are kept' "$log"
}

mkfs 64M
# Sanitizers would set the limit to none themselves.
export ASAN_OPTIONS=disable_coredump=0 TSAN_OPTIONS=disable_coredump=0
ulimit -Sc 1000
must_mount
check "capabilities are dropped" no_capabilities
check "core dumps are off" test "$(core_limit)" = 0
check "nothing is said of it" no_messages
if [ -z "$sanitizer" ] && [[ $(uname -m) = x86_64 || $(uname -m) = aarch64 ]]
then
	check "all threads have the filter" test "$(field Seccomp)" = 2
	cases sandboxed
else
	skip "the filter: not with sanitizers, not on this processor"
fi
mv "$log" "$log.old"
kill -HUP "$daemon"
for ((i = 0; i < 50; i++)); do
	[ ! -s "$log" ] || break
	sleep 0.1
done
check "the log is opened anew" grep -q 'was opened anew' "$log"
echo content >"$mnt/file"
pid=$daemon
daemon=
kill -TERM "$pid"
wait "$pid"
check "a signal unmounts" test $? -eq 0
must_mount -o no_sandbox,coredump
check "no_sandbox, coredump: as asked" \
	test "$(field Seccomp) $(core_limit)" = "0 1024000"
check "what was written is there" grep -q content "$mnt/file"
finish
