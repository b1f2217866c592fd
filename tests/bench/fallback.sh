#!/usr/bin/env bash
# How long callers wait for an answer when the first gateway of the chain is dead, slow or answers 429, and the second one is
# well: from the last sound of a question to the first of the answer, at the caller's RTP socket; beside the second one alone.
#
#   tests/bench/fallback.sh [QUESTIONS]     needs target/release/offhook and target/release/examples/stub_agent
set -euo pipefail
. "$(dirname "$0")/measure.sh"
needs fallback python3
release=${CARGO_TARGET_DIR:-$here/../../target}/release
[ -x "$release/offhook" ] && [ -x "$release/examples/stub_agent" ] || {
    echo "first: cargo build --release --bin offhook --example stub_agent" >&2
    exit 1
}
questions=${1:-6}
"$release/examples/stub_agent" >"$work/agent.log" 2>&1 &
pids+=($!)
# 8191 never answers, 8192 answers 429; nobody listens on 8193.
python3 "$here/fallback/gateways.py" 8191 8192 &
pids+=($!)

measure() { # name, port of the first gateway
    local home=$work/$1
    mkdir -m 700 "$home"
    cat >"$home/offhook.toml" <<TOML
[sip]
bind = ["loopback"]
port = 5299
tls = false
ws = false
[web]
port = 8299
[agent]
kind = "openai"
url = "http://127.0.0.1:$2/v1"
model = "stub"
only_answers = "yes"
greeting = ""
[[agent.fallback]]
kind = "openai"
url = "http://127.0.0.1:8190/v1"
model = "stub"
[asr]
model = "embedded"
[models]
auto_download = false
[log]
transcripts = true
TOML
    OFFLINE=1 "$release/offhook" --home "$home" run >"$home/log" 2>&1 &
    local server=$!
    pids+=("$server")
    for _ in $(seq 100); do
        grep -q "ears and voice are warm" "$home/log" && break
        sleep 0.2
    done
    # Each question in a call of its own, so that the breaker's memory of the last one is part of it.
    for _ in $(seq "$questions"); do
        printf '\0\n' >>"$home/calls"
        "$release/offhook" --home "$home" call 100 --say "What time is it" --json >>"$home/calls" || true
    done
    kill "$server"
    wait "$server" 2>/dev/null || true
    python3 "$here/fallback/gateways.py" --report "$1" "$home/calls" "$home/log"
}

measure well 8190
measure dead 8193
measure busy 8192
measure slow 8191
