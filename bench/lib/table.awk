# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads result lines (question,subject,case,metric,repetition,value) and
# prints Markdown: the median of the repetitions with their spread, then the
# ratio of the medians to each subject in BASES (comma separated). A metric
# is named by its unit. Needs stats.awk.
BEGIN { FS = "," }

function heading(first,    c, line, rule)
{
	line = "| " first " |"; rule = "| --- |"
	for (c = 1; c <= cases; c++) {
		line = line " " case_name[c] " " unit(metric[case_name[c]]) " |"
		rule = rule " ---: |"
	}
	print line; print rule
}

/^#/ || NF < 6 { next }
$3 == "skipped" { why[$2] = $6; next }
{
	if (!($2 in known)) { known[$2] = 1; subject[++subjects] = $2 }
	if (!($3 in metric)) { metric[$3] = $4; case_name[++cases] = $3 }
	values[$2, $3] = values[$2, $3] " " $6
}

END {
	heading("median ± spread")
	for (s = 1; s <= subjects; s++) {
		line = "| " subject[s] " |"
		for (c = 1; c <= cases; c++) {
			if (!((subject[s], case_name[c]) in values)) { line = line " |"; continue }
			stats(subject[s], case_name[c])
			line = line " " digits(med) sprintf(" ±%.0f%%", med ? (high - low) / med * 50 : 0) " |"
		}
		print line
	}
	n = split(BASES, base, ",")
	for (b = 1; b <= n; b++) {
		if (!(base[b] in known)) continue
		print ""; heading("ratio to " base[b])
		for (s = 1; s <= subjects; s++) {
			if (subject[s] == base[b]) continue
			line = "| " subject[s] " |"; any = 0
			for (c = 1; c <= cases; c++) {
				if (!((subject[s], case_name[c]) in values) || \
				    !((base[b], case_name[c]) in values)) { line = line " |"; continue }
				stats(base[b], case_name[c]); ref = med
				stats(subject[s], case_name[c])
				any = 1
				line = line (ref ? sprintf(" %.2f |", med / ref) : " |")
			}
			if (any) print line
		}
	}
	for (s in why) printf "\n%s: not measured here: %s.\n", s, why[s]
}
