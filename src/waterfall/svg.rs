//! A waterfall as a picture: SVG 1.1 without scripts, links or fonts of its own, readable on light and on
//! dark ground.
//! PURE.

use super::{Kind, Waterfall, one_line, span_ms, tick_ms};

/// With its margins.
const WIDTH: u32 = 924;
const WIDTH_MIN: u32 = 300;
const LABEL_WIDTH: u32 = 90;
/// Room for the figures behind the longest bar.
const FIGURES_WIDTH: u32 = 130;
const ROW: u32 = 22;
const BAR: u32 = 14;
const HEAD: u32 = 64;
/// Without the words over the bars.
const HEAD_BARE: u32 = 36;
const GAP: u32 = 26;
const TITLE: u32 = 44;
/// Letters of the words over the bars.
const WORDS_CHARS_MAX: usize = 110;

/// Middle tones hold against white and against black; words follow the reader's scheme.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#424a53}\
.title{font-weight:600;font-size:15px}.head{font-weight:600}.dim{fill:#6e7781}\
.axis{stroke:#8c959f;stroke-opacity:.35}\
@media (prefers-color-scheme:dark){text{fill:#d0d7de}.dim{fill:#9aa4af}}";

/// All turns on one scale, one below the other, under `title`.
pub fn svg(turns: &[Waterfall], title: &str) -> String {
    drawn(turns, Some(title), WIDTH)
}

/// The bars alone, without a word of title or turn, as wide as a page has room: 300 at least.
pub fn bars_svg(turns: &[Waterfall], width: u32) -> String {
    drawn(turns, None, width.max(WIDTH_MIN))
}

fn drawn(turns: &[Waterfall], title: Option<&str>, width: u32) -> String {
    let span = span_ms(turns);
    let margin = if title.is_some() { 12 } else { 2 };
    let width = width - 2 * margin;
    let scale_width = width - LABEL_WIDTH - FIGURES_WIDTH;
    let head = if title.is_some() { HEAD } else { HEAD_BARE };
    let x = |at_ms: u32| {
        f64::from(LABEL_WIDTH) + f64::from(at_ms) * f64::from(scale_width) / f64::from(span)
    };
    let mut body = String::new();
    let mut y = 0;
    let name = match title {
        Some(title) => {
            let title = escaped(&one_line(title, WORDS_CHARS_MAX));
            body.push_str(&format!(
                "<text class=\"title\" x=\"0\" y=\"18\">{title}</text>\n"
            ));
            y = TITLE;
            title
        }
        None => "where the time went".to_owned(),
    };
    for turn in turns {
        let bars = turn.bars();
        let rows = bars.len() as u32;
        if title.is_some() {
            body.push_str(&format!(
                "<text class=\"head\" x=\"0\" y=\"{y}\">{}</text>\n",
                escaped(&turn.heading())
            ));
            body.push_str(&format!(
                "<text class=\"dim\" x=\"0\" y=\"{}\">{}</text>\n",
                y + 18,
                escaped(&one_line(&turn.caller_text, WORDS_CHARS_MAX))
            ));
        }
        let (top, bottom) = (y + head - 20, y + head + rows * ROW - 8);
        // Fewer figures where they would run into each other.
        let step = tick_ms(span) * if scale_width < 320 { 2 } else { 1 };
        for at_ms in (0..=span).step_by(step as usize) {
            let at = x(at_ms);
            body.push_str(&format!(
                "<line class=\"axis\" x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"dim\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{at_ms}</text>\n",
                top - 4
            ));
        }
        for (row, bar) in bars.iter().enumerate() {
            let top = y + head - 14 + row as u32 * ROW;
            let (from, to) = (x(bar.from_ms), x(bar.to_ms));
            let (colour, opacity) = colour(bar.kind);
            body.push_str(&format!(
                "<text x=\"0\" y=\"{}\">{}</text>\
                 <rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\" \
                 fill=\"{colour}\" fill-opacity=\"{opacity}\"/>\
                 <text class=\"dim\" x=\"{:.1}\" y=\"{}\">{} ms{}</text>\n",
                top + 12,
                bar.kind.label(),
                // Too short to be seen, but there.
                (to - from).max(1.5),
                to + 6.0,
                top + 12,
                bar.to_ms,
                if bar.from_ms > 0 {
                    format!(" (+{})", bar.to_ms - bar.from_ms)
                } else {
                    String::new()
                },
            ));
        }
        y += head + rows * ROW + if title.is_some() { GAP } else { 0 };
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{outer}\" height=\"{y}\" \
         viewBox=\"-{margin} -4 {outer} {y}\" role=\"img\">\n<title>{name}</title>\n\
         <style>{STYLE}</style>\n{body}</svg>\n",
        outer = width + 2 * margin
    )
}

/// Work is solid, waiting is light.
fn colour(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Heard => ("#3b82c4", "0.95"),
        Kind::Guess => ("#c98500", "0.45"),
        Kind::Text => ("#c98500", "0.95"),
        Kind::Voice => ("#2f9e6e", "0.95"),
        Kind::Commit => ("#8c959f", "0.55"),
        Kind::Packet => ("#b0559a", "0.95"),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Not allowed in XML 1.0, however written.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
