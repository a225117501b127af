#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does serving NBD cost r3map, beside other servers?
#
# Unlike the others it is asked on the host, of servers and clients that are
# processes, over unix sockets: the servers on one CPU, the client on another,
# or, with BENCH_UNBOUND=1, all of them wherever the scheduler puts them; with
# BENCH_FIRST=1 before everything else that wants to run there.
# All have the same data, none of it zeroes, and get the same client in turn
# (a case: every subject; then the next repetition). "cpu" is the
# processor time of the server process, threads and system calls included,
# which other load on the machine hardly changes; rates by the clock say something on a
# machine that does nothing else. Run by run.sh.

set -euo pipefail
# the data is in memory, so that no disk is measured
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"

SUBJECTS_ALL="r3map-mem nbdkit-memory nbdkit-malloc r3map-file nbdkit-file qemu-nbd"
CASES_ALL="randread-qd1 randwrite-qd1 randread-qd64 randwrite-qd64 randread-qd64-c4
	randwrite-qd64-c4 fio-randread-qd64 fio-randwrite-qd64 copy-out copy-out-c1 copy-out-c4
	copy-in copy-in-c1 copy-in-c4 idle"
COPY_BYTES=262144	# of a request of nbdcopy
RUNTIME=${BENCH_RUNTIME%ms}
IDLE=500
R3MAP=${BENCH_R3MAP:-$BENCH_DIR/../user/r3map}

declare -A PIDS=()
cleanup()
{
	[ ${#PIDS[@]} = 0 ] || kill "${PIDS[@]}" 2>/dev/null || :
	wait
	rm -rf "$BENCH_TMP"
}
trap cleanup EXIT

# the last two CPUs: interrupts tend to be on the first
cpus=$(nproc)
client=() server=()
if [ "$cpus" -gt 1 ] && [ "${BENCH_UNBOUND:-0}" = 0 ]; then
	client=(taskset -c $((cpus - 2))) server=(taskset -c $((cpus - 1)))
fi
if [ "${BENCH_FIRST:-0}" = 1 ]; then
	client+=(chrt -f 10) server+=(chrt -f 10)
fi

# server_start NAME COMMAND...: on the socket BENCH_TMP/NAME
server_start()
{
	local name=$1 err=$BENCH_TMP/$1.err
	shift
	"${server[@]}" "$@" </dev/null >"$err" 2>&1 &
	PIDS[$name]=$!
	bench_wait "$name: $(tail -n 1 "$err")" test -S "$BENCH_TMP/$name"
}

# server_up SUBJECT
server_up()
{
	local at=$BENCH_TMP/$1 tls=$BENCH_TMP/certificates/good
	local disk=driver=raw,file.driver=file,file.filename=$BENCH_TMP/disk,file.locking=off
	local -a r3map=("$R3MAP" serve -U "$at" --tls on --tls-certificates "$tls"
		--max-export-connections 1000)
	local -a nbdkit=(nbdkit -f -U "$at" --tls=on --tls-certificates="$tls")
	case $1 in
	r3map-mem) server_start "$1" "${r3map[@]}" "mem:$BENCH_SIZE" ;;
	r3map-file) server_start "$1" "${r3map[@]}" "file:$BENCH_TMP/disk" ;;
	nbdkit-memory) server_start "$1" "${nbdkit[@]}" memory "$BENCH_SIZE" ;;
	nbdkit-malloc) server_start "$1" "${nbdkit[@]}" memory "$BENCH_SIZE" allocator=malloc ;;
	nbdkit-file) server_start "$1" "${nbdkit[@]}" file "$BENCH_TMP/disk" ;;
	qemu-nbd)
		server_start "$1" qemu-nbd -t -e 0 -k "$at" --image-opts "$disk"
		server_start "$1-tls" qemu-nbd -t -e 0 -k "$at-tls" --image-opts "$disk" --tls-creds t \
			--object "tls-creds-x509,id=t,endpoint=server,dir=$tls,verify-peer=no"
		;;
	*) bench_die "unknown subject '$1': give some of: ${SUBJECTS_ALL//[[:space:]]/ }" ;;
	esac
}

# target SUBJECT plain|tls: sets uri and pid
target()
{
	local name=$1
	[ "$1 $2" != "qemu-nbd tls" ] || name=$1-tls
	pid=${PIDS[$name]} uri="nbd+unix:///?socket=$BENCH_TMP/$name"
	[ "$2" = plain ] ||
		uri="nbds${uri#nbd}&tls-certificates=$BENCH_TMP/certificates/good&tls-hostname=localhost"
}

# cost SUBJECT CASE REP REQUESTS SECONDS CPU
cost()
{
	bench_result "$1" "$2" cpu_us "$3" "$(awk "BEGIN { printf \"%.3f\", $6 / $4 * 1e6 }")"
	bench_result "$1" "$2 rate" kiops "$3" "$(awk "BEGIN { printf \"%.3f\", $4 / $5 / 1e3 }")"
}

# random SUBJECT CASE-AS-TOLD REP read|write DEPTH CONNECTIONS
random()
{
	local counted
	counted=$("${client[@]}" "$BENCH_NBD_LOAD" run "$uri" "$4" 4096 "$5" "$6" "$RUNTIME" "$pid") ||
		bench_die "$1 $2: the load failed"
	# shellcheck disable=SC2086 # three numbers
	cost "$1" "$2" "$3" $counted
}

# by_fio SUBJECT CASE REP randread|randwrite: another client, libnbd's. fio does not let it take the
# name of a folder from a URI, so the certificates are where libnbd looks for those of
# anybody but root, which this then is not
by_fio()
{
	local before after ios ms bare=${uri/tls-certificates=*&/}
	local -a fio=(fio)
	[ "$bare" = "$uri" ] || fio=(env "HOME=$BENCH_TMP/home" unshare --user fio)
	before=$("$BENCH_NBD_LOAD" cpu "$pid")
	"${client[@]}" "${fio[@]}" --name=x --ioengine=nbd --uri="$bare" --rw="$4" --bs=4k --iodepth=64 \
		--randrepeat=0 --norandommap --time_based --runtime="${RUNTIME}ms" \
		--output-format=json >"$BENCH_TMP/fio" || bench_die "$1 $2: fio failed"
	after=$("$BENCH_NBD_LOAD" cpu "$pid")
	read -r ios ms < <(sed -n '/^{/,$p' "$BENCH_TMP/fio" |
		jq -r '.jobs[0] | (if .read.total_ios > 0 then .read else .write end) |
			"\(.total_ios) \(.runtime)"')
	cost "$1" "$2" "$3" "$ios" "($ms / 1000)" "($after - $before)"
}

# copy SUBJECT CASE REP FROM TO CONNECTIONS: at most so many; without, as nbdcopy likes
copy()
{
	local before after start end bytes
	local -a nbdcopy=(nbdcopy --request-size="$COPY_BYTES")
	[ -z "$6" ] || nbdcopy+=(--connections="$6" --threads="$6")
	bytes=$(stat -c %s "$BENCH_TMP/disk")
	before=$("$BENCH_NBD_LOAD" cpu "$pid")
	start=$(date +%s%N)
	"${client[@]}" "${nbdcopy[@]}" "$4" "$5" || bench_die "$1 $2: nbdcopy failed"
	end=$(date +%s%N)
	after=$("$BENCH_NBD_LOAD" cpu "$pid")
	bench_result "$1" "$2" mbps_cpu "$3" \
		"$(awk "BEGIN { printf \"%.1f\", $bytes / 1e6 / ($after - $before) }")"
	bench_result "$1" "$2 request" cpu_us "$3" \
		"$(awk "BEGIN { printf \"%.2f\", ($after - $before) / $bytes * $COPY_BYTES * 1e6 }")"
	bench_result "$1" "$2 rate" mbps "$3" \
		"$(awk "BEGIN { printf \"%.1f\", $bytes * 1e3 / ($end - $start) }")"
}

# own_memory: KiB that only the server has, and its threads
own_memory()
{
	awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"
	find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l
}

# idle SUBJECT CASE REP: what connections that do nothing cost
idle()
{
	local -a before after
	local in out
	mapfile -t before < <(own_memory)
	coproc LOAD { "$BENCH_NBD_LOAD" idle "$uri" "$IDLE"; }
	in=${LOAD[1]} out=${LOAD[0]}
	read -r -u "$out" || bench_die "$1 $2: $IDLE connections cannot be had"
	sleep 0.2
	mapfile -t after < <(own_memory)
	exec {in}>&-
	wait "$LOAD_PID" || :
	bench_result "$1" "$2" kib "$3" \
		"$(awk "BEGIN { printf \"%.2f\", (${after[0]} - ${before[0]}) / $IDLE }")"
	bench_result "$1" "$2 threads" threads "$3" \
		"$(awk "BEGIN { printf \"%.2f\", (${after[1]} - ${before[1]}) / $IDLE }")"
}

# ask SUBJECT CASE plain|tls REP
ask()
{
	local told=$2 connections=''
	case $2 in *-c[14]) connections=${2##*-c} ;; esac
	target "$1" "$3"
	[ "$3" = plain ] || told=$2-tls
	case $2 in
	randread-qd1) random "$1" "$told" "$4" read 1 1 ;;
	randwrite-qd1) random "$1" "$told" "$4" write 1 1 ;;
	randread-qd64*) random "$1" "$told" "$4" read 64 "${connections:-1}" ;;
	randwrite-qd64*) random "$1" "$told" "$4" write 64 "${connections:-1}" ;;
	fio-*-qd64) by_fio "$1" "$told" "$4" "$(cut -d- -f2 <<<"$2")" ;;
	copy-out*) copy "$1" "$told" "$4" "$uri" null: "$connections" ;;
	copy-in*) copy "$1" "$told" "$4" "$BENCH_TMP/disk" "$uri" "$connections" ;;
	idle) idle "$1" "$told" "$4" ;;
	*) bench_die "unknown case '$2': give some of: ${CASES_ALL//[[:space:]]/ }" ;;
	esac
}

# shellcheck disable=SC2086 # words are meant
mapfile -t subjects < <(printf '%s\n' ${BENCH_SUBJECTS:-$SUBJECTS_ALL})
# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
BENCH_SIZE=${BENCH_HOST_SIZE:-1G}

"$BENCH_DIR/../selftests/lib/certificates.sh" "$BENCH_TMP/certificates"
mkdir -p "$BENCH_TMP/home/.config/pki"
ln -s "$BENCH_TMP/certificates/good" "$BENCH_TMP/home/.config/pki/libnbd"
head -c "$BENCH_SIZE" /dev/urandom >"$BENCH_TMP/disk"
for subject in "${subjects[@]}"; do
	server_up "$subject"
	target "$subject" plain
	nbdcopy "$BENCH_TMP/disk" "$uri"
done
for ((rep = 1; rep <= BENCH_REPS; rep++)); do
	for case in "${cases[@]}"; do
		# as many threads as nbdkit starts for this are a burden once; it hardly varies
		[ "$case" != idle ] || [ "$rep" = 1 ] || continue
		for how in plain tls; do
			for subject in "${subjects[@]}"; do
				ask "$subject" "$case" "$how" "$rep"
			done
			bench_say "$rep: $case, $how"
		done
	done
done
