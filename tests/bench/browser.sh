#!/usr/bin/env bash
# A call from the page's phone in a real Chromium beside a SIP call, with the same questions in the same run: from the last sound
# of a question to the first sound of its answer. In the browser both are looked at in the page: what its microphone gives, and
# what leaves its jitter buffer, whose length is printed too. The SIP call is measured at its RTP socket, where there is none.
#
#   tests/bench/browser.sh [ROUNDS]     needs target/release/offhook and target/release/examples/stub_agent
set -euo pipefail
. "$(dirname "$0")/measure.sh"
needs browser chromium node python3
tree=$here/../..
release=${CARGO_TARGET_DIR:-$tree/target}/release
[ -x "$release/offhook" ] && [ -x "$release/examples/stub_agent" ] || {
    echo "first: cargo build --release --bin offhook --example stub_agent" >&2
    exit 1
}
"$release/examples/stub_agent" >"$work/agent.log" 2>&1 &
pids+=($!)
cat >"$work/offhook.toml" <<TOML
[sip]
bind = ["loopback"]
port = 5298
tls = false
ws = false
[web]
port = 8298
[agent]
kind = "openai"
url = "http://127.0.0.1:8190/v1"
model = "stub"
only_answers = "yes"
greeting = "Hello."
[asr]
model = "embedded"
[models]
auto_download = false
TOML
chmod 700 "$work"
OFFLINE=1 "$release/offhook" --home "$work" run >"$work/log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    grep -q "ears and voice are warm" "$work/log" && break
    sleep 0.2
done
python3 "$here/browser/compare.py" "$release/offhook" "$work" "$tree" "${1:-2}"
