#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will ask for the packages of kernel headers and of dkms, with apt replaced: what is
# missing is installed by its name, and headers that cannot be had are no error.

# shellcheck disable=SC2016 # what stands in expands it
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"

export FAKE=$TEST_DIR R3MAP_CACHE=$TEST_DIR/cache
mkdir "$TEST_DIR/bin"
# stand_in NAME: a program of this name, from stdin
stand_in()
{
	{ echo '#!/bin/bash'; cat; } >"$TEST_DIR/bin/$1"
	chmod +x "$TEST_DIR/bin/$1"
}
stand_in uname <<<'[ "$*" = -r ] && echo 1.2.3-mine || exec /bin/uname "$@"'
stand_in id <<<'cat "$FAKE/uid"'
stand_in dpkg-query <<<'sed "s/$/ installed/" "$FAKE/installed"'
stand_in apt-cache <<<'[ "$1" = pkgnames ] && grep "^$2" "$FAKE/known"'
stand_in apt-get <<'END'
echo "$*" >>"$FAKE/calls"
[[ " $* " != *" update "* ]] || { cp "$FAKE/offered" "$FAKE/known"; exit; }
grep -qx "${!#}" "$FAKE/offered" || { echo "E: Unable to locate package ${!#}"; exit 100; }
END
PATH=$TEST_DIR/bin:$PATH
lines() { printf '%s\n' "$@" | sed '/^$/d'; }

# asked GROUP UID INSTALLED KNOWN OFFERED STATUS [CALL...]: packages.sh ends so, and called apt-get
# with these words
asked()
{
	local status=0 wanted group=$1 word
	echo "$2" >"$TEST_DIR/uid"
	lines "$3" >"$TEST_DIR/installed"
	lines "${4//,/$'\n'}" >"$TEST_DIR/known"
	lines "${5//,/$'\n'}" >"$TEST_DIR/offered"
	: >"$TEST_DIR/calls"
	"$TEST_TOP/selftests/vm/packages.sh" "$group" >"$TEST_DIR/out" 2>&1 || status=$?
	wanted=$6
	shift 6
	[ $status = "$wanted" ] && [ "$(wc -l <"$TEST_DIR/calls")" = $# ] || wanted=
	for word; do
		grep -q -- " $word\$" "$TEST_DIR/calls" || wanted=
	done
	[ -n "$wanted" ] && return
	note "status $status; called: $(paste -sd ';' "$TEST_DIR/calls"); said: $(cat "$TEST_DIR/out")"
	return 1
}

mine=linux-headers-1.2.3-mine other=linux-headers-1.2.4-other
ktap_plan 9
ktap_test "headers that are known are installed" \
	asked headers 0 "" $mine,$other $mine,$other 0 update "--no-install-recommends $mine"
ktap_test "headers that are there are left alone" asked headers 0 $mine $mine $mine 0
ktap_test "headers that no package has are no error" asked headers 0 "" $other $other 0
ktap_test "nor is their want for somebody who is not root" asked headers 1000 "" $mine $mine 0
ktap_test "without lists apt is asked for them" \
	asked headers 0 "" "" $mine,$other 0 update "--no-install-recommends $mine"
ktap_test "and what it does not have then is no error" \
	asked headers 0 "" "" $other 0 update "--no-install-recommends $mine"
ktap_test "nor is what cannot be fetched" \
	asked headers 0 "" $mine "" 0 update "--no-install-recommends $mine"
ktap_test "dkms is installed" asked dkms 0 "" "" dkms 0 update "--no-install-recommends dkms"
ktap_test "who is not root is told what is missing" asked dkms 1000 "" "" dkms 1
