//! Takes the marks off Markdown and says what they meant: a heading is a sentence, a list item is a sentence, a link is its
//! text, a code block is left out and said so. Owns marks; not numbers or words.
//! PURE.

/// `text` without marks, one line, a full stop where a line ended without one.
pub fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let bare = line.trim();
        if let Some(language) = bare
            .strip_prefix("```")
            .or_else(|| bare.strip_prefix("~~~"))
        {
            let fence = &bare[..3];
            if let Some(inside) = language
                .strip_suffix(fence)
                .filter(|_| !language.is_empty())
            {
                // A fence that closes on its own line is inline code.
                push_line(&mut out, inside, false);
                continue;
            }
            for inside in lines.by_ref() {
                if inside.trim_start().starts_with(fence) {
                    break;
                }
            }
            push_line(&mut out, &code_phrase(language), true);
            continue;
        }
        if is_rule(bare) {
            end_sentence(&mut out);
            continue;
        }
        let (content, is_block) = block(bare);
        let is_paragraph_end = lines.peek().is_none_or(|next| {
            let next = next.trim();
            next.is_empty() || is_rule(next) || next.starts_with("```") || block(next).1
        });
        let spoken = inline(&content);
        push_line(
            &mut out,
            &spoken,
            is_block || is_paragraph_end && lines.peek().is_some(),
        );
    }
    out
}

/// What is said where a block of code stood.
fn code_phrase(language: &str) -> String {
    let language: String = language
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '+' || *c == '#')
        .take(20)
        .collect();
    if language.is_empty() {
        "There is a piece of code here, which I leave out.".to_owned()
    } else {
        format!("There is a piece of {language} code here, which I leave out.")
    }
}

fn push_line(out: &mut String, line: &str, is_sentence: bool) {
    let line = line.trim();
    if line.is_empty() {
        return;
    }
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
    out.push_str(line);
    if is_sentence {
        end_sentence(out);
    }
}

/// A full stop, unless the text already ends in punctuation.
fn end_sentence(out: &mut String) {
    let trimmed = out.trim_end().len();
    out.truncate(trimmed);
    let core = out.trim_end_matches(['"', '\'', ')', ']', '”', '’']);
    if !core.is_empty() && !core.ends_with(['.', '!', '?', ':', ';', ',', '…', '。', '！', '？'])
    {
        out.push('.');
    }
}

/// "---", "***", "===": a line under or between.
fn is_rule(line: &str) -> bool {
    let mut chars = line.chars().filter(|c| !c.is_whitespace());
    let first = chars.next();
    matches!(first, Some('-' | '*' | '_' | '='))
        && line.len() >= 3
        && chars.all(|c| Some(c) == first)
}

/// The line without its block mark, and whether it stands by itself (heading, list item, table row).
fn block(line: &str) -> (String, bool) {
    let mut rest = line;
    while let Some(quoted) = rest.strip_prefix('>') {
        rest = quoted.trim_start();
    }
    let heading = rest.trim_start_matches('#');
    if heading.len() < rest.len() && rest.len() - heading.len() <= 6 && heading.starts_with(' ') {
        return (heading.trim().trim_end_matches('#').to_owned(), true);
    }
    if rest.starts_with('|') && rest.len() > 1 {
        return (table_row(rest), true);
    }
    for mark in ["- ", "* ", "+ ", "• ", "– ", "◦ "] {
        if let Some(item) = rest.strip_prefix(mark) {
            let item = item.trim_start();
            let item = ["[ ] ", "[x] ", "[X] "]
                .iter()
                .find_map(|mark| item.strip_prefix(mark))
                .unwrap_or(item);
            return (item.to_owned(), true);
        }
    }
    // "1. First": the number is said, the mark is a pause.
    let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if (1..=3).contains(&number)
        && let Some(item) = rest[number..].strip_prefix(['.', ')'])
        && item.starts_with(' ')
    {
        return (format!("{}: {}", &rest[..number], item.trim_start()), true);
    }
    (rest.to_owned(), false)
}

/// Cells with pauses between; nothing for the line between head and body.
fn table_row(row: &str) -> String {
    if row.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) {
        return String::new();
    }
    row.trim_matches('|')
        .split('|')
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Links, emphasis, inline code, HTML tags.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((shown, used)) = link(rest) {
            out.push_str(&inline(shown));
            rest = &rest[used..];
            continue;
        }
        if let Some(used) = tag(rest) {
            out.push(' ');
            rest = &rest[used..];
            continue;
        }
        let after = &rest[c.len_utf8()..];
        let is_mark = match c {
            '`' => true,
            '\\' if after.starts_with(['*', '_', '`', '#', '[', ']', '\\', '~', '|']) => {
                out.extend(after.chars().next());
                rest = &after[1..];
                continue;
            }
            // A lone star between spaces multiplies; a star at a word is emphasis.
            '*' => !(out.ends_with([' ']) && after.starts_with(' ') || in_sum(&out, after)),
            '_' => {
                let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !(joins(out.chars().next_back()) && joins(after.chars().next()))
            }
            '~' => after.starts_with('~') || rest.starts_with("~~") || out.ends_with('~'),
            _ => false,
        };
        if c == '~' && rest.starts_with("~~") {
            rest = &rest[2..];
            continue;
        }
        if !is_mark {
            out.push(c);
        }
        rest = after;
    }
    out
}

/// "3*4": digits on both sides.
fn in_sum(before: &str, after: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_digit())
        && after.starts_with(|c: char| c.is_ascii_digit())
}

/// `[shown](address)` or `![shown](address)` at the start of `text`: what is shown, and bytes used.
fn link(text: &str) -> Option<(&str, usize)> {
    let open = if text.starts_with("![") { 2 } else { 1 };
    if !text[..].starts_with('[') && open == 1 {
        return None;
    }
    let close = open + text[open..].find(']')?;
    let shown = &text[open..close];
    if shown.len() > 1_000 || shown.contains('[') {
        return None;
    }
    let after = &text[close + 1..];
    let address = after.strip_prefix('(')?;
    let end = address.find(')')?;
    Some((shown, close + 2 + end + 1))
}

/// Bytes of an HTML tag at the start of `text`.
fn tag(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('<')?;
    let end = inside.find('>')?;
    let name = inside[..end].trim_start_matches('/');
    let is_tag = end <= 100
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.contains("://")
        && !name.contains('@');
    is_tag.then_some(end + 2)
}
