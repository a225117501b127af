# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the tests of file systems have in common.

# filesystem_fill DIR: files of many sizes, some in pieces, some deleted again
filesystem_fill()
{
	local i
	mkdir "$1/many"
	for ((i = 0; i < $(slow 150 40); i++)); do
		head -c $((i * 137 + 1)) /dev/urandom >"$1/many/$i"
	done
	dd if=/dev/urandom of="$1/big" bs=256k count=32 status=none
	dd if=/dev/urandom of="$1/sparse" bs=4k count=8 seek=900 oflag=direct status=none
	fallocate -p -o 1M -l 2M "$1/big"
	rm "$1"/many/*7
	sync -f "$1"
	cp "$1/big" "$1/copy"
}

# filesystem_test SIZE MKFS FSCK
filesystem_test()
{
	truncate -s "$1" "$TEST_DIR/file"
	device_mount "file:$TEST_DIR/file"
	$2 "$DEV"
	mkdir "$TEST_DIR/mnt"
	mount "$DEV" "$TEST_DIR/mnt"
	cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
	filesystem_fill "$TEST_DIR/mnt"
	(cd "$TEST_DIR/mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TEST_DIR/sums"
	umount "$TEST_DIR/mnt"
	$3 "$DEV" >"$TEST_DIR/fsck" 2>&1 || {
		cat "$TEST_DIR/fsck"
		fail "fsck"
	}
	r3map umount "$DEV"
	device_mount "file:$TEST_DIR/file"
	mount "$DEV" "$TEST_DIR/mnt"
	(cd "$TEST_DIR/mnt" && sha256sum --quiet -c "$TEST_DIR/sums") || fail "files have changed"
	fstrim "$TEST_DIR/mnt" || fail "fstrim"
	umount "$TEST_DIR/mnt"
	$3 "$DEV" >/dev/null 2>&1 || fail "fsck after fstrim"
	r3map umount "$DEV"
}
