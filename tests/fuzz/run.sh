#!/usr/bin/env bash
# Fuzzes every target for some seconds each: `run.sh [SECONDS] [TARGET...]`. Needs cargo-fuzz and a nightly toolchain.
# New corpus entries stay out of git's sight until a crash among them is worth keeping.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    cat >&2 <<'TEXT'
offhook: fuzzing needs cargo-fuzz and a nightly toolchain:

    rustup toolchain install nightly --profile minimal
    cargo install cargo-fuzz --locked
TEXT
    exit 1
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
for target in "${targets[@]}"; do
    printf '== %s, %ss\n' "$target" "$seconds"
    # What is found goes to a folder of its own; the first corpus folder named is the one that is written to.
    found="target/found/$target"
    mkdir -p "$found"
    cargo +nightly fuzz run --fuzz-dir . "$target" "$found" "corpus/$target" -- -max_total_time="$seconds" -max_len=8192
done
