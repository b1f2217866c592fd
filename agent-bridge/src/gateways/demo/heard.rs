//! What the caller said, as words that can be matched loosely: recognisers mishear, and write "what's",
//! "twenty-five" and "2.5" each in their own way. Owns the words and their places in the text.
//! PURE.

/// Words taken from one utterance; the rest is left out.
const WORDS_MAX: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Lower case, without punctuation, contractions opened.
    pub text: String,
    /// Where it stands in the original.
    start: usize,
    end: usize,
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[derive(Debug, Clone)]
pub struct Heard<'a> {
    original: &'a str,
    words: Vec<Word>,
}

/// Keywords in which one wrong letter is forgiven. A word that is one of them is taken as it is, so that
/// "times" is never a "timer".
const FORGIVING: [&str; 36] = [
    "timer",
    "timers",
    "times",
    "alarm",
    "cancel",
    "delete",
    "minute",
    "minutes",
    "second",
    "seconds",
    "hours",
    "repeat",
    "spell",
    "count",
    "backwards",
    "goodbye",
    "number",
    "random",
    "percent",
    "divided",
    "multiplied",
    "square",
    "calculate",
    "hello",
    "thanks",
    "today",
    "tomorrow",
    "yesterday",
    "connect",
    "configure",
    "agent",
    "remind",
    "minus",
    "weather",
    "robot",
    "joke",
];

impl<'a> Heard<'a> {
    pub fn new(original: &'a str) -> Heard<'a> {
        let mut words = Vec::new();
        let mut start = None;
        let mut previous = None;
        let mut chars = original.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            let digits = |c: Option<char>| c.is_some_and(|c: char| c.is_ascii_digit());
            let joins = match c {
                '\'' | '’' => {
                    previous.is_some_and(char::is_alphanumeric)
                        && next.is_some_and(char::is_alphanumeric)
                }
                '.' | ',' | ':' => digits(previous) && digits(next),
                _ => c.is_alphanumeric(),
            };
            if joins {
                start.get_or_insert(at);
            } else {
                if let Some(start) = start.take() {
                    add(&mut words, original, start, at);
                }
                let spoken: &[&str] = match c {
                    '+' => &["plus"],
                    '*' | '×' => &["times"],
                    '/' | '÷' if digits(previous) || previous == Some(' ') => &["divided", "by"],
                    '%' => &["percent"],
                    '-' | '−' if next == Some(' ') && previous == Some(' ') => &["minus"],
                    '-' | '−' if digits(previous) && digits(next) => &["minus"],
                    '-' | '−' if digits(next) => &["minus"],
                    _ => &[],
                };
                let end = at + c.len_utf8();
                for text in spoken {
                    words.push(Word {
                        text: (*text).to_owned(),
                        start: at,
                        end,
                    });
                }
            }
            previous = Some(c);
            if words.len() >= WORDS_MAX {
                start = None;
                break;
            }
        }
        if let Some(start) = start {
            add(&mut words, original, start, original.len());
        }
        Heard { original, words }
    }

    pub fn words(&self) -> &[Word] {
        &self.words
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Where a keyword stands first.
    pub fn find(&self, keyword: &str) -> Option<usize> {
        self.words
            .iter()
            .position(|word| is_like(&word.text, keyword))
    }

    pub fn has(&self, keyword: &str) -> bool {
        self.find(keyword).is_some()
    }

    pub fn has_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.has(keyword))
    }

    /// The place behind the first phrase of several that occurs as a whole: words separated by spaces.
    pub fn after_phrase(&self, phrases: &[&str]) -> Option<usize> {
        phrases.iter().find_map(|phrase| {
            let wanted: Vec<&str> = phrase.split(' ').collect();
            (0..self.words.len())
                .find(|at| self.matches_at(*at, &wanted))
                .map(|at| at + wanted.len())
        })
    }

    pub fn says(&self, phrases: &[&str]) -> bool {
        self.after_phrase(phrases).is_some()
    }

    /// The utterance is one of these phrases and nothing else but politeness.
    pub fn is_only(&self, phrases: &[&str]) -> bool {
        const POLITE: [&str; 9] = [
            "please", "okay", "ok", "well", "oh", "so", "now", "then", "just",
        ];
        let core: Vec<&str> = self
            .words
            .iter()
            .map(|word| word.text.as_str())
            .filter(|word| !POLITE.contains(word))
            .collect();
        phrases.iter().any(|phrase| {
            let wanted: Vec<&str> = phrase.split(' ').collect();
            wanted.len() == core.len() && wanted.iter().zip(&core).all(|(w, c)| is_like(c, w))
        })
    }

    fn matches_at(&self, at: usize, wanted: &[&str]) -> bool {
        self.words.len() >= at + wanted.len()
            && wanted
                .iter()
                .zip(&self.words[at..])
                .all(|(wanted, word)| is_like(&word.text, wanted))
    }

    /// The original from a word on, without the punctuation around it.
    pub fn original_from(&self, index: usize) -> &'a str {
        let Some(word) = self.words.get(index) else {
            return "";
        };
        self.original[word.start..]
            .trim()
            .trim_end_matches(['"', '”', '.', ',', '!'])
    }

    /// The original between two words, the second one excluded.
    pub fn original_between(&self, from: usize, to: usize) -> &'a str {
        match (
            self.words.get(from),
            to.checked_sub(1).and_then(|last| self.words.get(last)),
        ) {
            (Some(first), Some(last)) if last.end >= first.start => {
                &self.original[first.start..last.end]
            }
            _ => "",
        }
    }
}

fn add(words: &mut Vec<Word>, original: &str, start: usize, end: usize) {
    let lower = original[start..end].to_lowercase().replace('’', "'");
    let opened: Vec<String> = match lower.as_str() {
        "whats" => vec!["what".into(), "is".into()],
        "can't" => vec!["can".into(), "not".into()],
        "won't" => vec!["will".into(), "not".into()],
        _ => {
            let endings = [
                ("n't", "not"),
                ("'m", "am"),
                ("'re", "are"),
                ("'ll", "will"),
                ("'ve", "have"),
            ];
            let asks = [
                "what's", "who's", "how's", "that's", "it's", "where's", "when's",
            ];
            if asks.contains(&lower.as_str()) {
                vec![lower[..lower.len() - 2].to_owned(), "is".into()]
            } else if let Some((stem, word)) = endings
                .iter()
                .find_map(|(ending, word)| Some((lower.strip_suffix(ending)?, *word)))
            {
                vec![stem.to_owned(), word.to_owned()]
            } else {
                vec![lower.replace('\'', "")]
            }
        }
    };
    for text in opened {
        if !text.is_empty() {
            words.push(Word { text, start, end });
        }
    }
}

/// The same word, or a keyword with one wrong letter.
fn is_like(heard: &str, keyword: &str) -> bool {
    heard == keyword
        || (FORGIVING.contains(&keyword)
            && !FORGIVING.contains(&heard)
            && heard.len() >= 5
            && keyword.len() >= 5
            && is_one_edit_away(heard, keyword))
}

/// One letter more, less, other, or two swapped.
fn is_one_edit_away(a: &str, b: &str) -> bool {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let (short, long) = if a.len() <= b.len() {
        (&a, &b)
    } else {
        (&b, &a)
    };
    let head = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let tail = |skip_short: usize, skip_long: usize| {
        short.get(head + skip_short..) == long.get(head + skip_long..)
    };
    match long.len() - short.len() {
        0 => {
            head == long.len()
                || tail(1, 1)
                || (long.len() >= head + 2
                    && short[head] == long[head + 1]
                    && short[head + 1] == long[head]
                    && tail(2, 2))
        }
        1 => tail(0, 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> String {
        let heard = Heard::new(text);
        let words: Vec<_> = heard.words().iter().map(|w| w.text.as_str()).collect();
        words.join(" ")
    }

    #[test]
    fn words_are_opened_and_cleaned() {
        for (text, wanted) in [
            ("What's the time?", "what is the time"),
            ("Don’t stop!", "do not stop"),
            ("Twenty-five, please.", "twenty five please"),
            ("12*7 = 84", "12 times 7 84"),
            ("3.5 + 1,000", "3.5 plus 1,000"),
            ("10 - 4", "10 minus 4"),
            ("10-4", "10 minus 4"),
            ("8 / 2", "8 divided by 2"),
            ("20% of 50", "20 percent of 50"),
            ("At 10:30.", "at 10:30"),
            ("Tom's dog", "toms dog"),
            ("", ""),
            ("?!", ""),
        ] {
            assert_eq!(split(text), wanted, "{text}");
        }
    }

    #[test]
    fn keywords_forgive_one_letter() {
        for (heard, keyword, like) in [
            ("timer", "timer", true),
            ("tymer", "timer", true),
            ("timers", "timer", false),
            ("times", "timer", false),
            ("time", "timer", false),
            ("repeet", "repeat", true),
            ("sepll", "spell", true),
            ("smell", "spell", true),
            ("spiel", "spell", false),
            ("cuont", "count", true),
            ("goodby", "goodbye", true),
            ("cats", "cat", false),
        ] {
            assert_eq!(is_like(heard, keyword), like, "{heard} {keyword}");
        }
    }

    #[test]
    fn the_original_stays_reachable() {
        let heard = Heard::new("Please say: Hello, World!");
        assert_eq!(heard.original_from(2), "Hello, World");
        assert_eq!(heard.original_from(9), "");
        assert_eq!(heard.original_between(0, 2), "Please say");
    }
}
