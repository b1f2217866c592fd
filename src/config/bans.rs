//! PURE. `[bans]`: how long strangers are not heard, and which are not heard at all.

use super::reader::Section;

const DAY_S: u64 = 24 * 3600;

/// `[bans]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bans {
    /// The first ban of an address, for guessing passwords on after it was told to stop.
    pub first_s: u32,
    /// Each in a row is twice as long, up to this.
    pub longest_s: u32,
    /// Beginnings of the User-Agents that are never answered, besides those known to the program.
    pub scanners: Vec<String>,
}

impl Default for Bans {
    fn default() -> Bans {
        Bans {
            first_s: 3600,
            longest_s: 7 * 24 * 3600,
            scanners: Vec::new(),
        }
    }
}

pub(super) fn bans(section: &mut Section<'_, '_>, d: Bans) -> Bans {
    Bans {
        first_s: section.integer("first_s", d.first_s, 1..=30 * DAY_S),
        longest_s: section.integer("longest_s", d.longest_s, 1..=365 * DAY_S),
        scanners: section.list(
            "scanners",
            &d.scanners,
            "the beginnings of names, three characters or more",
            beginning,
            String::clone,
        ),
    }
}

/// Shorter ones would catch phones.
fn beginning(text: &str) -> Option<String> {
    (text.chars().count() >= 3).then(|| text.to_owned())
}
