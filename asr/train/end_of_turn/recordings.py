"""Real speech for a check, never for fitting: `python recordings.py FOLDER OUT` makes OUT/turns.tsv for `measure`.

FOLDER holds recordings, found in any depth: sentences (`*.wav`, `*.flac`), one turn each. The last sound of each is an
end; a pause of 220 ms or more before it is a hold, since reading goes on. Clips named `harvard*` are lists of separate
sentences: there every pause of 400 ms or more is an end. A clip without a pause gets a cut at its weakest place in the
middle (kind `hold`, voice `cut`). Clips of under a second and of single words are left out. All go through µ-law at 8 kHz.
"""
import os
import sys

import numpy as np
import soundfile as sf

import sound
from voices import SR, load

# These stop before their sentence does, by the books they are read from.
BROKEN_OFF = ("librispeech_2412", "LJ001-0001", "LJ001-0003", "LJ001-0007", "librivox_0890", "librivox_0930")


def speech(x):
    """Frames of 10 ms that are loud enough for speech."""
    n = len(x) // 160
    level = 10 * np.log10(np.mean(x[:n * 160].reshape(n, 160) ** 2, 1) + 1e-9)
    loud = level > max(np.percentile(level, 5) + 10, level.max() - 28)
    # Clicks of a switch are shorter than any word.
    edges = np.flatnonzero(np.diff(np.r_[0, loud.astype(np.int8), 0]))
    for a, b in zip(edges[::2], edges[1::2]):
        if b - a < 6:
            loud[a:b] = False
    return level, loud


def pauses(x, frames):
    """[(first silent frame, frames)] between the first and the last speech."""
    level, loud = speech(x)
    at = np.flatnonzero(loud)
    out = [(a + 1, b - a - 1) for a, b in zip(at, at[1:]) if b - a > frames]
    return out, at[0], at[-1] + 1, level


def main(folder, out):
    os.makedirs(out, exist_ok=True)
    rows = []
    paths = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.endswith((".wav", ".flac")))
    for number, path in enumerate(paths):
        name = os.path.basename(path)
        if any(part in path for part in ("/dtmf/", "/noise/", "/spell/", "/fsdd", "/multi/", "pause.", "ami_")):
            continue
        try:
            x = load(path)
        except (RuntimeError, ValueError):
            continue
        if x.ndim > 1:
            x = x.mean(1)
        if len(x) < SR:
            continue
        rng = np.random.default_rng(number)
        found, first, last, level = pauses(x, 22)
        is_list = name.startswith("harvard")
        x = np.concatenate([x[:last * 160 + 1600], np.zeros(SR // 2, np.float32)])
        whole = sound.up(sound.telephone(x, rng, -20, 99, True))
        marks = ["begin:0"]
        for a, n in found:
            ends = is_list and n >= 40
            if is_list and not ends:
                continue
            marks.append("%s:%d" % ("shift" if ends else "hold", a * 160))
            if ends:
                marks.append("begin:%d" % ((a + n) * 160 - 800))
        # This one stops in the middle of a word.
        marks.append("%s:%d" % ("hold" if name.startswith(BROKEN_OFF) else "shift", last * 160))
        file = "%03d.wav" % number
        sf.write(os.path.join(out, file), whole, SR, subtype="PCM_16")
        rows.append([file, "real:" + name] + marks)
        if not found and last - first > 80:
            # No pause: the weakest 30 ms between 40 and 75 % of it stand for the end of a word.
            a, b = first + int(.4 * (last - first)), first + int(.75 * (last - first))
            at = a + int(np.argmin(np.convolve(level, np.ones(3) / 3, "same")[a:b]))
            y = np.concatenate([sound.fade(x[:at * 160], rng), np.zeros(SR // 2, np.float32)])
            file = "%03dc.wav" % number
            sf.write(os.path.join(out, file), sound.up(sound.telephone(y, rng, -20, 99, True)), SR, subtype="PCM_16")
            rows.append([file, "cut:" + name, "begin:0", "hold:%d" % (at * 160)])
    with open(os.path.join(out, "turns.tsv"), "w") as table:
        for row in rows:
            table.write("\t".join(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
