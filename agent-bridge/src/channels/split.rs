//! PURE. Long answers in pieces that a network takes: cut between paragraphs, lines, sentences or words, in this order of
//! liking; never inside a character, and inside a word or a link only where nothing else fits. A fenced block of code that is cut is closed
//! and opened again. Knows no network's markup but these two.

/// What a network counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Chars,
    /// As JavaScript and Telegram count.
    Utf16,
}

impl Unit {
    pub fn length(self, text: &str) -> usize {
        match self {
            Unit::Bytes => text.len(),
            Unit::Chars => text.chars().count(),
            Unit::Utf16 => text.encode_utf16().count(),
        }
    }

    fn of(self, c: char) -> usize {
        match self {
            Unit::Bytes => c.len_utf8(),
            Unit::Chars => 1,
            Unit::Utf16 => c.len_utf16(),
        }
    }
}

/// The least room a piece may have: less could not hold a fence and a word.
pub const ROOM_MIN: usize = 64;
/// A cut nearer to the beginning than this part of the room wastes too much of it.
const EARLIEST: usize = 3;

/// `text` in pieces of at most `most` units each (at least [`ROOM_MIN`]), in order, none of them empty. Blanks around a
/// cut are dropped, and nothing else.
pub fn split(text: &str, most: usize, unit: Unit) -> Vec<String> {
    let most = most.max(ROOM_MIN);
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    // The opening line of the fence that a cut was made in.
    let mut fence: Option<String> = None;
    while !rest.is_empty() {
        let opening = fence.as_ref().map(|line| format!("{line}\n"));
        let opening = opening.unwrap_or_default();
        let room = most - unit.length(&opening);
        if unit.length(rest) <= room {
            pieces.push(format!("{opening}{rest}"));
            break;
        }
        // Room for a closing fence, which this piece may need.
        let room = room.saturating_sub(CLOSING.len()).max(1);
        let at = cut_at(rest, room, unit, fence.is_some());
        let (piece, behind) = rest.split_at(at);
        fence = open_fence(piece, fence);
        let piece = piece.trim_end();
        match &fence {
            Some(_) => pieces.push(format!("{opening}{piece}{CLOSING}")),
            None => pieces.push(format!("{opening}{piece}")),
        }
        rest = match fence {
            // Inside code the blanks at the beginning of a line mean something.
            Some(_) => behind.trim_start_matches(['\n', '\r']),
            None => behind.trim_start(),
        };
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

const CLOSING: &str = "\n```";
/// A line that opens a fence is repeated; a longer one is not a language's name.
const FENCE_LINE_MAX: usize = 24;

/// Bytes of `text` that go into this piece: more than none.
fn cut_at(text: &str, room: usize, unit: Unit, in_code: bool) -> usize {
    let mut used = 0;
    let fits = text
        .char_indices()
        .take_while(|(_, c)| {
            used += unit.of(*c);
            used <= room
        })
        .last()
        .map_or(0, |(at, c)| at + c.len_utf8());
    // A character wider than the room: there is none for a room of four.
    let fits = if fits == 0 {
        text.chars().next().map_or(0, char::len_utf8)
    } else {
        fits
    };
    let head = &text[..fits];
    let earliest = head.floor_char_boundary(fits / EARLIEST);
    let after = |mark: &str| head.rfind(mark).map(|at| at + mark.len());
    let late = |at: &usize| *at > earliest;
    let line = after("\n").filter(late);
    let found = match in_code {
        true => line,
        false => after("\n\n")
            .filter(late)
            .or(line)
            .or_else(|| sentence_end(head).filter(late))
            .or_else(|| head.rfind(char::is_whitespace).filter(late)),
    };
    let found = found.or_else(|| head.rfind(char::is_whitespace).filter(|at| *at > 0));
    // A link in brackets may hold blanks: cut before it where that leaves something.
    match found {
        Some(at) => before_link(text, at).filter(late).unwrap_or(at),
        None => fits,
    }
}

fn sentence_end(text: &str) -> Option<usize> {
    let ends = text.char_indices().zip(text.chars().skip(1));
    let ends = ends
        .filter(|((_, c), next)| matches!(c, '.' | '!' | '?' | '…' | '。') && next.is_whitespace());
    ends.last().map(|((at, c), _)| at + c.len_utf8())
}

/// Where the link `[words](address)` begins that `at` would cut through.
fn before_link(text: &str, at: usize) -> Option<usize> {
    let open = text[..at].rfind('[')?;
    let behind = &text[open..];
    let middle = behind.find("](")?;
    let end = open + middle + behind[middle..].find(')')?;
    // Longer is no link, or none that could be kept whole.
    let is_link = end - open < 2_000 && !behind[..middle].contains('\n');
    (is_link && open < at && at <= end && open > 0).then_some(open)
}

/// The opening line of the fence that stands open at the end of `piece`.
fn open_fence(piece: &str, before: Option<String>) -> Option<String> {
    let mut open = before;
    for line in piece.lines() {
        let line = line.trim_start();
        if !line.starts_with("```") {
            continue;
        }
        open = match open {
            Some(_) => None,
            // A fence that opens and closes in one line is none.
            None if line[3..].contains("```") => None,
            None => Some(match line.len() <= FENCE_LINE_MAX {
                true => line.trim_end().to_owned(),
                false => "```".to_owned(),
            }),
        };
    }
    open
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
