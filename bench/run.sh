#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: run.sh [OPTION...]
#
# Boots one machine of the lab in virtual time, asks the questions of this
# folder there with every peer in the same run, prints tables with ratios,
# and keeps them in results/. See README.md for what the figures mean.
# The questions nbd-server, uffd and delta need no machine: they are asked here, in real time.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../selftests/vm/common.sh"

run_help()
{
	cat <<-'END'
	usage: run.sh [OPTION...]
	  --questions LIST   of latency-throughput, attach, helper-cpu, nbd-server (these), migrate, dirty-list, uffd, delta,
	                     and of
	                     managed mounts, all of them as "managed": present, cold-first, cold-read, demand,
	                     readers, write-back, pull-workers, push-workers, chunk-size, pull-first,
	                     slow-store, memory
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
	  --first            nbd-server, uffd: they run before all else (SCHED_FIFO), on a busy machine
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
managed=present,cold-first,cold-read,demand,readers,write-back,pull-workers,push-workers,chunk-size,pull-first
managed+=,slow-store,memory
IFS=, read -ra asked <<<"${questions/#managed/$managed}"
lab=()
for question in "${asked[@]}"; do
	case $question in
	latency-throughput | attach | helper-cpu | migrate | dirty-list) lab+=("$question") ;;
	nbd-server | uffd | delta) ;;
	*)
		case ,$managed, in
		*",$question,"*) lab+=("$question"); continue ;;
		esac
		;;&
	*) vm_usage "unknown question '$question': see run.sh --help" ;;
	esac
done

groups=(build peers)
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

# run_lab: ask the questions that need a machine of the lab
run_lab()
{
	local vars
	vars=$("$here/../selftests/vm/kernel.sh" "$kernel")
	eval "$vars"
	[ -n "$ko" ] || ko=$("$here/../selftests/vm/module.sh" "$kernel")
	gcc -std=gnu11 -O2 -Wall -Wextra -o "$R3MAP_CACHE/bench/attach-clock" "$here/attach-clock.c"
	gcc -std=gnu11 -O2 -Wall -Wextra -pthread -o "$R3MAP_CACHE/bench/region-clock" \
		"$here/region-clock.c"
	gcc -std=gnu11 -O2 -Wall -Wextra -pthread -o "$R3MAP_CACHE/bench/tcp-clock" "$here/tcp-clock.c"
	vm_say "measuring on $KERNEL_RELEASE; about a minute for each subject and question"
	local env=(--env "BENCH_SUBJECTS=$subjects" --env "BENCH_CASES=$cases"
		--env "BENCH_REPS=$reps" --env "BENCH_RUNTIME=${runtime}ms"
		--env "BENCH_MOUNT_OPTIONS=$options" --env "BENCH_R3MAP=$program"
		--env "BENCH_RUBLK=$rublk" --env "BENCH_CLOCK=$R3MAP_CACHE/bench/attach-clock"
		--env "BENCH_REGION_CLOCK=$R3MAP_CACHE/bench/region-clock"
		--env "BENCH_TCP_CLOCK=$R3MAP_CACHE/bench/tcp-clock")
	# a question that fails takes nothing from those that were answered
	# shellcheck disable=SC2016 # for the shell in the guest
	"$here/../selftests/vm/boot.sh" --kernel "$kernel" --mem 2G "${clock[@]}" --module "$ko" \
		--timeout 14400 --out "$tmp/out" "${env[@]}" -- bash -c '
		failed=0
		for q; do
			bench/$q.sh >/tmp/csv && cp /tmp/csv "$R3MAP_OUT/$q.csv" || failed=1
		done
		exit $failed' bench "${lab[@]}" || status=$?
}

# run_uffd: ask uffd
run_uffd()
{
	local reader=$R3MAP_CACHE/bench/uffd-clock top=$R3MAP_TOP/user
	make --no-print-directory -s -C "$top" lib >&2
	gcc -std=gnu11 -O3 -Wall -Wextra -pthread -I"$top/libr3map" -o "$reader" "$here/uffd-clock.c" \
		"$top/build/libr3map.a"
	BENCH_SUBJECTS=${subjects//,/ } BENCH_CASES=$cases BENCH_REPS=$reps BENCH_R3MAP=$program \
		BENCH_FIRST=$first BENCH_UFFD_CLOCK=$reader \
		"$here/uffd.sh" >"$tmp/csv" && mv "$tmp/csv" "$tmp/out/uffd.csv" || status=$?
}

# run_host: ask nbd-server
run_host()
{
	local load=$R3MAP_CACHE/bench/nbd-load top=$R3MAP_TOP/user
	make --no-print-directory -s -C "$top" lib >&2
	# shellcheck disable=SC2046 # words are meant
	gcc -std=gnu11 -O2 -Wall -Wextra -pthread -I"$top" -isystem "$R3MAP_TOP/uapi" -o "$load" \
		"$here/nbd-load.c" "$top/build/libprogram.a" \
		$(pkg-config --libs libnl-3.0 libnl-genl-3.0 liburing libcjson gnutls)
	BENCH_SUBJECTS=${subjects//,/ } BENCH_CASES=$cases BENCH_REPS=$reps \
		BENCH_RUNTIME=${runtime}ms BENCH_R3MAP=$program BENCH_UNBOUND=$unbound BENCH_FIRST=$first \
		BENCH_LOAD=$load \
		"$here/nbd-server.sh" >"$tmp/csv" && mv "$tmp/csv" "$tmp/out/nbd-server.csv" || status=$?
}

# run_delta: ask delta
run_delta()
{
	BENCH_SUBJECTS=${subjects//,/ } BENCH_CASES=$cases BENCH_REPS=$reps BENCH_R3MAP=$program \
		"$here/delta.sh" >"$tmp/csv" && mv "$tmp/csv" "$tmp/out/delta.csv" || status=$?
}

# run_head QUESTION: what must be known to make sense of the figures
run_head()
{
	if [ "$1" = nbd-server ] || [ "$1" = uffd ] || [ "$1" = delta ]; then
		printf '# kernel: %s\n# commit: %s\n# command: %s\n' "$(uname -r)" "$commit" "$command"
		echo "# clock: real, $(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg) at the end"
		printf '# date: %s\n# machine:%s\n' "$(date -u +%Y-%m-%dT%H:%MZ)" \
			"$(sed -n 's/^model name.*://p' /proc/cpuinfo | head -n 1)"
		[ "$1" != uffd ] || return 0
	fi
	if [ "$1" = delta ]; then
		printf '# peers: %s\n' "$(rsync --version | head -n 1)"
		return
	elif [ "$1" = nbd-server ]; then
		printf '# peers: nbdkit %s; qemu-nbd %s; libnbd %s; %s\n' \
			"$(dpkg-query -W -f '${Version}' nbdkit)" "$(dpkg-query -W -f '${Version}' qemu-utils)" \
			"$(dpkg-query -W -f '${Version}' libnbd-bin)" "$(fio --version)"
		return
	fi
	printf '# kernel: %s\n# commit: %s\n# command: %s\n' "$KERNEL_RELEASE" "$commit" "$command"
	if [ ${#clock[@]} -gt 0 ]; then
		echo "# clock: virtual, one instruction is one nanosecond, one CPU"
	else
		echo "# clock: real, emulated CPU"
	fi
	printf '# date: %s\n# machine: %s\n' "$(date -u +%Y-%m-%dT%H:%MZ)" \
		"$(qemu-system-x86_64 --version | head -n 1)"
	printf '# peers: %s; nbdkit %s; nbd-client %s; rublk %s\n' "$(fio --version)" \
		"$(dpkg-query -W -f '${Version}' nbdkit)" \
		"$(dpkg-query -W -f '${Version}' nbd-client)" \
		"$({ [ -x "$rublk" ] && "$rublk" --version; } 2>/dev/null | awk '{ print $2 }' | grep . || echo none)"
}

# run_tables QUESTION: from the results on stdin
run_tables()
{
	local rows=(awk -v OURS=r3map -f "$here/lib/stats.awk" -f "$here/lib/rows.awk") csv=$tmp/csv
	if [ "$1" = uffd ]; then
		awk -v BASES=plain -f "$here/lib/stats.awk" -f "$here/lib/table.awk"
		return
	elif [ "$1" = delta ]; then
		cat >"$csv"
		for metric in s cpu_s mb; do
			grep ",$metric," "$csv" | "${rows[@]}" -v METRICS=$metric
			printf '\n'
		done
		return
	elif [ "$1" != nbd-server ]; then
		awk -v BASES=kernel-nbd,ublk-null -f "$here/lib/stats.awk" -f "$here/lib/table.awk"
		return
	fi
	cat >"$csv"
	printf 'Processor time of the server; ×: to the best of the other servers\n\n'
	"${rows[@]}" -v METRICS=cpu_us,mbps_cpu "$csv"
	printf '\nBy the clock, of a server that has %s\n\n' \
		"$([ $unbound = 1 ] && echo 'the whole machine' || echo 'one CPU')"
	"${rows[@]}" -v METRICS=kiops,mbps "$csv"
	printf '\nAn idle connection\n\n'
	"${rows[@]}" -v METRICS=kib,threads "$csv"
}

[ ${#lab[@]} = 0 ] || run_lab
case " ${asked[*]} " in *" nbd-server "*) run_host ;; esac
case " ${asked[*]} " in *" uffd "*) run_uffd ;; esac
case " ${asked[*]} " in *" delta "*) run_delta ;; esac

[ -n "$save" ] || save=$full
for question in "${asked[@]}"; do
	[ -s "$tmp/out/$question.csv" ] || continue
	{
		run_head "$question"
		printf '# repetitions: %s of %s ms\n' "$reps" "$runtime"
		echo "question,subject,case,metric,repetition,value"
		cat "$tmp/out/$question.csv"
	} >"$tmp/$question.csv"
	{
		printf '# %s\n\n' "$question"
		sed -n 's/^# /* /p' "$tmp/$question.csv"
		printf '\n'
		grep -v '^question,' "$tmp/$question.csv" | run_tables "$question"
	} >"$tmp/$question.md"
	cat "$tmp/$question.md"
	printf '\n'
	if [ "$save" = 1 ]; then
		kept=$date-$commit-$question
		[ "$question$unbound" != nbd-server1 ] || kept+=-unbound
		for kind in csv md; do
			cp "$tmp/$question.$kind" "$here/results/$kept.$kind"
		done
		vm_say "kept as bench/results/$kept.md"
	fi
done
exit "$status"
