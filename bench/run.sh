#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: run.sh [OPTION...]
#
# Boots one machine of the lab in virtual time, asks the questions of this
# folder there with every peer in the same run, prints tables with ratios,
# and keeps them in results/. See README.md for what the figures mean.
# Some questions need no machine: they are asked here, in real time.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../selftests/vm/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/lib/ask.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/lib/report.sh"

run_help()
{
	cat <<-'END'
	usage: run.sh [OPTION...]
	  --questions LIST   of latency-throughput, attach, helper-cpu, nbd-server (these), migrate, dirty-list, uffd;
	                     of managed mounts, all of them as "managed": present, cold-first, cold-read,
	                     demand, readers, write-back, pull-workers, push-workers, chunk-size, pull-first,
	                     slow-store, memory; of deltas, delta-chunk;
	                     of the comparison, all of them as "comparison": read-paths, uffd, write-paths, hashes,
	                     delta, star, ready, side-by-side
	  --subjects LIST    the devices, or servers, to compare (all); NAME@DIR takes r3map and
	                     r3map.ko from DIR, to compare builds in one run
	  --cases LIST       the jobs to run, such as randread-qd1,write-qd8 (all)
	  --reps N           repetitions of each (3)
	  --runtime MS       milliseconds of each repetition (100 of virtual time)
	  --kernel NAME      6.1 or 6.12 (the default)
	  --r3map FILE       this program instead of the one built from user/
	  --ko FILE          this module instead of the one built from kmod/
	  --mount-options S  more options for every 'r3map mount'
	  --unbound          nbd-server: servers and clients are not bound to a CPU each
	  --first            nbd-server, uffd, delta, delta-chunk: they run before all else (SCHED_FIFO), on a busy machine
	  --real             real time instead of virtual time
	  --save, --no-save  keep the tables in results/ (only for a run without filters)
	Lists are separated by commas.
	END
}

questions=latency-throughput,attach,helper-cpu,nbd-server
subjects='' cases='' reps=3 runtime=100 kernel=6.12 program='' ko='' options=''
save='' full=1 unbound=0 first=0 clock=(--icount) command="bench/run.sh $*"
while [ $# -gt 0 ]; do
	case $1 in
	--questions | --subjects | --cases | --reps | --runtime | --kernel | --r3map | --ko | --mount-options)
		[ $# -ge 2 ] || vm_usage "$1 wants a value: see run.sh --help"
		;;&
	--questions) questions=$2; shift 2 ;;
	--subjects) subjects=$2 full=0; shift 2 ;;
	--cases) cases=$2 full=0; shift 2 ;;
	--reps) reps=$2; shift 2 ;;
	--runtime) runtime=$2; shift 2 ;;
	--kernel) kernel=$2; shift 2 ;;
	--r3map) program=$(realpath "$2") full=0; shift 2 ;;
	--ko) ko=$(realpath "$2") full=0; shift 2 ;;
	--mount-options) options=$2 full=0; shift 2 ;;
	--unbound) unbound=1; shift ;;
	--first) first=1; shift ;;
	--real) clock=() full=0; shift ;;
	--save) save=1; shift ;;
	--no-save) save=0; shift ;;
	--help) run_help; exit 0 ;;
	*) vm_usage "unknown option '$1': see run.sh --help" ;;
	esac
done
[[ $reps =~ ^[1-9][0-9]*$ && $runtime =~ ^[1-9][0-9]*$ ]] ||
	vm_usage "--reps and --runtime want whole numbers above 0"
MANAGED=present,cold-first,cold-read,demand,readers,write-back,pull-workers,push-workers,chunk-size,pull-first
MANAGED+=,slow-store,memory
COMPARISON=read-paths,uffd,write-paths,hashes,delta,star,ready,side-by-side
LAB=latency-throughput,attach,helper-cpu,migrate,dirty-list,read-paths,write-paths,ready,side-by-side,$MANAGED
HOST=nbd-server,uffd,hashes,delta,delta-chunk,star

# run_is_host QUESTION: is it asked of processes here, not in a machine?
run_is_host()
{
	[[ ,$HOST, = *",$1,"* ]]
}

questions=${questions/#managed/$MANAGED}
IFS=, read -ra asked <<<"${questions/#comparison/$COMPARISON}"
lab=()
for question in "${asked[@]}"; do
	if [[ ,$LAB, = *",$question,"* ]]; then
		lab+=("$question")
	elif ! run_is_host "$question"; then
		vm_usage "unknown question '$question': see run.sh --help"
	fi
done

groups=(build peers bench)
[ ${#lab[@]} = 0 ] || groups+=(lab)
"$here/../selftests/vm/packages.sh" "${groups[@]}"
[ -n "$program" ] || make --no-print-directory -s -C "$R3MAP_TOP/user" >&2
mkdir -p "$R3MAP_CACHE/bench"
rublk=$R3MAP_CACHE/ublk/bin/rublk
[ -x "$rublk" ] || rublk=$(command -v rublk || :)

tmp=$(mktemp -d "${TMPDIR:-/tmp}/r3map-bench.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
commit=$(git -C "$R3MAP_TOP" rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git -C "$R3MAP_TOP" status --porcelain -- kmod user uapi 2>/dev/null)" ] || commit+=-dirty
date=$(date +%Y%m%d)

mkdir "$tmp/out"
status=0

[ ${#lab[@]} = 0 ] || ask_lab "${lab[@]}"
for question in "${asked[@]}"; do
	! run_is_host "$question" || ask_host "$question"
done
[ -n "$save" ] || save=$full
for question in "${asked[@]}"; do
	[ ! -s "$tmp/out/$question.csv" ] || report "$question"
done
exit "$status"
