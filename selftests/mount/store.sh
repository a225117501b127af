#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 7.2:1
# timeout: 600
#
# This test will mount with a store that outlives the mount: what has come is there for the next one and
# is not fetched again, what was not pushed is pushed then, and a store is only for whom it belongs to.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

image 9999872
store=$TEST_DIR/store broken=$TEST_DIR/broken
backend="fault:op=read+write+zero+flush,file=$broken:file:$IMAGE"

# stored [OPTION...]: the mount of this test, without anything in the background
stored()
{
	device_mount --managed --no-part-scan --chunk-size 64K --pull-workers 0 --push-interval 0 --store "$store" "$@" \
		"$backend"
}

# refused WHAT ARGUMENT...: mount refuses, and says WHAT
refused()
{
	local what=$1
	shift
	expect_fail r3map mount --daemon --managed "$@"
	grep -q "$what" "$TEST_DIR/stderr" || fail "said: $(cat "$TEST_DIR/stderr")"
}

# what has come stays; a hole costs nothing
stored
dd if="$DEV" of=/dev/null bs=64k skip=3 count=4 iflag=direct status=none
put 40 8
[ "$(device_fact local)" = $((5 * 65536)) ] || fail "local: $(device_fact local)"
refused "in use by another mount" --store "$store" mem:9999872
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after an unmount"
[ "$(stat -c %s "$store")" = 9999872 ] || fail "size of the store"
[ "$(stat -c %b "$store")" -lt 2000 ] || fail "the store takes $(stat -c %b "$store") blocks"
touch "$broken"
stored
[ "$(device_fact local)" = $((5 * 65536)) ] || fail "the next mount has $(device_fact local) local"
is_clean || fail "the next mount has $(device_fact dirty) dirty"
dd if="$DEV" of="$TEST_DIR/got" bs=64k skip=3 count=4 iflag=direct status=none
cmp -n 262144 -i 0:196608 "$TEST_DIR/got" "$WANT"
dd if="$DEV" of="$TEST_DIR/got" bs=64k count=1 iflag=direct status=none
cmp -n 65536 "$TEST_DIR/got" "$WANT"
[ "$(device_counter fetches)" = 0 ] || fail "$(device_counter fetches) fetches of what is there"
expect_fail dd if="$DEV" of=/dev/null bs=64k skip=50 count=1 iflag=direct status=none
r3map umount "$DEV"
rm "$broken"

# for whom it is
refused "is a store of $backend" --store "$store" "file:$IMAGE"
refused "leave out --chunk-size" --store "$store" --chunk-size 128K "$backend"
refused "no store of r3map" --store "$IMAGE" "$backend"
echo something >"$TEST_DIR/other.map"
refused "not the map of a store" --store "$TEST_DIR/other" "$backend"
# what was made in vain goes again (more of that: unit/mapfile.c)
[ ! -e "$IMAGE.map" ] || fail "a map is left beside what is no store"
[ ! -e "$TEST_DIR/other" ] || fail "a store is left beside what is no map"
rm "$TEST_DIR/other.map"
truncate -s +512 "$IMAGE"
refused "has 10000384 now" --store "$store" "$backend"
truncate -s -512 "$IMAGE"
truncate -s -512 "$store"
refused "its map says 9999872" --store "$store" "$backend"
truncate -s +512 "$store"

# who only reads has a store filled, too; bits of chunks that are not there mean nothing
first=$store
store=$TEST_DIR/all
stored --read-only
expect_fail dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct status=none
same
all_local || fail "all was read"
r3map umount "$DEV"
printf '\377\377\377\377' | dd of="$store.map" bs=1 seek=$((8192 + 19)) conv=notrunc status=none
stored
all_local || fail "$(device_fact local) bytes of 9999872 are local"
same
r3map umount "$DEV"
rm "$store" "$store.map"
store=$first

# no room for the map, then some; no room for what comes; no holes
mkdir "$TEST_DIR/small"
mount -t tmpfs -o size=8k none "$TEST_DIR/small"
cleanup_fn umount "$TEST_DIR/small"
refused "No space left" --store "$TEST_DIR/small/store" "file:$IMAGE"
[ -z "$(ls "$TEST_DIR/small")" ] || fail "left: $(ls "$TEST_DIR/small")"
mount -o remount,size=512k "$TEST_DIR/small"
device_mount --managed --no-part-scan --push-interval 0 --store "$TEST_DIR/small/store" "file:$IMAGE"
is_full() { grep -q "No space left" "$TEST_DIR/helper.log"; }
wait_until 30 "the pull says that the store is full" is_full
expect_fail dd if="$DEV" of=/dev/null bs=64k skip=120 count=16 iflag=direct status=none
mount -o remount,size=12m "$TEST_DIR/small"
wait_until 60 "all comes when there is room" all_local
same
put 3000 100
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend of a store that was full"
mkdir "$TEST_DIR/ramfs"
mount -t ramfs none "$TEST_DIR/ramfs"
cleanup_fn umount "$TEST_DIR/ramfs"
refused "no holes" --store "$TEST_DIR/ramfs/store" "file:$IMAGE"

# zeroes cost nothing here, holes of the backend are not even asked for
head -c 4M /dev/zero >"$TEST_DIR/zeroes"
truncate -s 64M "$TEST_DIR/holes"
for kind in zeroes holes; do
	# reads of holes fail
	[ $kind = zeroes ] || touch "$broken"
	device_mount --managed --no-part-scan --store "$TEST_DIR/$kind.store" \
		"fault:op=read,file=$broken:file:$TEST_DIR/$kind"
	wait_until 30 "all $kind are local" all_local
	r3map umount "$DEV"
	[ "$(stat -c %b "$TEST_DIR/$kind.store")" -lt 64 ] ||
		fail "$kind take $(stat -c %b "$TEST_DIR/$kind.store") blocks"
done
rm "$broken"

# dropped by force, or with the helper dead: the next one pushes
for end in force kill; do
	stored --flush=local
	put 0 9
	put 7777 300
	put 19000 531
	blkdiscard -f -o $((20 << 16)) -l $((3 << 16)) "$DEV" 2>/dev/null
	head -c $((3 << 16)) /dev/zero | dd of="$WANT" bs=64k seek=20 conv=notrunc status=none
	touch "$broken"
	[ $end = force ] || device_kill
	r3map umount --force "$DEV"
	cmp -s "$IMAGE" "$WANT" && fail "$end: it was pushed"
	refused "without --read-only" --store "$store" --read-only "$backend"
	stored
	is_clean && fail "$end: nothing is dirty"
	cmp -n $((9 * 512)) "$DEV" "$WANT"
	rm "$broken"
	r3map sync "$DEV"
	cmp "$IMAGE" "$WANT" || fail "$end: the backend"
	same
	is_clean || fail "$end: still dirty"
	r3map umount "$DEV"
	stored
	is_clean || fail "$end: dirty after a clean end"
	r3map umount "$DEV"
done

# the model, over mounts that end in all ways
cp "$IMAGE" "$IMAGE.orig"
rm "$store" "$store.map"
for ((round = 0; round < $(slow 6 3); round++)); do
	device_mount --managed --no-part-scan --store "$store" --chunk-size 16K --pull-workers 2 \
		--push-interval 30ms "file:$IMAGE"
	cmp "$DEV" "$WANT" || fail "round $round begins with other bytes"
	cp "$WANT" "$WANT.before"
	model "$DEV" "$WANT.before" "$WANT" "$round" "$(slow 400 100)" 4 >"$TEST_DIR/said" ||
		fail "round $round: $(cat "$TEST_DIR/said")"
	case $((round % 3)) in
	0) r3map umount --force "$DEV" ;;
	1) device_kill; r3map umount --force "$DEV" ;;
	*) r3map umount "$DEV"; cmp "$IMAGE" "$WANT" || fail "round $round: the backend" ;;
	esac
done
device_mount --managed --no-part-scan --store "$store" "file:$IMAGE"
r3map sync "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend in the end"
same
