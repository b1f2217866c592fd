#!/usr/bin/env bash
# What the program understands of a real softphone over a bad network: baresip and the release build in network namespaces
# of their own, and between them a router that loses, delays and reorders packets as told, by seed. (tc-netem would do the
# same; many kernels are without it, and it can't be repeated.) PCMU and Opus with FEC call at the same time. Beside it:
# the PCMU packets of the same call that came through, each in its place, holes left silent, heard by the same recogniser.
#
#   tests/bench/network.sh [--rounds 1] [--sentences 18] [--binary target/release/offhook]
#
# Needs root, ip (iproute2), baresip with Opus, sox, curl, python3. Takes 6 minutes of real time a round.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for tool in ip baresip sox python3 curl; do
    command -v "$tool" >/dev/null || { echo "SKIPPED network: no $tool"; exit 0; }
done
[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || { echo "SKIPPED network: needs root and /dev/net/tun"; exit 0; }
exec python3 "$here/network/network.py" "$@"
