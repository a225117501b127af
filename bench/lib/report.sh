# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What is made of the answers of ask.sh: a head with what must be known to make sense of figures, tables,
# and pictures. Sourced by run.sh, whose options these read.

# report_version PACKAGE: of Debian's
report_version()
{
	dpkg-query -W -f '${Version}' "$1"
}

# report_peers QUESTION: the programs that nobody here wrote, with their versions
report_peers()
{
	case $1 in
	uffd | delta-chunk) ;;
	# all of it is read: who is left in the midst of it ends badly
	delta | star) rsync --version | sed -n 1p ;;
	hashes) sha256sum --version | sed -n 1p ;;
	nbd-server)
		printf 'nbdkit %s; qemu-nbd %s; libnbd %s; %s\n' "$(report_version nbdkit)" \
			"$(report_version qemu-utils)" "$(report_version libnbd-bin)" "$(fio --version)"
		;;
	*)
		printf '%s; nbdkit %s; nbd-client %s; rublk %s\n' "$(fio --version)" "$(report_version nbdkit)" \
			"$(report_version nbd-client)" \
			"$({ [ -x "$rublk" ] && "$rublk" --version; } 2>/dev/null | awk '{ print $2 }' | grep . || echo none)"
		;;
	esac
}

# report_head QUESTION
report_head()
{
	local release clocked machine
	if run_is_host "$1"; then
		release=$(uname -r)
		clocked="real, $(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg) at the end"
		machine=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
	else
		release=$KERNEL_RELEASE
		clocked="virtual, one instruction is one nanosecond, one CPU"
		[ ${#clock[@]} -gt 0 ] || clocked="real, emulated CPU"
		machine=$(qemu-system-x86_64 --version | sed -n 1p)
	fi
	printf '# kernel: %s\n# commit: %s\n# command: %s\n# clock: %s\n' "$release" "$commit" "$command" "$clocked"
	printf '# date: %s\n# machine: %s\n' "$(date -u +%Y-%m-%dT%H:%MZ)" "$machine"
	report_peers "$1" | sed 's/^/# peers: /'
	printf '# repetitions: %s of %s ms\n' "$reps" "$runtime"
}

# report_tables QUESTION: from the results on stdin
report_tables()
{
	local csv=$tmp/tables.csv metric
	local rows=(awk -v OURS=r3map -f "$here/lib/stats.awk" -f "$here/lib/rows.awk")
	local table=(awk -f "$here/lib/stats.awk" -f "$here/lib/table.awk")
	cat >"$csv"
	case $1 in
	uffd) "${table[@]}" -v BASES=plain "$csv" ;;
	read-paths) "${table[@]}" -v BASES=uffd-plain,kernel-nbd "$csv" ;;
	hashes) "${table[@]}" -v BASES=memcpy "$csv" ;;
	ready) "${table[@]}" -v BASES=kernel-nbd-uevent "$csv" ;;
	migrate)
		printf 'The stop, ms: the median, and the worst\n\n'
		awk -F , '$4 == "ms" && $3 ~ /MB\/s$/' "$csv" | "${rows[@]}" -v OURS=migration -v METRICS=ms -v WORST=1
		printf '\nWhat its writer really wrote\n\n'
		"${rows[@]}" -v BASE=none -v METRICS=mbps "$csv"
		printf '\nWhat the migration itself tells of the stop, and of freezing before it; what it cost besides\n\n'
		awk -F , '!($4 == "ms" && $3 ~ /MB\/s$/) && $4 != "mbps"' "$csv" |
			"${rows[@]}" -v OURS=migration -v METRICS=ms,x,kiops
		;;
	delta)
		printf 'By the clock; ×: to rsync\n\n'
		"${rows[@]}" -v BASE=rsync -v METRICS=s "$csv"
		printf '\nProcessor time of both ends\n\n'
		"${rows[@]}" -v BASE=rsync -v METRICS=cpu_s "$csv"
		printf '\nBytes that passed between them\n\n'
		"${rows[@]}" -v BASE=rsync -v METRICS=mb "$csv"
		printf '\n... and how many more these are than the bytes of what has changed\n\n'
		"${rows[@]}" -v BASE=none -v METRICS=over_pct "$csv"
		;;
	delta-chunk)
		printf 'By the clock; ×: to 64K, the default\n\n'
		"${rows[@]}" -v BASE=64K -v METRICS=s "$csv"
		printf '\nProcessor time of both ends\n\n'
		"${rows[@]}" -v BASE=64K -v METRICS=cpu_s "$csv"
		printf '\nBytes that passed between them\n\n'
		"${rows[@]}" -v BASE=64K -v METRICS=mb "$csv"
		;;
	star)
		for metric in s cpu_s mb; do
			grep ",$metric," "$csv" | "${rows[@]}" -v METRICS=$metric
			printf '\n'
		done
		;;
	nbd-server)
		printf 'Processor time of the server; ×: to the best of the other servers\n\n'
		"${rows[@]}" -v METRICS=cpu_us,mbps_cpu "$csv"
		printf '\nBy the clock, of a server that has %s\n\n' \
			"$([ "$unbound" = 1 ] && echo 'the whole machine' || echo 'one CPU')"
		"${rows[@]}" -v METRICS=kiops,mbps "$csv"
		printf '\nAn idle connection\n\n'
		"${rows[@]}" -v METRICS=kib,threads "$csv"
		;;
	*) "${table[@]}" -v BASES=kernel-nbd,ublk-null "$csv" ;;
	esac
}

# report QUESTION: print its tables; keep them, with results and pictures, where that was asked for
report()
{
	local csv=$tmp/$1.csv md=$tmp/$1.md kept=$date-$commit-$1 kind
	{
		report_head "$1"
		echo "question,subject,case,metric,repetition,value"
		cat "$tmp/out/$1.csv"
	} >"$csv"
	{
		printf '# %s\n\n' "$1"
		sed -n 's/^# /* /p' "$csv"
		printf '\n'
		report_tables "$1" <"$tmp/out/$1.csv"
	} >"$md"
	cat "$md"
	printf '\n'
	[ "$save" = 1 ] || return 0
	[ "$1$unbound" != nbd-server1 ] || kept+=-unbound
	for kind in csv md; do
		cp "$tmp/$1.$kind" "$here/results/$kept.$kind"
	done
	vm_say "kept as bench/results/$kept.md"
	"$here/plot.sh" "$here/results/$kept.csv"
}
