#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will do what mmap.sh does, with the payload in the messages.

export R3MAP_TRANSPORT=inline
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/mmap.sh"
