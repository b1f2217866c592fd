//! PURE. Wrappers that decide how private things print. A secret never prints; a number, a name or a
//! transcript prints as its length unless the owner asked for more in `[log]`.
//!
//! Not here: where log lines go (`log.rs`).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A password, key or token. It can be compared and handed on, and it never prints itself: neither
/// `Debug` nor anything else shows a character or the length of it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The clear text. Every call of this is a place worth reading in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Set once at start from `[log] transcripts`: whether [`Private`] prints its text.
static SHOW_PRIVATE: AtomicBool = AtomicBool::new(false);

/// Lets [`Private`] print what it wraps (true) or only its length (false, the default).
pub fn show_private(show: bool) {
    SHOW_PRIVATE.store(show, Ordering::Relaxed);
}

/// Words somebody said, a number or a person's name, on the way into a log line: prints as
/// `‹23 characters›`, or as a quoted text when the owner set `[log] transcripts = true`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Private<'a>(pub &'a str);

impl fmt::Display for Private<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, SHOW_PRIVATE.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Private<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Private<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, show: bool) -> fmt::Result {
        if show {
            // Debug quoting also keeps line breaks and terminal escapes out of the log.
            return write!(f, "{:?}", self.0);
        }
        match self.0.chars().count() {
            1 => f.write_str("‹1 character›"),
            count => write!(f, "‹{count} characters›"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct With<'a>(Private<'a>, bool);
    impl fmt::Display for With<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write(f, self.1)
        }
    }

    #[test]
    fn private_text_prints_as_asked() {
        for (text, show, expected) in [
            ("", false, "‹0 characters›"),
            ("a", false, "‹1 character›"),
            ("grüße", false, "‹5 characters›"),
            ("call me", true, "\"call me\""),
            ("two\nlines \u{1b}[31m", true, "\"two\\nlines \\u{1b}[31m\""),
        ] {
            assert_eq!(With(Private(text), show).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "Secret(…) Some(Secret(…))"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
