#!/usr/bin/env bash
# Makes a machine able to build (`prepare.sh build`) or to test (`prepare.sh test`) the program: looks for cargo and for
# the system packages, says what is missing and how large it is, asks when a person sits there, and installs.
# Nothing is asked of apt when nothing is missing, so the second run costs a few milliseconds.
#
# YES=1 does not ask. DRY_RUN=1 only says what would be done (exit 0 when there is nothing to do, 3 when there is).
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-build}
build_packages=(build-essential cmake pkg-config flite1-dev ca-certificates)
test_packages=(baresip-core sip-tester espeak-ng)
# The page is tried in a real browser. Ubuntu has it as a snap only; there those tests are skipped.
if grep -qs '^ID=debian' /etc/os-release; then test_packages+=(chromium nodejs); fi
# Not every release carries these; where one is missing, its tests are skipped.
optional_test_packages=(linphone-cli)

say() { printf '%s\n' "$*"; }
die() { printf 'offhook: %s\n' "$*" >&2; exit 1; }

# ---- cargo -----------------------------------------------------------------------------------------------------------

rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

how_to_get_rust() {
    cat >&2 <<TEXT

Offhook is built with Rust $rust_wanted or newer, through rustup (it installs into your home folder, without root):

    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
    . "\$HOME/.cargo/env"

On Debian 13, Ubuntu 24.04 and newer the distribution carries rustup too:

    sudo apt-get install rustup && rustup default stable

Then run the same command again.
TEXT
    exit 1
}

# Succeeds when version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

if ! command -v cargo >/dev/null || ! rust_found=$(rustc --version 2>/dev/null); then
    printf 'offhook: cargo was not found.\n' >&2
    how_to_get_rust
fi
rust_found=$(cut -d' ' -f2 <<<"$rust_found")
if ! at_least "${rust_found%%-*}" "$rust_wanted"; then
    printf 'offhook: Rust %s is installed, %s or newer is needed.\n' "$rust_found" "$rust_wanted" >&2
    if command -v rustup >/dev/null; then
        printf '\n    rustup update stable && rustup default stable\n\nThen run the same command again.\n' >&2
        exit 1
    fi
    how_to_get_rust
fi

# ---- system packages -------------------------------------------------------------------------------------------------

case $purpose in
    build) wanted=("${build_packages[@]}") ;;
    test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
    *) die "usage: prepare.sh build|test" ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    missing=()
    for tool in cc c++ cmake; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    if [ ${#missing[@]} -gt 0 ]; then
        die "this is not Debian or Ubuntu, so install by hand what these packages hold: ${wanted[*]} (not found: ${missing[*]})"
    fi
    exit 0
fi

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
# Whether apt could install it. Without lists nobody knows; they are fetched before it counts.
may_exist() { ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || apt-cache show "$1" >/dev/null 2>&1; }

missing=()
for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
done
optional=()
if [ "$purpose" = test ]; then
    for package in "${optional_test_packages[@]}"; do
        if ! is_installed "$package" && may_exist "$package"; then optional+=("$package"); fi
    done
fi
needed=("${missing[@]}")
missing+=("${optional[@]}")
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    die "these packages are missing, and there is no sudo here: run as root: apt-get install --no-install-recommends ${missing[*]}"
fi

install=(apt-get install --yes --no-install-recommends)

# What apt would fetch for them, in MB; empty when its lists are not there yet.
download_mb() {
    LC_ALL=C "${install[@]}" --print-uris -o Debug::NoLocking=1 "${missing[@]}" 2>/dev/null |
        awk '$1 ~ /^\x27/ { bytes += $3 } END { if (bytes > 0) printf "%.0f", bytes / 1e6 }'
}

size=$(download_mb || true)
if [ -n "$size" ]; then size="$size MB to download"; else size="the package lists have to be fetched first to know the size"; fi
say "System packages needed to $purpose Offhook: ${missing[*]} ($size)."
say "They come from this machine's own package sources; none of them starts a service."

if [ "${DRY_RUN:-}" = 1 ]; then
    exit 3
fi
if [ "${YES:-}" != 1 ] && [ -t 0 ] && [ -t 1 ]; then
    read -r -p "Install them now with ${as_root[*]:+${as_root[*]} }apt-get? [Y/n] " answer
    case $answer in
        '' | y | Y | yes | Yes) ;;
        *) die "not installed. Install them by hand and run the same command again." ;;
    esac
fi

export DEBIAN_FRONTEND=noninteractive
# sudo clears the environment, hence `env` on its far side.
root() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A failure must show what apt said; success need not.
quietly() {
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
}

say "Fetching the package lists ..."
quietly root apt-get update || say "Some lists could not be fetched; trying with those at hand."
missing=("${needed[@]}")
for package in "${optional[@]}"; do
    if may_exist "$package"; then missing+=("$package"); fi
done
[ ${#missing[@]} -gt 0 ] || exit 0
size=$(download_mb || true)
say "Installing ${missing[*]}${size:+ ($size MB)} ..."
quietly root "${install[@]}" "${missing[@]}" || die "apt-get could not install them (see above)."
say "Done."
