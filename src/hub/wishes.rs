//! PURE. What is done without asking an agent: "call me", and yes or no to a question about a risky action. A message counts
//! only as a whole: "call me Ishmael" is for the agent.

/// When the phone is to ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Now,
    /// After so many minutes.
    In(u32),
    /// The next time it is this hour and minute.
    At(u8, u8),
}

/// Longest text that is looked at, in bytes.
const TEXT_MAX: usize = 120;
/// A call may be asked for a day ahead.
const MINUTES_MAX: u32 = 24 * 60;

/// Whether somebody asks to be called, and when.
pub fn call_me(text: &str) -> Option<When> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let lower = text.to_lowercase();
    let spaced: String = lower
        .chars()
        .map(|c| match c {
            '’' => '\'',
            ',' | '!' | '?' | ';' => ' ',
            c => c,
        })
        .collect();
    let words: Vec<&str> = spaced
        .split_whitespace()
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty() && !POLITE.contains(word))
        .collect();
    english(&words).or_else(|| german(&words))
}

const POLITE: [&str; 22] = [
    "please",
    "pls",
    "can",
    "could",
    "would",
    "will",
    "you",
    "just",
    "now",
    "hey",
    "hi",
    "hello",
    "ok",
    "okay",
    "kindly",
    "thanks",
    "bitte",
    "kannst",
    "könntest",
    "du",
    "mal",
    "jetzt",
];

fn english(words: &[&str]) -> Option<When> {
    let rest = match words {
        ["call" | "ring" | "phone", "me", "back" | "up", rest @ ..] => rest,
        ["call" | "ring" | "phone", "me", rest @ ..] => rest,
        ["give", "me", "a", "call" | "ring", rest @ ..] => rest,
        ["i", "want", "a", "call"] | ["callback"] | ["call", "back"] => &[],
        _ => return None,
    };
    when(rest)
}

fn german(words: &[&str]) -> Option<When> {
    match words {
        ["ruf" | "rufe", "mich", rest @ .., "an" | "zurück"] => when(rest),
        ["ruf" | "rufe", "mich", "an" | "zurück", rest @ ..] => when(rest),
        ["mich", rest @ .., "anrufen" | "zurückrufen"] => when(rest),
        _ => None,
    }
}

fn when(words: &[&str]) -> Option<When> {
    let minutes = match words {
        [] | ["right", "away"] | ["immediately"] | ["gleich"] | ["sofort"] | ["asap"] => {
            return Some(When::Now);
        }
        ["in", "a" | "one", "minute"] | ["in", "einer", "minute"] => 1,
        ["in", "a" | "an" | "one", "hour"] | ["in", "einer", "stunde"] => 60,
        ["in", "half", "an", "hour"] | ["in", "einer", "halben", "stunde"] => 30,
        ["in", "a", "quarter", "of", "an", "hour"] | ["in", "einer", "viertelstunde"] => 15,
        ["in", "a", "few" | "couple", "minutes"] | ["in", "a", "couple", "of", "minutes"] => 3,
        [
            "in",
            count,
            "minutes" | "minute" | "mins" | "min" | "minuten",
        ] => number(count)?,
        ["in", count, "hours" | "hour" | "hrs" | "h" | "stunden"] => {
            number(count)?.checked_mul(60)?
        }
        ["at" | "um", time] => return clock(time, None),
        ["at", time, "o'clock"] | ["um", time, "uhr"] => return clock(time, None),
        ["at", time, half @ ("am" | "pm")] => return clock(time, Some(half)),
        _ => return None,
    };
    (1..=MINUTES_MAX)
        .contains(&minutes)
        .then_some(When::In(minutes))
}

fn number(word: &str) -> Option<u32> {
    let words = [
        ("one", 1),
        ("two", 2),
        ("three", 3),
        ("four", 4),
        ("five", 5),
        ("six", 6),
        ("seven", 7),
        ("eight", 8),
        ("nine", 9),
        ("ten", 10),
        ("eleven", 11),
        ("twelve", 12),
        ("fifteen", 15),
        ("twenty", 20),
        ("thirty", 30),
        ("forty", 40),
        ("forty-five", 45),
        ("fifty", 50),
        ("sixty", 60),
        ("ninety", 90),
        ("zwei", 2),
        ("drei", 3),
        ("vier", 4),
        ("fünf", 5),
        ("sechs", 6),
        ("acht", 8),
        ("zehn", 10),
        ("zwölf", 12),
        ("fünfzehn", 15),
        ("zwanzig", 20),
        ("dreißig", 30),
        ("vierzig", 40),
        ("fünfundvierzig", 45),
        ("sechzig", 60),
    ];
    let named = words.iter().find(|(name, _)| *name == word);
    named.map(|(_, value)| *value).or_else(|| digits(word, 4))
}

fn digits(text: &str, most: usize) -> Option<u32> {
    let is_number =
        !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn clock(text: &str, half: Option<&str>) -> Option<When> {
    let (text, half) = match (half, text.strip_suffix("pm"), text.strip_suffix("am")) {
        (None, Some(rest), _) => (rest, Some("pm")),
        (None, None, Some(rest)) => (rest, Some("am")),
        _ => (text, half),
    };
    if text == "noon" && half.is_none() {
        return Some(When::At(12, 0));
    }
    let (hour, minute) = match text.split_once([':', '.']) {
        Some((hour, minute)) if minute.len() == 2 => (digits(hour, 2)?, digits(minute, 2)?),
        Some(_) => return None,
        None => (digits(text, 2)?, 0),
    };
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some("pm") => hour % 12 + 12,
        Some(_) => hour % 12,
    };
    let is_time = hour < 24 && minute < 60;
    is_time.then_some(When::At(hour as u8, minute as u8))
}

/// An answer to a question that named a code: whether it is a yes, and the code.
pub fn decision(text: &str) -> Option<(bool, &str)> {
    let text = text.trim().trim_end_matches(['.', '!']);
    if text.len() > 40 {
        return None;
    }
    let (first, second) = text.split_once(char::is_whitespace)?;
    let second = second.trim();
    let is_code = |word: &str| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit());
    let (word, code) = match (is_code(first), is_code(second)) {
        (false, true) => (first, second),
        (true, false) => (second, first),
        _ => return None,
    };
    match word.trim_end_matches([',', ':']).to_lowercase().as_str() {
        "yes" | "y" | "allow" | "approve" | "ok" | "okay" | "ja" => Some((true, code)),
        "no" | "n" | "deny" | "refuse" | "stop" | "nein" => Some((false, code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_me_as_people_write_it() {
        for (text, expected) in [
            ("call me", Some(When::Now)),
            ("Call me, please!", Some(When::Now)),
            ("Can you call me back?", Some(When::Now)),
            ("ring me", Some(When::Now)),
            ("give me a ring", Some(When::Now)),
            ("call me in ten minutes", Some(When::In(10))),
            ("Could you please ring me in 25 min.", Some(When::In(25))),
            ("call me in half an hour", Some(When::In(30))),
            ("call me in 2 hours", Some(When::In(120))),
            ("call me at 17:30", Some(When::At(17, 30))),
            ("call me at 5pm", Some(When::At(17, 0))),
            ("call me at 12 am", Some(When::At(0, 0))),
            ("call me at noon", Some(When::At(12, 0))),
            ("Ruf mich bitte an", Some(When::Now)),
            ("ruf mich in 10 Minuten an", Some(When::In(10))),
            ("Kannst du mich um 17:30 anrufen?", Some(When::At(17, 30))),
            ("call me Ishmael", None),
            ("call me in ten minutes about the car", None),
            ("call mom", None),
            ("I want a call", Some(When::Now)),
            ("I want to call", None),
            ("don't call me", None),
            ("call me at 25:00", None),
            ("call me in 0 minutes", None),
            ("call me in 99999999999999999999 minutes", None),
            ("call me at 5:5", None),
            ("", None),
            ("İ call me", None),
        ] {
            assert_eq!(call_me(text), expected, "{text:?}");
        }
        assert_eq!(call_me(&"call me ".repeat(100)), None);
    }

    #[test]
    fn a_decision_names_its_code() {
        for (text, expected) in [
            ("yes 4821", Some((true, "4821"))),
            ("No 4821.", Some((false, "4821"))),
            ("4821 ok", Some((true, "4821"))),
            ("approve: 0001", Some((true, "0001"))),
            ("yes", None),
            ("yes 48211", None),
            ("yes 4821 now", None),
            ("maybe 4821", None),
            ("1234 5678", None),
            // Whether it is one, those know who know what was asked.
            ("ok 1530", Some((true, "1530"))),
        ] {
            assert_eq!(decision(text), expected, "{text:?}");
        }
    }
}
