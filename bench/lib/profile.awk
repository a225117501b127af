# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads the samples of perf script (comm, ip, sym, dso; with call chains or
# without) and prints a line per symbol and program: share, µs per request.

# a sample's first line without a chain: "comm  ip sym (dso)"; with a chain:
# "comm" alone, then one indented "ip sym (dso)" a frame, then an empty line
/^[[:space:]]*$/ { fresh = 1; next }
{
	line = $0
	if (match(line, /[0-9a-f]+ [^ ].* \([^()]*\)[[:space:]]*$/) == 0) {
		comm = line; gsub(/^[[:space:]]+|[[:space:]]+$/, "", comm)
		wanted = 1
		next
	}
	frame = substr(line, RSTART)
	before = substr(line, 1, RSTART - 1)
	gsub(/^[[:space:]]+|[[:space:]]+$/, "", before)
	if (before != "")
		comm = before
	else if (!wanted)
		next
	wanted = 0
	dso = frame; sub(/^.*\(/, "", dso); sub(/\)[[:space:]]*$/, "", dso); sub(/^.*\//, "", dso)
	sym = frame; sub(/^[0-9a-f]+ /, "", sym); sub(/ \([^()]*\)[[:space:]]*$/, "", sym)
	sub(/\+0x[0-9a-f]+$/, "", sym)
	sub(/\/.*$/, "", comm)
	total++
	count[comm "|" dso "|" sym]++
	program[comm " " (dso ~ /^\[|^vmlinux/ ? "kernel" : "user")]++
}

END {
	if (!total) { print "no samples"; exit 1 }
	each = period / 1000 / requests
	printf "%s: %d requests in %s s, %.2f µs each with the profiler; %d samples\n\n", \
		what, requests, seconds, seconds * 1e6 / requests, total
	sort = "sort -t'|' -k1,1nr"
	for (p in program)
		printf "%8.2f|%5.1f%%|%s\n", program[p] * each, program[p] * 100 / total, p | sort
	close(sort)
	printf "\n%8s|%6s|%s\n", "us/req", "share", "program|where|symbol"
	sort = "sort -t'|' -k1,1nr | head -n " top
	for (c in count)
		printf "%8.3f|%5.1f%%|%s\n", count[c] * each, count[c] * 100 / total, c | sort
	close(sort)
}
