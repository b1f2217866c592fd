"""What is said in the training clips: the grammar of `textgen`, open text, random words, names, false starts.

Open text are the example sentences and glosses of WordNet 3.0 (Debian's `wordnet-base`; its licence allows any use).
Everything is brought into `textgen`'s conventions: letters and apostrophes only, no commas, numbers as words.
"""
import glob
import os
import random
import re
from collections import Counter

import textgen

WORDNET = "/usr/share/wordnet"
NAMES = """Aaron Abigail Adam Adrian Alan Albert Alex Alexander Alfred Ali Amanda Amber Amy Andrea Andrew Angela Anita
Anne Anthony Arthur Ashley Barbara Beatrice Ben Benjamin Bernard Beth Betty Beverly Bill Brandon Brenda Brian Bruce Caleb
Cameron Carl Carla Carmen Caroline Catherine Cecilia Chloe Chris Christina Christopher Claire Clara Colin Connor Craig
Cynthia Damian Dan Danielle Dave Deborah Dennis Derek Diana Diane Dominic Donald Donna Doris Dorothy Douglas Dylan Edgar
Edith Edward Edwin Eileen Elaine Eleanor Elena Eli Elizabeth Ellen Elliot Eric Erica Ernest Esther Ethan Eva Evan Evelyn
Felix Fiona Florence Frances Fred Gabriel Gary Gavin Geoffrey Gerald Gloria Gordon Graham Greg Gregory Gwen Harold
Harriet Heather Heidi Herbert Holly Howard Hugo Ian Ingrid Irene Iris Isaac Isabel Isabella Jacob Jake Janet Jason
Jasmine Jean Jeff Jennifer Jeremy Jerry Jesse Jessica Jill Jim Joan Joanna Joe Joel Jonathan Jordan Joseph Joshua Joyce
Juan Judith Judy Julian Julie Justin Katherine Kathleen Keith Kelly Ken Kenneth Kevin Kim Kyle Larry Lauren Laurence Leah
Leo Leon Leonard Leslie Lewis Lily Lisa Logan Lois Lorraine Louis Louise Lucas Luke Lydia Madison Malcolm Marcus Margaret
Marie Marion Marjorie Marlene Marsha Marshall Martha Marvin Matthew Maureen Maurice Max Megan Melanie Melissa Mia Mike
Mildred Miles Miriam Molly Monica Morgan Nancy Naomi Natalie Natasha Nathan Neil Nicholas Nicole Nigel Noah Nora Norman
Olga Olivia Oscar Owen Pamela Patricia Patrick Paula Pauline Penny Philip Phoebe Ralph Raymond Rebecca Richard Rita Rob
Roger Roland Ronald Rosa Rose Roy Russell Ruth Ryan Sally Samantha Samuel Sandra Scott Sean Sebastian Sharon Sheila
Shirley Sidney Sonia Stella Stephanie Stephen Steven Stewart Stuart Sylvia Tamara Tara Teresa Terry Theodore Tim Timothy
Tina Toby Todd Tony Tracy Trevor Tyler Ursula Vanessa Vera Veronica Vincent Violet Virginia Vivian Walter Wanda Warren
Wayne Wendy Wesley Will Yvonne Zachary Zoe Anderson Baker Barnes Bennett Brooks Brown Campbell Carter Clark Collins Cooper
Cox Davies Davis Dixon Edwards Evans Fisher Foster Garcia Gibson Grant Gray Green Griffin Hall Hamilton Harris Harrison
Hayes Henderson Hill Hughes Hunter Jackson Jenkins Johnson Jones Kennedy Khan King Knight Lawrence Lee Lopez Martinez Mason
Miller Mitchell Moore Morris Murphy Murray Nelson Newman Parker Patel Perry Phillips Porter Powell Price Reed Reynolds
Richards Richardson Roberts Robinson Rogers Ross Russell Sanders Schmidt Scott Shaw Simmons Simpson Singh Smith Spencer
Stevens Stone Sullivan Taylor Thompson Turner Walker Wallace Ward Watson Webb Wells West White Williams Wilson Wood Woods
Wright Young""".split()
ASK = ["Can you tell me about", "What is", "What does it mean to say", "Look up", "How do you spell", "Search for", "Please write down",
       "Remind me about", "Add to my list", "Send a message saying", "Make a note that says", "I said", "Do you know what", "Tell them"]
START = ["I was", "Can you", "I want", "Could you", "So I", "The", "We should", "Is there", "I think", "What", "Please", "Let me"]
FILL = ["um", "uh", "er", "um", "uh"]
DULL = re.compile(r"[^A-Za-z' ]")


def clean(s):
    """A line of open text in our conventions, or nothing if it is not plain English words."""
    s = s.strip().strip(";:,.!").replace(",", "").replace(" - ", " ").replace("-", " ").replace(";", "")
    q = s.endswith("?")
    s = s.rstrip("?!. ")
    if DULL.search(s) or "  " in s or not s:
        return None
    w = s.split()
    if not 1 <= len(w) <= 11 or any(len(x) > 14 or x.startswith("'") or x.endswith("'") for x in w):
        return None
    if any(x.isupper() and len(x) > 1 for x in w) or any(not x[0].isupper() and x != x.lower() for x in w):
        return None
    if not s[0].isupper():
        s = s[0].upper() + s[1:]
    return s + ("?" if q else ".")


class Corpus:
    """Draws sentences. Same seed and same text packages, same sentences."""

    def __init__(self, seed, wordnet=WORDNET, vocabulary=9000):
        self.seed(seed)
        ex, gloss, known = [], [], set()
        for f in sorted(glob.glob(os.path.join(wordnet, "data.*"))):
            if not f.rsplit(".", 1)[1] in ("noun", "verb", "adj", "adv"):
                continue
            for line in open(f, encoding="latin-1"):
                if " | " not in line:
                    continue
                g = line.split(" | ", 1)[1]
                ex += [c for c in map(clean, re.findall(r'"([^"]*)"', g)) if c]
                d = clean(re.sub(r"\([^)]*\)", "", g.split(";")[0]).split(" or ")[0])
                if d and len(d.split()) > 2:
                    gloss.append(d)
        self.examples, self.glosses = sorted(set(ex)), sorted(set(gloss))
        n = Counter()
        for s in self.examples + self.glosses:
            w = s.rstrip(".?").split()
            n.update(x for x in w[1:] if x == x.lower() and len(x) > 1)
        n.update(dict.fromkeys(textgen.COMMON, 100))
        bad = re.compile("fuck|shit|cunt|nigg|bitch|whore|rape|slut|penis|vagina|genital|faggot|excrement|sexual")
        self.examples = [s for s in self.examples if not bad.search(s.lower())]
        self.glosses = [s for s in self.glosses if not bad.search(s.lower())]
        self.words = sorted(w for w, _ in n.most_common(vocabulary) if not bad.search(w))
        self.weights = [n[w] ** .35 for w in self.words]
        cum, t = [], 0
        for x in self.weights:
            t += x
            cum.append(t)
        self.cum = cum

    def seed(self, seed):
        self.r, self.gen = random.Random(seed), textgen.Gen(seed)

    def word(self):
        r = self.r
        if r.random() < .06:
            return r.choice(NAMES + textgen.NAMES + textgen.CITIES)
        if r.random() < .45:
            return r.choice(textgen.COMMON)
        return r.choices(self.words, cum_weights=self.cum)[0]

    def random_words(self):
        word = self.word if self.r.random() < .5 else lambda: self.r.choice(textgen.COMMON)
        return textgen.Gen.cap(" ".join(word() for _ in range(self.r.randrange(1, 8)))) + "."

    def open_text(self):
        r = self.r
        s = r.choice(self.examples) if r.random() < .75 else r.choice(self.glosses)
        w = s.rstrip(".?").split()
        if len(w) > 8 or r.random() < .15 and len(w) > 4:     # a fragment of it
            i = r.randrange(0, max(1, len(w) - 5))
            w = w[i:i + r.randrange(3, 8)]
            return textgen.Gen.cap(" ".join(w)) + "."
        return s

    def wrapped(self):
        """A phrase of the assistant's world around open words."""
        r = self.r
        k = r.random()
        if k < .25:
            return r.choice(ASK) + " " + " ".join(self.word() for _ in range(r.randrange(1, 5))) + r.choice(".?")
        if k < .45:
            n = [r.choice(NAMES) for _ in range(r.randrange(1, 3))]
            return r.choice(["Call", "My name is", "This is", "Send a message to", "Is this", "Tell", "Put me through to", "Add",
                             "I would like to speak to", "Hello", "Good morning"]) + " " + " ".join(n) + "."
        if k < .6:
            return r.choice(["It's spelled", "That is", "Spelled", "The code is", "My postcode is", "Spell it"]) + " " + \
                " ".join(r.choice(textgen.LETTERS + ["A"]) for _ in range(r.randrange(2, 7))) + "."
        if k < .8:
            s = r.choice(self.examples).rstrip(".?").split()[:6]      # a false start
            i = r.randrange(1, len(s) + 1)
            return " ".join([r.choice(START)] + r.choice([[], ["um"], ["uh"]])) + " " + " ".join([s[0].lower() if s[0] not in ("I", "I'm") else s[0]] + s[1:]) + "."
        s = r.choice(self.examples)
        w = s.split()
        if len(w) < 3:
            return s
        i = r.randrange(1, len(w))
        return " ".join(w[:i] + [r.choice(FILL)] + w[i:])

    def sentence(self):
        """A training sentence and its kind; never one of the held-out bucket."""
        while True:
            k = self.r.random()
            if k < .46:
                s, kind = self.gen.sentence()
                if kind == "rand":
                    continue
            elif k < .70:
                s, kind = self.random_words(), "rand"
            elif k < .90:
                s, kind = self.open_text(), "open"
            else:
                s, kind = self.wrapped(), "open"
            if len(s.split()) <= 12 and not textgen.held_out(s):
                return s, kind


if __name__ == "__main__":
    import sys
    c = Corpus(0, sys.argv[1] if len(sys.argv) > 1 else WORDNET)
    print(len(c.examples), "examples", len(c.glosses), "glosses", len(c.words), "words")
    seen = Counter()
    for i in range(20000):
        s, k = c.sentence()
        seen.update(w.strip(".?").lower() for w in s.split())
        if i < 40:
            print(k, "|", s)
    print(len(seen), "different words in 20000 sentences")
