#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what do chunks cost that are here? That of latency-throughput.sh, of a managed
# mount, the pipeline and the limit, brd; then that of helper-cpu.sh, of the first two.

set -euo pipefail
BENCH_SUBJECTS=${BENCH_SUBJECTS:-r3map-managed,r3map-pipeline,kernel-nbd,brd}
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR
(. "$here/latency-throughput.sh")
BENCH_SUBJECTS=r3map-managed,r3map-pipeline "$here/helper-cpu.sh" | sed 's/^[^,]*,/present,/'
