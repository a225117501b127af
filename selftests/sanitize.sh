#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: sanitize.sh [address] [thread] [valgrind]
#
# Runs tests of the host rings again with tools that watch memory and threads:
# with AddressSanitizer and UBSan, with ThreadSanitizer, and in valgrind. All
# unit and protocol tests with each (but VALGRIND_NOT), the fuzz inputs with all but the second.
# A test fails as well when a tool has found something in any of its programs.
# KTAP, and a sum in the last line; reports and outputs are kept in the cache.

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/vm/common.sh"
cd "$here" || exit 1

VALGRIND_SLOW=8			# times as long as otherwise a wait may take there
VALGRIND_LIMIT=75		# s, times that, after which a test counts as hanging: none takes half of it
VALGRIND_NOT='^proto/(serve-exports|delta.*)\.sh$'	# it knows neither pidfd_open() nor openat2()

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
		grep --line-buffered -E '^(not ok|ok|# took [1-9][0-9]) '
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
	# What it makes of thread-local memory of GnuTLS, which is loaded late, makes it fall over at the end.
	ASAN_OPTIONS=log_path=$log/address.report:exitcode=99:intercept_tls_get_addr=0 \
		UBSAN_OPTIONS=log_path=$log/address.report.ub:exitcode=99:halt_on_error=1:print_stacktrace=1 \
		sanitize_run address "${tests[@]}" "${protocol[@]}"
}

sanitize_thread()
{
	local tests
	sanitize_build thread
	mapfile -t tests < <(sanitize_tests bin-thread/unit)
	TSAN_OPTIONS=log_path=$log/thread.report:exitcode=99:suppressions=$here/tsan.supp \
		sanitize_run thread "${tests[@]}" "${protocol[@]}"
}

# sanitize_wrapped PROGRAM SCRIPT: make SCRIPT, which runs PROGRAM in valgrind
sanitize_wrapped()
{
	mkdir -p "$(dirname "$2")"
	cat >"$2" <<-END
		#!/bin/sh
		exec valgrind -q --error-exitcode=99 --sim-hints=lax-ioctls --leak-check=full --show-leak-kinds=definite \\
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
	# shellcheck disable=SC2046 # words are meant
	TEST_PATH=$here/bin-valgrind TEST_SLOW=$VALGRIND_SLOW R3MAP_TEST_TIMEOUT=$VALGRIND_LIMIT \
		sanitize_run valgrind "${tests[@]/#bin/bin-valgrind}" \
		$(printf '%s\n' "${protocol[@]}" | grep -vE "$VALGRIND_NOT")
}

[ $# -gt 0 ] || set -- address thread valgrind
vm/packages.sh build peers fuzz || exit 1
for tool; do
	case $tool in
	address | thread | valgrind) ;;
	*) vm_usage "unknown tool '$tool': give address, thread or valgrind" ;;
	esac
done
mapfile -t protocol < <(make -s list | sed -n 's/^host proto\//proto\//p')
for tool; do
	"sanitize_$tool"
done
echo "All output: $log"
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ] && [ $passed -gt 0 ]
