"""Which of GPT-2's tokens a word is written with.

Words that the sentence grammar uses have GPT-2's own tokens, mostly one each. All others are spelt with the first merges
of GPT-2's list only, in short pieces that many words share: so the decoder learns to spell what it hears, and words that
training never saw can come out right.
"""
import json
import os
import re

import whisper
from whisper.tokenizer import get_tokenizer

import textgen

EOT, SOT, NOSP, NOT = 50256, 50257, 50361, 50362
MERGES = 1500           # GPT-2 ids below this may be used for spelling
TOK = get_tokenizer(multilingual=False)


def ranks():
    import base64
    p = os.path.join(os.path.dirname(whisper.__file__), "assets", "gpt2.tiktoken")
    return {base64.b64decode(t): int(r) for t, r in (l.split() for l in open(p, "rb").read().splitlines() if l)}


def grammar_tokens():
    """The tokens of 60,000 sentences of the grammar and of its common words in all their forms."""
    g = textgen.Gen(12345)
    texts = {g.sentence()[0] for _ in range(60000)}
    for w in textgen.COMMON:
        texts |= {w, w.capitalize(), w + ".", w + "?"}
    out = {EOT, SOT, NOSP, NOT}
    for s in texts:
        out |= set(TOK.encode(" " + s))
    return out


def vocabulary():
    """(tokens of the grammar, all tokens) as sorted lists. The former are kept in a file: counting them takes a while."""
    f = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokens.json")
    if not os.path.exists(f):
        json.dump(sorted(grammar_tokens()), open(f, "w"))
    known = json.load(open(f))
    plain = re.compile(rb" ?[A-Za-z']+| ")
    return known, sorted(set(known) | {r for t, r in ranks().items() if r < MERGES and plain.fullmatch(t)})


class Speller:
    def __init__(self, known):
        self.known, self.rank, self.seen = set(known), ranks(), {}

    def __call__(self, word):
        """Token ids of one word with its punctuation, as it stands after a space."""
        if word not in self.seen:
            t = TOK.encode(" " + word)
            if not set(t) <= self.known:
                w = word.rstrip(".?")
                t = self.spell(" " + w) + (TOK.encode(word[len(w):]) if len(w) < len(word) else [])
            self.seen[word] = t
        return self.seen[word]

    def spell(self, s):
        parts = [bytes([b]) for b in s.encode()]
        while True:
            best = min(((self.rank.get(a + b, MERGES), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))), default=(MERGES, 0))
            if best[0] >= MERGES:
                return [self.rank[p] for p in parts]
            i = best[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
