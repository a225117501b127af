#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will read and write a file through nbd-server, by the name of its
# export, and compare with the file.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

image 32M
nbd_server_start disk "flush = true" "fua = true" "trim = true"
info_is "$NBD" size=33554432 can_flush=1 can_fua=1 can_discard=1
backend-io fill -b 64K "$NBD"
backend-io verify -b 4K "$NBD"
backend-io verify "file:$IMAGE?ro" || fail "the file differs"
backend-io random -n "$(slow 5000)" -F "$NBD"
result_is ok discard -o 1M -b 1M "$NBD"
result_is ok flush "$NBD"
refused "${NBD/disk/other}" "no export 'other'"

nbd_server_start disk "readonly = true"
info_is "$NBD" read_only=1
result_is EPERM write "$NBD"
