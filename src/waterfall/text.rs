//! A waterfall for the terminal: a line per stage, eighths of a column at the ends of a bar.
//! PURE.

use super::{Bar, Kind, Waterfall, one_line, span_ms, tick_ms};

/// Letters of the words that are shown over the bars.
const WORDS_CHARS_MAX: usize = 70;
const LABEL_COLUMNS: usize = 12;
/// A bar's end, in eighths of a column.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// All turns on one scale, with bars in `columns` columns.
pub fn text(turns: &[Waterfall], columns: usize) -> String {
    let columns = columns.clamp(20, 400);
    let span = span_ms(turns);
    let mut out = String::new();
    for (at, turn) in turns.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        out.push_str(&turn.heading());
        out.push('\n');
        for (who, words) in [("caller", &turn.caller_text), ("heard", &turn.heard_text)] {
            if !words.trim().is_empty() {
                out.push_str(&format!("  {who}: {}\n", one_line(words, WORDS_CHARS_MAX)));
            }
        }
        out.push_str(&axis(span, columns));
        for bar in turn.bars() {
            out.push_str(&line(&bar, turn, span, columns));
        }
    }
    out
}

fn axis(span_ms: u32, columns: usize) -> String {
    let tick = tick_ms(span_ms);
    let mut numbers = vec![' '; columns + LABEL_COLUMNS];
    for at_ms in (0..=span_ms).step_by(tick as usize) {
        let column = eighths(at_ms, span_ms, columns) / 8;
        for (offset, c) in at_ms.to_string().chars().enumerate() {
            if let Some(place) = numbers.get_mut(column + offset) {
                *place = c;
            }
        }
    }
    let numbers: String = numbers.into_iter().collect();
    format!("  {:<LABEL_COLUMNS$}{} ms\n", "", numbers.trim_end())
}

fn line(bar: &Bar, turn: &Waterfall, span_ms: u32, columns: usize) -> String {
    let from = eighths(bar.from_ms, span_ms, columns);
    let to = eighths(bar.to_ms, span_ms, columns);
    // Waiting is no work: it is drawn light.
    let full = match bar.kind {
        Kind::Commit | Kind::Guess => '░',
        _ => '█',
    };
    let mut drawn = " ".repeat(from / 8);
    drawn.extend(std::iter::repeat_n(full, (to / 8).saturating_sub(from / 8)));
    match to % 8 {
        // Too short to be seen, but there.
        0 if to / 8 == from / 8 => drawn.push('▏'),
        0 => {}
        eighth if full == '█' => drawn.push(EIGHTHS[eighth]),
        _ => drawn.push('▏'),
    }
    let label = bar.kind.label();
    let mut figures = format!("{} ms", bar.to_ms);
    if bar.from_ms > 0 {
        figures.push_str(&format!(" (+{})", bar.to_ms - bar.from_ms));
    }
    if let (Kind::Heard, Some(decode_ms)) = (bar.kind, turn.stages.decode_ms) {
        figures.push_str(&format!(", decoding {decode_ms}"));
    }
    format!("  {label:<LABEL_COLUMNS$}{drawn} {figures}\n")
}

/// A moment on the axis, in eighths of a column.
fn eighths(at_ms: u32, span_ms: u32, columns: usize) -> usize {
    (u64::from(at_ms) * 8 * columns as u64 / u64::from(span_ms.max(1))) as usize
}
