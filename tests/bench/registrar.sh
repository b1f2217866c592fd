#!/usr/bin/env bash
# What an authenticated REGISTER costs, in CPU seconds of the server per 1,000 (REGISTER, 401, REGISTER, 200), beside
# Kamailio. The two take turns round by round, so that a busy machine is busy for both; what is printed is the median.
#
#   tests/bench/registrar.sh [--users 1000] [--registrations 5000] [--rounds 5] [--binary target/release/offhook]
#                            [--alone]
#
# Needs sipp, kamailio and python3. Kamailio keeps its registrations in memory alone (usrloc db_mode 0); Offhook has each
# of its own on disk before the 200.
# `--alone` leaves Kamailio out. Memory (proportional set size) and wall time are printed after each round: with as many
# registrations as users, every phone refreshes once a round, and neither may grow.
# In the first round every registration is new, in the others it is the same phone again: the first is printed apart.
set -euo pipefail
. "$(dirname "$0")/measure.sh"
users=1000 registrations=5000 rounds=5 alone= binary=${CARGO_TARGET_DIR:-$here/../../target}/release/offhook
while [ $# -gt 0 ]; do
    case $1 in
        --alone)
            alone=yes
            shift
            continue
            ;;
        --users) users=$2 ;;
        --registrations) registrations=$2 ;;
        --rounds) rounds=$2 ;;
        --binary) binary=$2 ;;
        *) sed -n '2,13p' "$0"; exit 2 ;;
    esac
    shift 2
done
needs registrar sipp python3
[ -x "$binary" ] || { echo "no $binary: cargo build --release" >&2; exit 1; }

ours_port=5096 peer_port=5097 generator_port=5098
python3 "$here/registrar/accounts.py" "$work" "$users" "$ours_port"

started=$(date +%s%N)
OFFLINE=1 "$binary" --home "$work/home" run >"$work/ours.log" 2>&1 &
ours=$!
pids+=("$ours")
answers "$ours_port" "$work/ours.log"
echo "$users users; offhook answers $((($(date +%s%N) - started) / 1000000)) ms after its start"

peer=
if [ -n "$alone" ]; then
    :
elif command -v kamailio >/dev/null; then
    modules=$(ls -d /usr/lib/*/kamailio/modules 2>/dev/null | head -1)
    sed -e "s|@PORT@|$peer_port|; s|@USERS@|$users|; s|@MODULES@|$modules|" \
        "$here/registrar/kamailio.cfg" >"$work/kamailio.cfg"
    kamailio -DD -E -f "$work/kamailio.cfg" -Y "$work" -m 512 -M 32 >"$work/peer.log" 2>&1 &
    peer=$!
    pids+=("$peer")
    answers "$peer_port" "$work/peer.log"
else
    echo "SKIPPED kamailio: not installed"
fi

load() { # server pid, port -> CPU seconds per 1,000
    local before after
    before=$(ticks "$1")
    sipp "127.0.0.1:$2" -sf "$here/registrar/register.xml" -inf "$work/accounts.csv" -i 127.0.0.1 \
        -p "$generator_port" -key contact_port 5080 -t u1 -nostdin -m "$registrations" -l 50 -r 100000 \
        -deadcall_wait 0 -buff_size 4194304 -timeout 300 -timeout_error >"$work/sipp.log" 2>&1 ||
        { echo "the generator failed" >&2; tail -n 30 "$work/sipp.log" >&2; exit 1; }
    after=$(ticks "$1")
    awk "BEGIN {printf \"%.4f\n\", ($after - $before) / $hz * 1000 / $registrations}"
}

for round in $(seq 0 "$rounds"); do
    [ -n "$peer" ] && load "$peer" "$peer_port" >>"$work/peer.csv"
    before=$(date +%s%N)
    load "$ours" "$ours_port" >>"$work/ours.csv"
    printf 'round %s: %s CPU s per 1,000, %s ms per 1,000 on the clock, %s MB\n' "$round" \
        "$(tail -1 "$work/ours.csv")" $((($(date +%s%N) - before) / 1000 / registrations)) "$(memory_mb "$ours")"
done
echo "memory: offhook $(memory_mb "$ours") MB${peer:+, kamailio $(memory_mb "$peer") MB}"
compare kamailio "$work/ours.csv" ${peer:+"$work/peer.csv"}
