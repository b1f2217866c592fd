//! A written word as the sounds it is said with: coarse classes, told from its letters, digits and signs.
//!
//! Owns: the classes, and the reading of numbers, times, money, addresses and abbreviations as words; the way from
//! letters to classes is in `letters`. English; other languages get the classes their letters would have in English, which still says
//! where the vowels, the hisses and the stops are. Not how long a class lasts nor how it sounds (`figures`).
//!
//! PURE.

use std::borrow::Cow;

use super::letters::sound;

/// What a stretch of sound is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Sound {
    /// Nothing said.
    Pause,
    /// Vowel of "but", "pot", "bat".
    Open,
    /// Vowel of "bit", "bet".
    Front,
    /// Vowel that is hardly said: "a", "the".
    Weak,
    /// Vowel of "see", "say".
    LongFront,
    /// Vowel of "two", "go", "law".
    LongBack,
    /// Gliding vowel of "my", "now", "boy".
    Glide,
    /// l r w y.
    Liquid,
    /// m n ng.
    Nasal,
    /// s z sh and the ends of ch and j.
    Hiss,
    /// f h and the th of "thin".
    Breath,
    /// v and the th of "this".
    Buzz,
    /// The closure of p t k.
    Closure,
    /// The release of p t k.
    Burst,
    /// b d g.
    VoicedStop,
}

/// Number of classes in [`Sound`].
pub const SOUNDS: usize = 15;

/// How a sound stands in its phrase, which changes how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    Inside,
    /// In a short word that is hardly stressed.
    Light,
    /// From the last vowel before punctuation on.
    Final,
}

/// Number of places in [`Place`].
pub const PLACES: usize = 3;

/// What follows a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Nothing,
    /// A comma or the like: perhaps a pause.
    Comma,
    /// The end of a sentence: surely a pause.
    Stop,
}

/// One written word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Empty for a word that says nothing, such as a dash.
    pub sounds: Vec<(Sound, Place)>,
    pub after: After,
}

/// Longest reading of one written word, in sounds; a longer one is cut.
const WORD_SOUNDS_MAX: usize = 160;

/// Abbreviations and signs, as said.
const SHORT: &[(&str, &str)] = &[
    ("dr", "doctor"),
    ("mr", "mister"),
    ("mrs", "missis"),
    ("ms", "miz"),
    ("st", "saint"),
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("etc", "et cetera"),
    ("vs", "versus"),
    ("approx", "approximately"),
    ("prof", "professor"),
    ("no", "no"),
    ("km", "kilometres"),
    ("kg", "kilograms"),
    ("cm", "centimetres"),
    ("mm", "millimetres"),
    ("jan", "january"),
    ("feb", "february"),
    ("aug", "august"),
    ("sept", "september"),
    ("sep", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "sat"),
    ("&", "and"),
    ("+", "plus"),
    ("=", "equals"),
    ("%", "percent"),
    ("°c", "degrees celsius"),
    ("°f", "degrees fahrenheit"),
    ("°", "degrees"),
];

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The words of `text` between white space, in order, each with what it says.
pub fn read(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut previous = String::new();
    for written in text.split_whitespace() {
        let core = written.trim_matches(|c: char| {
            !c.is_alphanumeric()
                && !matches!(
                    c,
                    '$' | '€' | '£' | '%' | '&' | '+' | '=' | '°' | '#' | '@' | '-' | '−'
                )
        });
        let core = core.trim_end_matches(['-', '@', '#']);
        let after = match written
            .trim_end_matches(['"', '\'', ')', ']', '*', '_', '”', '’'])
            .chars()
            .last()
        {
            Some('.') if is_abbreviation(core) => After::Nothing,
            Some('.' | '!' | '?' | '…' | '。') => After::Stop,
            Some(',' | ';' | ':' | '–' | '—' | '-') => After::Comma,
            _ => After::Nothing,
        };
        let mut sounds = Vec::new();
        for word in said(core, &previous).split_whitespace() {
            sound(word, &mut sounds);
        }
        sounds.truncate(WORD_SOUNDS_MAX);
        if core.chars().any(char::is_alphanumeric) {
            previous = core.to_lowercase();
        }
        words.push(Word { sounds, after });
    }
    for at in 0..words.len() {
        if words[at].after != After::Nothing || at + 1 == words.len() {
            let sounds = &mut words[at].sounds;
            let from = sounds
                .iter()
                .rposition(|(sound, _)| is_vowel(*sound))
                .unwrap_or(0);
            for (_, place) in &mut sounds[from..] {
                *place = Place::Final;
            }
        }
    }
    words
}

pub(super) fn is_vowel(sound: Sound) -> bool {
    matches!(
        sound,
        Sound::Open
            | Sound::Front
            | Sound::Weak
            | Sound::LongFront
            | Sound::LongBack
            | Sound::Glide
    )
}

fn is_abbreviation(core: &str) -> bool {
    let lower = core.to_lowercase();
    matches!(
        lower.as_str(),
        "dr" | "mr" | "mrs" | "ms" | "st" | "e.g" | "i.e" | "vs" | "approx" | "prof"
    )
}

/// A written word as words of letters alone.
fn said<'a>(core: &'a str, previous: &str) -> Cow<'a, str> {
    let lower = core.to_lowercase();
    if let Some((_, said)) = SHORT.iter().find(|(short, _)| *short == lower) {
        return Cow::Borrowed(said);
    }
    if core.chars().all(char::is_alphabetic) {
        let is_spelled =
            (2..=4).contains(&core.len()) && core.bytes().all(|b| b.is_ascii_uppercase());
        return if is_spelled {
            Cow::Owned(spelled(core))
        } else {
            Cow::Borrowed(core)
        };
    }
    // "p.m", "U.S.A".
    if core.contains('.')
        && core
            .split('.')
            .all(|part| part.len() == 1 && part.chars().all(char::is_alphabetic))
    {
        return Cow::Owned(spelled(core));
    }
    if core.contains(|c: char| c.is_ascii_digit()) {
        return Cow::Owned(numeric(core, previous));
    }
    let is_address =
        core.contains('@') || core.contains('/') || core.trim_end_matches('.').contains('.');
    let mut said = String::new();
    for c in core.chars() {
        match c {
            '.' if is_address => said.push_str(" dot "),
            '@' => said.push_str(" at "),
            '/' if is_address => said.push_str(" slash "),
            '&' => said.push_str(" and "),
            '%' => said.push_str(" percent "),
            '$' => said.push_str(" dollar "),
            '€' => said.push_str(" euro "),
            '£' => said.push_str(" pound "),
            '\'' | '’' => said.push('\''),
            c if c.is_alphanumeric() => said.push(c),
            _ => said.push(' '),
        }
    }
    Cow::Owned(said.replace("www", "double u double u double u"))
}

/// Letter by letter.
fn spelled(letters: &str) -> String {
    let mut said = String::new();
    for c in letters.chars().filter(|c| c.is_alphanumeric()) {
        said.push_str(match c.to_ascii_lowercase() {
            'a' => "ay",
            'b' => "bee",
            'c' => "see",
            'd' => "dee",
            'e' => "ee",
            'f' => "eff",
            'g' => "gee",
            'h' => "aitch",
            'i' => "eye",
            'j' => "jay",
            'k' => "kay",
            'l' => "ell",
            'm' => "emm",
            'n' => "enn",
            'o' => "oh",
            'p' => "pee",
            'q' => "cue",
            'r' => "arr",
            's' => "ess",
            't' => "tee",
            'u' => "yoo",
            'v' => "vee",
            'w' => "double yoo",
            'x' => "eks",
            'y' => "why",
            'z' => "zee",
            '0'..='9' => DIGITS[c as usize - '0' as usize],
            _ => "",
        });
        said.push(' ');
    }
    said
}

const DIGITS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];
const TEENS: [&str; 10] = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

/// A word with digits in it: its numbers and the letters and signs between them.
fn numeric(core: &str, previous: &str) -> String {
    let mut said = String::new();
    let digits_only = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((hours, minutes)) = core.split_once(':')
        && digits_only(hours)
        && minutes.len() >= 2
        && minutes.is_char_boundary(2)
        && digits_only(&minutes[..2])
    {
        cardinal(hours, &mut said);
        match &minutes[..2] {
            "00" => said.push_str("o'clock "),
            late if late.starts_with('0') => {
                said.push_str("oh ");
                cardinal(&late[1..], &mut said);
            }
            minutes => cardinal(minutes, &mut said),
        }
        said.push_str(&spelled(&minutes[2..]));
        return said;
    }
    // Groups joined by hyphens are a telephone number, or a range.
    let is_phone = core.len() >= 8
        && core
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'-' || b == b'+');
    if is_phone || core.starts_with('0') && core.len() > 2 && digits_only(core) {
        return spelled(core);
    }
    let is_year = |run: &str| {
        run.len() == 4
            && core.len() <= 5
            && matches!(run.as_bytes(), [b'1', b'1'..=b'9', ..] | [b'2', b'0', ..])
    };
    let is_day = MONTHS
        .iter()
        .any(|month| previous.len() >= 3 && month.starts_with(previous));
    let mut after = String::new();
    let mut rest = core;
    while let Some(c) = rest.chars().next() {
        let run = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == ',')
                .len();
        if c.is_ascii_digit() {
            let number: String = rest[..run].chars().filter(char::is_ascii_digit).collect();
            rest = &rest[run..];
            if is_year(&number) {
                year(&number, &mut said);
            } else if ["st", "nd", "rd", "th"]
                .iter()
                .any(|end| rest.starts_with(end))
            {
                cardinal(&number, &mut said);
                said.truncate(said.trim_end().len());
                said.push_str("th ");
                rest = &rest[2..];
            } else {
                cardinal(&number, &mut said);
                if is_day && rest.is_empty() {
                    said.truncate(said.trim_end().len());
                    said.push_str("th ");
                }
            }
            if let Some(part) = rest.strip_prefix('.') {
                let run = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if run > 0 && after == "dollars" {
                    after = "dollars and".to_owned();
                    said.push_str(&after);
                    said.push(' ');
                    cardinal(&part[..run], &mut said);
                    after = "cents".to_owned();
                } else if run > 0 {
                    said.push_str("point ");
                    said.push_str(&spelled(&part[..run]));
                }
                rest = &part[run..];
            }
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '$' => after = "dollars".to_owned(),
            '€' => after = "euros".to_owned(),
            '£' => after = "pounds".to_owned(),
            '%' => said.push_str("percent "),
            '-' | '−' | '–' if said.is_empty() => said.push_str("minus "),
            '-' | '–' => said.push_str("to "),
            '#' => said.push_str("number "),
            '+' => said.push_str("plus "),
            '°' => said.push_str("degrees "),
            '/' => said.push_str("slash "),
            '@' => said.push_str("at "),
            '.' => said.push_str("dot "),
            c if c.is_alphabetic() => {
                let run = rest.len() - rest.trim_start_matches(char::is_alphabetic).len();
                let word = format!("{c}{}", &rest[..run]);
                rest = &rest[run..];
                let lower = word.to_lowercase();
                match SHORT.iter().find(|(short, _)| *short == lower) {
                    Some((_, long)) => said.push_str(long),
                    None if word.len() <= 2 => said.push_str(&spelled(&word)),
                    None => said.push_str(&word),
                }
                said.push(' ');
            }
            _ => {}
        }
    }
    said.push_str(&after);
    said
}

fn year(digits: &str, said: &mut String) {
    match &digits[2..] {
        "00" if &digits[1..2] == "0" => cardinal(digits, said),
        "00" => {
            cardinal(&digits[..2], said);
            said.push_str("hundred ");
        }
        late => {
            if digits.starts_with("200") {
                said.push_str("two thousand ");
            } else {
                cardinal(&digits[..2], said);
            }
            if late.starts_with('0') && !digits.starts_with("200") {
                said.push_str("oh ");
            }
            cardinal(late, said);
        }
    }
}

fn cardinal(digits: &str, said: &mut String) {
    let Ok(number) = digits.parse::<u64>() else {
        said.push_str(&spelled(digits));
        return;
    };
    if number == 0 {
        said.push_str("zero ");
        return;
    }
    if number >= 1_000_000_000_000 {
        said.push_str(&spelled(digits));
        return;
    }
    for (scale, name) in [
        (1_000_000_000, "billion "),
        (1_000_000, "million "),
        (1_000, "thousand "),
        (1, ""),
    ] {
        let part = (number / scale % 1_000) as usize;
        if part == 0 {
            continue;
        }
        if part >= 100 {
            said.push_str(DIGITS[part / 100]);
            said.push_str(" hundred ");
        }
        match part % 100 {
            0 => {}
            n @ 1..=9 => said.push_str(DIGITS[n]),
            n @ 10..=19 => said.push_str(TEENS[n - 10]),
            n => {
                said.push_str(TENS[n / 10]);
                if n % 10 > 0 {
                    said.push(' ');
                    said.push_str(DIGITS[n % 10]);
                }
            }
        }
        said.push(' ');
        said.push_str(name);
    }
}
