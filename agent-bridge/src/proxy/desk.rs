//! Who of the agent gateway's requests belongs to a call, and what becomes of it. Owns the questions under way, the
//! memory of last requests and the counts; no socket.
//!
//! Bounds: [`EXCHANGES_MAX`] questions; with more, the oldest whose reply is over is forgotten, else the oldest.
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::exchange::{Exchange, Place, Spoken};
use super::matching::Match;
use super::pacing::Pacing;
use super::recording::Recording;
use super::request::Request;
use super::template::Templates;
use crate::gateways::Told;

pub const EXCHANGES_MAX: usize = 64;
/// An agent gateway that was started cold asks this late.
const LATE_MAX: Duration = Duration::from_secs(180);
/// Ends the key of a session that only keeps the agent gateway warm.
pub const WARM_UP: &str = ":voice:warmup";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// What became of the requests so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests of the agent gateway, those of nobody's session included.
    pub requests: u64,
    /// Questions that were asked of the model before the agent gateway asked.
    pub foretold: u64,
    /// ... and came as foretold, byte for byte.
    pub exact: u64,
    /// ... or but for what passes.
    pub passing: u64,
    /// ... or otherwise, after they had been spoken.
    pub spoken: u64,
    /// ... or otherwise, and were asked of the model again.
    pub missed: u64,
    /// Questions of a call that nobody had foretold.
    pub asked: u64,
    pub warm_ups: u64,
    /// Replies that ended where the caller stopped listening.
    pub cut: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the provider and back as it is.
    Pass,
    /// It is answered here.
    WarmUp,
    /// The answer is being recorded: it is given out from there.
    Replay(ExchangeId, usize),
    /// It goes to the provider; the answer is recorded and given out from there.
    Record(ExchangeId, usize),
}

/// What the desk wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeskOutput {
    /// Ask the model and record the answer.
    Ask {
        exchange: ExchangeId,
        track: usize,
        body: Vec<u8>,
    },
    /// Close the request to the model at once.
    Cancel {
        exchange: ExchangeId,
        track: usize,
    },
    /// Something new is to be had of it.
    Changed(ExchangeId),
    Forgotten(ExchangeId),
}

#[derive(Debug, Default)]
pub struct Desk {
    templates: Templates,
    exchanges: VecDeque<(ExchangeId, Exchange, Instant)>,
    count: u64,
    counts: Counts,
    outputs: VecDeque<DeskOutput>,
}

impl Desk {
    pub fn poll_output(&mut self) -> Option<DeskOutput> {
        self.outputs.pop_front()
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Requests of this session, or of its agent, come here.
    pub fn knows(&self, session: &str) -> bool {
        self.templates.knows(session)
    }

    /// The caller may have said `words`, which the agent gateway will be sent like this. If what it will ask is known, the
    /// model is asked now.
    pub fn begin(&mut self, now: Instant, unix_s: i64, session: &str, words: &str) -> ExchangeId {
        while self.exchanges.len() >= EXCHANGES_MAX {
            let over = self.exchanges.iter().position(|(_, e, _)| e.is_over());
            self.forget_at(over.unwrap_or(0));
        }
        while let Some(at) = self.exchanges.iter().position(|(_, exchange, since)| {
            exchange.is_over() && now.saturating_duration_since(*since) > LATE_MAX
        }) {
            self.forget_at(at);
        }
        self.count += 1;
        let id = ExchangeId(self.count);
        let foretold = self.templates.foretell(session, words, unix_s);
        let foretold = foretold.map(|foretold| (foretold.request, foretold.is_sure));
        if let Some((request, _)) = &foretold {
            self.counts.foretold += 1;
            self.outputs.push_back(DeskOutput::Ask {
                exchange: id,
                track: 0,
                body: request.body().to_vec(),
            });
        }
        let exchange = Exchange::new(session, words, foretold);
        self.exchanges.push_back((id, exchange, now));
        id
    }

    fn exchange(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        let found = self.exchanges.iter_mut().find(|(known, ..)| *known == id);
        found.map(|(_, exchange, _)| exchange)
    }

    fn known(&self, id: ExchangeId) -> Option<&Exchange> {
        let found = self.exchanges.iter().find(|(known, ..)| *known == id);
        found.map(|(_, exchange, _)| exchange)
    }

    /// The caller's turn is over: the agent gateway will be sent the words.
    pub fn commit(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchange(id) {
            exchange.commit();
        }
    }

    /// What the call says of the reply.
    pub fn told(&mut self, id: ExchangeId, told: &Told) {
        let Some(exchange) = self.exchange(id) else {
            return;
        };
        exchange.told(told);
        self.cancel_unwanted(id);
        self.outputs.push_back(DeskOutput::Changed(id));
    }

    fn cancel_unwanted(&mut self, id: ExchangeId) {
        let unwanted = self.known(id).map(Exchange::unwanted).unwrap_or_default();
        for track in unwanted {
            self.outputs.push_back(DeskOutput::Cancel {
                exchange: id,
                track,
            });
        }
    }

    /// Nobody speaks the reply any more. A guess leaves nothing; what was committed ends at the last word heard.
    pub fn dropped(&mut self, id: ExchangeId) {
        let Some(exchange) = self.known(id) else {
            return;
        };
        if !exchange.is_committed() {
            if let Some(at) = self.exchanges.iter().position(|(known, ..)| *known == id) {
                self.forget_at(at);
            }
            return;
        }
        if !exchange.is_over() {
            let told = Told {
                is_over: true,
                ..exchange.last_told().clone()
            };
            self.told(id, &told);
        }
    }

    fn forget_at(&mut self, at: usize) {
        let Some((id, exchange, _)) = self.exchanges.remove(at) else {
            return;
        };
        for track in exchange.running() {
            self.outputs.push_back(DeskOutput::Cancel {
                exchange: id,
                track,
            });
        }
        self.outputs.push_back(DeskOutput::Forgotten(id));
    }

    /// The agent gateway's run for this question is over.
    pub fn run_over(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchange(id) {
            exchange.run_over();
            self.outputs.push_back(DeskOutput::Changed(id));
        }
    }

    /// See `Exchange::trust`.
    pub fn trust(&mut self, id: ExchangeId) -> bool {
        self.outputs.push_back(DeskOutput::Changed(id));
        self.exchange(id).is_some_and(Exchange::trust)
    }

    pub fn has_arrived(&self, id: ExchangeId) -> bool {
        self.known(id).is_some_and(Exchange::has_arrived)
    }

    /// A chat completion is asked for; none where its body is not understood.
    pub fn arrive(&mut self, unix_s: i64, request: Option<&Request>) -> Verdict {
        self.counts.requests += 1;
        let Some((request, origin)) = request.and_then(|r| Some((r, r.origin()?))) else {
            return Verdict::Pass;
        };
        if !request.is_stream() {
            return Verdict::Pass;
        }
        let number = self.templates.learn(request, unix_s);
        // A person may be called like that session, but says more.
        let is_silent = request
            .asked()
            .is_some_and(|(_, words)| words.trim() == ".");
        if is_silent && origin.session.ends_with(WARM_UP) {
            self.counts.warm_ups += 1;
            return Verdict::WarmUp;
        }
        let mut found = None;
        for (id, exchange, _) in self.exchanges.iter_mut().rev() {
            if exchange.session() == origin.session {
                let had_foretold = exchange.is_foretold();
                match exchange.arrive(request, number) {
                    Place::Elsewhere => {}
                    place => {
                        found = Some((*id, place, had_foretold));
                        break;
                    }
                }
            }
        }
        let Some((id, place, had_foretold)) = found else {
            return Verdict::Pass;
        };
        self.cancel_unwanted(id);
        self.outputs.push_back(DeskOutput::Changed(id));
        match place {
            Place::Elsewhere => Verdict::Pass,
            Place::Replay(track, found) => {
                match found {
                    Match::Exact => self.counts.exact += 1,
                    Match::Passing => self.counts.passing += 1,
                    Match::Words | Match::Other => self.counts.spoken += 1,
                }
                Verdict::Replay(id, track)
            }
            Place::Ask(track) => {
                match had_foretold {
                    true => self.counts.missed += 1,
                    false => self.counts.asked += 1,
                }
                Verdict::Record(id, track)
            }
        }
    }

    /// A foretold answer failed while the agent gateway waited for it: its own request is to be sent on.
    pub fn ask_instead(&mut self, id: ExchangeId, track: usize) -> Option<usize> {
        let instead = self.exchange(id)?.ask_instead(track);
        self.outputs.push_back(DeskOutput::Changed(id));
        instead
    }

    /// The agent gateway has hung up in the middle of an answer.
    pub fn hung_up(&mut self, id: ExchangeId, track: usize) {
        self.end(id, track, true);
        self.outputs.push_back(DeskOutput::Cancel {
            exchange: id,
            track,
        });
    }

    /// One event of an answer. False: no more of it is wanted.
    pub fn push(&mut self, id: ExchangeId, track: usize, frame: Vec<u8>) -> bool {
        let is_wanted = match self.exchange(id) {
            Some(exchange) => exchange.push(track, frame),
            None => false,
        };
        self.outputs.push_back(DeskOutput::Changed(id));
        is_wanted
    }

    pub fn end(&mut self, id: ExchangeId, track: usize, is_broken: bool) {
        if let Some(exchange) = self.exchange(id) {
            exchange.end(track, is_broken);
            self.outputs.push_back(DeskOutput::Changed(id));
        }
    }

    pub fn next_spoken(&mut self, id: ExchangeId) -> Option<Spoken> {
        match self.exchange(id) {
            Some(exchange) => exchange.next_spoken(),
            None => Some(Spoken::Failed),
        }
    }

    pub fn recording(&self, id: ExchangeId, track: usize) -> Option<&Recording> {
        self.known(id)?.recording(track)
    }

    /// The next bytes of an answer for the agent gateway. `pacing` is over when it has all.
    pub fn give(&mut self, id: ExchangeId, track: usize, pacing: &mut Pacing) -> Option<Vec<u8>> {
        let exchange = self.known(id)?;
        let was_over = pacing.is_over();
        let bytes = exchange.give(track, pacing);
        if pacing.is_over() && !was_over {
            let is_cut = exchange
                .recording(track)
                .is_some_and(|recording| recording.text() != pacing.given());
            if let Some(number) = exchange.answered(track) {
                self.templates.answered(number, pacing.given());
            }
            self.counts.cut += u64::from(is_cut);
        }
        Some(bytes)
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
