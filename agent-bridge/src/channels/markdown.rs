//! Markdown as agents write it, read into runs of plain text with a style each. Owns the reading; what a network makes of
//! a style (tags, ranges) is its own folder's affair. A small part of CommonMark 0.31 (sections 4.2, 4.5, 5.1, 5.2, 6):
//! whatever is not understood stays as it was written.
//! PURE.

use std::sync::Arc;

/// Longer texts are not searched for marks.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// A mark whose other end is further away, in bytes, is no mark.
const SPAN_BYTES_MAX: usize = 1_000;
/// Marks within marks.
const DEPTH_MAX: u32 = 6;
const LANGUAGE_BYTES_MAX: usize = 24;
/// Where a link may lead. Anything else is shown in clear behind its words.
const SCHEMES: [&str; 4] = ["https://", "http://", "mailto:", "tel:"];

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Style {
    pub bold: bool,
    pub italic: bool,
    pub strike: bool,
    /// Code within a line.
    pub code: bool,
    pub quote: bool,
    /// The address behind these words.
    pub link: Option<Arc<str>>,
    /// A block of code, and its language or "".
    pub block: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub text: String,
    pub style: Style,
}

/// Runs in order; none is empty, and two with one style never follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rich {
    pub runs: Vec<Run>,
}

impl Rich {
    /// Reads Markdown. Any text is Markdown; nothing is refused.
    pub fn read(text: &str) -> Rich {
        let mut rich = Rich::default();
        if text.len() > TEXT_BYTES_MAX {
            rich.push(text, &Style::default());
            return rich;
        }
        let lines: Vec<&str> = text.lines().collect();
        let mut at = 0;
        while at < lines.len() {
            if at > 0 {
                // The end of a line belongs to a style that goes on behind it.
                let shared = quoted(lines[at - 1]).is_some() && quoted(lines[at]).is_some();
                let style = Style {
                    quote: shared,
                    ..Style::default()
                };
                rich.push("\n", &style);
            }
            at += rich.block(&lines[at..]);
        }
        rich
    }

    /// Only the words.
    pub fn plain(&self) -> String {
        let mut text = String::new();
        for (n, run) in self.runs.iter().enumerate() {
            text.push_str(&run.text);
            // A link in several styles is several runs; its address stands behind the last.
            let next = self.runs.get(n + 1).and_then(|run| run.style.link.as_ref());
            if let Some(link) = &run.style.link
                && next != Some(link)
                && **link != *run.text
            {
                text.push_str(&format!(" ({link})"));
            }
        }
        text
    }

    pub(super) fn push(&mut self, text: &str, style: &Style) {
        if text.is_empty() {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.style == *style => last.text.push_str(text),
            _ => self.runs.push(Run {
                text: text.to_owned(),
                style: style.clone(),
            }),
        }
    }

    /// Takes the block that begins here; how many lines it has.
    fn block(&mut self, lines: &[&str]) -> usize {
        let line = lines[0];
        if let Some((mark, language)) = fence(line) {
            let inside = lines[1..]
                .iter()
                .take_while(|line| !line.trim().starts_with(mark));
            let inside: Vec<&str> = inside.copied().collect();
            let language = if is_language(language) { language } else { "" };
            self.push_block(&inside.join("\n"), language);
            return (inside.len() + 2).min(lines.len());
        }
        if is_table(lines) {
            let rows = lines.iter().take_while(|line| line.contains('|')).count();
            self.push_block(&lines[..rows].join("\n"), "");
            return rows;
        }
        self.line(line);
        1
    }

    fn push_block(&mut self, text: &str, language: &str) {
        let style = Style {
            block: Some(language.into()),
            ..Style::default()
        };
        self.push(text, &style);
    }

    fn line(&mut self, line: &str) {
        let plain = Style::default();
        if let Some(inside) = quoted(line) {
            let style = Style {
                quote: true,
                ..plain
            };
            return self.inline(inside, &style, 0);
        }
        let trimmed = line.trim();
        if is_rule(trimmed) {
            return self.push("———", &plain);
        }
        if let Some(words) = heading(trimmed) {
            let style = Style {
                bold: true,
                ..plain
            };
            return self.inline(words, &style, 0);
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let item = ["- ", "* ", "+ "]
            .iter()
            .find_map(|mark| line.trim_start().strip_prefix(mark));
        if let Some(words) = item {
            self.push(indent, &plain);
            let boxes = [("[ ] ", "☐ "), ("[x] ", "☑ "), ("[X] ", "☑ ")];
            let found = boxes
                .iter()
                .find_map(|(mark, shown)| Some((words.strip_prefix(mark)?, *shown)));
            let (words, shown) = found.unwrap_or((words, "• "));
            self.push(shown, &plain);
            return self.inline(words, &plain, 0);
        }
        self.inline(line, &plain, 0);
    }

    /// Marks within one line.
    fn inline(&mut self, text: &str, style: &Style, depth: u32) {
        let mut at = 0;
        // What is plain so far begins here.
        let mut from = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let before = text[..at].chars().next_back();
            if let Some(mark) = mark_at(rest, before, style, depth) {
                self.push(&text[from..at], style);
                match mark.inside {
                    Inside::Verbatim(words) => self.push(words, &mark.style),
                    Inside::Marked(words) => self.inline(words, &mark.style, depth + 1),
                }
                at += mark.length;
                from = at;
            } else {
                at += c.len_utf8();
                // A run of the same mark that opens nothing is looked at once.
                while matches!(c, '*' | '_' | '`' | '~') && text[at..].starts_with(c) {
                    at += 1;
                }
            }
        }
        self.push(&text[from..], style);
    }
}

enum Inside<'a> {
    Verbatim(&'a str),
    Marked(&'a str),
}

struct Mark<'a> {
    inside: Inside<'a>,
    style: Style,
    /// Bytes with both ends.
    length: usize,
}

fn mark_at<'a>(rest: &'a str, before: Option<char>, style: &Style, depth: u32) -> Option<Mark<'a>> {
    let first = rest.chars().next()?;
    let verbatim = |words: &'a str, length| Mark {
        inside: Inside::Verbatim(words),
        style: style.clone(),
        length,
    };
    match first {
        '\\' => {
            let next = rest[1..]
                .chars()
                .next()
                .filter(|c| c.is_ascii_punctuation())?;
            Some(verbatim(&rest[1..1 + next.len_utf8()], 1 + next.len_utf8()))
        }
        '`' => {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            // More marks than a window holds are marks of nothing.
            let inside = window(rest).get(ticks..)?;
            let end = inside.find(&rest[..ticks])?;
            let words = &inside[..end];
            let trimmed = words.strip_prefix(' ').and_then(|w| w.strip_suffix(' '));
            let mut mark = verbatim(trimmed.unwrap_or(words), end + 2 * ticks);
            mark.style.code = true;
            (!words.is_empty()).then_some(mark)
        }
        '<' => {
            let end = window(rest).find('>')?;
            let words = &rest[1..end];
            let is_address = link_target(words).is_some() && !words.contains(char::is_whitespace);
            is_address.then(|| verbatim(words, end + 1))
        }
        // An address is no place for marks.
        'h' if rest.starts_with("https://") || rest.starts_with("http://") => {
            let end = rest
                .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ')'))
                .unwrap_or(rest.len());
            Some(verbatim(&rest[..end], end))
        }
        _ if depth >= DEPTH_MAX => None,
        '!' if rest[1..].starts_with('[') => link(&rest[1..], style).map(|mut mark| {
            mark.length += 1;
            mark
        }),
        '[' => link(rest, style),
        '*' | '_' | '~' => emphasis(rest, first, before, style),
        _ => None,
    }
}

fn link<'a>(rest: &'a str, style: &Style) -> Option<Mark<'a>> {
    let near = window(rest);
    let middle = near.find("](")?;
    let words = &near[1..middle];
    let end = middle + 2 + near[middle + 2..].find(')')?;
    let target = near[middle + 2..end].split_whitespace().next()?;
    let target = link_target(target)?;
    let mut style = style.clone();
    style.link = Some(target.into());
    let inside = match words.trim().is_empty() {
        true => Inside::Verbatim(target),
        false => Inside::Marked(words),
    };
    Some(Mark {
        inside,
        style,
        length: end + 1,
    })
}

fn emphasis<'a>(rest: &'a str, c: char, before: Option<char>, style: &Style) -> Option<Mark<'a>> {
    let count = rest.len() - rest.trim_start_matches(c).len();
    let width = match (c, count) {
        ('~', 2) => 2,
        ('~', _) => return None,
        (_, 1..=3) => count,
        _ => return None,
    };
    // `a_b_c` is a name and `2*3*4` a product, not an emphasis.
    if (c == '_' || width == 1) && before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let inside = &window(rest)[width..];
    let opens = inside.chars().next().is_some_and(|c| !c.is_whitespace());
    if !opens {
        return None;
    }
    let mut from = 0;
    let end = loop {
        let at = from + inside[from..].find(&rest[..width])?;
        let run = inside[at..].len() - inside[at..].trim_start_matches(c).len();
        let closes = inside[..at]
            .chars()
            .next_back()
            .is_some_and(|c| !c.is_whitespace() && c != '\\');
        let behind = inside[at + run..].chars().next();
        let is_word = c == '_' && behind.is_some_and(char::is_alphanumeric);
        if run == width && closes && !is_word {
            break at;
        }
        from = at + run;
    };
    let mut style = style.clone();
    match (c, width) {
        ('~', _) => style.strike = true,
        (_, 1) => style.italic = true,
        (_, 2) => style.bold = true,
        _ => (style.bold, style.italic) = (true, true),
    }
    Some(Mark {
        inside: Inside::Marked(&inside[..end]),
        style,
        length: end + 2 * width,
    })
}

/// As far as a mark's other end is looked for.
fn window(text: &str) -> &str {
    &text[..text.floor_char_boundary(SPAN_BYTES_MAX)]
}

fn link_target(text: &str) -> Option<&str> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let is_known = SCHEMES.iter().any(|scheme| {
        let head = lower.get(..scheme.len());
        head == Some(scheme) && text.len() > scheme.len()
    });
    let is_clean = !text.chars().any(|c| c.is_control() || c == '"');
    (is_known && is_clean).then_some(text)
}

fn quoted(line: &str) -> Option<&str> {
    let inside = line.trim_start().strip_prefix('>')?;
    Some(inside.strip_prefix(' ').unwrap_or(inside))
}

fn heading(line: &str) -> Option<&str> {
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    let is_heading = (1..=6).contains(&level) && words.starts_with(' ');
    is_heading.then(|| words.trim().trim_end_matches('#').trim_end())
}

fn is_rule(line: &str) -> bool {
    let same = |c: char| line.chars().all(|found| found == c);
    line.len() >= 3 && (same('-') || same('*') || same('_'))
}

/// The mark of a fence, and what stands behind it.
fn fence(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim();
    ["```", "~~~"].into_iter().find_map(|mark| {
        let rest = line.strip_prefix(mark)?;
        (!rest.contains(mark)).then(|| (mark, rest.trim()))
    })
}

fn is_language(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '-' | '_' | '.');
    !word.is_empty() && word.len() <= LANGUAGE_BYTES_MAX && word.chars().all(plain)
}

/// A row, and a line of dashes below it.
fn is_table(lines: &[&str]) -> bool {
    let rule = |line: &&str| {
        line.contains('|')
            && line.contains('-')
            && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
    };
    lines[0].contains('|') && lines.get(1).is_some_and(rule)
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
