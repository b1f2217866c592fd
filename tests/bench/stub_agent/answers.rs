//! What the stub agent says: a text that depends on the question alone, and its division into tokens.
//! Owns the sentences and their choice; no network, no time.
//! PURE.

/// First clauses are short, as a good voice agent's are: the first one decides when the caller hears something.
const OPENINGS: [&str; 8] = [
    "Sure.",
    "Of course.",
    "Yes, I can do that.",
    "Let me see.",
    "All right.",
    "Good question.",
    "Here it is.",
    "No problem.",
];
const MIDDLES: [&str; 8] = [
    "The meeting is at ten in the morning.",
    "It will be sunny with a light wind from the west.",
    "The kitchen lamp is on and the door is closed.",
    "There are three new messages for you.",
    "The timer is set for twenty minutes.",
    "The train leaves at half past seven.",
    "The last build finished without errors.",
    "Your list has milk, bread and apples on it.",
];
const ENDINGS: [&str; 8] = [
    "Is there anything else?",
    "Tell me if that should change.",
    "I will remind you in time.",
    "That is all I have for now.",
    "You can ask me again later.",
    "I hope that helps.",
    "Shall I send you the details?",
    "It was done a minute ago.",
];
/// Told when the question asks for something long: about forty seconds of speech, to be interrupted.
const STORY: &str = "Once there was a small house at the edge of a wide green field. An old man lived there with \
    a grey cat and seven hens. Every morning he walked down to the river to look for wood. One day the water was high, \
    and a little boat came down the stream with nobody in it. He pulled it to the bank and looked inside. There was a \
    blue box, and in the box there was a letter. The letter was for a woman in the next town, so he put on his best \
    coat and began to walk. The road went over three hills and through a dark wood. In the wood he met a boy who had \
    lost his dog. They looked for the dog together until the sun went down. At last they heard it bark behind a tree. \
    The boy was so happy that he showed the old man the short way to the town. The woman read the letter and smiled, \
    and she asked them both to stay for supper.";
/// Phrases that ask for the story.
const LONG_PHRASES: [&str; 3] = ["story", "tell me about", "tell me more"];

/// The answer to `question`: an opening and up to `sentences - 1` more, or the story. `sentences` 0 counts as 1.
pub fn answer(question: &str, sentences: usize) -> String {
    let words = normal_words(question);
    let words = words.join(" ");
    if LONG_PHRASES.iter().any(|phrase| words.contains(phrase)) {
        return STORY.to_owned();
    }
    let hash = fingerprint(&words);
    let pick = |table: &[&'static str], turn: u32| {
        table[(hash.rotate_right(turn) % table.len() as u64) as usize]
    };
    let mut parts = vec![pick(&OPENINGS, 0)];
    for n in 1..sentences.max(1) {
        let table = if n % 2 == 1 { &MIDDLES } else { &ENDINGS };
        parts.push(pick(table, 7 * n as u32));
    }
    parts.join(" ")
}

/// Everything it can say, sentence by sentence.
pub fn sentences() -> Vec<String> {
    let short = [OPENINGS, MIDDLES, ENDINGS].concat();
    let story = STORY.split_inclusive(". ").map(str::trim);
    short.into_iter().chain(story).map(str::to_owned).collect()
}

/// Words with the blank before them, punctuation apart: about 1.2 tokens a word, as common tokenisers make of English.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for (n, word) in text.split_whitespace().enumerate() {
        let blank = if n == 0 { "" } else { " " };
        let stem = word.trim_end_matches(['.', ',', '!', '?']);
        tokens.push(format!("{blank}{stem}"));
        if stem.len() < word.len() {
            tokens.push(word[stem.len()..].to_owned());
        }
    }
    tokens
}

fn normal_words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// FNV-1a, 64 bits: the same on every machine and in every build.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer() {
        let plain = answer("What time is it?", 3);
        assert_eq!(plain, answer("what time is it", 3));
        assert_ne!(plain, answer("Turn the lamp on.", 3));
        assert!(answer("Tell me a long story.", 3).len() > 600);
        for (sentences, ends) in [(0, 1), (1, 1), (2, 2), (3, 3), (5, 5)] {
            let text = answer("Open the door.", sentences);
            assert_eq!(text.matches(['.', '?', '!']).count(), ends, "{text}");
        }
    }

    #[test]
    fn tokens_put_together_are_the_text() {
        for text in ["Yes, I can do that. Is there anything else?", "", "one"] {
            assert_eq!(tokens(text).concat(), text);
        }
        assert_eq!(tokens("Sure. Yes").len(), 3);
    }
}
