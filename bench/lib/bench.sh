# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What every question shares: where things are, which subjects and cases were
# asked for, how progress and results are told. Sourced by the questions,
# which run as root in a machine that may lose everything. Results go to
# stdout as lines "question,subject,case,metric,repetition,value"; progress
# goes to stderr, so that one never spoils the other.

# shellcheck disable=SC2034 # for those who source this
BENCH_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BENCH_TMP=$(mktemp -d "${TMPDIR:-/tmp}/r3map-bench.XXXXXX")
BENCH_QUESTION=$(basename "$0" .sh)
BENCH_SIZE=256M
BENCH_REPS=${BENCH_REPS:-3}
export BENCH_RUNTIME=${BENCH_RUNTIME:-100ms}

# bench_say TEXT...: one line of progress
bench_say()
{
	printf '%s: %s\n' "$BENCH_QUESTION" "$*" >&2
}

# bench_die TEXT...: one sentence that says what is wrong and what to do
bench_die()
{
	printf '%s: %s\n' "$BENCH_QUESTION" "$*" >&2
	exit 1
}

# bench_result SUBJECT CASE METRIC REPETITION VALUE
bench_result()
{
	printf '%s,%s,%s,%s,%s,%s\n' "$BENCH_QUESTION" "$@"
}

# bench_cases DEFAULT...: the cases asked for, of these
bench_cases()
{
	local c
	for c in "$@"; do
		case ,${BENCH_CASES:-$c}, in
		*",$c,"*) printf '%s\n' "$c" ;;
		esac
	done
}

# bench_wait WHAT CMD...: wait until CMD succeeds, at most a minute
bench_wait()
{
	local what=$1 i
	shift
	for ((i = 0; i < 6000; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.01
	done
	bench_die "waited a minute for $what: see the kernel log"
}

# bench_gone DEVICE: nothing is attached any more
bench_gone()
{
	[ ! -b "$1" ] || [ "$(blockdev --getsize64 "$1" 2>/dev/null || echo 0)" = 0 ]
}

# bench_detach SUBJECT DEVICE CMD...: what was attached, by CMD, and nothing of it is left
bench_detach()
{
	local subject=$1 device=$2
	shift 2
	"$@" >"$BENCH_TMP/detach" 2>&1 ||
		bench_die "$subject: does not detach: $(tail -n 1 "$BENCH_TMP/detach")"
	bench_wait "$device to go" bench_gone "$device"
	# what it left behind ends before the next one is measured, and memory is free again
	sleep 0.5
}

# bench_metric CASE: what is read off the job CASE
bench_metric()
{
	sed -n 's/^; metric: //p' "$BENCH_DIR/jobs/$1.fio"
}

# bench_fio DEVICE JOB...: run these jobs one after the other in one fio, started by the words of BENCH_FIO;
# its JSON is on stdout
bench_fio()
{
	local device=$1 job
	local -a files=()
	shift
	for job in "$@"; do
		files+=("$job.fio")
	done
	# shellcheck disable=SC2086 # words are meant
	(cd "${BENCH_JOBS:-$BENCH_DIR/jobs}" && BENCH_DEVICE=$device \
		${BENCH_FIO:-fio} --output-format=json "${files[@]}") >"$BENCH_TMP/fio.json" ||
		bench_die "fio failed on $device: $(tail -n 3 "$BENCH_TMP/fio.json")"
	# what fio says about exec_prerun comes before its JSON
	sed -n '/^{/,$p' "$BENCH_TMP/fio.json"
}

# BENCH_JQ: "job total_ios metric-of-each-kind" of every job of a fio run
# shellcheck disable=SC2016 # for jq
BENCH_JQ='.jobs[] | .error as $e |
	(if .read.total_ios > 0 then .read else .write end) |
	[$e, .total_ios, .lat_ns.mean / 1000, .iops / 1000, .bw_bytes / 1000000]'
