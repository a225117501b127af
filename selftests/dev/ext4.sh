#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will make an ext4 file system on a device, fill it, and find every file
# whole after a remount on a new device of the same backend, and nothing for fsck.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program mkfs.ext4 e2fsck
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/filesystem.inc.sh"

filesystem_test 48M "mkfs.ext4 -q" "e2fsck -fn"
