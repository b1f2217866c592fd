"""How the rule does on measured pauses it was not fitted on: `python check.py MEASURED.tsv [...]`.

Prints AUC, Brier score and log loss of the rule's own probability, per time asked and kind of voice, and a calibration
table. Knowing nothing (one half always) has Brier 0.25 and log loss 0.693.
"""
import csv
import sys

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score


def main(paths):
    rows = [r for p in paths for r in list(csv.reader(open(p), delimiter="\t"))[1:]]
    kind = np.array([r[1].split(":")[0] for r in rows])
    y = np.array([r[2] == "shift" for r in rows])
    after = np.array([int(r[3]) for r in rows])
    p = np.array([float(r[4]) for r in rows])

    def line(name, m):
        if len(set(y[m])) == 2:
            # Ends and holds count the same, as where the rule was calibrated.
            w = np.where(y[m], 1 / y[m].sum(), 1 / (~y[m]).sum())
            print("%-24s %4d ends %4d holds  AUC %.3f  Brier %.3f  log loss %.3f  mean p: ends %.2f holds %.2f"
                  % (name, y[m].sum(), (~y[m]).sum(), roc_auc_score(y[m], p[m]),
                     brier_score_loss(y[m], p[m], sample_weight=w), log_loss(y[m], p[m], sample_weight=w),
                     p[m & y].mean() if m.shape == y.shape else 0, p[m & ~y].mean()))

    for a in sorted(set(after)):
        line("all, after %d ms" % a, after == a)
    for k in sorted(set(kind)):
        line(k, kind == k)
    if "cut" in kind:
        line("natural pauses only", kind != "cut")
    for low in np.arange(0, 1, .1):
        m = (p >= low) & (p < low + .1 + 1e-9)
        if m.sum():
            print("said %.1f to %.1f: %4d pauses, %.2f of them ends" % (low, low + .1, m.sum(), y[m].mean()))


if __name__ == "__main__":
    main(sys.argv[1:])
