//! From a text to what is phonemised and spoken at once: sentences, and in them pieces that end where a speaker would
//! breathe. The voice's model knows punctuation; espeak-ng eats it, so it is kept here.
//! PURE.

/// Letters of a piece and of a sentence: longer ones are cut, between words where there are some.
const PIECE_CHARS_MAX: usize = 200;
const SENTENCE_CHARS_MAX: usize = 400;

/// Words without a break in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// On one line, with at least one letter or digit.
    pub text: String,
    /// Punctuation that follows.
    pub mark: Option<char>,
}

/// Sentences of `text`, each with at least one piece.
pub fn sentences(text: &str) -> Vec<Vec<Piece>> {
    let mut sentences = Vec::new();
    let mut sentence: Vec<Piece> = Vec::new();
    let mut chars_taken = 0;
    for piece in pieces(text) {
        let chars = piece.text.chars().count();
        if chars_taken + chars > SENTENCE_CHARS_MAX && !sentence.is_empty() {
            sentences.push(std::mem::take(&mut sentence));
            chars_taken = 0;
        }
        chars_taken += chars;
        let ends = matches!(piece.mark, Some('.' | '?' | '!'));
        sentence.push(piece);
        if ends {
            sentences.push(std::mem::take(&mut sentence));
            chars_taken = 0;
        }
    }
    if !sentence.is_empty() {
        sentences.push(sentence);
    }
    sentences
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut chars = 0;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let ends_word = letters.peek().is_none_or(|next| !next.is_alphanumeric());
        let mark = match letter {
            '.' | '?' | '!' | ',' | ':' | ';' if ends_word => Some(letter),
            '。' => Some('.'),
            '？' => Some('?'),
            '！' => Some('!'),
            '…' | '—' | '–' | '(' | ')' | '，' | '、' => Some(','),
            _ => None,
        };
        if let Some(mark) = mark {
            chars = 0;
            close(&mut words, Some(mark), &mut pieces);
            continue;
        }
        // Double brackets would be phonemes to espeak-ng, and a control character or a line break would end its line.
        let letter = match letter {
            '[' | ']' | '{' | '}' | '<' | '>' | '"' | '“' | '”' => ' ',
            letter if letter.is_control() || letter.is_whitespace() => ' ',
            letter => letter,
        };
        if letter == ' ' && (words.is_empty() || words.ends_with(' ')) {
            continue;
        }
        words.push(letter);
        chars += 1;
        if chars >= PIECE_CHARS_MAX {
            let rest = words
                .rfind(' ')
                .filter(|at| *at > 0)
                .map(|at| words.split_off(at))
                .unwrap_or_default();
            close(&mut words, None, &mut pieces);
            words.push_str(rest.trim_start());
            chars = words.chars().count();
        }
    }
    close(&mut words, None, &mut pieces);
    pieces
}

fn close(words: &mut String, mark: Option<char>, pieces: &mut Vec<Piece>) {
    let text = words.trim();
    if text.chars().any(char::is_alphanumeric) {
        pieces.push(Piece {
            text: text.to_owned(),
            mark,
        });
    } else if let (Some(last), Some('.' | '?' | '!')) = (pieces.last_mut(), mark) {
        // "Really?!", "well)." – the piece has ended already; the end of a sentence outweighs a comma.
        if matches!(last.mark, None | Some(',' | ';' | ':')) {
            last.mark = mark;
        }
    }
    words.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sentences joined by `|`, pieces by `/`, marks in their place.
    fn shown(text: &str) -> String {
        let sentence = |pieces: &Vec<Piece>| {
            let pieces: Vec<String> = pieces
                .iter()
                .map(|piece| {
                    format!(
                        "{}{}",
                        piece.text,
                        piece.mark.map_or(String::new(), String::from)
                    )
                })
                .collect();
            pieces.join("/")
        };
        let all: Vec<String> = sentences(text).iter().map(sentence).collect();
        all.join("|")
    }

    #[test]
    fn texts_fall_apart_where_one_breathes() {
        for (text, expected) in [
            ("", ""),
            (" \n\t", ""),
            ("...", ""),
            ("Hello", "Hello"),
            ("Hello.", "Hello."),
            ("Hello, world. How are you?", "Hello,/world.|How are you?"),
            ("It is 3.14, or 1,234.", "It is 3.14,/or 1,234."),
            ("Really?! Yes", "Really?|Yes"),
            ("One (two). Three", "One,/two.|Three"),
            ("a\nb\u{0}c", "a b c"),
            ("wait… what", "wait,/what"),
            ("he said \"no\"", "he said no"),
            ("[[h@'loU]] <speak>", "h@'loU speak"),
            ("first; then: go!", "first;/then:/go!"),
            ("it's", "it's"),
            ("好。吗？", "好.|吗?"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_without_loss() {
        for text in [
            "word ".repeat(2_000),
            "x".repeat(10_000),
            "é ".repeat(3_000),
        ] {
            let found = sentences(&text);
            let mut letters = 0;
            for sentence in &found {
                let chars: usize = sentence.iter().map(|p| p.text.chars().count()).sum();
                assert!(chars <= SENTENCE_CHARS_MAX);
                assert!(
                    sentence
                        .iter()
                        .all(|p| p.text.chars().count() <= PIECE_CHARS_MAX)
                );
                letters += sentence
                    .iter()
                    .flat_map(|p| p.text.chars())
                    .filter(|c| c.is_alphanumeric())
                    .count();
            }
            assert_eq!(
                letters,
                text.chars().filter(|c| c.is_alphanumeric()).count()
            );
        }
    }
}
