//! The built-in caller: registers, dials, speaks, listens, and says how long each answer took.
//! A real SIP client on its own sockets (`caller`): what it measures is what a phone would. Owns the script of a plain test
//! call; `drill` plays longer ones, and the definitions of the figures are in `timeline` and `figures`.

mod caller;
mod drill;
pub mod drill_report;
mod figures;
mod noises;
pub mod report;
mod script;
mod speakerphone;
pub mod talk;
pub mod timeline;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use media::SAMPLE_RATE_HZ;
use sip::{Secret, Transport};

use caller::Caller;
pub use caller::WIRE_RATE_HZ;
use timeline::{Measured, measure};

/// Who calls.
#[derive(Clone)]
pub struct Account {
    pub realm_domain: String,
    pub user: String,
    pub password: Secret,
}

/// What to dial and what to say.
pub struct Plan {
    pub server: SocketAddr,
    pub transport: Transport,
    pub account: Account,
    pub number: String,
    /// Utterances at 16 kHz, spoken one after the other, each after the reply to the one before.
    pub say: Vec<Vec<i16>>,
    /// Longest wait for a reply.
    pub reply_max: Duration,
}

/// What came of it.
pub struct Outcome {
    pub registered_ms: u32,
    pub answered_ms: u32,
    pub turns: Vec<TurnOutcome>,
    /// All that was heard, at 8 kHz.
    pub heard: Vec<i16>,
    pub packets_received: u64,
    /// What an echo number's packets took to come back, socket to socket, in microseconds.
    pub echo_us: Vec<u32>,
    /// How long after its moment each packet left. Words that leave in a heap are not all heard.
    pub late_us: Vec<u32>,
    pub ended_by_peer: bool,
}

pub struct TurnOutcome {
    pub measured: Measured,
    /// The reply alone, 8 kHz.
    pub reply: Vec<i16>,
}

#[derive(Debug, thiserror::Error)]
pub enum TestCallError {
    #[error("cannot open sockets: {0}")]
    Io(#[from] io::Error),
    #[error("no SIP server answers on {0}: is `offhook run` running, and is this its address?")]
    NoServer(SocketAddr),
    #[error("registration refused with {status}: {hint}")]
    Refused { status: u16, hint: &'static str },
    #[error("the call to {number} failed: {why}")]
    CallFailed { number: String, why: String },
    #[error("the answer's media description is not usable: {0}")]
    BadAnswer(String),
}

/// Places the call and plays the plan.
pub async fn call(plan: &Plan) -> Result<Outcome, TestCallError> {
    let mut caller = Caller::open(plan.server, plan.transport).await?;
    let dialled = caller.dial(&plan.account, &plan.number).await?;
    caller.listen_to_greeting().await?;
    let mut spoken = Vec::new();
    for utterance in &plan.say {
        if caller.ended {
            break;
        }
        let range = caller.speak(utterance).await?;
        caller.listen_to_reply(range.end, plan.reply_max).await?;
        spoken.push((range, caller.heard.index_of(Instant::now())));
    }
    if plan.say.is_empty() {
        caller
            .run_for(plan.reply_max, |caller, _| caller.ended)
            .await?;
    }
    let ended_by_peer = caller.ended;
    caller.finish(&dialled).await?;
    Ok(outcome(caller, spoken, &dialled, ended_by_peer))
}

fn outcome(
    caller: Caller,
    spoken: Vec<(Range<usize>, usize)>,
    dialled: &caller::Dialled,
    ended_by_peer: bool,
) -> Outcome {
    let turns = spoken
        .into_iter()
        .map(|(range, until)| {
            let end = until.min(caller.heard.end());
            let reply = caller
                .heard
                .samples()
                .get(range.end.min(end)..end)
                .unwrap_or_default();
            TurnOutcome {
                reply: reply.to_vec(),
                measured: measure(&caller.sent, range, &caller.heard, until),
            }
        })
        .collect();
    Outcome {
        registered_ms: dialled.registered_ms,
        answered_ms: dialled.answered_ms,
        turns,
        heard: caller.heard.samples().to_vec(),
        packets_received: caller.packets_received,
        echo_us: caller.echo_us,
        late_us: caller.late_us,
        ended_by_peer,
    }
}

/// What a test call says, ready to be sent: half a second of silence around it would hide the latency, so
/// the clip is used as it is, resampled to the internal rate.
pub fn utterance(clip: &media::file::Clip) -> Vec<i16> {
    media::resample::resample_clip(&clip.samples, clip.rate_hz, SAMPLE_RATE_HZ)
}
