//! A word of letters as classes of sound, by English spelling: coarse rules, and lists of words that break them.
//!
//! Owns: the rules and the lists. Not numbers and signs (`spoken`).
//!
//! PURE.

use std::borrow::Cow;

use super::spoken::{Place, Sound, is_vowel};

/// Words that are hardly stressed, and their sounds in the letters of [`sound_of`].
const LIGHT: &[(&str, &str)] = &[
    ("a", "@"),
    ("an", "@n"),
    ("the", "v@"),
    ("to", "kh@"),
    ("of", "@v"),
    ("and", "@nb"),
    ("in", "en"),
    ("on", "an"),
    ("at", "akh"),
    ("it", "ekh"),
    ("is", "es"),
    ("its", "ekhs"),
    ("it's", "ekhs"),
    ("i", "y"),
    ("you", "lu"),
    ("he", "fi"),
    ("she", "si"),
    ("we", "li"),
    ("me", "ni"),
    ("be", "bi"),
    ("as", "as"),
    ("or", "ul"),
    ("for", "ful"),
    ("from", "flan"),
    ("with", "lev"),
    ("was", "las"),
    ("were", "l@l"),
    ("are", "al"),
    ("am", "an"),
    ("do", "bu"),
    ("if", "ef"),
    ("so", "su"),
    ("by", "by"),
    ("my", "ny"),
    ("your", "lul"),
    ("his", "fes"),
    ("her", "f@l"),
    ("has", "fas"),
    ("have", "fav"),
    ("had", "fab"),
    ("will", "lel"),
    ("would", "leb"),
    ("could", "kheb"),
    ("should", "seb"),
    ("that", "vakh"),
    ("this", "ves"),
    ("they", "vi"),
    ("them", "ven"),
    ("there", "vel"),
    ("their", "vel"),
    ("than", "van"),
    ("can", "khan"),
    ("but", "bakh"),
    ("not", "nakh"),
    ("us", "as"),
    ("been", "ben"),
    ("what", "lakh"),
    ("when", "len"),
    ("i'm", "yn"),
    ("you're", "lul"),
    ("i'll", "yl"),
    ("don't", "bunkh"),
];

/// Words whose letters mislead.
const ODD: &[(&str, &str)] = &[
    ("one", "lan"),
    ("two", "khu"),
    ("three", "fli"),
    ("four", "ful"),
    ("five", "fyv"),
    ("six", "seks"),
    ("seven", "sev@n"),
    ("eight", "ikh"),
    ("nine", "nyn"),
    ("ten", "khen"),
    ("eleven", "@lev@n"),
    ("hour", "yl"),
    ("people", "khikh@l"),
    ("who", "fu"),
    ("once", "lans"),
    ("done", "ban"),
    ("some", "san"),
    ("come", "khan"),
    ("said", "seb"),
    ("says", "ses"),
    ("through", "flu"),
    ("though", "vu"),
    ("enough", "@naf"),
    ("key", "khi"),
    ("eye", "y"),
    ("buy", "by"),
    ("friend", "flenb"),
    ("school", "skul"),
    ("degrees", "beglis"),
    ("minutes", "nen@khs"),
    ("minute", "nen@kh"),
    ("every", "evli"),
    ("business", "besn@s"),
    ("does", "bas"),
    ("euro", "lulu"),
    ("april", "ikhl@l"),
    ("o'clock", "@khlakh"),
    ("double", "bab@l"),
    ("zero", "silu"),
    ("thousand", "fys@nb"),
    ("hundred", "fanbl@b"),
    ("twenty", "khlenkhi"),
    ("thirty", "f@lkhi"),
];

fn sound_of(letter: u8) -> Sound {
    match letter {
        b'a' => Sound::Open,
        b'e' => Sound::Front,
        b'@' => Sound::Weak,
        b'i' => Sound::LongFront,
        b'u' => Sound::LongBack,
        b'y' => Sound::Glide,
        b'l' => Sound::Liquid,
        b'n' => Sound::Nasal,
        b's' => Sound::Hiss,
        b'f' => Sound::Breath,
        b'v' => Sound::Buzz,
        b'k' => Sound::Closure,
        b'h' => Sound::Burst,
        _ => Sound::VoicedStop,
    }
}

/// Appends the sounds of one word of letters.
pub(super) fn sound(word: &str, sounds: &mut Vec<(Sound, Place)>) {
    let lower = word.to_lowercase();
    let listed = |list: &[(&str, &'static str)]| {
        list.iter()
            .find(|(known, _)| *known == lower)
            .map(|(_, code)| *code)
    };
    let (code, place) = match (listed(LIGHT), listed(ODD)) {
        (Some(code), _) => (Cow::Borrowed(code), Place::Light),
        (None, Some(code)) => (Cow::Borrowed(code), Place::Inside),
        (None, None) => (Cow::Owned(by_letters(&lower)), Place::Inside),
    };
    sounds.extend(code.bytes().map(|letter| (sound_of(letter), place)));
}

/// Spellings of several letters, longest first where one begins another; the sounds in the letters of [`sound_of`].
const SPELLINGS: &[(&str, &str)] = &[
    ("ough", "u"),
    ("augh", "u"),
    ("eigh", "i"),
    ("tion", "s@n"),
    ("ssion", "s@n"),
    ("sion", "s@n"),
    ("cious", "s@s"),
    ("tious", "s@s"),
    ("cial", "s@l"),
    ("tial", "s@l"),
    ("ture", "ks@l"),
    ("igh", "y"),
    ("ing", "en"),
    ("tch", "ks"),
    ("sch", "sk"),
    ("air", "el"),
    ("ear", "il"),
    ("eer", "il"),
    ("our", "ul"),
    ("oor", "ul"),
    ("dge", "bs"),
    ("ous", "@s"),
    ("ee", "i"),
    ("ea", "i"),
    ("ie", "i"),
    ("ei", "i"),
    ("ey", "i"),
    ("ay", "i"),
    ("ai", "i"),
    ("oo", "u"),
    ("ou", "y"),
    ("ow", "y"),
    ("oa", "u"),
    ("oe", "u"),
    ("ew", "u"),
    ("ue", "u"),
    ("ui", "u"),
    ("oi", "y"),
    ("oy", "y"),
    ("au", "u"),
    ("aw", "u"),
    ("ar", "al"),
    ("er", "@l"),
    ("ir", "@l"),
    ("ur", "@l"),
    ("or", "ul"),
    ("ch", "ks"),
    ("sh", "s"),
    ("th", "f"),
    ("ph", "f"),
    ("gh", ""),
    ("ck", "kh"),
    ("qu", "khl"),
    ("ng", "n"),
    ("kn", "n"),
    ("wr", "l"),
    ("wh", "l"),
    ("mb", "n"),
];

/// A word in the letters of [`sound_of`], by rules.
fn by_letters(word: &str) -> String {
    let letters: Vec<char> = word.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut code = String::new();
    let mut at = 0;
    let is_written_vowel = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    while at < letters.len() {
        let c = letters[at];
        let rest = &letters[at..];
        let previous = at.checked_sub(1).map(|before| letters[before]);
        if previous == Some(c) && !is_written_vowel(c) {
            at += 1;
            continue;
        }
        if let Some((spelling, said)) = SPELLINGS.iter().find(|(spelling, _)| {
            rest.len() >= spelling.len() && spelling.chars().zip(rest).all(|(a, b)| a == *b)
        }) {
            code.push_str(said);
            at += spelling.len();
            continue;
        }
        let is_last = rest.len() == 1;
        let has_vowel = code.bytes().any(|b| is_vowel(sound_of(b)));
        // "late", "time": a vowel, one consonant, an e at the end.
        let is_long = rest.len() >= 3
            && !is_written_vowel(rest[1])
            && rest[2] == 'e'
            && (rest.len() == 3 || rest.len() == 4 && matches!(rest[3], 's' | 'd'));
        let is_soft = matches!(rest.get(1), Some('e' | 'i' | 'y'));
        code.push_str(match c {
            'e' if is_last && has_vowel => "",
            'e' if rest.len() == 2
                && rest[1] == 'd'
                && has_vowel
                && !matches!(previous, Some('t' | 'd')) =>
            {
                ""
            }
            'e' if rest.len() == 2
                && rest[1] == 's'
                && has_vowel
                && !matches!(previous, Some('s' | 'z' | 'x' | 'c' | 'g' | 'h')) =>
            {
                ""
            }
            'a' | 'e' if is_long => "i",
            'i' | 'y' if is_long => "y",
            'o' | 'u' if is_long => "u",
            'a' if is_last && has_vowel => "@",
            'a' if has_vowel && rest.len() <= 3 => "@",
            'a' => "a",
            'e' if is_last => "i",
            'e' if has_vowel => "@",
            'e' => "e",
            'i' if is_last && !has_vowel => "y",
            'i' => "e",
            'o' if is_last => "u",
            'o' if has_vowel => "@",
            'o' => "a",
            'u' if is_last => "u",
            'u' => "a",
            'y' if at == 0 => "l",
            'y' if is_last && !has_vowel => "y",
            'y' => "i",
            'c' if is_soft => "s",
            'c' | 'k' | 't' | 'p' | 'q' => "kh",
            'g' if is_soft => "bs",
            'j' => "bs",
            'x' => "ks",
            's' | 'z' => "s",
            'f' => "f",
            'h' => "f",
            'v' => "v",
            'l' | 'r' | 'w' => "l",
            'm' | 'n' => "n",
            'b' | 'd' | 'g' => "b",
            // A letter of another alphabet: a consonant and a vowel are a fair guess.
            _ => "na",
        });
        at += 1;
    }
    code
}
