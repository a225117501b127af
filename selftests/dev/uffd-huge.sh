#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will fill memory of huge pages by userfaultfd, of which the machine has as many as the test says, and try
# what the sysctls of userfaultfd and of huge pages forbid: here, in the lab, they are the test's to set.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../uffd/rc.sh"

requires_root
requires_program setpriv
[ -e /proc/sys/vm/nr_hugepages ] || skip "this kernel has no huge pages"
ktap_plan 5
huge=2097152
file=file:$TEST_DIR/image

# sysctl_set NAME VALUE: until the test ends
sysctl_set()
{
	cleanup_fn eval "echo $(cat "/proc/sys/vm/$1") >/proc/sys/vm/$1"
	echo "$2" >"/proc/sys/vm/$1"
}

# pages N: so many huge pages, all of them free
pages()
{
	echo "$1" >/proc/sys/vm/nr_hugepages
	[ "$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)" = "$1" ] || { note "there are no $1 huge pages"; return 1; }
}

sysctl_set nr_hugepages 0
head -c $((3 * huge)) /dev/urandom >"$TEST_DIR/image"
# the second one is zeroes but for a byte
dd if=/dev/zero of="$TEST_DIR/image" bs=$huge seek=1 count=1 conv=notrunc status=none
printf x | dd of="$TEST_DIR/image" bs=1 seek=$((2 * huge - 1)) conv=notrunc status=none

# counted WHAT: what the handler says of its client, which is gone
counted()
{
	wait_until 60 "the client is gone" grep -q 'client 0 is gone: ' "$TEST_DIR/$1.log"
	sed -n 's/.*client 0 is gone: //p' "$TEST_DIR/$1.log" >"$TEST_DIR/counted"
	grep -q "$2" "$TEST_DIR/counted" || { note "$(cat "$TEST_DIR/counted")"; return 1; }
}

one_by_one()
{
	pages 3 || return
	handler huge "$file" --improve huge
	client "$TEST_DIR/huge"
	ask ok readers 0 4 && ask ok save 0 "$TEST_DIR/saved" && cmp "$TEST_DIR/saved" "$TEST_DIR/image" || return
	[ "$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)" = 0 ] || { note "they are not used"; return 1; }
	ask ok close && counted huge "up to 1 at a time; bytes: $((3 * huge)) copied, 0 mapped, 0 zeroes"
}
ktap_test "--improve huge: a fault brings 2 MiB" one_by_one

with_others()
{
	pages 3 || return
	handler others "$file" --improve huge,events,in-flight,around,populate
	[ "$(r3map uffd map --socket "$TEST_DIR/others" --run sha256sum)" = "$(sha256sum <"$TEST_DIR/image")" ] &&
		counted others "bytes: $((3 * huge)) copied"
}
ktap_test "with all that goes with it" with_others

unreadable()
{
	pages 3 || return
	handler unreadable "fault:op=read,range=2100K-2104K:$file" --improve huge
	client "$TEST_DIR/unreadable"
	ask "$(byte "$TEST_DIR/image" 5)" get 0 5 && ask bus get 0 $((2100 * 1024)) && ask bus get 0 $huge &&
		ask "$(byte "$TEST_DIR/image" $((2 * huge)))" get 0 $((2 * huge)) && ask ok close
}
ktap_test "a huge page that cannot be read" unreadable

too_few()
{
	pages 0 && ! uffd_why huge >/dev/null || return
	grep -q '^there is no free huge page for --improve huge: set the sysctl vm.nr_hugepages$' "$TEST_DIR/why" || return
	pages 2 && uffd_why huge || return
	handler few "$file" --improve huge
	! r3map uffd map --socket "$TEST_DIR/few" --run cat 2>"$TEST_DIR/err" >"$TEST_DIR/out" || return
	grep -q '^r3map: cannot map 6291456 bytes of huge pages (sysctl vm.nr_hugepages): Cannot allocate memory$' \
		"$TEST_DIR/err" || { note "$(cat "$TEST_DIR/err")"; return 1; }
	! r3map uffd serve mem:1M --improve huge,minor --socket "$TEST_DIR/no" 2>"$TEST_DIR/err" || return
	grep -q "minor and huge exclude each other" "$TEST_DIR/err" || { note "$(cat "$TEST_DIR/err")"; return 1; }
}
ktap_test "none, and too few" too_few

# as_nobody COMMAND...
as_nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

unprivileged()
{
	sysctl_set unprivileged_userfaultfd 0
	r3map features >"$TEST_DIR/features"
	grep -q '^userfaultfd *file ' "$TEST_DIR/features" || { note "$(cat "$TEST_DIR/features")"; return 1; }
	as_nobody r3map features >"$TEST_DIR/features"
	grep -q '^userfaultfd *user-mode-only ' "$TEST_DIR/features" || { note "$(cat "$TEST_DIR/features")"; return 1; }
	echo 1 >/proc/sys/vm/unprivileged_userfaultfd
	as_nobody r3map features >"$TEST_DIR/features"
	grep -q '^userfaultfd *call ' "$TEST_DIR/features"
}
ktap_test "what the sysctl allows whom" unprivileged
ktap_status
