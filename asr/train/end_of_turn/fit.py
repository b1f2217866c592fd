"""Fits the prosody rule and writes it as a Rust table: `python fit.py TABLE.rs MEASURED.tsv [MEASURED.tsv ...]`.

Logistic regression on standardised and clipped measures. Each family of voices counts the same, and each kind of pause.
How sharp the rule may be is decided by families it was not fitted on: their log odds are scaled by the one factor that
fits their outcomes best, and the written weights carry that factor times TRUST. Prints what it found.
"""
import csv
import sys

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

LIMIT = 2.5
STRENGTH = .02
# Real people gave no sign that made voices' prosody carries over to them (see the README): a part of what the left-out
# families would allow, so that the rule says little rather than something wrong.
TRUST = .3


def read(paths):
    rows, names = [], None
    for p in paths:
        table = list(csv.reader(open(p), delimiter="\t"))
        names = table[0][5:]
        rows += [(r[1], r[2] == "shift", int(r[3]), np.array(r[5:], float)) for r in table[1:]]
    return names, np.array([family(r[0]) for r in rows]), np.array([r[1] for r in rows]), np.array([r[3] for r in rows])


def family(voice):
    return "espeak" if voice.startswith("espeak") else voice


def weights(fam, y):
    w = np.zeros(len(y))
    for f in set(fam):
        for v in (True, False):
            m = (fam == f) & (y == v)
            # Espeak's twenty voices share one intonation, but not one sound.
            w[m] = (2 if f == "espeak" else 1) / max(m.sum(), 1)
    return w / w.mean()


def prepare(x, mean, spread):
    z = np.clip((x - mean) / spread, -LIMIT, LIMIT)
    return np.nan_to_num(z, nan=0.)


def train(x, y, w):
    mean, spread = np.nanmean(x, 0), np.nanstd(x, 0) + 1e-6
    model = LogisticRegression(C=STRENGTH, max_iter=2000).fit(prepare(x, mean, spread), y, sample_weight=w)
    return mean, spread, model.coef_[0], model.intercept_[0]


def odds(fitted, x):
    mean, spread, coef, bias = fitted
    return prepare(x, mean, spread) @ coef + bias


def sharpness(z, y, w):
    best = min(np.linspace(.05, 2, 79), key=lambda k: log_loss(y, 1 / (1 + np.exp(-k * z)), sample_weight=w))
    return float(best)


def main(out, paths):
    names, fam, y, x = read(paths)
    w = weights(fam, y)
    print("%d measurements of pauses, %.0f %% of them ends" % (len(y), 100 * y.mean()))
    held, trees = np.zeros(len(y)), np.zeros(len(y))
    for f in sorted(set(fam)):
        m = fam == f
        fitted = train(x[~m], y[~m], w[~m])
        held[m] = odds(fitted, x[m])
        tree = GradientBoostingClassifier(n_estimators=120, max_depth=3, subsample=.5, learning_rate=.05, random_state=1)
        tree.fit(prepare(x[~m], *fitted[:2]), y[~m], sample_weight=w[~m])
        trees[m] = tree.decision_function(prepare(x[m], *fitted[:2]))
        own = odds(train(x[m], y[m], w[m]), x[m])
        print("not fitted on %-32s AUC %.3f (trees %.3f; fitted on it alone %.3f)"
              % (f, roc_auc_score(y[m], held[m]), roc_auc_score(y[m], trees[m]), roc_auc_score(y[m], own)))
    k = sharpness(held, y, w)
    print("left out: AUC %.3f, log loss %.3f at sharpness %.2f (knowing nothing: 0.693)"
          % (roc_auc_score(y, held, sample_weight=w), log_loss(y, 1 / (1 + np.exp(-k * held)), sample_weight=w), k))
    mean, spread, coef, bias = train(x, y, w)
    for n, c in sorted(zip(names, coef), key=lambda p: -abs(p[1])):
        print("  %-34s %+.3f" % (n, c))
    coef, bias = TRUST * k * coef, TRUST * k * bias

    def array(name, values):
        body = "".join("    %s,\n" % rust(v) for v in values)
        return "pub(super) const %s: [f32; FEATURES] = [\n%s];\n" % (name, body)

    def rust(v):
        t = "%.4f" % v
        # As a Rust formatter groups digits.
        head, tail = t.rstrip("0").split(".")
        tail = "_".join(tail[i:i + 3] for i in range(0, len(tail), 3)) or "0"
        return head + "." + tail

    with open(out, "w") as f:
        f.write("//! PURE.\n//!\n//! The prosody rule's numbers, written by `asr/train/end_of_turn/fit.py`; a new fit "
                "replaces this file. Owns nothing\n//! else: the arithmetic is `prosody`'s, the measures are `features`'.\n\n"
                "use super::features::FEATURES;\n\n"
                "/// A measure counts up to this many spreads from its mean.\npub(super) const LIMIT: f32 = %s;\n"
                "/// Log odds of the end of a turn for a pause whose measures are all usual.\n"
                "pub(super) const BIAS: f32 = %s;\n" % (rust(LIMIT), rust(bias)))
        f.write("/// What each measure usually is.\n" + array("MEAN", mean))
        f.write("/// How far it usually strays.\n" + array("SPREAD", spread))
        f.write("/// Log odds for each spread above the mean.\n" + array("WEIGHT", coef))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
