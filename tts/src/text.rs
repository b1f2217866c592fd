//! What a voice should say for a written text.
//! PURE.

pub mod ascii;

/// Collapses white space.
pub fn normalise(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
