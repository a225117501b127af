#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will compare the device's attributes in sysfs with Documentation/ABI: each
# is documented, none can be written, and nothing is documented that is not there.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

documents=$TEST_TOP/Documentation/ABI/testing
ls "$documents"/*r3map* >/dev/null 2>&1 || skip "Documentation/ABI is not installed here"
device_mount mem:1M
told=$(sed -n 's|^What:.*/sys/block/r3map[^/]*/r3map/\([a-z_]*\).*|\1|p' "$documents"/*r3map* | LC_ALL=C sort -u)
have=$(find "/sys/block/$NAME/r3map" -type f -printf '%f\n' | LC_ALL=C sort)
[ "$told" = "$have" ] || fail "documented: ${told//$'\n'/ }; there: ${have//$'\n'/ }"
for attribute in $have; do
	[ -n "$(device_sysfs "$attribute")" ] || fail "$attribute is empty"
	[ -z "$(find "/sys/block/$NAME/r3map/$attribute" -perm /0222)" ] || fail "$attribute can be written"
done
