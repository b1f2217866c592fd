//! The stages of a turn as bars on one axis of time: which stage waited for which, and how long each took.
//! Owns what a bar means and both pictures (`waterfall/text.rs`, `waterfall/svg.rs`); not the figures
//! (`call::record::Stages`), and not where they are stored.
//! PURE.

mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use svg::{bars_svg, svg};
pub use text::text;

use crate::call::record::Stages;

/// One turn to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waterfall {
    /// Turns of a call count from 1.
    pub number: u32,
    pub caller_text: String,
    pub heard_text: String,
    pub stages: Stages,
}

/// What a stage is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speech to words.
    Heard,
    /// A guess that is held.
    Guess,
    /// The agent's first words.
    Text,
    /// The voice's first sound.
    Voice,
    /// Silence until the turn was taken as finished.
    Commit,
    /// From there to the first packet.
    Packet,
}

/// One stage: from the moment it could begin to the moment it was done, in ms after the caller's last
/// voiced sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    pub kind: Kind,
    pub from_ms: u32,
    pub to_ms: u32,
}

impl Kind {
    pub fn label(self) -> &'static str {
        match self {
            Kind::Heard => "heard",
            Kind::Guess => "guess held",
            Kind::Text => "text",
            Kind::Voice => "voice",
            Kind::Commit => "commit",
            Kind::Packet => "packet",
        }
    }
}

impl Waterfall {
    /// The bars in the order of their causes. Stages that were not reached have none.
    pub fn bars(&self) -> Vec<Bar> {
        let stages = &self.stages;
        // Asked at the guess if it was one, else at the commit.
        let asked_ms = stages.guessed_ms.or(stages.committed_ms);
        let may_sound_ms = stages.first_sound_ms.max(stages.committed_ms);
        let rows = [
            (Kind::Heard, Some(0), stages.transcribed_ms),
            (
                Kind::Guess,
                stages.guessed_ms,
                stages.guessed_ms.and(stages.committed_ms),
            ),
            (Kind::Text, asked_ms, stages.first_text_ms),
            (
                Kind::Voice,
                stages.first_text_ms.or(asked_ms),
                stages.first_sound_ms,
            ),
            (Kind::Commit, Some(0), stages.committed_ms),
            (Kind::Packet, may_sound_ms, stages.first_packet_ms),
        ];
        rows.into_iter()
            .filter_map(|(kind, from, to)| {
                let to_ms = to?;
                let from_ms = from.unwrap_or(to_ms).min(to_ms);
                let bar = Bar {
                    kind,
                    from_ms,
                    to_ms,
                };
                Some(bar)
            })
            .collect()
    }

    /// Time that asking before the commit saved, in ms; none where nothing was asked before.
    pub fn saved_ms(&self) -> Option<u32> {
        self.stages
            .committed_ms?
            .checked_sub(self.stages.guessed_ms?)
    }

    /// The last moment of any stage.
    fn end_ms(&self) -> u32 {
        let ends = self.bars().into_iter().map(|bar| bar.to_ms);
        ends.max().unwrap_or(0)
    }

    /// One line over the bars.
    fn heading(&self) -> String {
        let mut heading = format!("turn {}", self.number);
        match self.stages.first_packet_ms {
            Some(ms) => heading.push_str(&format!(" · first packet after {ms} ms")),
            None => heading.push_str(" · nothing was said"),
        }
        match self.saved_ms() {
            Some(saved) => heading.push_str(&format!(" · asked {saved} ms before the commit")),
            None => heading.push_str(" · no guess"),
        }
        heading
    }
}

/// The longest turn, so that all share one scale; at least a moment, so that it is one.
fn span_ms(turns: &[Waterfall]) -> u32 {
    let ends = turns.iter().map(Waterfall::end_ms);
    ends.max().unwrap_or(0).max(100)
}

/// Round steps of the axis: at most six of them.
fn tick_ms(span_ms: u32) -> u32 {
    let mut decade = 10u32;
    loop {
        for step in [1, 2, 5] {
            let tick = decade.saturating_mul(step);
            if span_ms / tick <= 6 {
                return tick;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// One line of at most `chars_max` letters: what a terminal or a picture would take for an order is a
/// blank.
fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count >= chars_max {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}
