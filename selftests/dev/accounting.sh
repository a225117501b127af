#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will count what it does, and find the same in /proc/diskstats, in the
# device's counters, in the tracepoints and in debugfs.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq

# stat FIELD: of the device, as Documentation/admin-guide/iostats.rst numbers them
stat()
{
	awk -v f="$1" '{ print $f }' "/sys/block/$NAME/stat"
}

# Names of tasks are not recorded: that would patch the scheduler while it runs, which the
# emulated processors of the lab do not survive every time.
trace=/sys/kernel/tracing
cleanup_fn eval "echo $(<$trace/options/record-cmd) >$trace/options/record-cmd"
echo 0 >$trace/options/record-cmd
[ -d $trace/events/r3map ] || fail "there are no tracepoints"
echo >$trace/trace
echo 1 >$trace/events/r3map/enable
cleanup_fn eval "echo 0 >$trace/events/r3map/enable"

device_mount --no-part-scan mem:16M
reads=$(stat 1) writes=$(stat 5) discards=$(stat 12)
dd if="$DEV" of=/dev/null bs=16k count=20 iflag=direct status=none
dd if=/dev/zero of="$DEV" bs=8k count=30 oflag=direct status=none
blkdiscard -f -l 1M "$DEV"
[ $(($(stat 1) - reads)) = 20 ] || fail "reads: $(stat 1)"
[ $(($(stat 5) - writes)) -ge 30 ] || fail "writes: $(stat 5)"
[ $(($(stat 12) - discards)) = 1 ] || fail "discards: $(stat 12)"
[ "$(stat 9)" = 0 ] || fail "in flight: $(stat 9)"
[ "$(stat 3)" -ge 640 ] || fail "sectors read: $(stat 3)"
grep -qw "$NAME" /proc/diskstats || fail "not in /proc/diskstats"
[ "$(device_counter reads)" -ge 20 ] || fail "counter of reads"
[ "$(device_counter write_bytes)" -ge $((30 * 8192)) ] || fail "counter of bytes written"

echo 0 >$trace/events/r3map/enable
for event in r3map_submit r3map_send r3map_complete r3map_state; do
	grep -q "$event: $NAME" $trace/trace || fail "no $event in the trace"
done
[ "$(grep -c "r3map_complete: $NAME read" $trace/trace)" -ge 20 ] || fail "reads in the trace"
grep -q "r3map_state: $NAME .*new -> live" $trace/trace || fail "no new -> live in the trace"
r3map umount "$DEV"

# requests that wait are a table, with their age; parking is traced
echo >$trace/trace
echo 1 >$trace/events/r3map/enable
device_mount --no-part-scan --park 1h "fault:op=read,mode=hang:mem:16M"
dd if="$DEV" of=/dev/null bs=16k count=1 skip=1 iflag=direct status=none &
reader=$!
table=/sys/kernel/debug/r3map/$NAME/requests
in_table() { grep -q "$@" "$table"; }
wait_until 20 "the request is in the table" in_table 'flying read 16384 16384'
[ "$(stat 9)" = 1 ] || fail "in flight: $(stat 9)"
wait_until 20 "its age is told" in_table -E 'flying read 16384 16384 [0-9]{3,}'
device_kill
wait_until 20 "it waits now" in_table -E 'waiting read 16384 16384 [0-9]+ reissued'
grep -q "r3map_park: $NAME" $trace/trace || fail "no r3map_park in the trace"
device_recover mem:16M --force
wait $reader || fail "the parked read failed"
