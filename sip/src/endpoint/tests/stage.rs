//! Scripts for one call between two endpoints, played over UDP and TCP; afterwards nothing may be left.

use super::world::{ANSWER, Network, OFFER, Side, World};
use crate::CallError;
use crate::endpoint::{CallKey, CallParams};
use crate::flow::Transport;

/// Another description than the first.
pub(super) const CHANGED: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

pub(super) const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// A step of a script. Sides act on the one call there is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Do {
    Dial,
    /// Without an offer.
    DialLate,
    Until(&'static str),
    Wait(u64),
    Ring(u16, Option<&'static str>),
    Answer(&'static str),
    Acknowledge(Side, &'static str),
    Reoffer(Side, Option<&'static str>),
    AnswerReinvite(Side, Result<&'static str, u16>),
    Hangup(Side, Option<&'static str>),
    /// The next so many messages that start so are lost.
    Lose(&'static str, u32),
    /// Both change the session in the same instant.
    Glare,
}
use Do::*;
use Side::{Phone, Server};

pub(super) struct Stage {
    pub(super) world: World,
    phone_call: Option<CallKey>,
}

impl Stage {
    pub(super) fn new(transport: Transport) -> Stage {
        Stage {
            world: World::new(transport, Network::GOOD, 1),
            phone_call: None,
        }
    }

    pub(super) fn key(&self, side: Side) -> CallKey {
        match side {
            Phone => self.phone_call.expect("dialled"),
            Server => self.world.incoming(),
        }
    }

    pub(super) fn play(&mut self, script: &[Do]) {
        for step in script {
            let done = self.step(*step);
            assert_eq!(done, Ok(()), "{step:?}: {:#?}", self.world.story);
        }
    }

    pub(super) fn step(&mut self, step: Do) -> Result<(), CallError> {
        let own = |sdp: Option<&str>| sdp.map(str::to_owned);
        match step {
            Dial | DialLate => {
                let params = CallParams {
                    offer: matches!(step, Dial).then(|| OFFER.to_owned()),
                    ..self.world.call_params("100")
                };
                let key = self.world.act(Phone, |p, now| p.call(now, params));
                self.phone_call = Some(key);
                Ok(())
            }
            Until(start) => {
                self.world.run_until(start);
                Ok(())
            }
            Wait(ms) => {
                self.world.run_ms(ms);
                Ok(())
            }
            Ring(status, sdp) => {
                let call = self.key(Server);
                self.world
                    .act(Server, |s, now| s.provisional(now, call, status, own(sdp)))
            }
            Answer(sdp) => {
                let call = self.key(Server);
                self.world
                    .act(Server, |s, now| s.answer(now, call, sdp.to_owned()))
            }
            Acknowledge(side, sdp) => {
                let call = self.key(side);
                self.world
                    .act(side, |e, now| e.acknowledge(now, call, sdp.to_owned()))
            }
            Reoffer(side, sdp) => {
                let call = self.key(side);
                self.world
                    .act(side, |e, now| e.reoffer(now, call, own(sdp)))
            }
            AnswerReinvite(side, answer) => {
                let call = self.key(side);
                self.world.act(side, |e, now| {
                    e.answer_reinvite(now, call, answer.map(str::to_owned))
                })
            }
            Hangup(side, reason) => {
                let call = self.key(side);
                self.world
                    .act(side, |e, now| e.hangup(now, call, own(reason)))
            }
            Lose(what, times) => {
                self.world.swallow.push((what, times));
                Ok(())
            }
            Glare => {
                for side in [Phone, Server] {
                    self.step(Reoffer(side, Some(OFFER)))?;
                }
                Ok(())
            }
        }
    }
}

/// An answered call, its story left out.
pub(super) const STANDING: &[Do] = &[
    Dial,
    Until("Server IncomingCall"),
    Answer(ANSWER),
    Until("Server CallConfirmed"),
    Wait(1_000),
];
pub(super) const STANDING_STORY: usize = 3;

pub(super) fn check_over(
    transports: &[Transport],
    before: &[Do],
    script: &[Do],
    expected: &[&str],
) -> World {
    let mut last = None;
    for transport in transports {
        let mut stage = Stage::new(*transport);
        stage.play(before);
        let from = match before.is_empty() {
            true => 0,
            false => STANDING_STORY,
        };
        stage.play(script);
        stage.world.settle();
        assert_eq!(
            stage.world.story[from..],
            *expected,
            "over {transport}: {:#?}",
            stage.world.wire
        );
        if expected.iter().any(|line| line.contains("CallEnded")) {
            stage.world.assert_empty();
        }
        last = Some(stage.world);
    }
    last.expect("one at least")
}

pub(super) fn check(script: &[Do], expected: &[&str]) -> World {
    check_over(&BOTH, &[], script, expected)
}

pub(super) fn inside(script: &[Do], expected: &[&str]) -> World {
    check_over(&BOTH, STANDING, script, expected)
}

pub(super) fn sent(world: &World, what: &str) -> usize {
    world.wire.iter().filter(|line| *line == what).count()
}
