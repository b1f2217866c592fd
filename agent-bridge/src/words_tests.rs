//! Tables of transcripts and what is left of them.

use super::*;

#[test]
fn normalised() {
    for (text, expected) in [
        ("", ""),
        (" \t\n ", ""),
        ("Hello, world!", "hello world"),
        ("Um, what's the, uh, weather?", "what's the weather"),
        ("Don’t stop", "don't stop"),
        ("'quoted' words'", "quoted words"),
        ("It is 10:30 p.m.", "it is 10 30 pm"),
        ("1,000 and 3.5%", "1000 and 3.5 percent"),
        ("one, 200, 3", "one 200 3"),
        ("$5 & 7 €", "5 dollars and 7"),
        ("[BLANK_AUDIO] (coughs) yes", "yes"),
        ("a (b", "a b"),
        ("twenty-five", "twenty five"),
        ("ÄRGER über Öl", "ärger über öl"),
        ("今日は", "今日は"),
        ("...", ""),
        ("The U.S. team", "the us team"),
        ("End of it. Next one", "end of it next one"),
    ] {
        assert_eq!(normalise(text), expected, "{text:?}");
        assert_eq!(normalise(expected), expected, "stable: {text:?}");
    }
}

#[test]
fn same_turn() {
    for (a, b) in [
        ("", "um"),
        ("Ten", "10"),
        ("What's up?", "what is up"),
        ("seven oh five", "7 0 5"),
        ("seven oh five", "705"),
        ("ten thirty", "10:30"),
        ("twenty five", "25"),
        ("three hundred and one", "301"),
        ("one thousand two hundred", "1,200"),
        ("two million", "2,000,000"),
        ("the twenty fourth of November", "The 24th of November."),
        ("the third", "the 3rd"),
        ("twenty twenty six", "2026"),
        ("double four one", "441"),
        ("at five p.m.", "at 5 pm"),
        ("at five P M", "at five PM"),
        ("I can't", "i cannot"),
        ("okay", "OK"),
        ("My PIN is two one three nine.", "my pin is 2139"),
        ("3 million", "3000000"),
    ] {
        assert!(
            same(a, b),
            "{a:?} {b:?}: {:?} {:?}",
            canonical(a),
            canonical(b)
        );
        assert!(same(b, a));
    }
}

#[test]
fn another_turn() {
    for (a, b) in [
        ("ten", "eleven"),
        ("turn it on", "turn it off"),
        ("call me", "call me back"),
        ("I can", "I can't"),
        ("seven oh five", "75"),
        ("five dollars", "five"),
        ("3.5", "35"),
        ("the twenty fourth", "the 20th"),
        ("oh yes", "0 yes"),
        ("do", "don't"),
        ("one hundred", "one thousand"),
        ("", "yes"),
    ] {
        assert!(
            !same(a, b),
            "{a:?} {b:?}: {:?} {:?}",
            canonical(a),
            canonical(b)
        );
    }
}

#[test]
fn digits_at_the_end() {
    for (text, expected) in [
        ("my pin is two one", 2),
        ("two one three nine", 4),
        ("oh seven seven double four", 5),
        ("2139", 4),
        ("two one is my pin", 0),
        ("", 0),
        ("the third", 0),
        ("twenty one", 2),
    ] {
        let words = tokens(text);
        assert_eq!(numbers::trailing_digits(&words), expected, "{text:?}");
    }
}
