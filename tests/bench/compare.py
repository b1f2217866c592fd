#!/usr/bin/env python3
"""The reports of `turns.sh` side by side, and the ratio of ours to each peer: compare.py FOLDER.

Ratios below 1 are in our favour. A question counts as understood when the agent was asked in the words that were said.
"""
import glob
import json
import os
import re
import sys

folder = sys.argv[1]


def words(text):
    return re.sub(r"[^a-z0-9' ]", " ", text.lower()).split()


def understood(name, report):
    """(asked in the right words, turns, requests, cancelled, tokens sent for nothing), from the agent's log."""
    path = os.path.join(folder, f"{name}.agent.jsonl")
    lines = [json.loads(line) for line in open(path)] if os.path.exists(path) else []
    asked = [words(line["question"]) for line in lines]
    right = turns = 0
    for call in report["calls"]:
        for step in call["steps"]:
            if step["kind"] != "turn":
                continue
            turns += 1
            if words(step["prompt"]) in asked:
                asked.remove(words(step["prompt"]))
                right += 1
    dropped = [line for line in lines if line.get("cancelled")]
    return right, turns, len(lines), len(dropped), sum(line["tokens_sent"] for line in dropped)


def rate(part, row):
    return f"{part} of {row['steps']}" if row["steps"] else "-"


rows = []
for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
    name = os.path.basename(path)[:-5]
    try:
        report = json.load(open(path))
    except ValueError:
        print(f"{name}: no report", file=sys.stderr)
        continue
    s = report["summary"]
    right, turns, requests, dropped, tokens = understood(name, report)
    rows.append({
        "name": name,
        "latency p50": s["latency_ms"]["p50"], "latency p95": s["latency_ms"]["p95"],
        "stop p50": s["stop_ms"]["p50"], "stop p95": s["stop_ms"]["p95"],
        "answer to it p50": s["interruption_answer_ms"]["p50"],
        "cut in": rate(s["cut_ins"], s["latency_ms"]), "unanswered": rate(s["unanswered"], s["latency_ms"]),
        "false cut-ins": rate(s["false_cut_ins"], s["pause_latency_ms"]),
        "after a pause p50": s["pause_latency_ms"]["p50"],
        "talked on": rate(s["not_stopped"], s["stop_ms"]),
        "stopped by agreement, noise": rate(s["agreement_stops"], s["agreement_gap_ms"]),
        "gap then p50": s["agreement_gap_ms"]["p50"],
        "stopped by own echo": rate(s["echo_stops"], s["echo_gap_ms"]),
        "understood": f"{right} of {turns}",
        "requests": requests, "cancelled": dropped, "tokens for nothing": tokens,
        "own packets late p99 µs": report["own_packets_late_us_p99"],
        "load": f"{report['load_before'].split(' ')[0]} to {report['load_after'].split(' ')[0]}",
    })

if not rows:
    sys.exit("no reports")
ours = [row for row in rows if row["name"].startswith("ours")]
peers = [row for row in rows if not row["name"].startswith("ours")]
rows = ours + peers
width = max(len(key) for key in rows[0])
for key in rows[0]:
    print(f"{'' if key == 'name' else key:<{width}}  " + "  ".join(
        f"{'-' if row[key] is None else row[key]!s:>18}" for row in rows))
for mine in ours:
    for peer in peers:
        ratios = [
            f"{key} {mine[key] / peer[key]:.2f}"
            for key in ("latency p50", "latency p95", "stop p50", "stop p95")
            if mine[key] and peer[key]
        ]
        print(f"{mine['name']} / {peer['name']}: " + ", ".join(ratios))
