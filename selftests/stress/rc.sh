# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests that make memory short, or do everything at once.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/device.sh"

# shellcheck disable=SC2119 # no parameters of the module are meant
requires_module

FAULTS=/sys/kernel/debug

# faults_init: skip unless allocations can be made to fail; for every kind of them, in silence
faults_init()
{
	local kind
	[ -d $FAULTS/failslab ] || skip "this kernel cannot inject failures (CONFIG_FAILSLAB)"
	for kind in failslab fail_page_alloc; do
		cleanup_fn faults_off
		echo N >$FAULTS/$kind/ignore-gfp-wait
		echo 0 >$FAULTS/$kind/verbose
		echo N >$FAULTS/$kind/task-filter
		[ ! -e $FAULTS/$kind/min-order ] || echo 0 >$FAULTS/$kind/min-order
	done
}

# faults_stack START END: only those that are asked for by code between these addresses, or by what it
# calls, in whatever task. What a task does with /proc/self/fail-nth counts only these, too.
faults_stack()
{
	local kind
	[ -e $FAULTS/failslab/require-start ] || skip "this kernel cannot choose by the stack (CONFIG_FAULT_INJECTION_STACKTRACE_FILTER)"
	for kind in failslab fail_page_alloc; do
		echo "$1" >$FAULTS/$kind/require-start
		echo "$2" >$FAULTS/$kind/require-end
		echo 32 >$FAULTS/$kind/stacktrace-depth
	done
}

# faults_module PERCENT [TIMES]: so many of the allocations fail that anybody makes on the module's
# behalf: with the module on the stack
faults_module()
{
	local kind start size
	start=$(</sys/module/r3map/sections/.text)
	size=$(awk '$1 == "r3map" { print $2 }' /proc/modules)
	faults_stack "$(printf '0x%x' $((start)))" "$(printf '0x%x' $((start + size)))"
	for kind in failslab fail_page_alloc; do
		echo "${2:--1}" >$FAULTS/$kind/times
		echo "$1" >$FAULTS/$kind/probability
	done
}

# faults_off: none fails any more
faults_off()
{
	local kind
	for kind in failslab fail_page_alloc; do
		echo 0 >$FAULTS/$kind/probability
		echo 0 >$FAULTS/$kind/require-start
		echo 0xffffffffffffffff >$FAULTS/$kind/require-end
	done
}
