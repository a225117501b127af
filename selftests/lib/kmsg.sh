# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The kernel log as a verdict: marks in it, and a search since a mark for
# what no test may cause. A test that provokes such a line on purpose names
# it with kmsg_allow. Needs root and a readable log; where /dev/kmsg cannot
# be written the marks are missing and the whole log is searched.

# what the kernel says when it has caught itself at a mistake
KMSG_BAD='WARNING:|BUG:|kernel BUG at|Oops|general protection fault|KASAN:|UBSAN:|KFENCE:'
KMSG_BAD+='|unable to handle (page fault|kernel)|possible (circular|recursive|irq lock)'
KMSG_BAD+='|inconsistent lock state|irq lock inversion|possible deadlock|lock held when returning'
KMSG_BAD+='|bad unlock balance|held lock freed|suspicious RCU usage|INFO: (task|rcu|possible|suspicious|trying)'
KMSG_BAD+='|rcu_(sched|preempt).*stall|self-detected stall|blocked for more than|soft lockup|hard LOCKUP'
KMSG_BAD+='|sleeping function called|scheduling while atomic|voluntary context switch within RCU'
KMSG_BAD+='|refcount_t:|ODEBUG:|list_(add|del) corruption|Kernel panic|stack-protector|bad page state'
KMSG_BAD+='|workqueue: .* (lockup|is trying to flush)|DEBUG_LOCKS_WARN|new suspected memory leaks'
KMSG_BAD+='|r3map: .*(leak|still in use)|memory leak|cache .*: Objects remaining'

# kmsg_say TEXT: one line into the kernel log
kmsg_say()
{
	{ printf 'r3map-test: %s\n' "$*" >/dev/kmsg; } 2>/dev/null || :
}

# kmsg_mark: a new, unique mark; prints it
kmsg_mark()
{
	local mark
	mark=mark-$(cat /proc/sys/kernel/random/uuid)
	kmsg_say "$mark"
	printf '%s\n' "$mark"
}

# kmsg_allow REGEX: lines of this kind are expected until the current test ends
kmsg_allow()
{
	kmsg_say "allow $*"
}

# for awk: line[1] to line[n] are the log after what "mark" says, or all of it when that has scrolled away
KMSG_SINCE='
	{ line[++n] = $0 }
	index($0, mark) { n = 0 }'

# kmsg_since MARK: the log after MARK
kmsg_since()
{
	dmesg 2>/dev/null | awk -v mark="r3map-test: $1" "$KMSG_SINCE"'
		END { for (i = 1; i <= n; i++) print line[i] }'
}

# kmsg_scan MARK: print what is bad since MARK; 1 when there is anything. By one program: this is done after each test,
# and the debug kernel takes 0.1 s to start one
kmsg_scan()
{
	{ dmesg 2>/dev/null || :; } | awk -v mark="r3map-test: $1" -v bad="$KMSG_BAD" "$KMSG_SINCE"'
		END {
			for (i = 1; i <= n; i++)
				if (match(line[i], /r3map-test: allow /))
					allow = allow (allow == "" ? "" : "|") substr(line[i], RSTART + RLENGTH)
			for (i = 1; i <= n; i++) {
				if (line[i] !~ bad || line[i] ~ /r3map-test: / || (allow != "" && line[i] ~ allow))
					continue
				print line[i]
				found = 1
			}
			exit found
		}'
}
