#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: boot.sh [OPTION...] -- COMMAND [ARGUMENT...]
#        boot.sh [OPTION...] --shell
#
# Boots a kernel of the lab with this machine's own file system (read-only,
# under a tmpfs) and runs COMMAND there as root, in the repository's folder.
# Its stdout and stderr appear here as they are written; its exit status is
# the exit status. 125 means that the machine itself failed: it never said
# that COMMAND had ended. See README.md.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd -P)

boot_help()
{
	cat <<-'END'
	usage: boot.sh [OPTION...] -- COMMAND [ARGUMENT...]
	       boot.sh [OPTION...] --shell
	  --kernel NAME    6.1, 6.12 (the default) or 7.2
	  --cpus N         virtual processors (1)
	  --mem SIZE       memory (1G; 2G for 7.2)
	  --icount         virtual time: one instruction is one nanosecond, one CPU
	  --timeout S      give up after S seconds (600; none for --shell)
	  --idle S         give up after S seconds without any output (none)
	  --append TEXT    more kernel command line; may be repeated
	  --env K=V        into the environment of COMMAND; may be repeated
	  --out DIR        receives what COMMAND leaves in $R3MAP_OUT
	  --log FILE       keep the kernel log there
	  --module PATH    use this r3map.ko; "none" for none; the default is to build it
	  --disk FILE      a disk, /dev/vda and so on (modprobe virtio_blk); also nbd+unix:///NAME?socket=PATH
	  --pid FILE       the number of the machine's process goes there: kill -9 cuts its power
	  --shell          an interactive shell instead of COMMAND
	END
}

kernel=6.12 cpus=1 mem='' icount=0 limit='' idle='' out='' log='' shell=0
module=${R3MAP_KO:-} append=() env=() disks=() pidfile=''
while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --cpus | --mem | --timeout | --idle | --append | --env | --out | --log | --module | --disk | --pid)
		[ $# -ge 2 ] || vm_usage "$1 wants a value: see boot.sh --help"
		;;&
	--kernel) kernel=$2; shift 2 ;;
	--cpus) cpus=$2; shift 2 ;;
	--mem) mem=$2; shift 2 ;;
	--timeout) limit=$2; shift 2 ;;
	--idle) idle=$2; shift 2 ;;
	--append) append+=("$2"); shift 2 ;;
	--env) env+=("$2"); shift 2 ;;
	--out) out=$2; shift 2 ;;
	--log) log=$2; shift 2 ;;
	--module) module=$2; shift 2 ;;
	--disk) disks+=("$2"); shift 2 ;;
	--pid) pidfile=$2; shift 2 ;;
	--icount) icount=1; shift ;;
	--shell) shell=1; shift ;;
	--help) boot_help; exit 0 ;;
	--) shift; break ;;
	*) vm_usage "unknown option '$1': see boot.sh --help" ;;
	esac
done
if [ $shell = 1 ]; then
	[ -t 0 ] || vm_usage "--shell needs a terminal on stdin"
	[ $# -gt 0 ] || set -- /bin/bash -i
fi
[ $# -gt 0 ] || vm_usage "give a command after --, or --shell: see boot.sh --help"
command -v qemu-system-x86_64 >/dev/null ||
	vm_die "qemu-system-x86_64 is missing: run selftests/vm/packages.sh as root"
[ -n "$mem" ] || case $kernel in 7.*) mem=2G ;; *) mem=1G ;; esac
[ -n "$limit" ] || limit=$([ $shell = 1 ] && echo 0 || echo 600)
[ $icount = 0 ] || cpus=1

vars=$("$here/kernel.sh" "$kernel")
eval "$vars"
initramfs=$("$here/initramfs.sh" "$kernel")
if [ -z "$module" ] && [ -d "$R3MAP_TOP/kmod" ]; then
	module=$("$here/module.sh" "$kernel")
fi
[ "$module" != none ] || module=

# the folder through which host and guest talk; the guest writes into it
run=$(mktemp -d "${TMPDIR:-/tmp}/r3map-vm.XXXXXX")
mkdir "$run/results"
: >"$run/out"
: >"$run/err"
printf '%s\n' "$here/guest.sh" >"$run/guest"
{
	# shellcheck disable=SC2153
	declare -p KERNEL_RELEASE KERNEL_ROOT
	printf 'R3MAP_TOP=%q\nGUEST_CACHE=%q\nGUEST_QUIET=%q\nGUEST_SHELL=%q\nGUEST_TERM=%q\n' \
		"$R3MAP_TOP" "$R3MAP_CACHE" "$icount" "$shell" "${TERM:-dumb}"
	printf 'export R3MAP_KO=%q R3MAP_KERNEL=%q\n' "$module" "$kernel"
	[ $shell = 0 ] || printf 'GUEST_STTY=(rows %q cols %q)\n' \
		"$(tput lines)" "$(tput cols)"
	for pair in "${env[@]}"; do
		case $pair in
		[A-Za-z_]*=*) printf 'export %s=%q\n' "${pair%%=*}" "${pair#*=}" ;;
		*) vm_usage "--env wants NAME=VALUE, not '$pair'" ;;
		esac
	done
} >"$run/env"
hot=()
for f in "$R3MAP_TOP"/user/r3map "$R3MAP_TOP"/selftests/bin/*; do
	if [ -f "$f" ] && [ -x "$f" ]; then
		hot+=("$f")
	fi
done
"$here/hot.sh" "${hot[@]}" | sed 's#^/##' | tar -C / -cf "$run/hot.tar" -T - ||
	[ $? = 1 ] || vm_die "the programs for the machine could not be collected in $run" # 1: one was just rebuilt
GUEST_COMMAND=("$@")
declare -p GUEST_COMMAND >"$run/command"

cmdline="console=ttyS0 nokaslr panic=-1 oops=panic random.trust_cpu=on tsc=reliable loglevel=5"
# Emulated, on a machine that has other things to do: what takes 20 s on hardware is no lockup yet.
cmdline+=" watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120"
case $kernel in 7.*) cmdline+=" panic_on_warn=1" ;; esac
# Whether interrupts of the timer arrive is looked at in a loop of so many turns, which a machine that
# waits for the host may do without one.
cmdline+=" no_timer_check"
# These guard nothing here, and are emulated. What is measured is measured as users have it.
[ $icount = 1 ] || cmdline+=" mitigations=off"
# The emulator translates code anew for each address at which it finds it: with programs and libraries
# always at the same ones, starting a program takes less than half as long.
[ $icount = 1 ] || cmdline+=" norandmaps"
# REP MOVSB is emulated byte by byte, and in virtual time each byte is a nanosecond: memory copies
# would cost ten times what they do on hardware that advertises ERMS.
cpu=max,-erms,-fsrm
# shellcheck disable=SC2054 # the commas belong to qemu
qemu=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
	-machine q35 -cpu "$cpu" -smp "$cpus" -m "$mem"
	-kernel "$KERNEL_IMAGE" -initrd "$initramfs" -append "$cmdline ${append[*]:-}"
	-serial "file:$run/console"
	-fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap
	-device virtio-9p-pci,fsdev=host,mount_tag=host
	-fsdev "local,id=run,path=$run,security_model=none"
	-device virtio-9p-pci,fsdev=run,mount_tag=run)
for i in "${!disks[@]}"; do
	# what the machine flushes is flushed, whatever is below
	qemu+=(-drive "if=none,id=disk$i,format=raw,cache=writeback,file=${disks[i]}"
		-device "virtio-blk-pci,drive=disk$i")
done
[ -z "$pidfile" ] || qemu+=(-pidfile "$pidfile")
if [ $icount = 1 ]; then
	# shellcheck disable=SC2054
	qemu+=(-accel tcg,thread=single -icount shift=0,sleep=off -rtc clock=vm)
else
	# shellcheck disable=SC2054
	qemu+=(-accel tcg,thread=multi)
fi

pids=()
# shellcheck disable=SC2317 # called by the trap
boot_end()
{
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || :
	rm -rf "$run"
}

# boot_watch PID S: stop the machine PID once it has said nothing for S seconds
boot_watch()
{
	local last
	while sleep 2 && kill -0 "$1" 2>/dev/null; do
		last=$(stat -c %Y "$run/out" "$run/err" "$run/console" 2>/dev/null |
			sort -n | tail -n 1)
		[ $(($(date +%s) - last)) -le "$2" ] || {
			echo "silent for $2 s: stopped" >>"$run/qemu"
			kill "$1"
			return
		}
	done
}
trap boot_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ $shell = 1 ]; then
	# shellcheck disable=SC2054
	qemu+=(-chardev stdio,id=tty,mux=on,signal=off -serial chardev:tty -mon chardev=tty)
	vm_say "kernel $KERNEL_RELEASE; leave with 'exit', or Ctrl-a x to pull the plug"
	"${qemu[@]}" || :
else
	timeout -k 5 "$limit" "${qemu[@]}" </dev/null >"$run/qemu" 2>&1 &
	vm=$!
	tail -q -s 0.1 --pid=$vm -n +1 -f "$run/out" &
	pids=("$vm" $!)
	tail -q -s 0.1 --pid=$vm -n +1 -f "$run/err" >&2 &
	pids+=($!)
	if [ -n "$idle" ]; then
		boot_watch "$vm" "$idle" &
		pids+=($!)
	fi
	wait "$vm" || :
	wait "${pids[@]}" || :
	pids=()
fi

# the guest's own list is complete, the console's survives a crash
cat "$run/console" >"$run/log" 2>/dev/null || :
[ ! -s "$run/dmesg" ] || cat "$run/dmesg" >"$run/log"
status=$(sed -n 's/^status \([0-9][0-9]*\)$/\1/p' "$run/status" 2>/dev/null || :)
[ -z "$log" ] || cp "$run/log" "$log"
[ -z "$out" ] || { mkdir -p "$out"; cp -a "$run/results/." "$out/"; }
if [ -z "$status" ] || { [ "$status" != 0 ] && [ $shell = 0 ]; }; then
	[ -n "$log" ] || {
		mkdir -p "$R3MAP_CACHE/log"
		log=$R3MAP_CACHE/log/kernel-$kernel-$(date +%Y%m%d-%H%M%S)-$$.log
		cp "$run/log" "$log"
	}
	if [ -z "$status" ]; then
		cat "$run/qemu" >&2 2>/dev/null || :
		tail -n 60 "$run/log" | tr -d '\r' >&2
		vm_say "the $kernel machine ended (or was stopped) without a status; its kernel log is $log"
		exit 125
	fi
	vm_say "the command failed with status $status; the kernel log is $log"
fi
exit "$status"
