//! Punctuation that a voice can use: what stays of a text's own, and what remains where marks meet.
//! PURE.

/// A bracket before a word is a breath.
pub fn opening(before: &str) -> &'static str {
    if before.contains(['(', '[', '{']) {
        ","
    } else {
        ""
    }
}

/// Punctuation after a word that a voice can use.
pub fn closing(after: &str, took_stop: bool) -> String {
    let after = if took_stop {
        after.strip_prefix('.').unwrap_or(after)
    } else {
        after
    };
    let mut out = String::new();
    let is_ellipsis = after.starts_with("..");
    for c in after.chars() {
        let mark = match c {
            ')' | ']' | '}' => ',',
            '.' if is_ellipsis => '…',
            '.' | ',' | ';' | ':' | '!' | '?' => c,
            _ => continue,
        };
        if !out.ends_with(mark) {
            out.push(mark);
        }
    }
    out
}

/// Puts `words` after `out`, with a space unless it is punctuation.
pub fn append(out: &mut String, words: &str) {
    if words.is_empty() {
        return;
    }
    let is_punctuation = words.starts_with([',', '.', ';', ':', '!', '?', '…']);
    if !is_punctuation && !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
    out.push_str(words);
}

/// One space, one mark: of marks that meet, the stronger stays.
pub fn tidy(text: &str) -> String {
    let strength = |c: char| match c {
        ',' => 1,
        '…' => 2,
        ':' => 3,
        ';' => 4,
        '.' => 5,
        '!' => 6,
        '?' => 7,
        _ => 0,
    };
    let mut out = String::with_capacity(text.len());
    let mut mark: Option<char> = None;
    for c in text.chars() {
        if strength(c) > 0
            && (out.ends_with(|last: char| !last.is_whitespace())
                || out.is_empty()
                || mark.is_some())
        {
            if mark.is_none_or(|m| strength(c) > strength(m)) {
                mark = Some(c);
            }
            continue;
        }
        if c.is_whitespace() {
            if mark.is_none() && !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            continue;
        }
        if let Some(mark) = mark.take()
            && !out.is_empty()
        {
            let end = out.trim_end().len();
            out.truncate(end);
            // An ellipsis in the middle is a pause.
            out.push(if mark == '…' { ',' } else { mark });
            out.push(' ');
        }
        out.push(c);
    }
    let end = out.trim_end().len();
    out.truncate(end);
    if let Some(mark) = mark
        && !out.is_empty()
    {
        out.push(if mark == '…' { '.' } else { mark });
    }
    out
}
