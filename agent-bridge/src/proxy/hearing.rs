//! How much of a reply's own text a caller has heard, when all that is known is the text as it was spoken. Owns the map
//! from the spoken letters back to the bytes they came from.
//! PURE.

use crate::phone_text::Tidy;

/// Bytes of a reply that are mapped; what is beyond counts as heard only when all is.
pub const BYTES_MAX: usize = 256 * 1024;

/// A place in a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Point {
    /// Bytes of the reply's text whose words have all been heard.
    pub bytes: usize,
    /// Words behind them that have been heard, but stand in something that can only be taken whole (a link).
    pub rest: String,
    /// Nothing of the text is left to be heard.
    pub is_all: bool,
}

/// After so many bytes of the reply so many bytes of letters had been spoken.
#[derive(Debug, Clone, Copy)]
struct Mark {
    letters: usize,
    bytes: usize,
}

/// A reply's text beside what is spoken of it.
#[derive(Debug, Default)]
pub struct Hearing {
    tidy: Tidy,
    /// What is spoken, without white space: where clauses are joined, that differs.
    letters: String,
    marks: Vec<Mark>,
    bytes: usize,
    is_finished: bool,
}

impl Hearing {
    /// More of the reply's text.
    pub fn push(&mut self, text: &str) {
        for (at, c) in text.char_indices() {
            if self.bytes + at >= BYTES_MAX {
                break;
            }
            let mut letter = [0; 4];
            let spoken = self.tidy.push(c.encode_utf8(&mut letter));
            self.note(&spoken, self.bytes + at + c.len_utf8());
        }
        self.bytes += text.len();
    }

    /// The reply's text is complete.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) {
            let spoken = self.tidy.finish();
            self.note(&spoken, self.bytes);
        }
    }

    fn note(&mut self, spoken: &str, bytes: usize) {
        let before = self.letters.len();
        self.letters
            .extend(spoken.chars().filter(|c| !c.is_whitespace()));
        if self.letters.len() > before {
            self.marks.push(Mark {
                letters: self.letters.len(),
                bytes,
            });
        }
    }

    /// Where `heard` ends, the beginning of the reply as it was spoken. What is no beginning of it counts up to the
    /// first letter that differs.
    pub fn find(&self, heard: &str) -> Point {
        let mut letters = self.letters.chars();
        let mut count = 0;
        let mut end = 0;
        for (at, c) in heard.char_indices().filter(|(_, c)| !c.is_whitespace()) {
            if letters.next() != Some(c) {
                break;
            }
            count += c.len_utf8();
            end = at + c.len_utf8();
        }
        let known = self.marks.partition_point(|mark| mark.letters <= count);
        let mark = match known.checked_sub(1) {
            Some(last) => self.marks[last],
            None => Mark {
                letters: 0,
                bytes: 0,
            },
        };
        Point {
            bytes: mark.bytes,
            rest: after(&heard[..end], mark.letters).to_owned(),
            is_all: self.is_finished && count == self.letters.len() && self.bytes <= BYTES_MAX,
        }
    }
}

/// The text behind so many bytes of letters.
fn after(text: &str, letters: usize) -> &str {
    let mut left = letters;
    for (at, c) in text.char_indices() {
        if left == 0 {
            return &text[at..];
        }
        if !c.is_whitespace() {
            left = left.saturating_sub(c.len_utf8());
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a caller would be left with of `text`, cut where `heard` ends.
    fn cut(text: &str, heard: &str) -> (String, bool) {
        let mut hearing = Hearing::default();
        hearing.push(text);
        hearing.finish();
        let point = hearing.find(heard);
        (
            format!("{}|{}", &text[..point.bytes], point.rest),
            point.is_all,
        )
    }

    #[test]
    fn what_was_heard_is_found_in_the_text() {
        for (text, heard, wanted, is_all) in [
            ("It is ten. Good?", "It is", "It is|", false),
            (
                "It is ten. Good?",
                "It is ten. Good?",
                "It is ten. Good?|",
                true,
            ),
            ("It is ten.", "", "|", false),
            ("It  is\nten.", "It is ten.", "It  is\nten.|", true),
            // A paragraph is spoken as a sentence.
            ("It is\n\nten.", "It is. ten.", "It is\n\nten.|", true),
            ("It is\n\nten.", "It is.", "It is|.", false),
            ("**It** is `ten`.", "It is", "**It** is|", false),
            (
                "See [my page](http://x.y/z) now",
                "See my",
                "See| my",
                false,
            ),
            (
                "See [my page](http://x.y/z) now",
                "See my page",
                "See [my page](http://x.y/z)|",
                false,
            ),
            ("Grüße 👋 an dich", "Grüße an", "Grüße 👋 an|", false),
            // Not what was said: only the beginning that agrees counts.
            ("It is ten.", "It was", "It|", false),
            ("It is ten.", "It is ten. And more", "It is ten.|", true),
            ("NO_REPLY", "", "|", true),
            ("", "", "|", true),
            ("", "what", "|", true),
        ] {
            assert_eq!(
                cut(text, heard),
                (wanted.to_owned(), is_all),
                "{text:?} {heard:?}"
            );
        }
    }

    #[test]
    fn what_is_still_coming_is_not_all() {
        let mut hearing = Hearing::default();
        hearing.push("It is");
        assert!(!hearing.find("It is").is_all);
        hearing.push(" ten.");
        hearing.finish();
        assert!(hearing.find("It is ten.").is_all);
        assert_eq!(hearing.find("It is ten").bytes, "It is ten".len());
    }
}
