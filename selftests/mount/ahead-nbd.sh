#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will do what ahead.sh does, with the kernel's NBD client as the device and the pipeline
# of user space behind it.

export R3MAP_VIA=nbd
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/ahead.sh"
