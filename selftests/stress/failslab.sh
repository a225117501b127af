#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 7.2:1
#
# This test will let the n-th allocation fail of every command of a device's life, and of loading
# the module, for n = 1, 2, 3 ... until none fails any more: what is refused for that has changed nothing.
# timeout: 300

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer loadnth
faults_init

# script TRANSPORT AREA N: all that a device goes through, the N-th allocation of each command fails
script()
{
	cat <<-END
	socket c
	socket q
	socket p
	map a 1M
	fail $3
	c features
	c new size=8M queues=2 depth=4 max_io=64K flags=0x2e transport=$1
	c get
	q bind queue=0 $2
	p bind queue=1 $2
	c start
	c dump
	c set timeout=1000
	c set size=4M
	close q
	await state=parked
	close p
	close c
	socket c
	socket q
	socket p
	c attach
	q bind queue=0 $2
	p bind queue=1 $2
	c start
	fail 0
	serve dd if=\$DEV of=/dev/null bs=64k count=4 iflag=direct status=none
	fail $3
	c del
	fail 0
	await gone
	END
}

# script_managed N: the same for the commands that only a managed device has, or that do more there
script_managed()
{
	cat <<-END
	socket c
	socket q
	map s 1000K memfd
	fail $1
	c new size=1000K depth=8 backend=test: chunk=64K store=s flags=0x2e
	q bind queue=0
	c start
	c open
	c claim length=256K
	c fill ext=0:256K
	c chunks
	fail 0
	spawn dd if=/dev/zero of=\$DEV bs=64K count=2 oflag=direct status=none
	wait 0
	fail $1
	c take
	c done ext=0:64K
	c done ext=64K:64K error=-5
	c sync
	c dump
	c del force
	fail 0
	await gone
	END
}

no_devices() { [ -z "$(device_all)" ]; }

# try NAME DENSE SCRIPT...: what SCRIPT... says of n = 1, 2, 3 up to DENSE, and on in larger steps. Most
# commands make some 20 allocations, of which the last few are those of the answer; what makes hundreds is
# the block layer, when a device begins.
try()
{
	local name=$1 dense=$2 n failed=0 ended=0
	shift 2
	for ((n = 1; n < 2000; n += n < dense ? 1 : 1 + n / $(slow 12 2))); do
		"$@" $n >"$TEST_DIR/script"
		if peer <"$TEST_DIR/script" >"$TEST_DIR/out" 2>"$TEST_DIR/err"; then
			# none failed, or it did no harm
			grep -q 'allocations have failed' "$TEST_DIR/out" || break
			failed=$((failed + 1))
		else
				# the answer itself was lost, and with it whether the command was done
			grep -q 'cannot receive .*No buffer space' "$TEST_DIR/err" || {
				cat "$TEST_DIR/out" "$TEST_DIR/err"
				fail "$name, allocation $n: something else than want of memory"
			}
			ended=$((ended + 1))
			# the peer has ended: what it had made is gone, or parked
			for DEV in $(device_all); do
				r3map umount --force "$DEV"
			done
			wait_until 20 "$name, allocation $n: all devices are gone" no_devices
		fi
		cat "$TEST_DIR/out" >>"$TEST_DIR/all"
	done
	note "$name: up to $n allocations; some failed in $failed runs, $ended were cut short"
	[ $failed -gt 8 ] || fail "$name: the injection does nothing"
	[ "$n" -lt 2000 ] || fail "$name: it never ends"
}

try shared 24 script shared 'area_addr=@a area_size=1M'
try managed 24 script_managed
# only bind and start are another matter
try inline 1 script inline ''
for what in 'ENOMEM: the disk cannot be made' 'ENOBUFS: send:' 'ENOMEM: $'; do
	grep -q "$what" "$TEST_DIR/all" || fail "nothing was refused with '$what'"
done

# Loading, from where the module's own code begins: what the kernel does before that warns of failures by
# itself. How many allocations it takes is known once it was done.
[ -n "${R3MAP_KO:-}" ] || skip "R3MAP_KO does not say which file is the module"
start=$(sed -n 's/ t do_init_module$//Ip' /proc/kallsyms)
end=$(awk -v start="$start" '$1 > start && (end == "" || $1 < end) { end = $1 } END { print end }' /proc/kallsyms)
faults_stack "0x$start" "0x$end"
module_unload || fail "rmmod"
all=$(loadnth "$R3MAP_KO" 1000000)
refused=0
for ((n = 1; n <= all; n += $(slow 1 3))); do
	! module_loaded || module_unload || fail "rmmod"
	status=0
	loadnth "$R3MAP_KO" $n >/dev/null || status=$?
	case $status in
	0) ;;
	3)
		! module_loaded || fail "allocation $n: it is loaded, and says that it is not"
		refused=$((refused + 1))
		;;
	*) fail "allocation $n of loading: another error than want of memory" ;;
	esac
done
note "loading: $all allocations, $refused times refused"
[ $refused -gt 5 ] || fail "loading: the injection does nothing"
faults_off
module_loaded || module_load
