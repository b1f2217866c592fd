//! The words of listening and of stopping. Owns lists; not what follows from them. Lower case, as
//! `words::tokens` gives them.
//! PURE.

/// Words that make us stop, and after which nothing is asked.
pub(super) const STOPS: &[&str] = &[
    "stop", "stop it", "stop that", "stop talking", "stop speaking", "stop there", "stop right there",
    "stop now", "stop reading", "wait", "wait a minute", "wait a moment", "wait a second", "wait a sec",
    "wait up", "wait wait", "never mind", "nevermind", "hold on", "hold on a second", "hold on a minute",
    "hold on a moment", "hold it", "hang on", "hang on a second", "hang on a minute", "hang on a moment",
    "be quiet", "quiet", "silence", "shut up", "shush", "hush", "enough", "that's enough", "that is enough",
    "that'll do", "that will do", "forget it", "forget about it", "forget that", "pause", "one moment",
    "one second", "one minute", "just a moment", "just a second", "just a minute", "just a sec", "one sec",
    "give me a second", "give me a moment", "give me a minute", "okay stop", "no stop", "no wait",
    "quit it", "cut it out", "let me stop you there", "be silent", "that's it stop", "you can stop",
    "a moment",
];

/// Stop us as well, and ask for something to be undone or put right.
pub(super) const CANCELS: &[&str] = &[
    "cancel", "cancel that", "cancel it", "no no", "no no no", "no no no no", "undo", "undo that", "don't",
    "don't do that", "no don't", "abort",
];

/// Said around them.
pub(super) const POLITENESS: &[&str] = &[
    "please", "okay", "ok", "oh", "hey", "now", "sorry", "thanks", "thank", "you", "no", "just", "can",
    "could", "yeah", "yes", "alright", "well", "actually",
];

/// Signs of listening.
pub(super) const AGREEMENTS: &[&str] = &[
    "uh huh", "uhhuh", "mm hmm", "mm hm", "mm", "mm mm", "mhm", "mhmm", "mmhm", "hm", "hmm", "aha", "ah",
    "oh", "huh", "uh uh", "yeah", "yes", "yep", "yup", "yea", "ya", "okay", "ok", "okey", "right", "sure",
    "alright", "all right", "i see", "got it", "i got it", "gotcha", "i understand", "understood", "i know",
    "go on", "go ahead", "really", "oh really", "wow", "nice", "very nice", "cool", "great", "that's great",
    "good", "very good", "oh good", "exactly", "of course", "absolutely", "true", "that's right",
    "that's true", "that's good", "makes sense", "that makes sense", "interesting", "perfect", "excellent",
    "fine", "that's fine", "sounds good", "lovely", "amazing", "awesome", "oh my", "oh wow", "oh okay",
    "thank you", "thanks", "definitely", "indeed", "fair enough",
];

/// Answer a yes/no question.
pub(super) const ANSWERS: &[&str] = &[
    "yes", "no", "yeah", "yep", "yup", "yea", "nope", "nah", "okay", "ok", "right", "sure", "exactly",
    "absolutely", "definitely", "correct", "please", "fine", "alright", "maybe", "perfect", "great", "good",
    "mhm", "mm", "mhmm", "uhhuh", "huh", "course", "wrong", "indeed", "true",
];

/// Single words by which a caller takes the floor.
pub(super) const TAKING: &[&str] = &[
    "no", "nope", "nah", "what", "why", "who", "when", "where", "how", "which", "help", "hello", "hey",
    "hi", "repeat", "again", "pardon", "sorry", "louder", "slower", "faster", "quieter", "next", "back",
    "skip", "continue", "more", "operator", "human", "agent", "person", "reception", "goodbye", "bye",
    "wrong", "incorrect", "question", "but", "excuse", "start", "restart", "menu", "actually",
];

/// What recognisers make of noise, in whole transcripts.
pub(super) const INVENTED: &[&str] = &[
    "you", "the", "so", "thanks for watching", "thank you for watching", "thank you for watching bye",
    "please subscribe", "subtitles by", "music", "applause", "blank audio", "silence music",
];

/// Words without a meaning of their own.
pub(super) const EMPTY: &[&str] = &[
    "the", "a", "an", "and", "of", "to", "in", "on", "at", "it", "is", "i", "so", "that", "for", "as", "be",
    "was", "are", "you", "with", "by", "or", "from", "this", "we", "he", "she", "they", "oh", "well", "my",
];
