# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Usage: machine.sh OLD STEP FLUSH
#
# What a machine of cut.sh does, until its power is cut. /dev/vda is the disk of a store, /dev/vdb the
# backend. OLD is the log of what was acknowledged so far; what there is now goes to log of the results.
# STEP: first makes both, check says what the cut has left, recover only mounts; then FLUSH is the way in
# which programs write, until there is no more power; none: that was it.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../mount/rc.sh"
old=$1 step=$2 flush=$3 log=$R3MAP_OUT/log
mnt=$TEST_DIR/mnt
mkdir "$mnt"
modprobe virtio_blk
modprobe ext4
wait_until 30 "the disks are there" test -b /dev/vdb
# what is written reaches the caches of the disks soon, without a flush
echo 5 >/proc/sys/vm/dirty_writeback_centisecs
echo 5 >/proc/sys/vm/dirty_expire_centisecs

# durable_check DEVICE WHAT
durable_check()
{
	local said
	said=$(durable check "$1" "$log" 2>&1) || fail "$2: $said"
	note "$2: $said"
}

if [ "$step" = first ]; then
	mkfs.ext4 -q /dev/vda
	durable fill /dev/vdb "$log"
else
	cp "$old" "$log"
fi
mount -t ext4 /dev/vda "$mnt"
cleanup_fn umount "$mnt"
# what was synced as far as the backend is there already, without the store
[ "$step" != check-remote ] || durable_check /dev/vdb "the backend alone"
# slow enough that much is under way when the power goes
device_mount --managed --no-part-scan --store "$mnt/store" --flush="${flush/none/remote}" \
	--chunk-size 16K --push-interval 100ms --pull-workers 4 --pull-rate 1M \
	"delay:1ms:file:/dev/vdb"
note "$step: $(device_fact local) local, $(device_fact dirty) dirty"
case $step in
check*)
	durable_check "$DEV" "the device"
	r3map sync "$DEV"
	cmp "$DEV" /dev/vdb || fail "the backend is not the device"
	;;
esac
if [ "$flush" = none ]; then
	r3map umount "$DEV"
	durable_check /dev/vdb "the backend at the end"
	exit
fi
durable write "$DEV" "$log" 7 &
writer=$!
lines=$(wc -l <"$log")
# shellcheck disable=SC2317 # called by wait_until
loaded() { ! kill -0 "$writer" || [ "$(wc -l <"$log")" -gt $((lines + 30)) ]; }
[ "$step" = recover ] || wait_until 60 "something is acknowledged" loaded
kill -0 "$writer" || fail "the writer has ended"
# cut.sh waits for this line
echo "cut me"
wait "$writer"
fail "the writer has ended"
