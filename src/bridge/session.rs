//! PURE.
//! Offers and answers on their way through a bridge: each is rewritten for the other side, and what both agree on is told
//! to the relay. Owns whose turn it is; not the rewriting (`sip::relayed`) nor the retries of offers (`sip`). RFC 3264, RFC
//! 3261 sections 13.2.2.4 and 14.

use std::time::Instant;

use rand::Rng as _;
use sip::offer_answer::LocalIce;
use sip::relayed::RelayedStream;
use sip::sdes::KeySeed;

use super::boundary::{Anchor, LegId, Output, Side};
use super::line::{Line, Means};
use super::{Bridge, Bridges, Fork, State};

/// What a refusal to talk about media is told on as, whatever the other phone's reason was.
const NOT_ACCEPTABLE: u16 = 488;
const PENDING: u16 = 491;

/// An offer that waits for its answer.
#[derive(Debug)]
pub(super) enum Exchange {
    /// A re-INVITE of one side, passed on to the other.
    Passed {
        from: Side,
        offer: String,
        offered: String,
    },
    /// The same without an offer: the other side is asked for one.
    LatePassed {
        from: Side,
    },
    /// The other side's offer went to this one, whose answer comes in the ACK.
    LateAnswer {
        from: Side,
        offer: String,
        offered: String,
    },
    /// A, who was transferred, is offered what B has answered.
    Join {
        offer: String,
        offered: String,
    },
    /// Both stood: A is offered what B last said, then B what A answers.
    JoinFirst,
    JoinSecond {
        offer: String,
        offered: String,
    },
    /// A is new and takes a leg's place: B is offered what A's INVITE offered.
    Replacing {
        offer: String,
        offered: String,
    },
}

impl Bridges {
    /// What every line has of its own: the number of its origin, apart from all others, and its keys.
    pub(super) fn means(&mut self) -> Means {
        let mut octets = [0; 32];
        self.rng.fill_bytes(&mut octets);
        let mut paths = [0; 32];
        self.rng.fill_bytes(&mut paths);
        Means {
            session_id: self.rng.next_u64() & 0x3fff_ffff_ffff,
            policy: self.config.security,
            key_seed: KeySeed::new(octets),
            fingerprints: self.config.fingerprints.clone(),
            ice: LocalIce::new(paths),
            codecs: self.config.codecs.clone(),
        }
    }

    /// Tells the relay what holds between the two sides.
    fn connect(&mut self, bridge: &Bridge, streams: &[RelayedStream], offerer: Side) {
        let (Some(relay), Some(b)) = (bridge.relay, &bridge.b) else {
            return;
        };
        let anchors = [bridge.a.anchor, b.anchor];
        self.connect_between(relay, anchors, streams, offerer);
    }

    fn connect_between(
        &mut self,
        relay: super::RelayId,
        anchors: [Anchor; 2],
        streams: &[RelayedStream],
        offerer: Side,
    ) {
        for stream in streams {
            if let Some(both) = &stream.transcoding {
                let peers = match offerer {
                    Side::A => [both.offerer.clone(), both.answerer.clone()],
                    Side::B => [both.answerer.clone(), both.offerer.clone()],
                };
                self.put(Output::Transcode {
                    relay,
                    stream: stream.mline,
                    peers: Box::new(peers),
                });
                continue;
            }
            for (side, peer) in [
                (offerer, &stream.offerer),
                (offerer.other(), &stream.answerer),
            ] {
                self.put(Output::Connect {
                    relay,
                    side,
                    stream: stream.mline,
                    peer: peer.clone(),
                    anchor: anchors[side.index()],
                    is_fax: stream.kind == "image",
                });
            }
        }
    }

    /// What a phone plays before it answers, for the caller: the description that announces it. None: it is not usable,
    /// which is no harm before the answer.
    pub(super) fn early_media(
        &mut self,
        bridge: &mut Bridge,
        leg: LegId,
        sdp: &str,
    ) -> Option<String> {
        let mut forks = bridge.forks.iter_mut();
        let fork = forks.find(|fork| fork.line.leg == leg)?;
        let (offer, offered) = (bridge.a.theirs.clone()?, fork.offered.clone()?);
        let answer = bridge.a.answer_of(&mut fork.line, &offer, &offered, sdp);
        let relayed = answer.ok()?;
        let anchors = [bridge.a.anchor, fork.line.anchor];
        if let Some(relay) = bridge.relay {
            self.connect_between(relay, anchors, &relayed.streams, Side::A);
        }
        Some(relayed.sdp)
    }

    /// The first phone has answered.
    pub(super) fn first_answer(
        &mut self,
        bridge: &mut Bridge,
        winner: Fork,
        answer: Option<String>,
    ) -> Result<(), u16> {
        let Fork { line, offered, .. } = winner;
        let b = bridge.b.insert(line);
        b.stands = true;
        b.theirs = answer.clone();
        let answer = answer.ok_or(NOT_ACCEPTABLE)?;
        if bridge.a.stands {
            let means = self.means();
            bridge.a.begin_anew(means);
            let again = b.rewritten_for(&answer, &mut bridge.a)?;
            bridge.state = State::Joining;
            bridge.exchange = Some(Exchange::Join {
                offer: answer,
                offered: again.clone(),
            });
            self.put(Output::Reoffer {
                leg: bridge.a.leg,
                offer: Some(again),
            });
            return Ok(());
        }
        let leg = bridge.a.leg;
        let sdp = match (offered, bridge.a.theirs.clone()) {
            (Some(offered), Some(offer)) => {
                match bridge.a.answer_of(b, &offer, &offered, &answer) {
                    Ok(relayed) => {
                        self.connect(bridge, &relayed.streams, Side::A);
                        relayed.sdp
                    }
                    Err(status) => return self.widen_answer(bridge, offer, status),
                }
            }
            // RFC 3261 section 13.2.1: B's offer goes into the 200, A's answer comes in the ACK and goes into the next.
            _ => {
                let offered = b.rewritten_for(&answer, &mut bridge.a)?;
                bridge.exchange = Some(Exchange::LateAnswer {
                    from: Side::A,
                    offer: answer,
                    offered: offered.clone(),
                });
                offered
            }
        };
        bridge.a.stands = true;
        bridge.state = State::Up;
        self.put(Output::Answer { leg, sdp });
        Ok(())
    }

    /// An ACK. It matters where it brings an answer.
    pub(super) fn confirmed(
        &mut self,
        _now: Instant,
        bridge: &mut Bridge,
        leg: LegId,
        answer: Option<String>,
    ) {
        let side = bridge.side_of(leg);
        let Some(Exchange::LateAnswer {
            from,
            offer,
            offered,
        }) = bridge.exchange.take_if(
            |exchange| matches!(exchange, Exchange::LateAnswer { from, .. } if Some(*from) == side),
        )
        else {
            return;
        };
        let Some(answer) = answer else {
            return self.fail(
                bridge,
                NOT_ACCEPTABLE,
                "SIP;cause=488;text=\"No answer to the offer\"",
            );
        };
        let relayed = bridge.pair(from.other()).and_then(|(offerer, answerer)| {
            let relayed = offerer.answer_of(answerer, &offer, &offered, &answer);
            answerer.theirs = Some(answer);
            Some((offerer.leg, relayed.ok()?))
        });
        match relayed {
            Some((leg, relayed)) => {
                self.connect(bridge, &relayed.streams, from.other());
                self.put(Output::Acknowledge {
                    leg,
                    sdp: relayed.sdp,
                });
            }
            None => self.fail(
                bridge,
                NOT_ACCEPTABLE,
                "SIP;cause=488;text=\"Unusable answer\"",
            ),
        }
    }

    /// One side wants to change the session: hold, resume, another codec or address.
    pub(super) fn reinvited(&mut self, bridge: &mut Bridge, leg: LegId, offer: Option<String>) {
        let refuse = |status| Output::AnswerReinvite {
            leg,
            answer: Err(status),
        };
        let side = bridge.side_of(leg);
        let Some(from) = side.filter(|_| bridge.state == State::Up && bridge.exchange.is_none())
        else {
            return self.put(refuse(PENDING));
        };
        let Some((mine, other)) = bridge.pair(from) else {
            return self.put(refuse(PENDING));
        };
        let Some(offer) = offer else {
            let leg = other.leg;
            bridge.exchange = Some(Exchange::LatePassed { from });
            return self.put(Output::Reoffer { leg, offer: None });
        };
        // A session timer's refresh says nothing new, so nobody else need hear of it (RFC 4028 section 7.4).
        if mine.theirs.as_deref() == Some(offer.as_str())
            && let Some(ours) = mine.ours.clone()
        {
            return self.put(Output::AnswerReinvite {
                leg,
                answer: Ok(ours),
            });
        }
        match mine.rewritten_for(&offer, other) {
            Ok(offered) => {
                let leg = other.leg;
                let to_send = Some(offered.clone());
                bridge.exchange = Some(Exchange::Passed {
                    from,
                    offer,
                    offered,
                });
                self.put(Output::Reoffer {
                    leg,
                    offer: to_send,
                });
            }
            Err(status) => self.put(refuse(status)),
        }
    }

    /// What came of an offer of ours in a dialog that stands.
    pub(super) fn reoffered(
        &mut self,
        now: Instant,
        bridge: &mut Bridge,
        leg: LegId,
        result: Result<Option<String>, u16>,
    ) {
        let Some(side) = bridge.side_of(leg) else {
            return;
        };
        if self.reoffer_again(bridge, leg, side, &result) {
            return;
        }
        match bridge.exchange.take() {
            Some(Exchange::Passed {
                from,
                offer,
                offered,
            }) if from != side => self.passed(bridge, from, offer, &offered, result),
            Some(Exchange::LatePassed { from }) if from != side => {
                self.late_passed(bridge, from, result);
            }
            Some(Exchange::Join { offer, offered }) if side == Side::A => {
                let relayed = self.joined(bridge, Side::B, &offer, &offered, result);
                self.join_ended(now, bridge, relayed);
            }
            Some(Exchange::JoinFirst) if side == Side::A => {
                let status = self.join_second(bridge, result);
                if let Err(status) = status {
                    self.join_ended(now, bridge, Err(status));
                }
            }
            Some(Exchange::JoinSecond { offer, offered }) if side == Side::B => {
                let relayed = self.joined(bridge, Side::A, &offer, &offered, result);
                self.join_ended(now, bridge, relayed);
            }
            Some(Exchange::Replacing { offer, offered }) if side == Side::B => {
                let result = self.replaced(bridge, &offer, &offered, result);
                self.join_ended(now, bridge, result);
            }
            other => bridge.exchange = other,
        }
    }

    fn replaced(
        &mut self,
        bridge: &mut Bridge,
        offer: &str,
        offered: &str,
        result: Result<Option<String>, u16>,
    ) -> Result<(), u16> {
        let answer = result.map_err(told_on)?.ok_or(NOT_ACCEPTABLE)?;
        let (a, b) = bridge.pair(Side::A).ok_or(NOT_ACCEPTABLE)?;
        let relayed = a.answer_of(b, offer, offered, &answer)?;
        b.theirs = Some(answer);
        a.stands = true;
        let leg = a.leg;
        self.connect(bridge, &relayed.streams, Side::A);
        self.put(Output::Answer {
            leg,
            sdp: relayed.sdp,
        });
        Ok(())
    }

    fn passed(
        &mut self,
        bridge: &mut Bridge,
        from: Side,
        offer: String,
        offered: &str,
        result: Result<Option<String>, u16>,
    ) {
        let Some((offerer, answerer)) = bridge.pair(from) else {
            return;
        };
        let leg = offerer.leg;
        let relayed = match result {
            Ok(Some(answer)) => {
                let relayed = offerer.answer_of(answerer, &offer, offered, &answer);
                if relayed.is_ok() {
                    offerer.theirs = Some(offer);
                    answerer.theirs = Some(answer);
                }
                relayed
            }
            Ok(None) => Err(NOT_ACCEPTABLE),
            Err(status) => Err(told_on(status)),
        };
        let answer = relayed.map(|relayed| {
            self.connect(bridge, &relayed.streams, from);
            relayed.sdp
        });
        self.put(Output::AnswerReinvite { leg, answer });
    }

    fn late_passed(
        &mut self,
        bridge: &mut Bridge,
        from: Side,
        result: Result<Option<String>, u16>,
    ) {
        let Some((asker, offerer)) = bridge.pair(from) else {
            return;
        };
        let leg = asker.leg;
        let answer = match result {
            Ok(Some(offer)) => {
                let offered = offerer.rewritten_for(&offer, asker);
                if let Ok(offered) = &offered {
                    offerer.theirs = Some(offer.clone());
                    bridge.exchange = Some(Exchange::LateAnswer {
                        from,
                        offer,
                        offered: offered.clone(),
                    });
                }
                offered
            }
            Ok(None) => Err(NOT_ACCEPTABLE),
            Err(status) => Err(told_on(status)),
        };
        self.put(Output::AnswerReinvite { leg, answer });
    }

    /// The last answer between two who are put together.
    fn joined(
        &mut self,
        bridge: &mut Bridge,
        offerer_side: Side,
        offer: &str,
        offered: &str,
        result: Result<Option<String>, u16>,
    ) -> Result<(), u16> {
        let answer = result.map_err(told_on)?.ok_or(NOT_ACCEPTABLE)?;
        let (offerer, answerer) = bridge.pair(offerer_side).ok_or(NOT_ACCEPTABLE)?;
        // What it would tell the offerer is not sent: the offerer's part was said before.
        let said = (offerer.ours.clone(), offerer.local.session_version);
        let relayed = offerer.answer_of(answerer, offer, offered, &answer);
        (offerer.ours, offerer.local.session_version) = said;
        answerer.theirs = Some(answer);
        self.connect(bridge, &relayed?.streams, offerer_side);
        Ok(())
    }

    /// B stands, mostly A does as well, and ports for them are open: A is offered what B last said.
    pub(super) fn join_both(&mut self, bridge: &mut Bridge) {
        let ports = bridge.ports_b.clone();
        let means = [self.means(), self.means()];
        let Some(b) = bridge.b.as_mut() else {
            return;
        };
        b.set_ports(ports);
        for (line, means) in [&mut bridge.a, &mut *b].into_iter().zip(means) {
            if line.stands {
                line.begin_anew(means);
            }
        }
        if !bridge.a.stands {
            let Ok(Some(offered)) = bridge.a.offer_to(b) else {
                return self.fail(
                    bridge,
                    NOT_ACCEPTABLE,
                    "SIP;cause=488;text=\"No common media\"",
                );
            };
            let leg = b.leg;
            bridge.exchange = Some(Exchange::Replacing {
                offer: bridge.a.theirs.clone().unwrap_or_default(),
                offered: offered.clone(),
            });
            return self.put(Output::Reoffer {
                leg,
                offer: Some(offered),
            });
        }
        let Ok(Some(offered)) = b.offer_to(&mut bridge.a) else {
            return self.fail(
                bridge,
                NOT_ACCEPTABLE,
                "SIP;cause=488;text=\"No common media\"",
            );
        };
        bridge.exchange = Some(Exchange::JoinFirst);
        self.put(Output::Reoffer {
            leg: bridge.a.leg,
            offer: Some(offered),
        });
    }

    fn join_second(
        &mut self,
        bridge: &mut Bridge,
        result: Result<Option<String>, u16>,
    ) -> Result<(), u16> {
        let offer = result.map_err(told_on)?.ok_or(NOT_ACCEPTABLE)?;
        bridge.a.theirs = Some(offer.clone());
        let (a, b) = bridge.pair(Side::A).ok_or(NOT_ACCEPTABLE)?;
        let offered = a.rewritten_for(&offer, b)?;
        let leg = b.leg;
        bridge.exchange = Some(Exchange::JoinSecond {
            offer,
            offered: offered.clone(),
        });
        self.put(Output::Reoffer {
            leg,
            offer: Some(offered),
        });
        Ok(())
    }
}

impl Bridge {
    /// The line of one side, and that of the other.
    pub(super) fn pair(&mut self, side: Side) -> Option<(&mut Line, &mut Line)> {
        let b = self.b.as_mut()?;
        Some(match side {
            Side::A => (&mut self.a, b),
            Side::B => (b, &mut self.a),
        })
    }
}

/// What one phone refused, in words that the other understands as "not this session".
fn told_on(status: u16) -> u16 {
    match status {
        415 | 488 | 491 | 606 => status,
        _ => NOT_ACCEPTABLE,
    }
}
