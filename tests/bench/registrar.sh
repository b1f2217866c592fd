#!/usr/bin/env bash
# What an authenticated REGISTER costs, in CPU seconds of the server per 1,000 (REGISTER, 401, REGISTER, 200), beside
# Kamailio. The two take turns round by round, so that a busy machine is busy for both; what is printed is the median.
#
#   tests/bench/registrar.sh [--users 1000] [--registrations 5000] [--rounds 5] [--binary target/release/offhook]
#
# Needs sipp, kamailio and python3. Kamailio keeps its registrations in memory alone (usrloc db_mode 0); Offhook has each
# of its own on disk before the 200.
# In the first round every registration is new, in the others it is the same phone again: the first is printed apart.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
users=1000 registrations=5000 rounds=5 binary=$here/../../target/release/offhook
while [ $# -gt 0 ]; do
    case $1 in
        --users) users=$2 ;;
        --registrations) registrations=$2 ;;
        --rounds) rounds=$2 ;;
        --binary) binary=$2 ;;
        *) sed -n '2,10p' "$0"; exit 2 ;;
    esac
    shift 2
done
for tool in sipp python3; do
    command -v "$tool" >/dev/null || { echo "SKIPPED registrar: no $tool"; exit 0; }
done
[ -x "$binary" ] || { echo "no $binary: cargo build --release" >&2; exit 1; }

work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

ours_port=5096 peer_port=5097 generator_port=5098
python3 "$here/registrar/accounts.py" "$work" "$users" "$ours_port"

started=$(date +%s%N)
OFFLINE=1 "$binary" --home "$work/home" run >"$work/ours.log" 2>&1 &
ours=$!
pids+=("$ours")
answers() {
    python3 "$here/registrar/ping.py" "$1"
}
answers "$ours_port" || { tail -5 "$work/ours.log" >&2; exit 1; }
echo "$users users; offhook answers $((($(date +%s%N) - started) / 1000000)) ms after its start"

peer=
if command -v kamailio >/dev/null; then
    modules=$(ls -d /usr/lib/*/kamailio/modules 2>/dev/null | head -1)
    sed -e "s|@PORT@|$peer_port|; s|@USERS@|$users|; s|@MODULES@|$modules|" \
        "$here/registrar/kamailio.cfg" >"$work/kamailio.cfg"
    kamailio -DD -E -f "$work/kamailio.cfg" -Y "$work" -m 512 -M 32 >"$work/peer.log" 2>&1 &
    peer=$!
    pids+=("$peer")
    answers "$peer_port" || { tail -5 "$work/peer.log" >&2; exit 1; }
else
    echo "SKIPPED kamailio: not installed"
fi

# CPU ticks of a process and its children.
ticks() {
    local total=0 pid
    for pid in "$1" $(pgrep -P "$1" || true); do
        total=$((total + $(awk '{print $14 + $15}' <(sed 's/.*) /x x /' "/proc/$pid/stat"))))
    done
    echo "$total"
}
memory_mb() {
    local total=0 pid
    for pid in "$1" $(pgrep -P "$1" || true); do
        total=$((total + $(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup")))
    done
    echo "$((total / 1024))"
}
hz=$(getconf CLK_TCK)
load() { # server pid, port -> CPU seconds per 1,000
    local before after
    before=$(ticks "$1")
    sipp "127.0.0.1:$2" -sf "$here/registrar/register.xml" -inf "$work/accounts.csv" -i 127.0.0.1 \
        -p "$generator_port" -t u1 -nostdin -m "$registrations" -l 50 -r 100000 -deadcall_wait 0 \
        -buff_size 4194304 -timeout 300 -timeout_error >"$work/sipp.log" 2>&1 ||
        { echo "the generator failed" >&2; tail -30 "$work/sipp.log" >&2; exit 1; }
    after=$(ticks "$1")
    awk "BEGIN {printf \"%.4f\", ($after - $before) / $hz * 1000 / $registrations}"
}

for round in $(seq 0 "$rounds"); do
    [ -n "$peer" ] && load "$peer" "$peer_port" >>"$work/peer.csv" && echo >>"$work/peer.csv"
    load "$ours" "$ours_port" >>"$work/ours.csv" && echo >>"$work/ours.csv"
done
echo "memory: offhook $(memory_mb "$ours") MB${peer:+, kamailio $(memory_mb "$peer") MB}"
python3 - "$work/ours.csv" ${peer:+"$work/peer.csv"} <<'PY'
import statistics, sys

def read(path):
    values = [float(line) for line in open(path) if line.strip()]
    return values[0], values[1:]

first, again = read(sys.argv[1])
ours = statistics.median(again)
print(f"offhook   {ours:.4f} CPU s per 1,000 (from {min(again):.4f} to {max(again):.4f}), first round {first:.4f}")
if len(sys.argv) > 2:
    first, again = read(sys.argv[2])
    peer = statistics.median(again)
    print(f"kamailio  {peer:.4f} CPU s per 1,000 (from {min(again):.4f} to {max(again):.4f}), first round {first:.4f}")
    print(f"offhook / kamailio = {ours / peer:.2f}")
PY
