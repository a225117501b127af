#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: sanitize.sh [address] [thread] [valgrind]
#
# Runs tests of the host rings again with tools that watch memory and threads:
# unit tests, fuzz inputs and protocol tests with AddressSanitizer and UBSan,
# those that have threads with ThreadSanitizer, unit tests in valgrind. A test
# fails as well when a tool has found something in any of its programs. KTAP,
# and a sum in the last line; reports and outputs are kept in the cache.

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/vm/common.sh"
cd "$here" || exit 1

# Each of these says something that the others do not; all of them take too long.
ADDRESS_PROTO="proto/serve-data.sh proto/serve-clients.sh proto/serve-tls.sh proto/serve-limits.sh
	proto/serve-exports.sh proto/nbdkit-trouble.sh proto/nbds.sh proto/reconnect.sh proto/refusals.sh
	proto/server-death.sh proto/qemu-nbd.sh"
THREAD="serve reconnect tls client file shared loop inquiry"
THREAD_PROTO="proto/serve-data.sh proto/serve-clients.sh proto/serve-tls.sh"
# what is done within seconds there, too
VALGRIND="cover error handshake inquiry loop opt size text uri wrap"
VALGRIND_FUZZ="handshake options psk replies requests text uri wire"

log=$R3MAP_CACHE/log/sanitize-$(date +%Y%m%d-%H%M%S)-$$
mkdir -p "$log"
passed=0 failed=0 skipped=0

# sanitize_run TOOL TEST...: one run of tests. What a sanitizer reports, in whichever process, is
# in $log/TOOL.report.*; valgrind also tells what is no error, and makes the test fail itself
sanitize_run()
{
	local tool=$1 p f s report
	shift
	vm_say "$tool: $# tests"
	echo "# $tool"
	lib/run.sh --no-module --keep "$log/$tool" "$@" 2>&1 | tee "$log/$tool.ktap" |
		grep -E '^(not ok|ok|# took [1-9][0-9]) '
	read -r p f s < <(sed -n 's/^# Totals: pass:\([0-9]*\) fail:\([0-9]*\) skip:\([0-9]*\)$/\1 \2 \3/p' \
		"$log/$tool.ktap")
	[ -n "${s:-}" ] || p=0 f=1 s=0
	[ "$f" = 0 ] || sed -n '/^# running: /{h;d};/^not ok /{x;p;x;p};/^# .*not ok /p' "$log/$tool.ktap"
	for report in "$log/$tool".report*; do
		[ -s "$report" ] || continue
		f=$((f + 1))
		echo "not ok - $tool has found something: $report"
		head -n 30 "$report" | sed 's/^/# /'
	done
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# sanitize_build SANITIZERS: the programs and tests, in a folder of their own
sanitize_build()
{
	local folder=bin-${1//,/-}
	vm_say "building with $1"
	vm_logged "$log/build-$1.log" "building with $1" \
		make --no-print-directory -j"$(nproc)" programs SANITIZE="$1" CFLAGS='-O1 -g'
	ln -sfn "../../user/r3map-${1//,/-}" "$folder/r3map"
	export TEST_PATH=$here/$folder
}

# sanitize_tests FOLDER: the unit tests and fuzz targets in it
sanitize_tests()
{
	find "$1/unit" "$1/fuzz" -type f -perm -u+x | LC_ALL=C sort
}

sanitize_address()
{
	local tests
	sanitize_build address,undefined
	mapfile -t tests < <(sanitize_tests bin-address-undefined)
	# shellcheck disable=SC2086 # words are meant
	ASAN_OPTIONS=log_path=$log/address.report:exitcode=99 \
		UBSAN_OPTIONS=log_path=$log/address.report.ub:exitcode=99:halt_on_error=1:print_stacktrace=1 \
		sanitize_run address "${tests[@]}" $ADDRESS_PROTO
}

sanitize_thread()
{
	sanitize_build thread
	# shellcheck disable=SC2046,SC2086 # words are meant
	TSAN_OPTIONS=log_path=$log/thread.report:exitcode=99 \
		sanitize_run thread $(printf 'bin-thread/unit/%s ' $THREAD) $THREAD_PROTO
}

# sanitize_wrapped FOLDER NAME: a script that runs bin/FOLDER/NAME in valgrind
sanitize_wrapped()
{
	mkdir -p "bin-valgrind/$1"
	cat >"bin-valgrind/$1/$2" <<-END
		#!/bin/sh
		exec valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \\
			--log-file="$log/valgrind.%p" ../../bin/$1/$2 ${3:-}
	END
	chmod +x "bin-valgrind/$1/$2"
}

sanitize_valgrind()
{
	local t
	vm_logged "$log/build-valgrind.log" "building for valgrind" \
		make --no-print-directory -j"$(nproc)" programs
	rm -rf bin-valgrind
	for t in $VALGRIND; do
		sanitize_wrapped unit "$t"
	done
	for t in $VALGRIND_FUZZ; do
		sanitize_wrapped fuzz "$t"
	done
	# shellcheck disable=SC2046,SC2086 # words are meant
	sanitize_run valgrind $(printf 'bin-valgrind/unit/%s ' $VALGRIND) \
		$(printf 'bin-valgrind/fuzz/%s ' $VALGRIND_FUZZ)
}

[ $# -gt 0 ] || set -- address thread valgrind
vm/packages.sh build peers fuzz || exit 1
for tool; do
	case $tool in
	address | thread | valgrind) ;;
	*) vm_usage "unknown tool '$tool': give address, thread or valgrind" ;;
	esac
done
for tool; do
	"sanitize_$tool"
done
echo "All output: $log"
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ] && [ $passed -gt 0 ]
