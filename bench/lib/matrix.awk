# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads result lines as table.awk does, and prints what a picture is drawn of: a line for each case that has METRIC
# and whose name begins with BEGIN_ and ends with END_, without these; a column for each subject, with the median,
# "?" for none. Separated by tabs; the first line has the names. Needs stats.awk.
BEGIN { FS = "," }
/^#/ || NF < 6 || $4 != METRIC { next }
{
	name = $3
	if (END_ != "") {
		if (substr(name, length(name) - length(END_) + 1) != END_) next
		name = substr(name, 1, length(name) - length(END_))
	} else if (name ~ / /) {
		next
	}
	if (index(name, BEGIN_) != 1) next
	name = substr(name, length(BEGIN_) + 1)
	if (!($2 in known)) { known[$2] = 1; subject[++subjects] = $2 }
	if (!(name in row)) { row[name] = 1; case_name[++cases] = name }
	values[$2, name] = values[$2, name] " " $6
}

END {
	line = "case"
	for (s = 1; s <= subjects; s++) line = line "\t" subject[s]
	print line
	for (c = 1; c <= cases; c++) {
		line = case_name[c]
		for (s = 1; s <= subjects; s++) {
			if ((subject[s], case_name[c]) in values) {
				stats(subject[s], case_name[c])
				line = line "\t" med
			} else {
				line = line "\t?"
			}
		}
		print line
	}
}
