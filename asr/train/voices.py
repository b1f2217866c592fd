"""Speech from Debian's flite, festival and espeak-ng and from RHVoice, with the times of the words where the engine tells
them.

flite runs inside this process (its licence allows that, and it is two hundred times faster than speech); festival,
espeak-ng and RHVoice (GPL) run as programs of their own.
"""
import atexit
import ctypes as C
import os
import re
import subprocess
import tempfile

import numpy as np
import soundfile as sf

from audio import SR, resample, to_rate

HELD_OUT = "flite:rms"
VOICES = [("flite:slt", 20), ("flite:awb", 18), ("flite:kal16", 7), ("flite:kal", 3),
          ("festival:kal_diphone", 4), ("festival:ked_diphone", 8),
          ("festival:cmu_us_slt_arctic_hts", 7), ("rhvoice:bdl", 16), ("rhvoice:clb", 16), ("rhvoice:slt", 5), ("espeak", 33)]
RHVOICE = os.environ.get("RHVOICE", "")     # folder with rhvoice.exe, RHVoice.dll, data; without it those voices are left out
ACCENTS = ["en-us"] * 4 + ["en-gb"] * 3 + ["en-gb-scotland", "en-gb-x-rp",
           "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"]
VARIANTS = ["", "", "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8",
            "Annie", "linda", "steph", "adam", "edward", "Andy", "klatt", "klatt2", "klatt4", "anika", "belinda",
            "ed", "grandma", "iven", "john", "michael", "norbert", "paul", "rob", "sandro", "victor", "zac"]
SAY = {"PIN": "pin", "AM": "ay em", "PM": "pee em"}


def spoken(text):
    """The text with an engine's spelling for the few words that engines read wrongly."""
    return " ".join(SAY.get(w.rstrip(".?"), w.rstrip(".?")) + w[len(w.rstrip(".?")):] for w in text.split())


def pick(rng, only=""):
    """A voice at random, of those whose names begin so."""
    there = [(v, w) for v, w in VOICES if v.startswith(only) and (RHVOICE or not v.startswith("rhvoice"))]
    if not there:
        raise SystemExit("no voice begins with %r (RHVoice's need the folder that run.sh makes, named by RHVOICE)" % only)
    v, w = zip(*there)
    v = v[rng.choice(len(v), p=np.array(w) / sum(w))]
    if v == "espeak":
        a, b = rng.choice(ACCENTS), rng.choice(VARIANTS)
        v = "espeak:" + a + ("+" + b if b else "")
    return v


class _Wave(C.Structure):
    _fields_ = [("type", C.c_char_p), ("rate", C.c_int), ("n", C.c_int), ("channels", C.c_int),
                ("samples", C.POINTER(C.c_short))]


class _Voice(C.Structure):
    _fields_ = [("name", C.c_char_p), ("features", C.c_void_p)]


class Flite:
    """libflite. `speak` gives samples at 16 kHz and, for each word of the text, its end in seconds; `phones` its sounds."""

    def __init__(self):
        lib = C.CDLL("libflite.so.1", mode=C.RTLD_GLOBAL)
        for n in ("usenglish", "cmulex"):
            C.CDLL("libflite_%s.so.1" % n, mode=C.RTLD_GLOBAL)
        p, s = C.c_void_p, C.c_char_p
        for n, res, args in (("flite_synth_text", p, [s, p]), ("utt_relation", p, [p, s]), ("relation_head", p, [p]),
                             ("item_next", p, [p]), ("item_feat_string", s, [p, s]), ("ffeature_string", s, [p, s]),
                             ("ffeature_float", C.c_float, [p, s]), ("utt_wave", C.POINTER(_Wave), [p]),
                             ("delete_utterance", None, [p]), ("feat_set_float", None, [p, s, C.c_float])):
            f = getattr(lib, n)
            f.restype, f.argtypes = res, args
        lib.flite_init()
        self.lib, self.voices = lib, {}

    def voice(self, name):
        if name not in self.voices:
            f = getattr(C.CDLL("libflite_cmu_us_%s.so.1" % name, mode=C.RTLD_GLOBAL), "register_cmu_us_" + name)
            f.restype, f.argtypes = C.c_void_p, [C.c_char_p]
            self.voices[name] = f(None)
        return self.voices[name]

    def _items(self, u, rel):
        it = self.lib.relation_head(self.lib.utt_relation(u, rel))
        while it:
            yield it
            it = self.lib.item_next(it)

    def speak(self, name, text, stretch=1.0, f0=None):
        v, lib = self.voice(name), self.lib
        feats = C.cast(v, C.POINTER(_Voice)).contents.features
        lib.feat_set_float(feats, b"duration_stretch", stretch)
        if f0:
            lib.feat_set_float(feats, b"int_f0_target_mean", f0)
        u = lib.flite_synth_text(text.encode(), v)
        w = lib.utt_wave(u).contents
        x = np.ctypeslib.as_array(w.samples, (w.n,)).astype(np.float32) / 32768
        ends = [lib.ffeature_float(t, b"daughtern.R:SylStructure.daughtern.daughtern.R:Segment.end")
                for t in self._items(u, b"Token")]
        rate = w.rate
        lib.delete_utterance(u)
        return to_rate(x, rate, SR), ends

    def phones(self, word):
        u = self.lib.flite_synth_text(spoken(word).encode(), self.voice("kal16"))
        out = [self.lib.item_feat_string(i, b"name").decode() for i in self._items(u, b"Segment")]
        self.lib.delete_utterance(u)
        return [p for p in out if p != "pau"]


_flite = None


def flite():
    global _flite
    _flite = _flite or Flite()
    return _flite


class RHVoice:
    """RHVoice's bdl, clb and slt, voices of the CMU Arctic recordings, by `rhvoice.c`."""

    def __init__(self):
        path = lambda f: "Z:" + os.path.join(os.path.abspath(RHVOICE), f).replace("/", "\\")
        self.p = subprocess.Popen(["wine", os.path.join(RHVOICE, "rhvoice.exe"), path("RHVoice.dll"), path("data"), path("none")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env={"WINEDEBUG": "-all", "WINEPREFIX": os.path.join(os.path.abspath(RHVOICE), "wine"), **os.environ})
        atexit.register(self.p.terminate)

    def speak(self, voice, text, rate, pitch, f):
        self.p.stdin.write("%s\t%.2f\t%.2f\tZ:%s\t%s\n" % (voice, rate, pitch, f.replace("/", "\\"), text))
        self.p.stdin.flush()
        sr = int(self.p.stdout.readline())
        return to_rate(np.fromfile(f, np.int16).astype(np.float32) / 32768, sr, SR) if sr else None


_rhvoice = None


def rhvoice():
    global _rhvoice
    _rhvoice = _rhvoice or RHVoice()
    return _rhvoice


def _read(f):
    x, sr = sf.read(f, dtype="float32")
    return to_rate(x, sr, SR)


def synth(jobs, rng):
    """jobs: [(voice, text)] -> [(16 kHz float32 or None, word ends in seconds or None)], in order."""
    out = [(None, None)] * len(jobs)
    with tempfile.TemporaryDirectory() as d:
        scm = []
        for i, (v, t) in enumerate(jobs):
            f = os.path.join(d, "%d.wav" % i)
            say = spoken(t)
            if v.startswith("flite:"):
                out[i] = flite().speak(v[6:], say, rng.uniform(.82, 1.15),
                                       rng.uniform(85, 150) if "kal" in v else None)
            elif v.startswith("rhvoice:"):
                out[i] = (rhvoice().speak(v[8:], say, rng.uniform(.85, 1.35), rng.uniform(.85, 1.15), f), None)
            elif v.startswith("festival:"):
                scm.append('(Parameter.set \'Duration_Stretch %.2f)(voice_%s)(set! u (utt.synth (Utterance Text "%s")))'
                           '(utt.save.wave u "%s" \'riff)(utt.save.words u "%s.w")'
                           % (rng.uniform(.82, 1.1), v[9:], re.sub(r'["\\]', "", say), f, f))
            else:
                subprocess.run(["espeak-ng", "-v", v[7:], "-p", str(rng.integers(15, 85)),
                                "-s", str(rng.integers(135, 215)), "-w", f, say],
                               stderr=subprocess.DEVNULL)
                try:
                    out[i] = (_read(f), None)
                except Exception:
                    pass
        if scm:
            p = os.path.join(d, "all.scm")
            open(p, "w").write("\n".join(scm))
            subprocess.run(["festival", "-b", p], stderr=subprocess.DEVNULL)
            for i, (v, t) in enumerate(jobs):
                f = os.path.join(d, "%d.wav" % i)
                if v.startswith("festival:") and os.path.exists(f):
                    try:
                        ends = [float(l.split()[0]) for l in open(f + ".w") if l[0].isdigit() or l[0] == " "]
                        out[i] = (_read(f), ends)
                    except Exception:
                        pass
    return [trimmed(x, ends, len(t.split())) for (x, ends), (_, t) in zip(out, jobs)]


def trimmed(x, ends, words, keep=.05):
    """Without the engine's own silence at both ends but 50 ms; the ends moved along, or None where they do not fit."""
    if x is None or len(x) < 800:
        return None, None
    e = np.convolve(np.abs(x), np.ones(160) / 160, "same")
    i = np.flatnonzero(e > .01 * e.max() + 1e-5)
    if len(i) < 400:
        return None, None
    a, b = max(0, i[0] - int(keep * SR)), min(len(x), i[-1] + int(keep * SR))
    if ends is not None:
        ends = [min(max(t - a / SR, 0), (b - a) / SR) for t in ends]
        if len(ends) != words or any(q - p < .02 for p, q in zip([0] + ends, ends)):
            ends = None
        else:
            ends[-1] = (b - a) / SR
    return x[a:b], ends


def warp(x, ends, by):
    """Speed, pitch and formants changed together by a factor: few voices sound like more."""
    return resample(x, int(len(x) / by)), ends and [t / by for t in ends]
