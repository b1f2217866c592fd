//! Things a machine reads, said for a person: web and mail addresses, paths, IP addresses, versions, phone numbers. Owns
//! their written forms.
//! PURE.

use super::number::{digits, is_digits, written};
use super::word;

const DOMAINS: &[&str] = &[
    "com", "org", "net", "io", "dev", "ai", "app", "edu", "gov", "de", "uk", "eu", "fr", "ch",
    "at", "nl", "it", "es", "us", "ca", "au", "jp", "info", "me", "co", "tv", "local", "internal",
    "lan", "page", "cloud", "tech", "xyz",
];
const FILE_ENDINGS: &[&str] = &[
    "rs", "toml", "json", "yaml", "yml", "txt", "md", "py", "js", "ts", "html", "css", "pdf",
    "png", "jpg", "jpeg", "gif", "wav", "mp3", "ogg", "sh", "conf", "cfg", "log", "csv", "zip",
    "gz", "db", "bin", "exe", "xml", "svg", "onnx", "service", "sql", "c", "h", "go", "env",
    "lock",
];
/// Parts of an address that are said; the rest is for machines.
const PARTS_MAX: usize = 12;

/// "https://example.com/a?b=c" is "example dot com slash a".
pub fn url(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => match text.split_once(':') {
            Some((scheme @ ("mailto" | "tel" | "sip" | "sips"), rest)) => {
                let what = match scheme {
                    "mailto" => "",
                    "tel" => return Some(digits(rest)),
                    _ => "sip ",
                };
                return Some(format!(
                    "{what}{}",
                    email(rest)
                        .or_else(|| host(rest))
                        .unwrap_or_else(|| spelled_path(rest))
                ));
            }
            _ => ("", text),
        },
    };
    let is_scheme = |s: &str| {
        !s.is_empty() && s.len() <= 12 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
    };
    if scheme.is_empty() {
        let name = rest.split(['/', '?', '#', ':']).next().unwrap_or("");
        let is_name = rest.starts_with("www.") || is_domain(name);
        if !is_name {
            return None;
        }
    } else if !is_scheme(scheme) {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut words = host(name).unwrap_or_else(|| spelled_path(name));
    if !path.trim_end_matches('/').is_empty() {
        words.push_str(" slash ");
        words.push_str(&spelled_path(path.trim_end_matches('/')));
    }
    Some(words)
}

/// Whether `name` ends in a top level domain people use, with something before it.
fn is_domain(name: &str) -> bool {
    let Some((before, last)) = name.rsplit_once('.') else {
        return false;
    };
    let is_label =
        |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // "example.com", not "e.g" or "Hello.It".
    DOMAINS.contains(&last)
        && before.split('.').all(is_label)
        && (before.len() > 1 || last.len() > 2)
}

/// "example.com:8080".
fn host(name: &str) -> Option<String> {
    if let Some(words) = ip(name) {
        return Some(words);
    }
    let (name, port) = name.split_once(':').unwrap_or((name, ""));
    if !name.contains('.') && port.is_empty() {
        return None;
    }
    let mut words = spelled_path(name);
    if is_digits(port) {
        words.push_str(&format!(", port {}", digits_or_number(port)));
    }
    Some(words)
}

/// "jo.doe@example.com" is "jo dot doe at example dot com".
pub fn email(text: &str) -> Option<String> {
    let (user, name) = text.split_once('@')?;
    let right =
        !user.is_empty() && name.contains('.') && !name.contains('@') && !name.starts_with('.');
    right.then(|| format!("{} at {}", spelled_path(user), spelled_path(name)))
}

/// "/etc/hosts", "~/notes.txt", "main.rs", "C:\\x".
pub fn path(text: &str) -> Option<String> {
    let is_rooted = text.len() > 1 && text.starts_with('/')
        || text.starts_with("~/")
        || text.starts_with("./")
        || text.starts_with("../");
    let has_drive = text.get(1..3) == Some(":\\");
    let is_file = text.rsplit_once('.').is_some_and(|(name, ending)| {
        FILE_ENDINGS.contains(&ending) && name.len() > 1 && !name.contains(char::is_whitespace)
    });
    if !(is_rooted || has_drive || is_file) || !text.contains(char::is_alphanumeric) {
        return None;
    }
    let rest = text.strip_prefix("~/");
    let home = if rest.is_some() { "home slash " } else { "" };
    Some(format!("{home}{}", spelled_path(rest.unwrap_or(text))))
}

/// Words and the names of the signs between them.
fn spelled_path(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut parts = 0;
    let flush = |current: &mut String, words: &mut Vec<String>, parts: &mut usize| {
        if !current.is_empty() {
            words.push(word::code(current));
            current.clear();
            *parts += 1;
        }
    };
    for c in text.chars() {
        let sign = match c {
            '.' => "dot",
            '/' => "slash",
            '\\' => "backslash",
            '-' => "dash",
            '_' => "underscore",
            ':' => "colon",
            '@' => "at",
            '+' => "plus",
            '~' => "tilde",
            '%' => "percent",
            '=' => "equals",
            '&' => "and",
            c if c.is_alphanumeric() => {
                current.push(c);
                continue;
            }
            _ => "",
        };
        flush(&mut current, &mut words, &mut parts);
        if parts >= PARTS_MAX {
            words.push("and so on".to_owned());
            return words.join(" ");
        }
        if !sign.is_empty() {
            words.push(sign.to_owned());
        }
    }
    flush(&mut current, &mut words, &mut parts);
    words.join(" ")
}

/// Numbers of an address: "443" as a number, "0443" digit by digit.
fn digits_or_number(text: &str) -> String {
    if text.len() <= 3 && !text.starts_with('0') {
        written(text).unwrap_or_else(|| digits(text))
    } else {
        digits(text)
    }
}

/// "192.168.1.10", "10.0.0.1:5060", "10.0.0.0/8".
pub fn ip(text: &str) -> Option<String> {
    let (address, port) = text.split_once(':').unwrap_or((text, ""));
    let (address, mask) = address.split_once('/').unwrap_or((address, ""));
    let parts: Vec<&str> = address.split('.').collect();
    let right = parts.len() == 4
        && parts
            .iter()
            .all(|p| p.len() <= 3 && is_digits(p) && p.parse::<u16>().is_ok_and(|n| n < 256))
        && (port.is_empty() || is_digits(port))
        && (mask.is_empty() || is_digits(mask));
    if !right {
        return None;
    }
    let mut words = parts
        .iter()
        .map(|p| digits_or_number(p))
        .collect::<Vec<_>>()
        .join(" dot ");
    if !mask.is_empty() {
        words.push_str(&format!(" slash {}", digits_or_number(mask)));
    }
    if !port.is_empty() {
        words.push_str(&format!(", port {}", digits_or_number(port)));
    }
    Some(words)
}

/// "fe80::1", "00:1a:2b:3c:4d:5e": two colons or more between hexadecimal groups.
pub fn hexadecimal(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split(':').collect();
    let right = groups.len() >= 3
        && groups
            .iter()
            .all(|g| g.len() <= 4 && g.bytes().all(|b| b.is_ascii_hexdigit()))
        && (text.contains("::") || groups.len() >= 6);
    right.then(|| {
        groups
            .iter()
            .map(|group| {
                group
                    .chars()
                    .map(|c| {
                        if c.is_ascii_digit() {
                            digits(&c.to_string())
                        } else {
                            c.to_uppercase().to_string()
                        }
                    })
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect::<Vec<_>>()
            .join(" colon ")
            .replace("  ", " ")
            .trim()
            .to_owned()
    })
}

/// "v1.2.3", "1.2.3", "v2", "2.0.0-rc.15".
pub fn version(text: &str) -> Option<String> {
    let (says_so, rest) = match text.strip_prefix(['v', 'V']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (numbers, tail) = rest.split_once('-').map_or((rest, ""), |(n, t)| (n, t));
    let parts: Vec<&str> = numbers.split('.').collect();
    let right = parts.iter().all(|p| is_digits(p) && p.len() <= 6) && (says_so || parts.len() >= 3);
    if !right || parts.len() > 6 {
        return None;
    }
    let mut words = parts
        .iter()
        .filter_map(|p| written(p))
        .collect::<Vec<_>>()
        .join(" point ");
    for part in tail.split('.').filter(|p| !p.is_empty()) {
        words.push(' ');
        words.push_str(&match part {
            "rc" => "release candidate".to_owned(),
            part => word::code(part),
        });
    }
    Some(if says_so {
        format!("version {words}")
    } else {
        words
    })
}

/// A phone number: "+49 30 1234567", "(555) 123-4567", "555-1234", "030-1234567". `text` may hold spaces.
pub fn phone(text: &str) -> Option<String> {
    let count = text.bytes().filter(u8::is_ascii_digit).count();
    let allowed = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | ' ' | '.' | '/'));
    if !allowed || !(7..=17).contains(&count) {
        return None;
    }
    let groups: Vec<&str> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|g| !g.is_empty())
        .collect();
    let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
    let is_american = matches!(lengths.as_slice(), [3, 4] | [3, 3, 4] | [1, 3, 3, 4]);
    let is_phone = text.starts_with('+')
        || is_american
        || (text.starts_with('0') && !text.contains('.') && count >= 7);
    if !is_phone {
        return None;
    }
    let plus = if text.starts_with('+') { "plus " } else { "" };
    Some(format!("{plus}{}", digits(text)))
}
