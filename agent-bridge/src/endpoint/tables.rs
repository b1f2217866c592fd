//! The words by which a turn is read. Owns lists and phrases of English; not what follows from them. Lower
//! case, as `words::tokens` gives them; each list is searched from front to back and stays short.
//! PURE.

/// Ask for something when they lead.
pub(super) const QUESTION_WORDS: &[&str] = &[
    "what", "where", "when", "who", "why", "how", "which", "whose", "whom",
];

/// Forms of be.
pub(super) const BE: &[&str] = &[
    "is", "are", "was", "were", "am", "isn't", "aren't", "wasn't",
];

/// Verbs that lead a question and demand another verb after a subject.
pub(super) const AUXILIARIES: &[&str] = &[
    "is", "are", "was", "were", "am", "isn't", "aren't", "wasn't", "do", "does", "did", "don't", "doesn't",
    "didn't", "have", "has", "had", "haven't", "hasn't", "can", "can't", "could", "couldn't", "will",
    "won't", "would", "wouldn't", "should", "shouldn't", "shall", "may", "might", "must", "cannot",
    "weren't", "hadn't", "be", "been",
];

/// Contracted subject and verb: something always follows.
pub(super) const CONTRACTED: &[&str] = &[
    "i'm", "i'd", "i'll", "i've", "you're", "you'd", "you'll", "you've", "he's", "he'd", "he'll", "she's",
    "she'd", "she'll", "it's", "it'll", "we're", "we'd", "we'll", "we've", "they're", "they'd", "they'll",
    "they've", "that's", "there's", "what's", "where's", "who's", "let's",
];

/// Determiners that no phrase ends with.
pub(super) const DETERMINERS: &[&str] = &[
    "the", "a", "an", "my", "your", "our", "their", "its", "every", "whose", "another",
];

/// Prepositions that end no phrase, but for questions ("where are you from").
pub(super) const PREPOSITIONS: &[&str] = &[
    "of", "with", "from", "for", "to", "at", "into", "onto", "about", "between", "during", "than", "via",
    "without", "until", "till", "towards", "against", "among", "behind", "beside", "except", "upon", "by",
    "per", "past", "regarding", "concerning", "within", "near", "like", "as",
];

/// Prepositions that are also adverbs ("turn it on", "come in").
pub(super) const PARTICLES: &[&str] = &[
    "in", "on", "off", "up", "down", "out", "over", "back",
];

/// Verbs whose particle may end the phrase.
pub(super) const PARTICLE_VERBS: &[&str] = &[
    "turn", "turned", "switch", "put", "pick", "wake", "set", "shut", "come", "go", "hang", "back", "call",
    "carry", "speak", "start", "try", "log", "sign", "check", "look", "bring", "take", "give", "sit",
    "stand", "get", "speed", "slow", "move", "send", "let", "plug", "write", "print", "find", "read",
    "ring",
];
/// With these even "in" ends a phrase.
pub(super) const IN_VERBS: &[&str] = &[
    "log", "sign", "come", "check", "plug", "let", "logged",
];

pub(super) const CONJUNCTIONS: &[&str] = &[
    "and", "but", "or", "because", "if", "when", "while", "although", "whether", "unless", "since", "cause",
    "nor", "plus", "so", "where", "whereas", "until", "cuz",
];

/// Adverbs and adjectives that lean on what follows.
pub(super) const LEANING: &[&str] = &[
    "very", "just", "also", "only", "even", "basically", "quite", "pretty", "maybe", "perhaps", "probably",
    "actually", "usually", "extremely", "almost", "not", "called", "named", "saying", "spelled",
];

pub(super) const SUBJECTS: &[&str] = &[
    "i", "we", "he", "she", "they", "i've",
];

/// Adjectives that after a determiner still wait for their noun.
pub(super) const ADJECTIVES: &[&str] = &[
    "new", "short", "small", "big", "large", "little", "long", "good", "nice", "next", "last", "first",
    "other", "same", "whole", "quick", "different", "single", "great", "old", "best", "only", "nearest",
    "few", "couple", "main", "current", "favourite", "favorite", "lovely", "back", "front", "living",
    "dining",
];

/// Sounds and phrases of someone who looks for words; the longer ones match the end of the text.
pub(super) const HESITATIONS: &[&str] = &[
    "i mean", "you know", "let me see", "let me think", "let's see", "no wait", "how do i say",
    "what's it called", "sort of", "kind of", "what was it", "hold on", "one moment", "just a moment",
    "wait",
];
/// Ends that look like a hesitation and are none.
pub(super) const WHOLE_ENDS: &[&str] = &[
    "think so", "hope so", "said so", "say so", "guess so", "as well", "feel well", "very well",
    "sleep well", "is it like", "it look like", "they like", "that like", "you like", "i like",
    "would like", "do you know", "did you know", "weather like", "today like", "tomorrow like",
    "who is it for", "want me to", "want to", "like to", "have to", "why not", "of course not", "hope not",
    "i'm not", "it's not", "is not", "probably not", "maybe not", "or not", "better not", "rather not",
    "don't you", "are you", "aren't you", "isn't it",
];

/// Requests that are nothing yet. Compared with the whole text, openers and politeness apart.
pub(super) const STEMS: &[&str] = &[
    "i'd like", "i would like", "i want", "i need", "i have", "i've got", "i was", "i think",
    "i was wondering", "i wonder", "i was thinking", "i believe", "i guess", "i mean", "i'm calling",
    "i am calling", "i'm looking", "i'm trying", "i forgot my", "tell me", "remind me", "let me", "give me",
    "show me", "send me", "read me", "bring me", "get me", "find me", "ask him", "ask her", "tell him",
    "tell her", "tell them", "what about", "how about", "is there", "are there", "there is", "there are",
    "what time", "what day", "what kind", "what sort", "what type", "how many", "how much time",
    "how often", "how old", "which", "which one of", "do you have", "have you got", "can i have",
    "can i get", "could i have", "could i get", "may i have", "transfer me", "connect me", "put me",
    "i would",
];

/// The whole text, said as a greeting.
pub(super) const GREETINGS: &[&str] = &[
    "hello", "hi", "hey", "good morning", "good afternoon", "good evening", "hi there", "hello there",
    "hey there", "hello hello", "morning", "good day", "hello good morning", "hi good morning",
];

/// Ends of a turn and often of a call.
pub(super) const FAREWELLS: &[&str] = &[
    "bye", "goodbye", "bye bye", "good bye", "good night", "goodnight", "see you", "see you later",
    "see you soon", "talk to you later", "talk to you soon", "thank you", "thanks", "thanks a lot",
    "thank you very much", "thanks very much", "thank you so much", "that's all", "that is all",
    "that's it", "that will be all", "that would be all", "nothing else", "nothing more", "never mind",
    "forget it", "have a nice day", "have a good day", "take care", "no thanks", "no thank you", "hang up",
    "i'm done", "see you tomorrow",
];

/// Answers to a yes/no question.
pub(super) const YES_NO: &[&str] = &[
    "yes", "no", "yeah", "yep", "yup", "nope", "nah", "sure", "okay", "ok", "right", "correct", "exactly",
    "absolutely", "definitely", "of course", "please do", "go ahead", "yes please", "no thanks",
    "no thank you", "not now", "not yet", "not really", "not today", "i do", "i don't", "i am", "i'm not",
    "i will", "i won't", "i did", "i didn't", "i can", "i can't", "it is", "it isn't", "that's right",
    "that's correct", "that's wrong", "that's fine", "sounds good", "do it", "don't", "maybe", "i think so",
    "i don't think so", "not at all", "perfect", "great", "fine", "uh huh",
];

/// Words of a time, a day or a length.
pub(super) const TIMES: &[&str] = &[
    "today", "tomorrow", "tonight", "yesterday", "noon", "midnight", "morning", "afternoon", "evening",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february",
    "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
    "weekend", "week", "month", "year", "hour", "hours", "minute", "minutes", "seconds", "am", "pm",
    "o'clock", "now", "later", "soon", "daily", "half", "quarter", "lunch", "dinner", "breakfast", "night",
    "mondays", "weekdays",
];

/// Verbs that say nothing without an object.
pub(super) const TRANSITIVE: &[&str] = &[
    "book", "add", "send", "text", "find", "create", "make", "write", "order", "buy", "cancel", "set",
    "show", "give", "tell", "get", "bring", "put", "take", "schedule", "arrange", "reserve", "move",
    "change", "delete", "remove", "rename", "turn", "switch", "lock", "unlock", "transfer", "connect",
    "forward", "install", "download", "upload", "translate", "convert", "calculate", "explain", "describe",
    "summarise", "summarize", "define", "want", "need", "have", "email", "message", "use", "save", "share",
    "track", "visit", "say", "mean", "pay", "check", "ask", "call", "open", "close", "play", "feed",
    "clean", "wash", "fix", "pick", "renew", "print", "charge", "finish", "remind", "see", "discuss",
    "report", "increase", "decrease", "raise", "lower", "dim", "enable", "disable", "update", "confirm",
    "invite", "postpone", "reschedule", "include", "know", "costs", "sold", "bought", "lost", "found",
    "saw", "made", "wants", "needs", "likes",
];
/// Of these, commands that may stand alone.
pub(super) const ALONE: &[&str] = &[
    "call", "play", "cancel", "confirm", "see", "know", "check", "forward", "save", "delete", "open",
    "close",
];

/// Take a receiver before their object.
pub(super) const DITRANSITIVE: &[&str] = &[
    "give", "show", "tell", "read", "bring", "get", "find", "buy", "make", "order", "send", "book",
];


/// What has a time, a day or a length, when it is made.
pub(super) const TIMED: &[&str] = &[
    "alarm", "timer", "reminder", "meeting", "appointment", "event", "table", "flight", "taxi", "cab",
    "ride", "call", "train", "room", "hotel", "haircut", "viewing", "visit", "dinner", "lunch", "countdown",
];
/// Verbs that make or move it.
pub(super) const MAKING: &[&str] = &[
    "set", "add", "book", "schedule", "create", "make", "arrange", "put", "move", "reserve", "order",
    "need", "get", "start", "want", "like",
];

/// What is in every room of a home: in which, is often said last.
pub(super) const ROOMED: &[&str] = &[
    "lights", "lamps", "heating", "heat", "heaters", "radiators", "fans", "blinds", "curtains", "shutters",
    "windows",
];
/// Verbs that work it.
pub(super) const WORKING: &[&str] = &[
    "turn", "switch", "put", "dim", "open", "close", "shut", "lower", "raise", "set", "leave",
];

/// What goes somewhere: where to is commonly said last.
pub(super) const JOURNEYS: &[&str] = &[
    "train", "trains", "bus", "buses", "tram", "flight", "flights", "plane", "ferry", "coach", "connection",
    "ticket", "tickets",
];

/// What is written, and commonly described further.
pub(super) const WRITINGS: &[&str] = &[
    "script", "program", "function", "letter", "poem", "story", "list", "note", "text", "essay", "summary",
    "report", "song",
];

/// Said before the request itself; something follows.
pub(super) const OPENERS: &[&str] = &[
    "hi", "hello", "hey", "okay", "ok", "please", "yes", "yeah", "no", "so", "well", "and", "then", "also",
    "now", "just", "actually", "right", "alright", "great", "good", "sure", "oh", "um", "uh", "er", "hmm",
    "but", "there", "thanks", "anyway", "sorry", "maybe",
];

/// Wrap a request.
pub(super) const CARRIERS: &[&str] = &[
    "can you", "could you", "would you", "will you", "can i", "could i", "may i", "i want to",
    "i'd like to", "i would like to", "i need to", "i have to", "i want you to", "i'd like you to",
    "i need you to", "let's", "let me", "we need to", "i'm going to", "i am going to",
    "i was wondering if you could", "is it possible to", "help me", "help me to", "go ahead and", "try to",
    "please", "kindly", "just", "do you think you could", "can we", "could we", "should i", "should we",
    "shall we", "i'm calling to", "i am calling to", "i was hoping to", "i wanted to", "do me a favor and",
];

/// Frequent words of other languages that English does not have. More of these than of English ones: the
/// text is not judged.
pub(super) const FOREIGN: &[&str] = &[
    "ich", "und", "der", "das", "ist", "nicht", "ein", "eine", "einen", "bitte", "wie", "wir", "sie", "auf",
    "mit", "für", "zu", "den", "dem", "heute", "morgen", "kannst", "danke", "möchte", "mir", "mich", "je",
    "le", "les", "est", "que", "une", "pour", "dans", "vous", "nous", "et", "merci", "bonjour", "voudrais",
    "avec", "quel", "quelle", "demain", "el", "los", "las", "por", "una", "hola", "gracias", "quiero",
    "para", "con", "mañana", "está", "cómo", "qué", "del", "il", "che", "di", "per", "non", "sono",
    "grazie", "vorrei", "een", "het", "ik", "van", "niet", "dank", "graag", "wil", "kun", "jij", "não",
    "obrigado", "você", "amanhã", "uma", "jag", "och", "inte", "det", "tack",
];

/// Verbs after which a question may end in a preposition ("who do I talk to").
pub(super) const STRANDING: &[&str] = &[
    "talk", "speak", "go", "look", "wait", "listen", "come", "send", "calling", "talking", "speaking",
    "going",
];
