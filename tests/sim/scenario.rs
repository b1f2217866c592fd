//! What a run is to be, and what came of it. Values only.
//! PURE.

use std::time::Duration;

use offhook::config::Answerer;

use crate::net::Weather;

#[derive(Debug, Clone)]
pub struct Scenario {
    pub weather: Weather,
    pub talk: Duration,
    pub answerer: Answerer,
    /// The caller hangs up; otherwise the server does, as if the program stopped.
    pub caller_ends: bool,
    /// So long the server rings before it answers, as if models warmed up.
    pub rings: Duration,
    /// The caller gives up so long after dialling, if nobody has answered.
    pub patience: Option<Duration>,
    /// The INVITE has no offer.
    pub late_offer: bool,
    /// What happens when, after the answer.
    pub acts: Vec<(Duration, Act)>,
}

/// What a phone or the network does in the middle of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Digit(char),
    /// Somebody else sends packets to our port.
    Stranger,
    Hold,
    Resume,
    /// The phone's sound comes from, and wants to go to, another port.
    Move,
    /// No packet passes any more, in either direction.
    Vanish,
}

/// What came of a run, for the table that the test prints.
#[derive(Debug, Default)]
pub struct Outcome {
    pub registered: bool,
    pub answered: bool,
    pub turns: u32,
    pub interrupted: u32,
    pub frames_heard: u64,
    pub ended: bool,
    pub cancelled: bool,
    pub digits: u32,
    pub strangers: u32,
    pub holds: u32,
    pub moves: u32,
    /// Second offers that were answered with 200.
    pub renegotiated: u32,
    pub vanished: bool,
    /// Guesses, released and dropped; tool calls that came for them; alarms that tools set.
    pub hits: u32,
    pub misses: u32,
    pub guessed_tools: u32,
    pub alarms: u32,
    /// Packets whose reply could be told from their loudness.
    pub recognised: u64,
}
