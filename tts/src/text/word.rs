//! Single words and signs: abbreviations, acronyms, codes, Roman numerals, symbols, emoji. Owns which are known and how they
//! are said; not numbers.
//! PURE.

use super::number::{cardinal, digits, ordinal};

/// Letters of one word that are said; what is longer is no word.
const LETTERS_MAX: usize = 40;

/// Written (lower case, without the last full stop), said.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("dr", "Doctor"),
    ("mr", "Mister"),
    ("mrs", "Missus"),
    ("ms", "Miz"),
    ("prof", "Professor"),
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("etc", "et cetera"),
    ("vs", "versus"),
    ("approx", "approximately"),
    ("fig", "figure"),
    ("dept", "department"),
    ("inc", "Incorporated"),
    ("ltd", "Limited"),
    ("corp", "Corporation"),
    ("jr", "Junior"),
    ("sr", "Senior"),
    ("gen", "General"),
    ("sen", "Senator"),
    ("rev", "Reverend"),
    ("capt", "Captain"),
    ("sgt", "Sergeant"),
    ("lt", "Lieutenant"),
    ("ave", "Avenue"),
    ("blvd", "Boulevard"),
    ("mt", "Mount"),
    ("vol", "volume"),
    ("tel", "telephone"),
    ("ext", "extension"),
    ("est", "established"),
    ("cf", "compare"),
    ("a.k.a", "also known as"),
    ("p.s", "P S"),
    ("u.s", "U S"),
    ("u.s.a", "U S A"),
    ("u.k", "U K"),
    ("ph.d", "P H D"),
    ("a.m", "A M"),
    ("p.m", "P M"),
];
/// Abbreviations without their full stop, too.
const BARE: &[(&str, &str)] = &[
    ("Dr", "Doctor"),
    ("Mr", "Mister"),
    ("Mrs", "Missus"),
    ("etc", "et cetera"),
    ("vs", "versus"),
    ("eg", "for example"),
    ("ie", "that is"),
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("approx", "approximately"),
    ("aka", "also known as"),
    ("w/", "with"),
    ("w/o", "without"),
    ("TBD", "to be decided"),
    ("WiFi", "why fie"),
    ("Wi-Fi", "why fie"),
    ("IPv4", "I P version four"),
    ("IPv6", "I P version six"),
    ("OAuth", "O auth"),
    ("macOS", "mack O S"),
    ("iOS", "eye O S"),
    ("GitHub", "git hub"),
    ("YouTube", "you tube"),
    ("LaTeX", "lay tech"),
    ("nginx", "engine x"),
    ("kubectl", "kube control"),
    ("sudo", "soo doo"),
];
const DAYS: [(&str, &str); 9] = [
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Tues", "Tuesday"),
    ("Wed", "Wednesday"),
    ("Thu", "Thursday"),
    ("Thurs", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
];

/// Acronyms said as a word, and how.
const SAID_AS_WORD: &[(&str, &str)] = &[
    ("NASA", "Nassa"),
    ("NATO", "Nayto"),
    ("UNESCO", "Unesco"),
    ("UNICEF", "Unicef"),
    ("OPEC", "Opec"),
    ("RAM", "ram"),
    ("ROM", "rom"),
    ("LAN", "lan"),
    ("WAN", "wan"),
    ("VLAN", "V lan"),
    ("PIN", "pin"),
    ("SIM", "sim"),
    ("GIF", "gif"),
    ("JPEG", "jay peg"),
    ("MPEG", "em peg"),
    ("JSON", "jason"),
    ("YAML", "yammel"),
    ("TOML", "tommel"),
    ("ASCII", "askey"),
    ("GUI", "gooey"),
    ("RAID", "raid"),
    ("BIOS", "bye oss"),
    ("CRUD", "crud"),
    ("REST", "rest"),
    ("LASER", "laser"),
    ("COVID", "covid"),
    ("SCADA", "skayda"),
    ("CAPTCHA", "captcha"),
    ("ZIP", "zip"),
    ("NAT", "nat"),
    ("STUN", "stun"),
    ("TURN", "turn"),
    ("DECT", "dect"),
    ("OPUS", "opus"),
    ("CUDA", "kooda"),
    ("LED", "L E D"),
];
/// Ordinary words that people put in capitals.
const SHOUTED: &[&str] = &[
    "A", "I", "NOT", "AND", "OR", "BUT", "THE", "YES", "NO", "NOTE", "ALL", "ANY", "NEW", "NOW",
    "STOP", "HELP", "OFF", "ON", "ONE", "TWO", "VERY", "MUST", "NEVER", "ONLY", "MORE", "LESS",
    "THIS", "THAT", "DO", "DONT", "GO", "IS", "IN", "IT", "TO", "OF", "BE", "MAY", "WILL", "CAN",
    "HELLO", "HI", "BYE", "WAIT", "READ", "OPEN", "CLOSE", "BOTH", "SAME", "GET", "SET", "PUT",
    "POST", "LIST", "WHAT", "WHY", "WHO", "HOW", "WHEN", "LOUD", "BIG", "SAFE", "DONE", "TRUE",
    "FALSE", "ERROR", "FREE", "SALE", "LATER", "TODAY", "ALSO", "ARE", "YOU", "WE", "FOR", "WITH",
    "FROM", "SO", "BAD", "GOOD", "WOW", "TIP", "FIRE", "LOVE", "BEST", "LAST", "FIRST", "NEXT",
    "END", "START", "BEFORE", "AFTER",
];

/// After these a Roman numeral counts.
const COUNTED: &[&str] = &[
    "chapter", "part", "section", "volume", "war", "phase", "act", "book", "appendix", "article",
    "title", "level", "stage", "class", "tier", "bowl", "version",
];
/// After these a Roman numeral ranks.
const RULERS: &[&str] = &[
    "Henry",
    "Louis",
    "Elizabeth",
    "Charles",
    "George",
    "Edward",
    "John",
    "Paul",
    "Pius",
    "Benedict",
    "William",
    "James",
    "Richard",
    "Philip",
    "Napoleon",
    "Catherine",
    "Leo",
    "Gregory",
    "Frederick",
    "Alexander",
    "Nicholas",
];

const EMOJI: &[(&str, &str)] = &[
    ("👍", "thumbs up"),
    ("👎", "thumbs down"),
    ("❤", "heart"),
    ("✅", "check"),
    ("✔", "check"),
    ("✓", "check"),
    ("❌", "cross"),
    ("✗", "cross"),
    ("⚠", "warning"),
    ("☎", "telephone"),
    ("📞", "telephone"),
];

/// What a sign that stands alone is called; empty when it is not said.
pub fn symbol(text: &str) -> Option<&'static str> {
    Some(match text {
        "&" => "and",
        "@" => "at",
        "+" => "plus",
        "=" | "==" => "equals",
        "!=" | "≠" => "is not equal to",
        "<" => "is less than",
        ">" => "is greater than",
        "<=" | "≤" => "is at most",
        ">=" | "≥" => "is at least",
        "≈" | "~" => "about",
        "±" => "plus or minus",
        "×" | "*" => "times",
        "÷" => "divided by",
        "/" => "or",
        "%" => "percent",
        "#" => "number",
        "√" => "square root of",
        "∞" => "infinity",
        "π" => "pi",
        "→" | "->" | "=>" | "⇒" => "to",
        "←" | "<-" | "⇐" => "from",
        "§" => "section",
        "°" => "degrees",
        "|" | "·" | "•" | "-" | "–" | "—" | "--" => ",",
        "^" | "\\" | "™" | "©" | "®" | "_" | "¶" | "†" | "‡" => "",
        _ => return None,
    })
}

/// Whether `c` begins a picture: emoji, dingbats, arrows of emoji, joiners and variation marks.
pub fn is_picture(c: char) -> bool {
    matches!(c as u32,
        0x1f000..=0x1faff | 0x2600..=0x27bf | 0x2b00..=0x2bff | 0xfe00..=0xfe0f | 0x200d | 0x20e3 | 0xe0020..=0xe007f)
}

/// The name of a picture worth saying.
pub fn picture(c: char) -> Option<&'static str> {
    EMOJI
        .iter()
        .find(|(sign, _)| sign.starts_with(c))
        .map(|(_, name)| *name)
}

/// An abbreviation with its full stop (`has_stop`) or without.
pub fn abbreviation(core: &str, has_stop: bool, next: Option<&str>) -> Option<String> {
    let said = |list: &[(&str, &str)], word: &str| {
        list.iter()
            .find(|(w, _)| *w == word)
            .map(|(_, said)| (*said).to_owned())
    };
    let next_is_capital = next.is_some_and(|n| n.starts_with(char::is_uppercase));
    let next_is_number = next.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    if has_stop {
        match core {
            "St" => return Some(if next_is_capital { "Saint" } else { "Street" }.to_owned()),
            "No" | "Nr" | "no" if next_is_number => return Some("number".to_owned()),
            "p" if next_is_number => return Some("page".to_owned()),
            "pp" if next_is_number => return Some("pages".to_owned()),
            "min" | "max" => return Some(format!("{core}imum")),
            _ => {}
        }
        if let Some(day) = said(&DAYS, core) {
            return Some(day).filter(|_| core != "Sun" && core != "Sat" || next.is_some());
        }
        // "fig." and the like are abbreviations; "gen." at the end of a sentence hardly.
        if let Some(said) = said(ABBREVIATIONS, &core.to_lowercase()) {
            return Some(said);
        }
    }
    if let Some(day) = said(&DAYS, core)
        && !matches!(core, "Sun" | "Sat" | "Wed")
    {
        return Some(day);
    }
    said(BARE, core).or_else(|| {
        let dotted = core.contains('.') && core.len() >= 3;
        dotted
            .then(|| said(ABBREVIATIONS, &core.to_lowercase()))
            .flatten()
    })
}

/// A word of capitals: known as a word, shouted, or spelled. None if it is something else.
pub fn acronym(core: &str) -> Option<String> {
    let possessive = core.strip_suffix("'s").or_else(|| core.strip_suffix("’s"));
    let plural = core.strip_suffix('s').filter(|base| base.len() >= 2);
    let base = possessive.or(plural).unwrap_or(core);
    let has_ending = base.len() < core.len();
    if base.chars().count() < 2 || !base.chars().all(char::is_uppercase) {
        return None;
    }
    let ending = if has_ending { "'s" } else { "" };
    if let Some((_, said)) = SAID_AS_WORD.iter().find(|(word, _)| *word == base) {
        return Some(format!("{said}{}", if has_ending { "s" } else { "" }));
    }
    if SHOUTED.contains(&base) || base.chars().count() > 5 {
        return Some(core.to_lowercase());
    }
    Some(format!("{}{ending}", spell(base)))
}

/// Letter by letter, in capitals.
pub fn spell(text: &str) -> String {
    text.chars()
        .map(|c| c.to_uppercase().to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A Roman numeral, where the word before calls for one.
pub fn roman(core: &str, before: Option<&str>) -> Option<String> {
    let before = before?;
    let number = roman_value(core)?;
    if COUNTED.contains(&before.to_lowercase().as_str()) {
        return Some(cardinal(number));
    }
    RULERS
        .contains(&before)
        .then(|| format!("the {}", ordinal(number)))
}

fn roman_value(text: &str) -> Option<u64> {
    const TENS: [&str; 4] = ["", "X", "XX", "XXX"];
    const ONES: [&str; 10] = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"];
    (1..40_u64).find(|n| {
        let (tens, ones) = (TENS[*n as usize / 10], ONES[*n as usize % 10]);
        text.len() == tens.len() + ones.len() && text.starts_with(tens) && text.ends_with(ones)
    })
}

/// Letters and digits mixed: "COVID19", "H264", "mp3", "x86_64", "A1B2": each run in its own way.
pub fn code(text: &str) -> String {
    let mut runs: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != is_digit || !c.is_alphanumeric() && c != '\'')
            .unwrap_or(rest.len());
        if end == 0 {
            // A sign between runs is a breath.
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let run = &rest[..end];
        runs.push(if is_digit {
            match run.parse::<u64>() {
                Ok(number) if run.len() <= 2 && !run.starts_with('0') => cardinal(number),
                _ => digits(run),
            }
        } else {
            letters(run, text.len() != run.len())
        });
        rest = &rest[end..];
    }
    runs.join(" ")
}

/// A run of letters, alone or beside digits.
fn letters(run: &str, is_mixed: bool) -> String {
    if let Some(said) = acronym(run) {
        return said;
    }
    let has_vowel = run.to_lowercase().contains(['a', 'e', 'i', 'o', 'u', 'y']);
    if is_mixed && run.len() <= 3 && !has_vowel {
        return spell(run);
    }
    shortened(run)
}

/// A word of bearable length.
pub fn shortened(word: &str) -> String {
    match word.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{} and so on", &word[..end]),
        None => word.to_owned(),
    }
}
