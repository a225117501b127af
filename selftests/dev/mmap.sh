#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will use a device as memory: map it, write to it out of order, msync, and
# find everything again after the device was made anew from the same file.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program mapped

truncate -s "$(slow 16 6)M" "$TEST_DIR/file"
device_mount "file:$TEST_DIR/file"
mapped "$DEV" write
mapped "$DEV" check
r3map umount "$DEV"
device_mount "file:$TEST_DIR/file"
mapped "$DEV" check
mapped "$TEST_DIR/file" check
