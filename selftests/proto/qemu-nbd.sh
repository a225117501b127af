#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will read and write raw and qcow2 images through qemu-nbd, by the
# name of an export, and compare with the image.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program qemu-nbd qemu-img

image 32M
qemu_nbd_start --format=raw --export-name='my disk' --discard=unmap "$IMAGE"
refused "$NBD" "no export ''"
NBD="nbd+unix:///my%20disk?socket=$SOCKET"
info_is "$NBD" size=33554432 can_flush=1 can_fua=1 can_discard=1 can_zeroes=1 read_only=0
backend-io fill -b 64K "$NBD"
backend-io verify -b 4K "$NBD"
backend-io random -n "$(slow 5000)" -F "$NBD"
backend-io fill -b 2M -s 5 "$NBD"
result_is ok zero -b 64K -o 64K "$NBD"
result_is ok discard -b 64K -o 128K "$NBD"
result_is ok flush "$NBD"
nbd_pid_end "$PIDFILE"
backend-io read -s 5 -b 64K "file:$IMAGE" >/dev/null || fail "the image differs"
result_is ok read -z -b 64K -o 64K "file:$IMAGE"

qemu-img create -q -f qcow2 "$TEST_DIR/q.qcow2" 32M
qemu_nbd_start --format=qcow2 "$TEST_DIR/q.qcow2"
backend-io random -n "$(slow 5000)" "$NBD"
nbd_pid_end "$PIDFILE"
qemu_nbd_start --format=qcow2 --read-only "$TEST_DIR/q.qcow2"
info_is "$NBD" read_only=1
result_is EPERM write "$NBD"
