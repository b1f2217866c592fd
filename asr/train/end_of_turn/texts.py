"""What callers say, with the places where they may pause.

A text is a list of words; `|` marks a place to pause at, `,` before it a place where the pause belongs to the phrase.
Two grammars that share no template: TRAIN fits the rule, CASES is kept for the score.
"""
import itertools

DIGITS = "zero one two three four five six seven eight nine".split()
LETTERS = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z".split()

TRAIN = {
    "request": [
        "I'd like to | book a table | for {few} people | on {day}",
        "can you | remind me to | {task} | {when}",
        "could you please | set an alarm | for {hour} | on {day}",
        "I want to | know if | the {thing} in the {room} | is still on",
        "please | turn off the | {thing} | in the {room}",
        "I need to | move my appointment | from {day} | to next {day2}",
        "would you | send a message to | {name} | and say that | I am running late",
        "add {food} | and {food2} | to my | shopping list",
        "tell {name} | that we will | meet at the | station at {hour}",
        "I was thinking | that maybe we could | go to {city} | {when}",
        "let me know | when the | parcel from {city} | arrives",
        "put the meeting with {name} | on {day} | at {hour}",
        "I am looking for | a cheap flight | to {city} | for {few} people",
        "write a script | that reads a file | and counts the | words in it",
        "the problem is | that my {thing} | does not | work any more",
    ],
    "comma": [
        "when {name} calls, | tell her that | I am in {city}",
        "if it rains on {day}, | cancel the | trip to {city}",
        "first call {name}, | then book the hotel, | and send me the bill",
        "before I leave, | check that the {thing} | in the {room} is off",
        "the {thing}, | the radio, | and the heating should go off at {hour}",
        "as far as I know, | the train to {city} | leaves at {hour}",
        "on {day}, | I have a meeting | with {name}",
    ],
    "question": [
        "what is | the weather like | in {city} | {when}",
        "how long does it | take to get | from {city} | to the airport",
        "do I have | any meetings | with {name} | on {day}",
        "is the {thing} | in the {room} | still on",
        "where did I | put the report | for {name}",
        "which train | goes to {city} | after {hour}",
        "who called me | {when}",
        "can you tell me | what time it is | in {city}",
    ],
    "command": [
        "turn on the {thing}", "call {name}", "stop the music", "what time is it", "read my messages",
        "cancel the alarm", "play the news", "switch off the {room} lights", "hang up", "try again",
        "open the {room} window", "repeat that please", "turn it down a bit", "how are you",
    ],
    "answer": [
        "yes", "no", "yes please", "no thanks", "yeah that's right", "that works for me", "not really",
        "of course", "no I don't think so", "okay", "sounds good", "{day}", "at {hour}", "{few} people",
        "in {city}", "thanks that's all", "correct", "no that is wrong",
    ],
    "filler": [
        "I'd like to um | book a room | in {city}",
        "can you uh | call {name} | {when}",
        "well I think uh | we should um | wait until {day}",
        "it was er | the {thing} | in the {room}",
        "so um | what is the | weather in {city}",
        "the name is um | {name}",
        "I need uh | {few} tickets | to {city}",
        "you know the uh | meeting with {name}",
    ],
    "digits": [
        "{d} {d} {d} | {d} {d} {d} {d}", "my number is | {d} {d} {d} | {d} {d} | {d} {d}",
        "{d} {d} | {d} {d}", "the code is {d} | {d} {d} | {d}", "it's {d} {d} {d} | {d} {d} {d}",
    ],
    "letters": [
        "{l} {l} {l} | {l} {l}", "it is spelled | {l} {l} | {l} {l} {l}", "{l} {l} | {l} {l} | {l}",
        "my name is {name} | {l} {l} {l} | {l}",
    ],
}

# Every word list of these grammars is apart from the others' where the words carry the sentence.
CASES = {
    "request": [
        "I would love to | reserve | a hotel room | near the harbour in {city}",
        "is it possible to | change my flight | from {city} | to {city2}",
        "remind me to | {task} | before {when}",
        "please start a timer for | {minutes} minutes",
        "send an email to | {name} | about the {item}",
        "my {item} arrived | but it is | broken at the | back",
        "could you find | a good place | for lunch | with {name}",
        "I would like you to | look up the | price of a {item}",
        "book me a taxi | from {city} airport | before {when}",
        "make a note | that {name} | has my {item}",
        "ask {name} | whether the {item} | is ready",
        "find out | how much | a {item} costs",
    ],
    "unfinished": [
        "can you put the | {item} | on my list",
        "I think I | want to go | with the second one",
        "set the heating to | {minutes} degrees",
        "the thing that I | wanted to ask is | when you open",
        "it has to be | ready by {when}",
        "give me the | number of the | doctor in {city}",
        "we should | probably ask | {name} first",
        "because the | {item} is | too expensive",
        "my favourite | colour is | green",
        "there was a | man at the | door",
    ],
    "filler": [
        "I was wondering um | could you | order a {item}",
        "uh | let me think | the one from {city}",
        "it should be uh | around {minutes} pounds",
        "that is um | the wrong {item}",
        "let's say uh | {minutes} minutes",
        "I left it um | at the office in {city}",
    ],
    "digits": [
        "{d} {d} {d} {d} | {d} {d}", "the account is | {d} {d} {d} | {d} {d} {d}", "{d} {d} | {d} | {d} {d}",
        "double {d} | {d} {d} | {d} {d}",
    ],
    "letters": ["{l} {l} | {l} {l} {l}", "the surname is | {l} {l} {l} | {l}"],
    "answer": ["yep", "nope", "yes I do", "no not today", "sure go ahead", "that's fine", "around {minutes} minutes",
               "the second one"],
    "command": ["lock the back door", "play some jazz", "start the vacuum", "mute the speaker", "what's on today",
                "pause the film", "dim the lamp", "skip this song"],
    "question": ["how far is | {city} from here", "when does the | pharmacy close", "did {name} | reply to my | email",
                 "what did we | spend on | the {item}", "why is the | {item} so | slow", "where can I | buy a | {item}",
                 "are you | still there"],
    "two": ["that is great. || can you also check the {item}", "I am home now. || please dim the lamp",
            "no wait. || make it {minutes} minutes", "my {item} is late. || when will it come"],
}

ASKED = {"answer": "Shall I go ahead with that?", "around {minutes} minutes": "How long will it take?",
         "the second one": "Which one would you like?", "digits": "What is the number, please?",
         "letters": "How do you spell that?"}

TRAIN_WORDS = {
    "few": "two three four six eight".split(), "day": "Monday Tuesday Wednesday Thursday".split(),
    "day2": "Friday Saturday Sunday".split(), "hour": ["seven", "half past nine", "noon", "ten thirty", "six in the evening"],
    "task": ["water the plants", "call the bank", "pay the rent", "pick up the kids", "buy some bread"],
    "when": ["tomorrow", "tonight", "this afternoon", "next week", "in an hour", "on the weekend"],
    "thing": "lamp heater oven television fan printer".split(), "room": "kitchen bedroom garage office hall".split(),
    "name": "Anna Michael Sarah Thomas Emily Robert Helen".split(),
    "food": "milk eggs rice butter".split(), "food2": "bread cheese apples coffee".split(),
    "city": "London Paris Boston Berlin Chicago Madrid Denver".split(), "d": DIGITS, "l": LETTERS,
}
CASES_WORDS = {
    "city": "Oslo Dublin Vienna Toronto Sydney".split(), "city2": "Lisbon Zurich Athens".split(),
    "task": ["feed the cat", "charge the car", "book the dentist", "post the letter"],
    "when": ["lunch time", "five", "the end of June", "my next meeting"], "minutes": "fifteen twenty ninety forty".split(),
    "name": "Oliver Sophie George Laura".split(), "item": "kettle jacket blender bicycle keyboard".split(),
    "d": DIGITS, "l": LETTERS,
}


def fill(template, words, rng):
    out = template
    while "{" in out:
        a, b = out.index("{"), out.index("}")
        out = out[:a] + str(rng.choice(words[out[a + 1:b]])) + out[b + 1:]
    return out


def pieces(text):
    """The stretches between the places to pause at, each a list of words; and which of them end a phrase.

    Kinds of place: "cut" inside a phrase, "comma" at its end, "stop" at the end of a sentence.
    """
    out, kinds = [[]], []
    for word in text.split():
        if word in ("|", "||"):
            last = out[-1][-1]
            kinds.append("stop" if word == "||" else "comma" if last.endswith(",") else "cut")
            out.append([])
        else:
            out[-1].append(word)
    return out, kinds


def bare(words):
    return [w.strip(",.?") for w in words]


def all_of(grammar):
    return list(itertools.chain.from_iterable(grammar.values()))


assert not set(all_of(TRAIN)) & set(all_of(CASES))
