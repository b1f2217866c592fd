"""Where the decoder should look: the times of the words' sounds, found with the encoder's own sound labels.

One head of each cross attention is drawn to them, so that the decoder learns early to read the sound in order, and with it
words that it has no habit of. Forced alignment by the Viterbi path through the CTC lattice (Graves et al. 2006, section 3).
"""
import numpy as np
import torch
import torch.nn.functional as F

WIDTH = 6.0           # standard deviation of the wanted attention, in encoder frames of 20 ms


def align(logp, labels):
    """logp: clips x frames x (sounds + 1), 0 the blank. The mean frame of each label on the best path, one array a clip;
    an empty one where the labels do not fit."""
    n, frames, _ = logp.shape
    lens = np.array([len(y) for y in labels])
    states = 2 * lens.max(initial=0) + 1
    ext = np.zeros((n, states), int)
    for row, y in zip(ext, labels):
        row[1:2 * len(y):2] = y
    emit = np.take_along_axis(logp, ext[:, None, :].repeat(frames, 1), 2)
    jump = np.full((n, states), -np.inf, np.float32)
    jump[:, 3::2] = np.where(ext[:, 3::2] != ext[:, 1:-2:2], 0, -np.inf)
    a = np.full((n, states), -np.inf, np.float32)
    a[:, :2] = emit[:, 0, :2]
    back = np.zeros((frames, n, states), np.uint8)
    ways = np.full((3, n, states), -np.inf, np.float32)
    for t in range(1, frames):
        ways[0] = a
        ways[1, :, 1:] = a[:, :-1]
        ways[2, :, 2:] = a[:, :-2] + jump[:, 2:]
        back[t] = ways.argmax(0)
        a = ways.max(0) + emit[:, t]
    every = np.arange(n)
    last, before = a[every, 2 * lens], a[every, np.maximum(2 * lens - 1, 0)]
    s = np.where(last > before, 2 * lens, np.maximum(2 * lens - 1, 0))
    fits = np.maximum(last, before) > -np.inf
    path = np.zeros((frames, n), int)
    for t in range(frames - 1, -1, -1):
        path[t] = s
        s = s - back[t, every, s]
    out = []
    for i, y in enumerate(labels):
        if not fits[i] or not len(y):
            out.append(np.zeros(0))
            continue
        on = path[:, i] % 2 == 1
        k = path[on, i] // 2
        count = np.bincount(k, minlength=len(y))
        out.append(np.bincount(k, np.flatnonzero(on), minlength=len(y)) / np.maximum(count, 1))
    return out


def token_times(times, words):
    """words: (letters of each token, number of sounds) per word. The frame of each token, spread over its word's sounds."""
    out, at = [], 0
    for letters, sounds in words:
        mid = (np.cumsum(letters) - np.array(letters) / 2) / max(1, sum(letters))
        if sounds:
            out += list(np.interp(mid * sounds - .5, np.arange(sounds), times[at:at + sounds]))
        else:
            out += [times[min(at, len(times) - 1)]] * len(letters)
        at += sounds
    return out


def loss(decoder, phone_logits, batch):
    """How little of the first head's attention falls where each token is said."""
    scores = [b.cross_attn.scores[:, 0].float() for b in decoder.blocks]
    n, rows, frames = scores[0].shape
    logp = F.log_softmax(phone_logits.detach().float(), -1).cpu().numpy()
    prior, mask = torch.full((n, rows, frames), 0.0), torch.zeros(n, rows)
    t = torch.arange(frames).float()
    for i, (at, b) in enumerate(zip(align(logp, [b[3] for b in batch]), batch)):
        if len(at):
            where = torch.tensor(np.array(token_times(at, b[4]), np.float32))
            k = len(where)
            prior[i, 1:k + 1] = -((t[None] - where[:, None]) / WIDTH) ** 2 / 2
            mask[i, 1:k + 1] = 1
    prior, mask = prior.to(scores[0].device), mask.to(scores[0].device)
    each = sum(-torch.logsumexp(F.log_softmax(s, -1) + prior, -1) for s in scores) / len(scores)
    return (each * mask).sum() / mask.sum().clamp(min=1)
