#!/usr/bin/env bash
# Runs every test of the project and adds up the result lines. Arguments go to `cargo test`, which is then all that is run.
#
# Peers that are not installed are skipped by name; OFFHOOK_REQUIRE_PEERS=1 makes that a failure instead.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp) beside=$(mktemp) second=""
trap '[ -z "$second" ] || kill "$second" 2>/dev/null; rm -f "$log" "$beside"' EXIT

tests() { cargo test --locked --no-fail-fast "$@"; }
first() { tests "$@" 2> >(tee -a "$log" >&2) | tee -a "$log"; }

# Calls last as long as speech does, and the machine waits meanwhile: those with OpenClaw are made beside the other ones,
# once these have begun. No other test's name holds one of these.
OPENCLAW=(openclaw::openclaw_ openclaw::a_restart openclaw::tier_ callback_openclaw::)
second() {
    until grep -q 'tests/interop/main.rs' "$log"; do sleep 1; done
    exec cargo test --workspace --locked --test interop -- "${OPENCLAW[@]}"
}

echo "Building and running the tests. The first build takes 15 to 20 minutes on 2 cores, the tests 20."
if [ $# -gt 0 ]; then
    first --workspace "$@"
    status=$?
else
    tests --workspace --no-run || exit
    second >"$beside" 2>&1 &
    second=$!
    first --workspace -- "${OPENCLAW[@]/#/--skip=}"
    status=$?
    # Without the interop tests there is nothing to wait for.
    grep -q 'tests/interop/main.rs' "$log" || kill "$second"
    wait "$second" || status=$?
    second=""
    cat "$beside"
fi
wait

cat "$log" "$beside" | awk -v status="$status" '
    /^test result:/ { passed += $4; failed += $6; ignored += $8 }
    /^SKIPPED / { skipped++; lines = lines "\n  " $0 }
    END {
        printf "\n%d passed, %d failed", passed, failed
        if (ignored) printf ", %d ignored", ignored
        if (skipped) printf ", %d of the passed were skipped inside:%s", skipped, lines
        if (status && !failed) printf "\ncargo test itself failed (exit status %d)", status
        printf "\n"
    }'
exit "$status"
