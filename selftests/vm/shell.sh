#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: shell.sh [NAME]
#
# An interactive root shell in a machine of the lab, with r3map.ko loaded and
# the program in the PATH. Nothing that is done there reaches this machine.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd -P)

"$here/packages.sh" build lab
make --no-print-directory -s -C "$R3MAP_TOP/user" >&2
# shellcheck disable=SC2016 # for the shell in the guest
exec "$here/boot.sh" --kernel "${1:-6.12}" --cpus 2 --shell -- /bin/bash -c '
	insmod "$R3MAP_KO" && echo "r3map.ko is loaded; r3map is in the PATH"
	PATH=$PWD/user:$PATH PS1="r3map-lab:\w# " exec bash --norc -i'
