//! PURE. How the reader puts things into words: places, likely meanings, values.

use toml::de::DeValue;

/// Line and column of a byte offset, both from 1.
pub(in crate::config) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// The candidate that `word` was probably meant to be: a slip of the fingers, or much alike.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = word.to_lowercase();
    let slips_max = (word.chars().count() / 2).max(1);
    let closeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let slips = strsim::damerau_levenshtein(&word, &candidate);
        let likeness = strsim::jaro_winkler(&word, &candidate);
        (slips <= slips_max || likeness >= 0.88).then_some(likeness - slips as f64)
    };
    candidates
        .filter_map(|candidate| Some((closeness(candidate)?, candidate)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(super) fn offer(near: Option<String>) -> String {
    near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

/// What kind of TOML value this is, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(&clean(text))),
        DeValue::Integer(digits) => digits.as_str().to_owned(),
        DeValue::Float(digits) => digits.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => kind(other).to_owned(),
    }
}

/// A text from outside, short and without control characters.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        cleaned.push('…');
    }
    cleaned
}

/// `text` as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
