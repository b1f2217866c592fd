//! Names that people give themselves, as they may be shown.
//! PURE.

/// Of a name only this many characters are shown.
const CHARS_MAX: usize = 64;

/// A name as it may be shown: one line, no characters that turn the direction of what stands beside it.
pub fn shown_name(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .collect();
    let short: String = clean.trim().chars().take(CHARS_MAX).collect();
    short.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_their_line() {
        for (name, shown) in [
            ("Anna", "Anna"),
            (" An\u{202e}na\u{200f}\n\u{2066} B ", "Anna B"),
            ("\u{200e}", ""),
        ] {
            assert_eq!(shown_name(name), shown);
        }
        assert_eq!(shown_name(&"x".repeat(500)).len(), CHARS_MAX);
    }
}
