#!/usr/bin/env bash
# Half an hour of everything at once against the release build: calls between phones with and without sound, held, handed
# on, given up, and left by a caller that vanishes; calls with the assistant; registrations and wrong passwords. SIPp plays
# all phones. A line per minute says what the program holds; at the end nothing may be left of any call, and memory may not
# have grown.
#
#   tests/soak.sh [--minutes 30] [--rate auto] [--talking 50] [--binary target/release/offhook]
#
# --rate: short calls per second; `auto` measures first what one costs, and takes half of what one core could do, or half of
# what the table of transactions holds.
# --talking: calls with sound at once. Exit status 1 where something was left, grew, or more than 1 in 200 calls failed, and
# where SIPp or Python is missing although OFFHOOK_REQUIRE_PEERS is set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for tool in sipp python3; do
    command -v "$tool" >/dev/null && continue
    echo "SKIPPED soak: no $tool"
    [ -z "${OFFHOOK_REQUIRE_PEERS:-}" ] || exit 1
    exit 0
done
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
exec python3 "$here/soak/soak.py" "$@"
