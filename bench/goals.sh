#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: goals.sh
#
# Writes results/README.md: what was to be reached against what the newest
# result files say, whichever way that turns out. Measures nothing itself.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)

# goals_newest QUESTION: the result file of that question with the latest date
goals_newest()
{
	local f
	for f in "$here/results/"*-"$1.csv"; do
		[ -e "$f" ] || continue
		printf '%s %s\n' "$(sed -n 's/^# date: //p' "$f")" "$f"
	done | sort | tail -n 1 | cut -d' ' -f2-
}

# goals_median FILE SUBJECT CASE [METRIC]
goals_median()
{
	awk -F, -v s="$2" -v c="$3" -v m="${4:-}" '$2 == s && $3 == c && (m == "" || $4 == m) { print $6 }' "$1" | sort -g |
		awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# goals_row TEXT SUBJECT CASE PEER MOST|LEAST FACTOR
goals_row()
{
	local mine peer
	mine=$(goals_median "$speed" "$2" "$3")
	peer=$(goals_median "$speed" "$4" "$3")
	if [ -z "$mine" ] || [ -z "$peer" ]; then
		printf '| %s | %s | not measured | |\n' "$1" "$4"
		return
	fi
	awk -v text="$1" -v who="$4" -v a="$mine" -v b="$peer" -v way="$5" -v goal="$6" 'BEGIN {
		r = a / b
		ok = way == "most" ? r <= goal : r >= goal
		printf "| %s | %s | %s %s× | %.2f× | %s |\n", text, who,
			way == "most" ? "≤" : "≥", goal, r, ok ? "yes" : "**no**"
	}'
}

# goals_server TEXT CASE FACTOR: r3map-mem against nbdkit-memory, less of it being better
goals_server()
{
	local mine peer
	mine=$(goals_median "$server" r3map-mem "$2")
	peer=$(goals_median "$server" nbdkit-memory "$2")
	awk -v text="$1" -v a="${mine:-0}" -v b="${peer:-0}" -v goal="$3" 'BEGIN {
		r = a > 0 ? b / a : 0
		printf "| %s | nbdkit-memory | ≥ %s× | %.2f× | %s |\n", text, goal, r,
			(r >= goal ? "yes" : "**no**")
	}'
}

# goals_copy FILE TEXT CASE: r3map-mem against whichever other server is best
goals_copy()
{
	local mine peer name best=0
	mine=$(goals_median "$1" r3map-mem "$3")
	for name in nbdkit-memory nbdkit-malloc nbdkit-file qemu-nbd; do
		peer=$(goals_median "$1" $name "$3")
		best=$(awk -v a="$best" -v b="${peer:-0}" 'BEGIN { print (b > a ? b : a) }')
	done
	awk -v text="$2" -v a="${mine:-0}" -v b="$best" 'BEGIN {
		r = b > 0 ? a / b : 0
		printf "| %s | the best other server | ≥ 1× | %.2f× | %s |\n", text, r,
			(r >= 1 ? "yes" : "**no**")
	}'
}

# goals_value TEXT AGAINST MOST|LEAST GOAL UNIT VALUE
goals_value()
{
	awk -v text="$1" -v against="$2" -v way="$3" -v goal="$4" -v unit="$5" -v v="$6" 'BEGIN {
		if (v == "") {
			printf "| %s | %s | | not measured | |\n", text, against
			exit
		}
		ok = way == "most" ? v + 0 <= goal + 0 : v + 0 >= goal + 0
		printf "| %s | %s | %s %s%s | %s%s%s%s | %s |\n", text, against,
			way == "most" ? "≤" : "≥", goal, unit, ok ? "" : "**", sprintf("%.4g", v), unit,
			ok ? "" : "**", ok ? "yes" : "**no**"
	}'
}

# goals_quotient FILE SUBJECT CASE PEER PEER_CASE [LESS]: of the first, less LESS
goals_quotient()
{
	local a b
	[ -n "$1" ] || return 0
	a=$(goals_median "$1" "$2" "$3")
	b=$(goals_median "$1" "$4" "$5")
	awk -v a="$a" -v b="$b" -v less="${6:-0}" 'BEGIN { if (a != "" && b > 0) print (a - less) / b }'
}

# goals_one FILE SUBJECT CASE [SCALE]
goals_one()
{
	local v
	[ -n "$1" ] || return 0
	v=$(goals_median "$1" "$2" "$3")
	[ -z "$v" ] || awk -v v="$v" -v scale="${4:-1}" 'BEGIN { print v * scale }'
}

# goals_worst FILE SUBJECT CASE: the largest of them
goals_worst()
{
	awk -F, -v s="$2" -v c="$3" '$2 == s && $3 == c && $6 + 0 > most + 0 { most = $6 } END { print most }' "$1"
}

# goals_managed: what managed mounts were to reach
goals_managed()
{
	local rtt case size subject first all demand write present readers memory
	present=$(goals_newest present) first=$(goals_newest cold-first)
	all=$(goals_newest cold-read) demand=$(goals_newest demand)
	write=$(goals_newest write-back) readers=$(goals_newest readers)
	memory=$(goals_newest memory)
	cat <<-'END'
	Managed mounts; the server is nbdkit, behind 1 Gbit/s and a round trip (RTT):

	| | against | goal | reached | met |
	| --- | --- | ---: | ---: | --- |
	END
	goals_value "4K random read of present chunks, depth 1, latency" brd most 1.1 × \
		"$(goals_quotient "$present" r3map-managed randread-qd1 brd randread-qd1)"
	goals_value "128K read of present chunks, depth 8, MB/s" brd least 0.9 × \
		"$(goals_quotient "$present" r3map-managed read-qd8 brd read-qd8)"
	goals_value "the helper's processor time of such a read" "" most 0 " µs" \
		"$(goals_one "$present" r3map-managed "randread-qd1 helper")"
	for rtt in 0 10; do
		goals_value "first 4K of a cold mount, RTT $rtt ms" r3map-direct most 1.3 × \
			"$(goals_quotient "$first" r3map-managed rtt$rtt r3map-direct rtt$rtt)"
		goals_value "the same, from the start of the command" r3map-direct most 1.3 × \
			"$(goals_quotient "$first" r3map-managed "rtt$rtt with attach" \
				r3map-direct "rtt$rtt with attach")"
		goals_value "the first, less a round trip" r3map-direct most 1.3 × \
			"$(goals_quotient "$first" r3map-managed rtt$rtt r3map-direct rtt$rtt $rtt)"
	done
	for rtt in 10 30; do
		for subject in r3map-managed r3map-pipeline kernel-nbd; do
			goals_value "cold 256 MiB through the page cache, RTT $rtt ms, $subject" \
				"125 MB/s" least 0.9 × "$(goals_one "$all" "$subject" rtt$rtt 0.008)"
		done
		goals_value "the same of r3map-managed" "a plain TCP stream" least 0.95 × \
			"$(goals_quotient "$all" r3map-managed rtt$rtt tcp rtt$rtt)"
		goals_value "the same" "16 of them at once" least 0.9 × \
			"$(goals_quotient "$all" r3map-managed rtt$rtt tcp-16 rtt$rtt)"
	done
	for case in local 4k 64k; do
		goals_value "4K random writes, RTT 30 ms, $case" "RTT 0" least 0.95 × \
			"$(goals_quotient "$write" r3map-managed "rtt30 $case" r3map-managed "rtt0 $case")"
		goals_value "the same, the slowest of 1000" "RTT" most 1 × \
			"$(goals_one "$write" r3map-managed "rtt30 $case p99.9" 0.033333)"
	done
	goals_value "requests for one cold chunk of 64 readers" "" most 1 "" \
		"$(goals_one "$readers" r3map-managed "rtt10 at the server")"
	goals_value "p99 of a miss beside a full pull, RTT 10 ms" "RTT" most 2 × \
		"$(goals_one "$demand" r3map-managed "rtt10 p99" 0.1)"
	goals_value "the same, with the start of the pull" "RTT" most 2 × \
		"$(goals_one "$demand" r3map-managed "rtt10 start p99" 0.1)"
	for size in 1G 16G 64G 256G 1T; do
		goals_value "memory besides the store, of $size" "the region" most 1 ‰ \
			"$(goals_one "$memory" r3map-managed $size)"
	done
	printf '\n'
}

# goals_migrate: what migrations were to reach
goals_migrate()
{
	local rate rtt depth case managed
	cat <<-'END'
	Migrations of 256 MiB, behind 1 Gbit/s and a round trip (RTT): how long the writer stops, the worst of all
	repetitions; what a managed mount takes that is closed here and opened there is beside it:

	| | against | goal | reached | met |
	| --- | --- | ---: | ---: | --- |
	END
	for rate in 1 10 50; do
		for rtt in 0 10 30; do
			case="rtt$rtt at $rate MB/s"
			managed=$(goals_one "$1" managed "$case")
			goals_value "stop of a writer of $rate MB/s, RTT $rtt ms; the median is $(goals_one "$1" migration "$case") ms" \
				"a managed mount takes ${managed:-?} ms" most $((rtt + 5)) " ms" \
				"$(goals_worst "$1" migration "$case")"
		done
	done
	goals_value "bytes sent, 5 % written a second" "region and written" most 1.15 " x" \
		"$(goals_one "$1" migration bytes)"
	for depth in 1 32; do
		goals_value "4K random writes of one that is followed, depth $depth, IOPS" "of one that is not" least 0.97 × \
			"$(goals_quotient "$1" migration "tracked at depth $depth" \
				migration "tracked at depth $depth before")"
	done
	[ -z "$list" ] || for rtt in scattered clustered; do
		goals_value "list of 64 GiB, 1 % dirty, $rtt" "2 ms" most 2 " ms" "$(goals_one "$list" r3map "$rtt told")"
	done
	printf '\n'
}

# goals_uffd FILE: what userfaultfd was to reach
goals_uffd()
{
	local rtt goal subject
	cat <<-'END'
	256 MiB of memory that another process fills, read in order by one thread, MB/s, by the host's clock; the goal of *plain*
	is what it is said to reach elsewhere. Handler and reader have a CPU each, so each of its faults is two
	wake-ups of another CPU, or one for both, where it is two switches of one:

	| | against | goal | reached | met |
	| --- | --- | ---: | ---: | --- |
	END
	for rtt in 0 10 40; do
		goal=50
		[ $rtt != 0 ] || goal=5
		for subject in all huge; do
			goals_value "userfaultfd, $subject, RTT $rtt ms" plain least $goal × \
				"$(goals_quotient "$1" $subject rtt$rtt plain rtt$rtt)"
		done
	done
	for subject in all huge; do
		goals_value "userfaultfd, $subject, on one CPU" plain least 5 × \
			"$(goals_quotient "$1" $subject rtt0-1cpu plain rtt0-1cpu)"
		goals_value "userfaultfd, $subject, 32 threads" plain least 5 × \
			"$(goals_quotient "$1" $subject rtt0-t32 plain rtt0-t32)"
	done
	goals_value "userfaultfd, plain" memory least 0.0225 × "$(goals_quotient "$1" plain rtt0 memory rtt0)"
	goals_value "userfaultfd, plain, on one CPU" memory least 0.0225 × \
		"$(goals_quotient "$1" plain rtt0-1cpu memory rtt0)"
	goals_value "userfaultfd, plain, 32 threads" memory least 0.0225 × \
		"$(goals_quotient "$1" plain rtt0-t32 memory rtt0-t32)"
	printf '\n'
}

# goals_ratio TEXT AGAINST MOST|LEAST GOAL UNIT A B: the first by the second
goals_ratio()
{
	goals_value "$1" "$2" "$3" "$4" "$5" "$(awk -v a="${6:-}" -v b="${7:-0}" 'BEGIN { if (a != "" && b > 0) print a / b }')"
}

# goals_delta FILE: what delta synchronisation was to reach
goals_delta()
{
	local size case part name least
	cat <<-'END'
	A copy of a file brought up to date, by the host's clock, both ends; *more*: than the bytes of the pieces that have
	changed:

	| | against | goal | reached | met |
	| --- | --- | ---: | ---: | --- |
	END
	for case in changed-{0,1,10,100} written small-{0,1,10,100}; do
		size="1 GiB" part=${case#*-} least=1
		[ "${case%-*}" != small ] || size="256 MiB"
		[ "$case" != changed-1 ] || least=3
		name="$size, $part % changed"
		[ "$case" != written ] || name="$size, 1 % changed, and written to meanwhile"
		goals_ratio "$name: speed" "rsync's default" least $least × "$(goals_median "$1" rsync "$case" s)" \
			"$(goals_median "$1" r3map "$case" s)"
		[ "$case" = written ] || [ "$part" = 0 ] ||
			goals_value "the same: bytes" "what has changed" most 1 " % more" "$(goals_median "$1" r3map "$case" over_pct)"
	done
	printf '\n'
}

# goals_star FILE: what a hub was to reach
goals_star()
{
	local metric
	cat <<-'END'
	A sender with a hub, 16 receivers against one:

	| | against | goal | reached | met |
	| --- | --- | ---: | ---: | --- |
	END
	for metric in cpu_s mb; do
		goals_ratio "$([ $metric = mb ] && echo "bytes of the sender" || echo "its processor time")" "one receiver" most 1.05 × \
			"$(goals_median "$1" r3map-hub receivers-16 $metric)" "$(goals_median "$1" r3map-hub receivers-1 $metric)"
	done
	printf '\n'
}

server=$(goals_newest nbd-server)
loose=$(goals_newest nbd-server-unbound)
speed=$(goals_newest latency-throughput)
attach=$(goals_newest attach)
migrate=$(goals_newest migrate)
uffd=$(goals_newest uffd)
list=$(goals_newest dirty-list)
delta=$(goals_newest delta)
star=$(goals_newest star)
if [ -z "$speed" ]; then
	echo "goals.sh: there are no result files: run make bench first" >&2
	exit 1
fi
{
	cat <<-END
	<!-- SPDX-License-Identifier: GPL-2.0-or-later; written by bench/goals.sh -->
	# What was to be reached, and what was

	Ratios of medians within one run, in virtual time (../README.md says what that can tell and
	what it cannot). Kernel, commit and command of each run are with its table, further down;
	the runs need not be of the same commit.

	| | against | goal | reached | met |
	| --- | --- | ---: | ---: | --- |
	END
	for peer in kernel-nbd ublk-null; do
		case $peer in
		kernel-nbd) lat=0.40 iops=3 mbps=3 ;;
		ublk-null) lat=0.95 iops=1.5 mbps=1.2 ;;
		esac
		goals_row "4K random read, depth 1, latency" r3map-mem randread-qd1 $peer most "$lat"
		goals_row "4K random read, depth 32, IOPS" r3map-mem randread-qd32 $peer least "$iops"
		goals_row "4K random write, depth 32, IOPS" r3map-mem randwrite-qd32 $peer least "$iops"
		goals_row "128K read, depth 8, MB/s" r3map-mem read-qd8 $peer least "$mbps"
		goals_row "128K write, depth 8, MB/s" r3map-mem write-qd8 $peer least "$mbps"
	done
	goals_row "through nbd+unix: to nbdkit: 4K random read, depth 32" r3map-nbd randread-qd32 kernel-nbd least 1.3
	goals_row "through nbd+unix: to nbdkit: 4K random write, depth 32" r3map-nbd randwrite-qd32 kernel-nbd least 1.3
	for subject in r3map-mem r3map-nbd; do
		if [ -z "$attach" ]; then
			printf '| attach, %s | | ≤ 5 ms | no kept run | |\n' "$subject"
			continue
		fi
		ms=$(goals_median "$attach" $subject attach)
		peer=$(goals_median "$attach" kernel-nbd attach)
		awk -v s="$subject" -v a="${ms:-0}" -v b="${peer:-0}" 'BEGIN {
			printf "| attach, %s | kernel-nbd takes %.1f ms | ≤ 5 ms | %.2f ms | %s |\n", s, b, a,
				(a > 0 && a <= 5 ? "yes" : "**no**") }'
	done
	cat <<-'END'

	The kernel NBD client and r3map-nbd work on the same nbdkit memory server over a unix
	socket; ublk-null is rublk's null target, which touches no data, while r3map-mem copies
	all of it.

	END
	goals_managed
	[ -z "$migrate" ] || goals_migrate "$migrate"
	[ -z "$uffd" ] || goals_uffd "$uffd"
	[ -z "$delta" ] || goals_delta "$delta"
	[ -z "$star" ] || goals_star "$star"
	if [ -n "$server" ]; then
		cat <<-'END'
		`r3map serve` on memory, per second of the server's processor time:

		| | against | goal | reached | met |
		| --- | --- | ---: | ---: | --- |
		END
		for how in "" -tls; do
			goals_server "fio with libnbd: random read, depth 64${how:+, TLS}" "fio-randread-qd64$how" 1.5
			goals_server "fio with libnbd: random write, depth 64${how:+, TLS}" "fio-randwrite-qd64$how" 1.5
			goals_server "4K random read, depth 64${how:+, TLS}" "randread-qd64$how" 1.5
			goals_server "4K random write, depth 64${how:+, TLS}" "randwrite-qd64$how" 1.5
			for connections in "" -c1 -c4; do
				text="nbdcopy${connections:+ -C ${connections#-c}}"
				goals_copy "$server" "$text out, MB${how:+, TLS}" "copy-out$connections$how"
				goals_copy "$server" "$text in, MB${how:+, TLS}" "copy-in$connections$how"
			done
			awk -v text="an idle connection${how:+, TLS}" \
				-v a="$(goals_median "$server" r3map-mem "idle$how")" 'BEGIN {
				printf "| %s | | < 64 KiB | %.1f KiB | %s |\n", text, a,
					(a < 64 ? "yes" : "**no**")
			}'
		done
		printf '\n'
	fi
	if [ -n "$loose" ]; then
		cat <<-'END'
		`r3map serve` on memory, MB/s by the clock, nothing bound to a CPU:

		| | against | goal | reached | met |
		| --- | --- | ---: | ---: | --- |
		END
		for how in "" -tls; do
			goals_copy "$loose" "nbdcopy out${how:+, TLS}" "copy-out$how rate"
			goals_copy "$loose" "nbdcopy in${how:+, TLS}" "copy-in$how rate"
		done
		printf '\n'
	fi
	for f in "$speed" "$attach" "$(goals_newest helper-cpu)" "$server" "$loose" \
		"$(goals_newest present)" "$(goals_newest cold-first)" "$(goals_newest cold-read)" \
		"$(goals_newest demand)" "$(goals_newest readers)" "$(goals_newest write-back)" \
		"$(goals_newest pull-workers)" "$(goals_newest push-workers)" "$(goals_newest chunk-size)" \
		"$(goals_newest pull-first)" "$(goals_newest slow-store)" "$(goals_newest memory)" "$migrate" "$list" \
		"$uffd" "$delta" "$star"; do
		[ -n "$f" ] || continue
		sed -e 's/^# /## /' "${f%.csv}.md"
		printf '\n'
	done
} >"$here/results/README.md"
