#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12:2 7.2:2
#
# This test will compare the netlink specification with the uapi header and with the
# family in the running kernel: names, numbers, operations, groups and policies.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3
requires python3 -c 'import yaml'

python3 "$(dirname "$0")/spec.py" "$TEST_TOP/Documentation/netlink/specs/r3map.yaml" \
	"$TEST_TOP/uapi/linux/r3map.h" --kernel || fail "they differ"
