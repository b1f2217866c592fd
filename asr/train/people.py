"""Short recordings of people as test sets for `evaluate.py`, from a folder that holds them; nothing is kept but the two sets.

  python people.py AUDIO TRANSCRIPTS OUT

TRANSCRIPTS is a table with the columns file (relative to AUDIO's parent or AUDIO), language, rate, seconds, speech and transcript, as
words in lower case. Takes English clips of real people with words and at most 9 s. Writes OUT/people_clean and
OUT/people_ulaw. For measuring only: no recording may enter the training.
"""
import csv
import os
import sys

import numpy as np
import soundfile as sf

import audio
from testsets import write


def main(folder, table, out):
    rows, rng = [], np.random.default_rng(779)
    for r in csv.DictReader(open(table), delimiter="\t"):
        if r["language"] != "en" or r["speech"] == "synthetic" or not r["transcript"].strip() or float(r["seconds"]) > 9:
            continue
        f = next((p for p in (os.path.join(folder, r["file"]), os.path.join(os.path.dirname(folder), r["file"])) if os.path.exists(p)), None)
        if not f or f.endswith(".mp3"):
            continue
        x, sr = sf.read(f, dtype="float32", always_2d=True)
        x = audio.to_rate(x[:, 0].copy(), sr, audio.SR)
        rows.append((x, r["transcript"].strip(), r["speech"]))
    write(os.path.join(out, "people_clean"), rows)
    write(os.path.join(out, "people_ulaw"), [(audio.telephone(x, rng), s, v) for x, s, v in rows])
    print(len(rows), "clips of people")


if __name__ == "__main__":
    main(*sys.argv[1:4])
