#!/usr/bin/env bash
# Fuzzes every target for some seconds each: `run.sh [SECONDS] [TARGET...]`. Needs cargo-fuzz.
#
# With a nightly toolchain under AddressSanitizer; without one on stable, guided by coverage all the same. New corpus
# entries stay out of git's sight until a crash among them is worth keeping. The last line per target says what was done.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
# Asked of rustup first: naming a toolchain that is missing would install it.
if rustup toolchain list 2>/dev/null | grep -q nightly && cargo +nightly fuzz --version >/dev/null 2>&1; then
    fuzz=(cargo +nightly fuzz) sanitizer=address
elif cargo fuzz --version >/dev/null 2>&1; then
    fuzz=(cargo fuzz) sanitizer=none
else
    echo "offhook: fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked" >&2
    exit 1
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
for target in "${targets[@]}"; do
    printf '== %s, %ss, sanitizer %s\n' "$target" "$seconds" "$sanitizer"
    # What is found goes to a folder of its own; the first corpus folder named is the one that is written to.
    found="target/found/$target"
    mkdir -p "$found"
    crate=$(grep -oE '\b(sip|media|asr|agent_bridge|tts)::' "targets/$target.rs" | head -n 1)
    crate=${crate%::}
    "${fuzz[@]}" run --fuzz-dir . -s "$sanitizer" --no-default-features --features "${crate/_/-}" \
        "$target" "$found" "corpus/$target" -- -max_total_time="$seconds" -max_len=8192 -print_final_stats=1
done
