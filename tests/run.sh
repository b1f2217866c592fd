#!/usr/bin/env bash
# Runs every test of the project and adds up the result lines. Arguments go to `cargo test`, which is then all that is run.
#
# Peers that are not installed are skipped by name; OFFHOOK_REQUIRE_PEERS=1 makes that a failure instead.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp) beside=$(mktemp) third=$(mktemp) last=$(mktemp) second="" repeated=0
trap '[ -z "$second" ] || kill "$second" 2>/dev/null; rm -f "$log" "$beside" "$third" "$last"' EXIT

tests() { cargo test --locked --no-fail-fast "$@"; }
first() { tests "$@" 2> >(tee -a "$log" >&2) | tee -a "$log"; }

# Calls last as long as speech does, and the machine waits meanwhile: those with OpenClaw are made beside the other ones,
# once these have begun. No other test's name holds one of these.
OPENCLAW=(openclaw::openclaw_ openclaw::a_restart openclaw::tier_ callback_openclaw::)
second() {
    until grep -q 'tests/interop/main.rs' "$log"; do sleep 1; done
    exec cargo test --workspace --locked --test interop -- "${OPENCLAW[@]}"
}

# How much of a processor the host of a virtual machine gives to others just now, in hundredths.
stolen() {
    local before after
    read -r _ _ _ _ _ _ _ _ before _ </proc/stat
    sleep 5
    read -r _ _ _ _ _ _ _ _ after _ </proc/stat
    echo $(((after - before) / 5))
}

# A call goes on whether or not the machine has time for it. What failed while something waited for a processor for much
# of the test (tests/interop/peers.rs measures that, and says so) was not judged: it is made again with nothing beside it,
# when the host has time or after two minutes, twice at most, and the last time counts. Anything else that failed has failed.
again() {
    local failed late name count all
    cat "$log" "$beside" >"$last"
    for _ in 1 2; do
        failed=$(sed -nE 's/^test (.+) \.\.\. FAILED$/\1/p' "$last" | sort -u)
        late=$(sed -nE 's/^NO TIME ([a-z0-9_]+): .*/\1/p' "$last")
        for name in $failed; do
            grep -qx "${name##*::}" <<<"$late" || return
        done
        # Where so many fail, or a test program died, there is something else. Each that failed must be known by name.
        count=$(wc -w <<<"$failed")
        all=$(awk '/^test result:/ { failed += $6 } END { print failed + 0 }' "$last")
        if [ "$count" -ne "$all" ] || [ "$count" -eq 0 ] || [ "$count" -gt 8 ] || grep -q '(signal: ' "$last"; then
            return
        fi
        printf '\nThe machine had no time for these. They are made again, alone:\n%s\n' "$failed"
        for _ in {1..24}; do [ "$(stolen)" -lt 10 ] && break; done
        # shellcheck disable=SC2086 # names, one word each
        cargo test --workspace --locked --test interop -- --exact $failed 2>&1 | tee "$last"
        status=${PIPESTATUS[0]}
        # A name that is none of this program's runs nothing, which is no pass.
        all=$(awk '/^test result:/ { ran += $4 + $6 } END { print ran + 0 }' "$last")
        if [ "$all" -ne "$count" ]; then
            status=1
            return
        fi
        repeated=$((repeated + count))
        cat "$last" >>"$third"
    done
}

echo "Building and running the tests. The first build takes 10 to 15 minutes on 2 cores, the tests 20."
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
    again
fi
wait

cat "$log" "$beside" "$third" | awk -v status="$status" -v repeated="$repeated" '
    /^test result:/ { passed += $4; failed += $6; ignored += $8 }
    /^SKIPPED / { skipped++; lines = lines "\n  " $0 }
    END {
        failed -= repeated
        printf "\n%d passed, %d failed", passed, failed
        if (repeated) printf ", %d made again alone", repeated
        if (ignored) printf ", %d ignored", ignored
        if (skipped) printf ", %d of the passed were skipped inside:%s", skipped, lines
        if (status && !failed) printf "\ncargo test itself failed (exit status %d)", status
        printf "\n"
    }'
exit "$status"
