"""Turns as a telephone carries them: pauses, lengthening, level, noise, the band of 8 kHz µ-law. Seeded."""
import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from voices import SR


def stretch_tail(x, ms, factor, rng):
    """Lengthens the last `ms` by overlap and add, as people do before they hesitate. The pitch stays."""
    n = int(ms * SR / 1000)
    if len(x) < n + 800:
        return x
    head, tail = x[:-n], x[-n - 400:]
    win, hop = 640, 320
    out = np.zeros(int(n * factor) + 2 * win, np.float32)
    window = np.hanning(win).astype(np.float32)
    norm = np.zeros_like(out)
    place, last = 0, None
    while place + win < len(out):
        want = int(place / factor)
        if want + win > len(tail):
            break
        best = want
        if last is not None:
            # The shift that continues the waveform best.
            target = tail[min(last + hop, len(tail) - win):][:win]
            scores = []
            for shift in range(-120, 121, 8):
                a = want + shift
                if 0 <= a and a + win <= len(tail):
                    scores.append((float(np.dot(tail[a:a + win], target)), a))
            if scores:
                best = max(scores)[1]
        out[place:place + win] += window * tail[best:best + win]
        norm[place:place + win] += window
        last, place = best, place + hop
    out = out[:place] / np.maximum(norm[:place], .05)
    k = min(400, len(out))
    ramp = np.linspace(0, 1, k, dtype=np.float32)
    joint = tail[:k] * (1 - ramp) + out[:k] * ramp
    return np.concatenate([head[:-400], joint, out[k:]]).astype(np.float32)


def fade(x, rng):
    """How voice dies away: cuts and true ends get theirs from the same distribution, so that it tells nothing."""
    n = min(len(x), int(rng.uniform(.008, .06) * SR))
    x = x.copy()
    x[-n:] *= np.linspace(1, 0, n, dtype=np.float32) ** rng.uniform(.5, 2)
    return x


def trimmed(x, keep=.01):
    loud = np.flatnonzero(np.abs(x) > .02 * np.abs(x).max() + 1e-6)
    return x if not len(loud) else x[max(0, loud[0] - int(keep * SR)):loud[-1] + int(keep * SR)]


def warp(x, rate):
    """Speed and pitch together, so that few voices sound like more."""
    n = int(len(x) / rate)
    return np.interp(np.arange(n) * rate, np.arange(len(x)), x).astype(np.float32)


def noise(n, kind, rng):
    w = rng.standard_normal(n).astype(np.float32)
    if kind == "pink":
        f = np.fft.rfft(w)
        f /= np.sqrt(np.maximum(np.arange(len(f)), 1))
        w = np.fft.irfft(f, n).astype(np.float32)
    elif kind == "hum":
        t = np.arange(n) / SR
        w = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5)).astype(np.float32) + .2 * w
    return w / (np.sqrt(np.mean(w ** 2)) + 1e-9)


def telephone(x, rng, level_db, snr_db, narrow):
    """16 kHz float to 8 kHz int16 that went through µ-law."""
    loud = x[np.abs(x) > .05 * np.abs(x).max()]
    x = x / (np.sqrt(np.mean(loud ** 2)) + 1e-9)
    if snr_db < 60:
        x = x + noise(len(x), ["white", "pink", "hum"][rng.integers(3)], rng) * 10 ** (-snr_db / 20)
    if narrow:
        x = sosfilt(butter(4, [280, 3400], "bandpass", fs=SR, output="sos"), x).astype(np.float32)
    y = resample_poly(x, 1, 2) * 10 ** (level_db / 20)
    return mulaw(np.clip(y, -.99, .99))


def mulaw(y):
    """Companded to 8 bits and back, G.711's curve without its segments: the same noise."""
    z = np.sign(y) * np.log1p(255 * np.abs(y)) / np.log(256)
    z = np.round(z * 127) / 127
    return (np.sign(z) * (256 ** np.abs(z) - 1) / 255 * 32767).astype(np.int16)


def up(pcm8):
    """8 kHz int16 to 16 kHz int16, as the telephone's side of the program does."""
    return np.clip(resample_poly(pcm8.astype(np.float32), 2, 1), -32768, 32767).astype(np.int16)
