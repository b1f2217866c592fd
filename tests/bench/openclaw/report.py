"""One row of the bench: `report.py NAME LOG DRILL`. The log is the program's, with a line for each turn; the drill's report is
what its caller measured. The first call, and the first two turns of the second one, warm up."""
import json
import math
import re
import sys

WARM = 2
TURN = re.compile(r"turn: .*?guess (\S+)(?: ms)? · commit (\d+) ms .*?packet (\d+) ms .* id=(\d+)")


def percentiles(ms):
    ms = sorted(ms)
    return [ms[max(0, math.ceil(part * len(ms)) - 1)] for part in (0.5, 0.95)] if ms else ["-", "-"]


name, log, drill = sys.argv[1:]
turns = [match.groups() for match in map(TURN.search, open(log)) if match]
calls = sorted({int(turn[3]) for turn in turns})
turns = [turn for turn in turns if int(turn[3]) == calls[-1]][WARM:]
waits = [int(packet) - int(commit) for _, commit, packet, _ in turns]
guessed = [int(commit) - int(guess) for guess, commit, _, _ in turns if guess.isdigit()]
print(f"{name:<10} {len(turns)} turns, {len(guessed)} asked early, {percentiles(guessed)[0]} ms before the commit (p50)")
print("           commit -> first packet            p50 {} p95 {} ms".format(*percentiles(waits)))
print("           last sound -> packet              p50 {} p95 {} ms".format(*percentiles([int(t[2]) for t in turns])))
heard = json.load(open(drill))["summary"]["latency_ms"]
print("           last sound -> answer at the ear   p50 {p50} p95 {p95} ms, {counted} of {steps} answered".format(**heard))
