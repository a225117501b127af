#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
#
# This test will do what ext4.sh does, with the payload in the messages.

export R3MAP_TRANSPORT=inline
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/ext4.sh"
