#!/usr/bin/env bash
# Turn-taking figures at the caller's ear, ours and a peer's, one after the other on this machine: the same drill by the same
# caller, the same speech model, the same voice, an agent of the same speed. Needs nothing running; leaves nothing running.
#
#   tests/bench/turns.sh                     the quick drill, ours and two settings of the peer (about 20 minutes)
#   DRILL=standard PEERS="smart" tests/bench/turns.sh
#   PEERS="" tests/bench/turns.sh            ours alone
#
# DRILL    what `offhook call --drill` takes                                     (quick)
# OURS     settings of ours: names of files tests/bench/ours/NAME.toml           (default)
# PEERS    settings of the peer, see peer/pipeline.py                            (smart silence-tuned)
# CALLS    callers at once, against ours only                                    (1)
# OFFHOOK, STUB   programs to use instead of building them
# OUT      folder for reports, logs and recordings                               (a new temporary one)
# VENV     the peer's Python environment                                         (tests/bench/peer/.venv)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
drill=${DRILL:-quick}
out=${OUT:-$(mktemp -d)}
venv=${VENV:-$here/peer/.venv}
peers=${PEERS-smart silence-tuned}
stub_port=18190 sip_port=25060 web_port=28060 ws_port=18765 rtp_port=18700
mkdir -p "$out"

if [ -z "${OFFHOOK:-}" ] || [ -z "${STUB:-}" ]; then
    (cd "$root" && cargo build --release --locked --bin offhook --example stub_agent)
    target=${CARGO_TARGET_DIR:-$root/target}
fi
offhook=${OFFHOOK:-${target:-}/release/offhook}
stub=${STUB:-${target:-}/release/examples/stub_agent}

pids=()
stop_all() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
}
trap stop_all EXIT

# start NAME COMMAND...: in the background, its output in OUT/NAME.log
start() {
    local name=$1
    shift
    "$@" > "$out/$name.log" 2>&1 &
    pids+=($!)
}

# await NAME TEXT: until the log has it
await() {
    for _ in $(seq 600); do
        grep -q "$2" "$out/$1.log" 2>/dev/null && return
        sleep 0.2
    done
    echo "$1 did not start; see $out/$1.log" >&2
    exit 1
}

agent() {
    start "$1.agent-start" "$stub" --listen "127.0.0.1:$stub_port" --sentences 2 --log "$out/$1.agent.jsonl"
    await "$1.agent-start" http
}

for name in ${OURS-default}; do
    home=$out/home-$name
    mkdir -p "$home"
    cat > "$home/offhook.toml" <<TOML
[sip]
port = $sip_port
[media]
port_min = 26000
port_max = 26199
[calls]
per_user_max = 8
[asr]
model = "embedded"
[agent]
kind = "openai"
url = "http://127.0.0.1:$stub_port/v1"
model = "stub"
[web]
port = $web_port
TOML
    [ -f "$here/ours/$name.toml" ] && cat "$here/ours/$name.toml" >> "$home/offhook.toml"
    agent "ours-$name"
    OFFLINE=1 start "ours-$name" "$offhook" --home "$home" run
    await "ours-$name" "are warm"
    "$offhook" --home "$home" call --drill "$drill" --calls "${CALLS:-1}" --json \
        --record "$out/ours-$name.wav" > "$out/ours-$name.json" || true
    stop_all
done

if [ -n "$peers" ] && [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$here/peer/requirements.txt"
fi
for preset in $peers; do
    "$stub" --list > "$out/sentences.txt"
    agent "peer-$preset"
    start "peer-$preset" "$venv/bin/python" "$here/peer/pipeline.py" --preset "$preset" --port "$ws_port" \
        --agent "http://127.0.0.1:$stub_port/v1" --model "$root/asr/models/mini-en-q5_0.bin" \
        --offhook "$offhook" --sentences "$out/sentences.txt" --voice-folder "$out/voice"
    await "peer-$preset" "Starting websocket"
    start "bridge-$preset" "$venv/bin/python" "$here/peer/rtp_bridge.py" \
        --rtp-port "$rtp_port" --agent "ws://127.0.0.1:$ws_port"
    await "peer-$preset" "New client"
    "$offhook" --home "$out/home-caller" call --drill "$drill" --rtp "127.0.0.1:$rtp_port" --json \
        --record "$out/peer-$preset.wav" > "$out/peer-$preset.json" || true
    stop_all
done

python3 "$here/compare.py" "$out"
echo "reports, logs and recordings: $out"
