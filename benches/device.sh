#!/bin/sh
# Checks and measures a machine with a GPU: one command, at most fifteen minutes, one text file.
#
#   device.sh [--short] [--device ADAPTER] [--data DIR] [--out FILE] [PROGRAM]
#
# It needs the program alone: no compiler, no network, no data set. PROGRAM is the path of jempp, in a clone
# target/release/jempp; without it, jempp beside this script, or on the PATH. ADAPTER is as in `jempp devices`; without
# it, the best hardware GPU. DIR holds the files of Fashion-MNIST; without it, training takes the 5,000 images that are
# in the program. --short is a trial of about a minute. A part that fails or takes too long is noted in the file, and
# the next one begins.
set -u

usage() {
    echo "usage: device.sh [--short] [--device ADAPTER] [--data DIR] [--out FILE] [PROGRAM]" >&2
    exit 2
}
short='' device=gpu data='' out='' program=''
while [ $# -gt 0 ]; do
    case $1 in
        --short) short=1 ;;
        --device | --data | --out)
            [ $# -gt 1 ] || usage
            case $1 in --device) device=$2 ;; --data) data=$2 ;; --out) out=$2 ;; esac
            shift
            ;;
        -*) usage ;;
        *)
            [ -z "$program" ] || usage
            program=$1
            ;;
    esac
    shift
done

fail() {
    echo "device.sh: $1" >&2
    exit 1
}
beside=$(dirname "$0")/jempp
if [ -z "$program" ]; then
    if [ -x "$beside" ]; then program=$beside; else program=jempp; fi
fi
program=$(command -v "$program") || fail "there is no program jempp: give its path as the last argument"
[ -n "$out" ] || out=jempp-device-$(date +%Y%m%d-%H%M%S).txt
[ ! -e "$out" ] || fail "$out exists: choose another name with --out"
# The name under which the report grows: a file with the final name is complete.
report=$out.part
: >"$report" || fail "cannot write $report"
work=$(mktemp -d) || fail "cannot make a temporary folder"
trap 'rm -rf "$work"' EXIT

begin=$(date +%s)
# All parts together, in seconds; the last one takes what is left.
whole=870
[ -z "$short" ] || whole=60
summary=''
child=''

note() {
    echo "$1"
    echo "$1" >>"$report"
}
left() { echo $((begin + whole - $(date +%s))); }

finish() {
    note ''
    note "== Summary, after $(($(date +%s) - begin)) s"
    printf '%s' "$summary" | tee -a "$report"
    mv "$report" "$out" && echo "The report is $out"
}

# Ctrl-C ends the part that runs, and the report says so.
interrupted() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null
        wait "$child" 2>/dev/null
        tr '\r' '\n' <"$work/printed" >>"$report"
    fi
    summary="${summary}stopped by a signal; parts after this are missing
"
    finish
    exit 130
}
trap interrupted INT TERM HUP

# part NAME SECONDS ARGUMENT...: runs the program, at most so many seconds, and adds what it prints to the report.
part() {
    name=$1 limit=$2
    shift 2
    now_left=$(left)
    [ "$limit" -le "$now_left" ] || limit=$now_left
    note ''
    note "== $name: jempp $*"
    if [ "$limit" -lt 5 ]; then
        result='skipped: no time is left'
    else
        started=$(date +%s)
        rm -f "$work/late"
        "$program" "$@" >"$work/printed" 2>&1 </dev/null &
        child=$!
        watch "$child" "$limit" &
        wait "$child" 2>/dev/null
        status=$?
        child=''
        tr '\r' '\n' <"$work/printed" >>"$report"
        took=$(($(date +%s) - started))
        if [ -e "$work/late" ]; then
            result="stopped after $limit s"
        elif [ "$status" = 0 ]; then
            result="done in $took s"
        else
            result="FAILED after $took s with exit status $status"
        fi
    fi
    note "-- $name: $result"
    summary="$summary$name: $result
"
}

# watch PID SECONDS: stops a process that runs longer; it has 15 s to save its work.
watch() {
    waited=0
    while kill -0 "$1" 2>/dev/null; do
        [ "$waited" != "$2" ] || { : >"$work/late" && kill -TERM "$1"; }
        [ "$waited" -lt $(($2 + 15)) ] || kill -KILL "$1"
        sleep 1
        waited=$((waited + 1))
    done 2>/dev/null
}

note "jempp on a GPU: the report of benches/device.sh"
note "date:     $(date -u '+%Y-%m-%d %H:%M UTC')"
note "system:   $(uname -srm)"
note "program:  $("$program" --version 2>&1)"
if [ -r /proc/cpuinfo ]; then
    note "cpu:      $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort | uniq -c | sed 's/^ *//')"
else
    note "cpu:      $(sysctl -n machdep.cpu.brand_string 2>/dev/null)"
fi
if command -v nvidia-smi >/dev/null; then
    note "nvidia:   $(nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader 2>&1)"
fi

part 'adapters' 20 devices
part 'check' 120 devices --check "$device"
if [ -n "$short" ]; then
    part 'W2' 20 bench --device "$device" --works W2 --repetitions 1
    part 'W5 for a moment' 5 bench --device "$device" --works W5 --repetitions 1
else
    for name in W1 W2 W3 W3-batch-norm; do
        part "$name" 60 bench --device "$device" --works "$name"
    done
    # WRN-28-10 at batch 64 on noise: a step of sampling, an iteration of training.
    part 'W5' 100 bench --device "$device" --works W5 --repetitions 1
    part 'W5-training' 120 bench --device "$device" --works W5-training --repetitions 1
fi
# Ten minutes of training, with more epochs than fit. The signal that stops it makes it save the run.
if [ -n "$data" ]; then
    set -- --data "$data"
else
    set -- --set data.dataset=fashion-mnist-embedded --epochs 144
fi
minutes=600
[ -z "$short" ] || minutes=15
part 'fashion-showcase' "$minutes" train --preset fashion-showcase --device "$device" --out "$work/run" "$@"
if [ -s "$work/run/metrics.csv" ]; then
    note ''
    note '== fashion-showcase: metrics.csv, first and last rows'
    { sed -n 1,3p "$work/run/metrics.csv" && tail -n 5 "$work/run/metrics.csv"; } >>"$report"
fi
finish
