# What the benches that count a server's CPU seconds share; to be sourced. Sets `here`, `work` and `pids`; what is in
# `pids` is stopped and `work` removed at the end. OFFHOOK_KEEP=1 keeps the folder.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
pids=()
hz=$(getconf CLK_TCK)

finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ -n "${OFFHOOK_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap finish EXIT

# Ends the script by name where a tool is missing.
needs() { # bench, tools...
    local bench=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "SKIPPED $bench: no $tool"; exit 0; }
    done
}

# Waits until a SIP server answers OPTIONS on that port of this machine.
answers() { # port, log
    python3 "$here/registrar/ping.py" "$1" || { tail -n 5 "$2" >&2; exit 1; }
}

family() { # pids: they and their children
    local pid
    for pid in "$@"; do
        echo "$pid"
        pgrep -P "$pid" || true
    done
}

# CPU ticks so far of processes and their children, ended threads included.
ticks() { # pids
    local total=0 pid
    for pid in $(family "$@"); do
        total=$((total + $(awk '{print $14 + $15}' <(sed 's/.*) /x x /' "/proc/$pid/stat"))))
    done
    echo "$total"
}

memory_mb() { # pids
    local total=0 pid
    for pid in $(family "$@"); do
        total=$((total + $(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup")))
    done
    echo "$((total / 1024))"
}

# Median, least and most of the rounds, ours over the peer's. The first line of each file is the first round, which is
# printed apart.
compare() { # name of the peer, ours.csv, [peer.csv]
    python3 - "$@" <<'PY'
import statistics, sys

def read(path):
    values = [float(line) for line in open(path) if line.strip()]
    return values[0], values[1:] or values

def told(name, path):
    first, again = read(path)
    median = statistics.median(again)
    print(f"{name:<20} {median:.4f} CPU s per 1,000 (from {min(again):.4f} to {max(again):.4f}), first round {first:.4f}")
    return median

peer, ours = sys.argv[1], told("offhook", sys.argv[2])
if len(sys.argv) > 3:
    print(f"offhook / {peer} = {ours / told(peer, sys.argv[3]):.2f}")
PY
}
