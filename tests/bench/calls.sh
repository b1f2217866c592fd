#!/usr/bin/env bash
# What a call between two phones costs with its media relayed, in CPU seconds of the servers per 1,000 calls (INVITE, 401,
# ACK, INVITE, 180, 200, ACK, BYE, 200 on one side; ports for sound opened and closed), beside Kamailio with rtpengine.
# The servers take turns round by round, so that a busy machine is busy for both; what is printed is the median.
#
#   tests/bench/calls.sh [--calls 1000] [--rate 100] [--hold-ms 200] [--rounds 5] [--binary target/release/offhook]
#
# Needs sipp, python3, and for the comparison kamailio and rtpengine (userspace). SIPp plays caller and callee, both with
# accounts; the calls carry no packets of sound, whose cost `cargo bench --bench relay` measures. Offhook writes its record
# of each call, and of each dialog that stands, to its database; the others write nothing.
# The first round warms up both and is printed apart.
set -euo pipefail
. "$(dirname "$0")/measure.sh"
calls=1000 rate=100 hold_ms=200 rounds=5 binary=${CARGO_TARGET_DIR:-$here/../../target}/release/offhook
while [ $# -gt 0 ]; do
    case $1 in
        --calls) calls=$2 ;;
        --rate) rate=$2 ;;
        --hold-ms) hold_ms=$2 ;;
        --rounds) rounds=$2 ;;
        --binary) binary=$2 ;;
        *) sed -n '2,12p' "$0"; exit 2 ;;
    esac
    shift 2
done
needs calls sipp python3
[ -x "$binary" ] || { echo "no $binary: cargo build --release" >&2; exit 1; }
# Four sockets a call, and as many that rest after it.
ulimit -n "$(ulimit -Hn)"

ours_port=5106 peer_port=5107 caller_port=5108 callee_port=5109 ng_port=22297
users=200 callee=u000001
cat >"$work/further.toml" <<'TOML'
[media]
port_min = 30000
port_max = 59999
[calls]
max = 1000
per_user_max = 1000
[web]
enabled = false
TOML
python3 "$here/registrar/accounts.py" "$work" "$users" "$ours_port" "$work/further.toml"
sed -i '/^u000001;/d' "$work/accounts.csv"
printf 'SEQUENTIAL\n%s;[authentication username=%s password=pw%s];\n' "$callee" "$callee" "$callee" >"$work/callee.csv"

OFFLINE=1 "$binary" --home "$work/home" run >"$work/ours.log" 2>&1 &
ours=$!
pids+=("$ours")
answers "$ours_port" "$work/ours.log"

peer=()
if command -v kamailio >/dev/null && command -v rtpengine >/dev/null; then
    rtpengine --config-file=none --foreground --log-stderr --log-level=3 --table=-1 --interface=127.0.0.1 \
        --listen-ng="127.0.0.1:$ng_port" --port-min=20000 --port-max=29999 --num-threads="$(nproc)" \
        --delete-delay=0 --timeout=60 --tos=184 >"$work/rtpengine.log" 2>&1 </dev/null &
    relay=$!
    pids+=("$relay")
    # Kamailio takes a relay for dead that does not answer its first ping.
    python3 "$here/calls/ng_ping.py" "$ng_port"
    modules=$(ls -d /usr/lib/*/kamailio/modules 2>/dev/null | head -1)
    sed -e "s|@PORT@|$peer_port|; s|@USERS@|$users|; s|@MODULES@|$modules|; s|@NG_PORT@|$ng_port|" \
        "$here/calls/kamailio.cfg" >"$work/kamailio.cfg"
    kamailio -DD -E -f "$work/kamailio.cfg" -Y "$work" -m 256 -M 16 >"$work/peer.log" 2>&1 &
    peer=($! "$relay")
    pids+=("${peer[0]}")
    answers "$peer_port" "$work/peer.log"
else
    echo "SKIPPED kamailio with rtpengine: not installed"
fi

# From the port where it answers: a phone is called where it registered from.
for port in "$ours_port" ${peer:+"$peer_port"}; do
    sipp "127.0.0.1:$port" -sf "$here/registrar/register.xml" -inf "$work/callee.csv" -i 127.0.0.1 -p "$callee_port" \
        -key contact_port "$callee_port" -t u1 -nostdin -m 1 -timeout 30 -timeout_error >"$work/register.log" 2>&1 ||
        { echo "the callee does not register" >&2; tail -n 30 "$work/register.log" >&2; exit 1; }
done
sipp 127.0.0.1 -sf "$here/calls/callee.xml" -i 127.0.0.1 -mi 127.0.0.1 -p "$callee_port" -mp 18400 -t u1 -nostdin \
    >"$work/callee.log" 2>&1 &
pids+=("$!")

load() { # port, server pids -> CPU seconds per 1,000
    local port=$1 before after
    shift
    before=$(ticks "$@")
    sipp "127.0.0.1:$port" -sf "$here/calls/caller.xml" -inf "$work/accounts.csv" -s "$callee" \
        -auth_uri "$callee@bench.test" -i 127.0.0.1 -mi 127.0.0.1 -p "$caller_port" -mp 17000 -t u1 -nostdin -m "$calls" \
        -r "$rate" -l "$((rate * 10))" -d "$hold_ms" -deadcall_wait 0 -buff_size 4194304 -recv_timeout 10000 \
        -timeout 300 -timeout_error -trace_err -error_file "$work/sipp.err" >"$work/sipp.log" 2>&1 ||
        { echo "calls failed" >&2; tail -n 40 "$work/sipp.log" >&2; exit 1; }
    # What a call leaves behind belongs to it: transactions that end, records, ports that have rested.
    sleep 1
    after=$(ticks "$@")
    awk "BEGIN {printf \"%.4f\n\", ($after - $before) / $hz * 1000 / $calls}"
}

for round in $(seq 0 "$rounds"); do
    [ ${#peer[@]} -gt 0 ] && load "$peer_port" "${peer[@]}" >>"$work/peer.csv"
    load "$ours_port" "$ours" >>"$work/ours.csv"
done
echo "memory: offhook $(memory_mb "$ours") MB${peer:+, kamailio with rtpengine $(memory_mb "${peer[@]}") MB}"
compare "kamailio+rtpengine" "$work/ours.csv" ${peer:+"$work/peer.csv"}
