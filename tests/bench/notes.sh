#!/usr/bin/env bash
# A voice note of some 10 s: received → its words, and → a spoken answer as a voice note, through the audio API of the
# running program, as multiples of the note's length. Beside whisper.cpp (PyPI's pywhispercpp: its own server is not
# packaged) with the same model on the same sound, cut the same, in the same run.
#
#   tests/bench/notes.sh [ROUNDS]       needs target/release/offhook, or what OFFHOOK_BINARY names
#   OFFHOOK_WHISPER=PYTHON              a Python that can import pywhispercpp; without one only our half is measured
set -euo pipefail
. "$(dirname "$0")/measure.sh"
needs notes python3
binary=${OFFHOOK_BINARY:-$here/../../target/release/offhook}
[ -x "$binary" ] || { echo "SKIPPED notes: no $binary"; exit 0; }
exec_python=${OFFHOOK_WHISPER:-python3}

cat >"$work/offhook.toml" <<TOML
[sip]
bind = ["loopback"]
port = 5297
tls = false
ws = false
[web]
port = 8297
[asr]
model = "embedded"
[models]
auto_download = false
TOML
chmod 700 "$work"
"$binary" --home "$work" run >"$work/log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    grep -q "ears and voice are warm" "$work/log" && break
    sleep 0.2
done
"$exec_python" "$here/notes/notes.py" "$work" "$here/../../asr/models/mini-en-q5_0.bin" "${1:-6}"
