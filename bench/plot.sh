#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: plot.sh RESULT.csv...
#
# Draws the pictures of results that have one, as RESULT.svg beside each, with gnuplot. A result of another question
# is left alone. run.sh calls it for what it keeps.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../selftests/vm/common.sh"
[ $# -gt 0 ] || vm_usage "give results: bench/results/*.csv"
command -v gnuplot >/dev/null || "$here/../selftests/vm/packages.sh" bench
tmp=$(mktemp -d "${TMPDIR:-/tmp}/r3map-plot.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# plot_panel KIND TITLE X Y METRIC BEGIN END: one more part of the picture of $csv. KIND is lines or bars, or
# log or log-bars, with a logarithmic Y. Of cases with METRIC that begin with BEGIN and end with END.
plot_panel()
{
	local data=$tmp/$((++panels)) columns
	awk -v METRIC="$5" -v BEGIN_="$6" -v END_="$7" -f "$here/lib/stats.awk" -f "$here/lib/matrix.awk" \
		"$csv" >"$data"
	columns=$(head -n 1 "$data" | awk -F '\t' '{ print NF }')
	{
		printf 'set title "%s"\nset xlabel "%s"\nset ylabel "%s"\n' "$2" "$3" "$4"
		case $1 in
		log) printf 'set logscale y\nset format y "%%g"\nset yrange [*:*]\n' ;;
		log-bars) printf 'set logscale y\nset format y "%%g"\nset yrange [0.1:*]\n' ;;
		*) printf 'unset logscale y\nset format y "%%g"\nset yrange [0:*]\n' ;;
		esac
		case $1 in
		bars | log-bars)
			printf 'set style data histograms\nset xtics rotate by -20\n'
			printf 'plot for [i=2:%s] "%s" using i:xtic(1) title columnheader(i)\n' "$columns" "$data"
			;;
		*)
			printf 'set xtics norotate autofreq\n'
			printf 'plot for [i=2:%s] "%s" using 1:i with linespoints title columnheader(i)\n' "$columns" "$data"
			;;
		esac
	} >>"$tmp/panels"
}

# plot_panels QUESTION: its parts; 1 if it has none
plot_panels()
{
	case $1 in
	read-paths)
		plot_panel log "All of 128 MiB, in order" "round trip, ms" "MB/s" mbps rtt ""
		plot_panel log "The first 4 KiB" "round trip, ms" "ms" ms rtt " first"
		;;
	write-paths)
		plot_panel log "4 KiB at random places, 32 at a time" "round trip, ms" "kIOPS" kiops rtt " random"
		plot_panel log "In order, 1 MiB at a time" "round trip, ms" "MB/s" mbps rtt " written"
		plot_panel log "The same, until the server has all of it" "round trip, ms" "MB/s" mbps rtt " at the server"
		;;
	hashes) plot_panel bars "Finding writes" "chunk; t2: two threads" "GB/s" gbps "" "" ;;
	delta)
		plot_panel log-bars "Time" "% of the pieces changed" "s" s "changed-" ""
		plot_panel log-bars "Processor time of both ends" "% of the pieces changed" "s" cpu_s "changed-" ""
		plot_panel log-bars "Time, of 256 MiB" "% of the pieces changed" "s" s "small-" ""
		;;
	star)
		plot_panel lines "Processor time of the sender" "receivers" "s" cpu_s "receivers-" ""
		plot_panel lines "Bytes that the sender sent" "receivers" "MB" mb "receivers-" ""
		;;
	ready) plot_panel bars "From the start of the command until it is known" "" "ms" ms "" "" ;;
	side-by-side)
		plot_panel log-bars "Time, with what makes the path be there" "job" "s" s "" " with ready"
		plot_panel bars "Processor time of the whole machine" "job" "s" cpu_s "" " machine"
		plot_panel bars "Bytes on the network" "job" "MB" mb "" " network"
		;;
	migrate)
		plot_panel log "A writer of 1 MB/s" "round trip, ms" "stop, ms" ms rtt " at 1 MB/s"
		plot_panel log "A writer of 10 MB/s" "round trip, ms" "stop, ms" ms rtt " at 10 MB/s"
		plot_panel log "A writer of 50 MB/s" "round trip, ms" "stop, ms" ms rtt " at 50 MB/s"
		;;
	*) return 1 ;;
	esac
}

for csv; do
	question=$(awk -F , '!/^#/ && !/^question,/ { print $1; exit }' "$csv")
	panels=0
	: >"$tmp/panels"
	plot_panels "$question" || continue
	{
		printf 'set terminal svg size 960,%s font "sans,13" background "white"\n' $((panels * 420))
		printf 'set output "%s"\n' "$tmp/svg"
		cat <<-'END'
		set datafile separator "\t"
		set datafile missing "?"
		set key outside right top noenhanced
		do for [i=1:14] { set linetype i linewidth 2 }
		set grid ytics
		set style fill solid 0.8
		set style histogram clustered gap 1
		END
		printf 'set multiplot layout %s,1\n' $panels
		cat "$tmp/panels"
		printf 'unset multiplot\n'
	} >"$tmp/script"
	gnuplot "$tmp/script"
	mv "$tmp/svg" "${csv%.csv}.svg"
	vm_say "drawn: ${csv%.csv}.svg"
done
