#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: sanitize.sh [address] [thread] [valgrind]
#
# Runs tests of the host rings again with tools that watch memory and threads:
# with AddressSanitizer and UBSan, with ThreadSanitizer, and in valgrind. All
# unit tests with each, the fuzz inputs with all but the second, the protocol
# tests with the first, some of them with the others. A test fails as well
# when a tool has found something in any of its programs.
# KTAP, and a sum in the last line; reports and outputs are kept in the cache.

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/vm/common.sh"
cd "$here" || exit 1

# All of them. From export-changed.sh on they take 38 s of processor time together.
ADDRESS_PROTO="proto/serve-data.sh proto/serve-clients.sh proto/serve-tls.sh proto/serve-limits.sh
	proto/serve-exports.sh proto/nbdkit-trouble.sh proto/nbds.sh proto/reconnect.sh proto/refusals.sh
	proto/server-death.sh proto/qemu-nbd.sh proto/export-changed.sh proto/flags.sh proto/holes.sh
	proto/info.sh proto/nbd-server.sh proto/nbdkit-file.sh proto/nbdkit-limits.sh
	proto/nbdkit-memory.sh proto/nbdkit-tcp.sh proto/old-servers.sh proto/file-devices.sh"
# Not all, for time: the server's threads, the client's dialer, and both in one process.
THREAD_PROTO="proto/serve-data.sh proto/serve-clients.sh proto/serve-tls.sh proto/serve-limits.sh
	proto/serve-exports.sh proto/server-death.sh proto/flags.sh"
# what is done within seconds there, too
VALGRIND_PROTO="proto/serve-data.sh proto/flags.sh proto/old-servers.sh proto/refusals.sh
	proto/export-changed.sh proto/server-death.sh"
VALGRIND_SLOW=8			# times as long as otherwise a wait may take there

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
	# valgrind has remarks about the kernel in its logs as well
	for report in "$log/$tool".report* $(grep -slE '^==[0-9]+==' "$log"/valgrind.[0-9]*); do
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

# sanitize_tests FOLDER...: the programs in these
sanitize_tests()
{
	find "$@" -type f -perm -u+x | LC_ALL=C sort
}

sanitize_address()
{
	local tests
	sanitize_build address,undefined
	mapfile -t tests < <(sanitize_tests bin-address-undefined/{unit,fuzz})
	# shellcheck disable=SC2086 # words are meant
	ASAN_OPTIONS=log_path=$log/address.report:exitcode=99 \
		UBSAN_OPTIONS=log_path=$log/address.report.ub:exitcode=99:halt_on_error=1:print_stacktrace=1 \
		sanitize_run address "${tests[@]}" $ADDRESS_PROTO
}

sanitize_thread()
{
	local tests
	sanitize_build thread
	mapfile -t tests < <(sanitize_tests bin-thread/unit)
	# shellcheck disable=SC2086 # words are meant
	TSAN_OPTIONS=log_path=$log/thread.report:exitcode=99:suppressions=$here/tsan.supp \
		sanitize_run thread "${tests[@]}" $THREAD_PROTO
}

# sanitize_wrapped PROGRAM SCRIPT: make SCRIPT, which runs PROGRAM in valgrind
sanitize_wrapped()
{
	mkdir -p "$(dirname "$2")"
	cat >"$2" <<-END
		#!/bin/sh
		exec valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \\
			--errors-for-leak-kinds=definite --log-file="$log/valgrind.%p" "$here/$1" "\$@"
	END
	chmod +x "$2"
}

sanitize_valgrind()
{
	local t tests
	vm_logged "$log/program-valgrind.log" "building the program" \
		make --no-print-directory -j"$(nproc)" -C ../user
	vm_logged "$log/build-valgrind.log" "building for valgrind" \
		make --no-print-directory -j"$(nproc)" programs
	rm -rf bin-valgrind
	mapfile -t tests < <(sanitize_tests bin/{unit,fuzz})
	for t in "${tests[@]}"; do
		sanitize_wrapped "$t" "bin-valgrind/${t#bin/}"
	done
	sanitize_wrapped ../user/r3map bin-valgrind/r3map
	sanitize_wrapped bin/backend-io bin-valgrind/backend-io
	# shellcheck disable=SC2086 # words are meant
	TEST_PATH=$here/bin-valgrind TEST_SLOW=$VALGRIND_SLOW \
		sanitize_run valgrind "${tests[@]/#bin/bin-valgrind}" $VALGRIND_PROTO
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
