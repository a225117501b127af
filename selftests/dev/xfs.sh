#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
#
# This test will make an xfs file system on a device, fill it, and find every file
# whole after a remount on a new device of the same backend, and nothing for xfs_repair.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program mkfs.xfs xfs_repair
requires_filesystem xfs
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/filesystem.inc.sh"

filesystem_test 320M "mkfs.xfs -q" "xfs_repair -n"
