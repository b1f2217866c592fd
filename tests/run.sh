#!/usr/bin/env bash
# Runs every test of the project and adds up the result lines. Arguments go to `cargo test`.
#
# Peers that are not installed are skipped by name; OFFHOOK_REQUIRE_PEERS=1 makes that a failure instead.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "Building and running the tests. The first build takes about 15 minutes on 2 cores, the tests 25 minutes."
cargo test --workspace --locked --no-fail-fast "$@" 2> >(tee -a "$log" >&2) | tee -a "$log"
status=${PIPESTATUS[0]}
wait

awk -v status="$status" '
    /^test result:/ { passed += $4; failed += $6; ignored += $8 }
    /^SKIPPED / { skipped++; lines = lines "\n  " $0 }
    END {
        printf "\n%d passed, %d failed", passed, failed
        if (ignored) printf ", %d ignored", ignored
        if (skipped) printf ", %d of the passed were skipped inside:%s", skipped, lines
        if (status && !failed) printf "\ncargo test itself failed (exit status %d)", status
        printf "\n"
    }' "$log"
exit "$status"
