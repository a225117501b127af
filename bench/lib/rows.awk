# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads result lines as table.awk does, and prints one Markdown table for many
# cases and few subjects: a row is a case, its cells are the median of the
# subject, ± half of the spread, and how many times the best peer's that is. Only
# metrics in METRICS (comma separated). Needs stats.awk. Peers are the
# subjects that do not begin with OURS; with BASE only that one. With WORST the
# worst is told, not the spread.
BEGIN { FS = "," }
/^#/ || NF < 6 { next }
$3 == "skipped" { next }
index("," METRICS ",", "," $4 ",") == 0 { next }
{
	if (!($2 in known)) { known[$2] = 1; subject[++subjects] = $2 }
	if (!($3 in metric)) { metric[$3] = $4; case_name[++cases] = $3 }
	values[$2, $3] = values[$2, $3] " " $6
}

# is less of it better?
function less(m)
{
	return m == "cpu_us" || m == "kib" || m == "threads" || m == "s" || m == "cpu_s" || m == "mb" || m == "over_pct" || m == "ms"
}

END {
	line = "| |"; rule = "| --- |"
	for (s = 1; s <= subjects; s++) {
		line = line " " subject[s] " |"; rule = rule " ---: |"
	}
	print line; print rule
	for (c = 1; c <= cases; c++) {
		name = case_name[c]; best = ""
		for (s = 1; s <= subjects; s++) {
			if (index(subject[s], OURS) == 1 || (BASE && subject[s] != BASE) || !((subject[s], name) in values)) continue
			stats(subject[s], name)
			if (best == "" || (less(metric[name]) ? med < best : med > best)) best = med
		}
		line = "| " name ", " unit(metric[name]) " |"
		for (s = 1; s <= subjects; s++) {
			if (!((subject[s], name) in values)) { line = line " |"; continue }
			stats(subject[s], name)
			line = line " " digits(med)
			if (WORST) line = line ", " digits(less(metric[name]) ? high : low)
			else if (high > low) line = line sprintf(" ±%.0f%%", med ? (high - low) / med * 50 : 0)
			if (index(subject[s], OURS) == 1 && best > 0)
				line = line sprintf(", **%.2f×**", med / best)
			line = line " |"
		}
		print line
	}
}
