#!/usr/bin/env bash
# Whole telephone turns through the real OpenClaw: from the commit to the first packet of the answer, as the program's own
# record of each turn has it, and from the caller's last sound to the first of the answer, at the caller's RTP socket. A model
# of a stated speed stands behind it, once asked by OpenClaw itself (tier C), and through our proxy (tier A): without early
# questions, with them, and with them and a wait of 600 ms after each sentence, as phone agents have that know no shorter one.
#
#   tests/bench/openclaw.sh [TURNS]     50 turns a row, about 40 minutes; nothing else should run
#   FIRST_MS=150 ROWS="proxy early" tests/bench/openclaw.sh
#
# Needs target/release/offhook, target/release/examples/stub_agent, and OpenClaw in OFFHOOK_OPENCLAW or target/openclaw
# (deploy/openclaw.sh).
set -euo pipefail
. "$(dirname "$0")/measure.sh"
needs openclaw python3
target=${CARGO_TARGET_DIR:-$here/../../target}
release=$target/release
installed=$(realpath -m "${OFFHOOK_OPENCLAW:-$target/openclaw}")
[ -x "$release/offhook" ] && [ -x "$release/examples/stub_agent" ] || {
    echo "first: cargo build --release --bin offhook --example stub_agent" >&2
    exit 1
}
[ -x "$installed/node" ] || { echo "SKIPPED openclaw: not in $installed (deploy/openclaw.sh)"; exit 0; }
turns=${1:-50}
token=a-token-for-this-bench-only
stub_port=8390 claw_port=8391 proxy_port=8392

# The same questions over and over, after two that warm up and are not counted.
for n in $(seq $((turns + 2))); do
    case $((n % 4)) in
        0) echo "turn What time is it?" ;;
        1) echo "turn Turn on the kitchen light." ;;
        2) echo "turn What is six times twelve?" ;;
        3) echo "turn Set a timer for a few minutes." ;;
    esac
done >"$work/turns.drill"

until_log() { # file, text
    for _ in $(seq 900); do
        grep -q "$2" "$1" 2>/dev/null && return
        sleep 0.2
    done
    echo "no \"$2\" in $1:" >&2
    tail -n 20 "$1" >&2
    exit 1
}

stop() { # pids
    kill "$@" 2>/dev/null || true
    wait "$@" 2>/dev/null || true
}

claw() { # home, base address of the model
    local home=$1
    mkdir -p "$home/workspace"
    cat >"$home/openclaw.json" <<JSON
{ "gateway": { "mode": "local", "port": $claw_port, "bind": "loopback", "auth": { "mode": "token", "token": "$token" } },
  "models": { "mode": "replace", "providers": { "stub": {
      "baseUrl": "$2", "apiKey": "$token", "api": "openai-completions",
      "models": [{ "id": "stub-1", "name": "Stub", "reasoning": false, "input": ["text"], "contextWindow": 128000,
          "maxTokens": 4096, "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 } }] } } },
  "agents": { "defaults": { "model": { "primary": "stub/stub-1" }, "workspace": "$home/workspace", "skipBootstrap": true } } }
JSON
    (cd "$home" && exec env HOME="$home" OPENCLAW_STATE_DIR="$home/state" OPENCLAW_CONFIG_PATH="$home/openclaw.json" \
        "$installed/node" "$installed/node_modules/openclaw/openclaw.mjs" gateway run) >"$home/claw.log" 2>&1 &
    claw=$!
    pids+=("$claw")
    until_log "$home/claw.log" "http server listening"
}

measure() { # row, ms to the model's first token
    local home=$work/$1-$2 early=true model=http://127.0.0.1:$stub_port/v1
    [ "$1" != proxy ] || early=false
    mkdir -m 700 "$home"
    "$release/examples/stub_agent" --listen "127.0.0.1:$stub_port" --first-token-ms "$2" --sentences 1 \
        --log "$home/agent.jsonl" >"$home/stub.log" 2>&1 &
    local stub=$!
    pids+=("$stub")
    [ "$1" = stock ] || model=http://127.0.0.1:$proxy_port/v1
    claw "$home/claw" "$model"
    (umask 077 && echo "$token" >"$home/token")
    cat >"$home/offhook.toml" <<TOML
[sip]
bind = ["loopback"]
port = 5399
tls = false
ws = false
[web]
port = 8399
[agent]
kind = "openclaw"
url = "ws://127.0.0.1:$claw_port"
api_key_file = "token"
greeting = ""
[turn]
speculation = $early
$([ "$1" != patient ] || printf 'wait_ms_sure = 600\nwait_ms_unsure = 600\n')
[asr]
model = "embedded"
[models]
auto_download = false
TOML
    [ "$1" = stock ] || cat >>"$home/offhook.toml" <<TOML
[proxy]
enabled = true
port = $proxy_port
url = "http://127.0.0.1:$stub_port/v1"
token_file = "token"
TOML
    OFFLINE=1 "$release/offhook" --home "$home" run >"$home/log" 2>&1 &
    local server=$!
    pids+=("$server")
    until_log "$home/log" "ears and voice are warm"
    # The first turn of all takes OpenClaw some ten seconds: a call of its own, in which the proxy shows itself as well.
    "$release/offhook" --home "$home" call 100 --say "What time is it" --reply-s-max 60 >"$home/warm" 2>&1 || true
    sleep 5
    "$release/offhook" --home "$home" call 100 --drill "$work/turns.drill" --json >"$home/drill.json" 2>"$home/drill.log" || true
    stop "$server" "$claw" "$stub"
    python3 "$here/openclaw/report.py" "$1-$2" "$home/log" "$home/drill.json"
}

for first_ms in ${FIRST_MS:-150 800}; do
    echo "a model of $first_ms ms to the first token, 60 tokens/s"
    for row in ${ROWS:-stock proxy early patient}; do measure "$row" "$first_ms"; done
done
