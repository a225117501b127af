# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tables share: how a metric, which is named by its unit, is headed,
# and the median and spread of values[subject, case], which the caller fills
# with numbers separated by spaces.

# how a metric is headed
function unit(m)
{
	return m == "lat_us" || m == "cpu_us" ? "µs" : m == "kiops" ? "kIOPS" : \
		m == "mbps" ? "MB/s" : m == "mbps_cpu" ? "MB per CPU s" : \
		m == "attach_ms" ? "ms" : m == "kib" ? "KiB" : m == "permille" ? "‰" : \
		m == "gbps" ? "GB/s" : m == "cpu_s" ? "CPU s" : m == "mb" ? "MB" : m == "over_pct" ? "% more" : m
}

# how many digits a number deserves
function digits(v)
{
	return sprintf(v >= 1000 ? "%.0f" : v >= 10 ? "%.1f" : "%.2f", v)
}

# sets med, low and high of what subject S has for case C
function stats(s, c,    n, i, j, t, v)
{
	n = split(values[s, c], v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	low = v[1]; high = v[n]
	med = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
