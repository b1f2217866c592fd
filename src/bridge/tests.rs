//! Bridges by script: what goes in, and what the endpoint, the relay and the records would be told. No dialog, no packet.

mod adopt;
mod again;
mod offers;
mod transfers;

use std::collections::HashMap;

use sip::offer_answer::{Fingerprint, NegotiatedSecurity};
use sip::{FlowTarget, Host, Transport, Uri};

use super::*;
use crate::config::Config;
use crate::routing::{DialPlan, Outside};

const PLAN: &str = r#"
    [[users]]
    name = "anna"
    extensions = ["200"]
    ring_s = 20
    [[users]]
    name = "bert"
    extensions = ["201"]
    ring_s = 20
    [[users]]
    name = "carl"
    extensions = ["202"]
    forward_busy = "201"
    forward_no_answer = "201"
    forward_unregistered = "100"
    voicemail = false
    [[users]]
    name = "loop"
    extensions = ["203"]
    forward_unregistered = "203"
    voicemail = false
    [[groups]]
    number = "300"
    members = ["bert", "carl"]
    [[groups]]
    number = "301"
    members = ["bert", "carl"]
    ring = "one_by_one"
    ring_s = 10
    [[trunks]]
    name = "line"
    host = "192.0.2.9"
    prefix = "0"
    add = "+49"
    calls_max = 2
    [outbound]
    allowed = ["+49*"]
    calls_per_user_per_day = 2
    calls_per_user_max = 1
    "#;

fn sdp(port: u16, more: &str) -> String {
    format!(
        "v=0\r\no=- 7 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n{more}"
    )
}

struct World {
    plan: DialPlan,
    /// Phones by user: the last number of each one's address.
    phones: HashMap<String, Vec<u8>>,
    /// Nobody reads along on the way to the phones.
    is_private: bool,
}

fn target(party: Party, host: u8) -> Target {
    let remote = format!("10.0.0.{host}:5060").parse().expect("an address");
    let local: std::net::SocketAddr = "10.0.0.1:5060".parse().expect("an address");
    Target {
        party,
        uri: Uri::sip(Some("phone"), Host::V4([10, 0, 0, host].into()), None),
        flow: FlowTarget {
            transport: Transport::Udp,
            local,
            remote,
        },
        anchor: anchor(host),
        trunk: None,
    }
}

fn anchor(host: u8) -> Anchor {
    Anchor {
        bind: [10, 0, 0, 1].into(),
        shown: [10, 0, 0, 1].into(),
        peer: [10, 0, 0, host].into(),
        is_private: false,
        is_encrypted: false,
        is_web: false,
    }
}

impl View for World {
    fn plan(&self) -> &DialPlan {
        &self.plan
    }

    fn phones(&self, user: &str) -> Vec<Target> {
        let hosts = self.phones.get(user).cloned().unwrap_or_default();
        let party = Party::User(user.to_owned());
        let phone = |host| {
            let mut phone = target(party.clone(), host);
            phone.anchor.is_private = self.is_private;
            phone
        };
        hosts.into_iter().map(phone).collect()
    }

    fn outside(&self, call: &Outside, _payer: &str) -> Option<Target> {
        Some(target(Party::Trunk(call.trunk), 99))
    }

    fn day(&self) -> u32 {
        1
    }
}

struct Rig {
    bridges: Bridges,
    world: World,
    /// Callers are browsers.
    from_web: bool,
    now: Instant,
    said: Vec<String>,
    /// Legs by the order in which they came up: `1` is the first caller.
    legs: Vec<LegId>,
    /// Descriptions that were offered, oldest first.
    offers: Vec<String>,
    answers: Vec<String>,
    /// How the caller's side of relays is protected, oldest first.
    secured: Vec<NegotiatedSecurity>,
    ports: u16,
    relays_open: i32,
    begun: i32,
}

impl Rig {
    fn new(phones: &[(&str, &[u8])]) -> Rig {
        Rig::with(phones, sip::offer_answer::SecurityPolicy::Off)
    }

    fn with(phones: &[(&str, &[u8])], security: sip::offer_answer::SecurityPolicy) -> Rig {
        Rig::with_certificates(phones, security, Vec::new())
    }

    fn with_certificates(
        phones: &[(&str, &[u8])],
        security: sip::offer_answer::SecurityPolicy,
        fingerprints: Vec<Fingerprint>,
    ) -> Rig {
        let (config, _) = Config::parse(PLAN, &[]).expect("a config");
        let mut plan = DialPlan::new(&config);
        plan.set_accounts(["anna", "bert", "carl", "loop"].map(str::to_owned).to_vec());
        let phones = phones
            .iter()
            .map(|(user, hosts)| ((*user).to_owned(), hosts.to_vec()));
        Rig {
            bridges: Bridges::new(BridgeConfig {
                bridges_max: 8,
                per_user_max: 3,
                duration_max: Duration::from_secs(3600),
                seed: [1; 32],
                security,
                fingerprints,
                codecs: sip::offer_answer::AudioCodec::ALL.to_vec(),
            }),
            world: World {
                plan,
                phones: phones.collect(),
                is_private: false,
            },
            from_web: false,
            now: Instant::now(),
            said: Vec::new(),
            legs: Vec::new(),
            offers: Vec::new(),
            answers: Vec::new(),
            secured: Vec::new(),
            ports: 20_000,
            relays_open: 0,
            begun: 0,
        }
    }

    fn number(&mut self, leg: LegId) -> usize {
        if !self.legs.contains(&leg) {
            self.legs.push(leg);
        }
        self.legs
            .iter()
            .position(|known| *known == leg)
            .expect("just put there")
            + 1
    }

    fn handle(&mut self, input: Input) -> String {
        self.said.clear();
        self.bridges.handle(self.now, input, &self.world);
        self.drain();
        self.said.join("; ")
    }

    fn drain(&mut self) {
        while let Some(output) = self.bridges.poll_output() {
            let text = match output {
                Output::Call {
                    leg, target, offer, ..
                } => {
                    self.offers.extend(offer.clone());
                    let offer = if offer.is_some() {
                        ""
                    } else {
                        " without offer"
                    };
                    format!(
                        "call {}={}{offer}",
                        self.number(leg),
                        target.flow.remote.ip()
                    )
                }
                Output::Provisional { leg, status, sdp } => {
                    let sdp = if sdp.is_some() { " sdp" } else { "" };
                    format!("{status}{sdp} to {}", self.number(leg))
                }
                Output::Answer { leg, sdp } => {
                    assert!(
                        !sdp.contains("10.0.0.9"),
                        "an inside address gets out: {sdp}"
                    );
                    self.answers.push(sdp);
                    format!("answer {}", self.number(leg))
                }
                Output::Reject { leg, status, .. } => {
                    format!("reject {} {status}", self.number(leg))
                }
                Output::Hangup { leg, reason } => {
                    let elsewhere = reason.is_some_and(|reason| reason.contains("elsewhere"));
                    let why = if elsewhere { " elsewhere" } else { "" };
                    format!("hang up {}{why}", self.number(leg))
                }
                Output::Reoffer { leg, offer } => {
                    self.offers.extend(offer.clone());
                    let offer = if offer.is_some() {
                        ""
                    } else {
                        " without offer"
                    };
                    format!("reoffer {}{offer}", self.number(leg))
                }
                Output::Acknowledge { leg, .. } => format!("acknowledge {}", self.number(leg)),
                Output::AnswerReinvite { leg, answer } => match answer {
                    Ok(_) => format!("accept {}", self.number(leg)),
                    Err(status) => format!("refuse {} {status}", self.number(leg)),
                },
                Output::AnswerTransfer { leg, answer } => {
                    format!("transfer {} {answer:?}", self.number(leg))
                }
                Output::TransferProgress { leg, status } => {
                    format!("notify {} {status}", self.number(leg))
                }
                Output::SendDigit { leg, digit, .. } => {
                    format!("digit {} {digit}", self.number(leg))
                }
                Output::OpenRelay { relay, streams, .. } => {
                    self.relays_open += 1;
                    let mut ports = || {
                        (0..streams)
                            .map(|_| {
                                self.ports += 2;
                                self.ports
                            })
                            .collect::<Vec<u16>>()
                    };
                    let ports = Some([ports(), ports()]);
                    let input = Input::RelayOpened { relay, ports };
                    self.bridges.handle(self.now, input, &self.world);
                    continue;
                }
                Output::Transcode { peers, .. } => {
                    let [a, b] = peers.map(|peer| peer.codec);
                    format!("transcode {a:?} {b:?}")
                }
                Output::Connect { side, peer, .. } => {
                    if side == Side::A {
                        self.secured.push(peer.security);
                    }
                    continue;
                }
                Output::Talking { .. } => continue,
                Output::Begun { .. } => {
                    self.begun += 1;
                    continue;
                }
                Output::CloseRelay { .. } => {
                    self.relays_open -= 1;
                    continue;
                }
                Output::Serve {
                    leg,
                    service,
                    standing,
                    ..
                } => {
                    let how = if standing { "standing " } else { "" };
                    format!(
                        "serve {how}{} {:?} {:?}",
                        self.number(leg),
                        service.answerer,
                        service.message_for
                    )
                }
                Output::GiveBack { leg, status } => format!("back {} {status}", self.number(leg)),
                Output::Moved { leg } => format!("moved {}", self.number(leg)),
                Output::Refused { status, .. } => format!("log {status}"),
                Output::Over { end, .. } => {
                    self.begun -= 1;
                    format!("over{}", if end.was_answered { " talked" } else { "" })
                }
                Output::Metered { calls, .. } => format!("metered {calls}"),
            };
            self.said.push(text);
        }
    }

    fn leg(&self, number: usize) -> LegId {
        self.legs[number - 1]
    }

    fn dial(&mut self, user: &str, dialled: &str, offer: Option<String>) -> String {
        let leg = self.bridges.new_leg();
        self.number(leg);
        let destination = self.world.plan.find(dialled, Some(user)).expect("a number");
        self.handle(Input::Incoming(Incoming {
            leg,
            caller: Party::User(user.to_owned()),
            shown: Shown::default(),
            dialled: dialled.to_owned(),
            destination,
            offer,
            anchor: Anchor {
                is_web: self.from_web,
                ..anchor(2)
            },
            remote: "10.0.0.2:5060".parse().expect("an address"),
            replaces: None,
        }))
    }

    fn progress(&mut self, leg: usize, status: u16) -> String {
        let leg = self.leg(leg);
        self.handle(Input::Progress {
            leg,
            status,
            sdp: None,
        })
    }

    fn answer(&mut self, leg: usize) -> String {
        let leg = self.leg(leg);
        let answer = Some(sdp(5_000, ""));
        self.handle(Input::Answered { leg, answer })
    }

    fn end(&mut self, leg: usize, status: u16) -> String {
        let leg = self.leg(leg);
        let end = LegEnd {
            status,
            reason: None,
            text: "ended".to_owned(),
            is_failure: false,
        };
        self.handle(Input::Ended { leg, end })
    }

    fn reoffered(&mut self, leg: usize, result: Result<Option<String>, u16>) -> String {
        let leg = self.leg(leg);
        self.handle(Input::Reoffered { leg, result })
    }

    fn transfer(&mut self, leg: usize, number: &str, replaces: Option<usize>) -> String {
        let replaces = replaces.map(|leg| self.leg(leg));
        let (leg, number) = (self.leg(leg), number.to_owned());
        self.handle(Input::Transfer {
            leg,
            number,
            replaces,
        })
    }

    fn wait(&mut self, seconds: u64) -> String {
        self.now += Duration::from_secs(seconds);
        self.handle(Input::Timeout)
    }

    /// Nothing is left of any call.
    fn rest(&self) {
        assert!(self.bridges.is_empty(), "a bridge is left");
        assert_eq!(self.bridges.legs_len(), 0, "a leg is left");
        assert_eq!(self.relays_open, 0, "ports are left open");
        assert_eq!(self.begun, 0, "each call that began is over once");
        assert_eq!(self.bridges.next_timeout(), None);
    }
}

fn offer() -> Option<String> {
    Some(sdp(4_000, "a=sendrecv\r\n"))
}

#[test]
fn the_first_phone_that_answers_has_the_call() {
    let mut rig = Rig::new(&[("bert", &[3, 4, 5])]);
    assert_eq!(
        rig.dial("anna", "201", offer()),
        "call 2=10.0.0.3; call 3=10.0.0.4; call 4=10.0.0.5"
    );
    assert_eq!(rig.progress(2, 180), "180 to 1");
    assert_eq!(rig.progress(3, 180), "", "told once");
    assert_eq!(rig.end(4, 486), "");
    assert_eq!(rig.answer(3), "hang up 2 elsewhere; answer 1");
    assert_eq!(
        rig.answer(2),
        "hang up 2 elsewhere",
        "it crossed our CANCEL"
    );
    let leg = rig.leg(1);
    assert_eq!(
        rig.handle(Input::Digit {
            leg,
            digit: '5',
            duration_ms: 100
        }),
        "digit 3 5"
    );
    assert_eq!(rig.end(1, 0), "hang up 3; over talked");
    rig.rest();
}

#[test]
fn how_calls_that_nobody_takes_end() {
    // Who has phones, what is dialled, how the phones end, what becomes of the caller.
    let rows: [(&str, &[u16], &str); 9] = [
        ("201", &[486], "serve 1 Message Some(\"bert\"); over"),
        ("201", &[480], "serve 1 Message Some(\"bert\"); over"),
        ("202", &[486], "call 3=10.0.0.3"),
        ("202", &[486, 486], "serve 1 Message Some(\"bert\"); over"),
        ("202", &[404], "serve 1 Agent None; over"),
        ("202", &[603], "call 3=10.0.0.3"),
        ("300", &[486, 600], "reject 1 600; over"),
        ("300", &[503, 480], "reject 1 480; over"),
        ("301", &[486], "call 3=10.0.0.4"),
    ];
    for (dialled, statuses, expected) in rows {
        let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
        rig.dial("anna", dialled, offer());
        let mut last = String::new();
        for (n, status) in statuses.iter().enumerate() {
            last = rig.end(2 + n, *status);
        }
        assert_eq!(last, expected, "{dialled} {statuses:?}");
        rig.end(1, 487);
        rig.rest();
    }
}

#[test]
fn nobody_is_registered() {
    let mut rig = Rig::new(&[]);
    assert_eq!(
        rig.dial("anna", "201", offer()),
        "serve 1 Message Some(\"bert\")"
    );
    assert_eq!(rig.dial("anna", "202", offer()), "serve 2 Agent None");
    assert_eq!(
        rig.dial("anna", "203", offer()),
        "log 480; reject 3 480",
        "a loop ends"
    );
    assert_eq!(rig.dial("anna", "300", offer()), "log 480; reject 4 480");
    rig.rest();
}

#[test]
fn ringing_ends() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    assert_eq!(rig.dial("anna", "301", offer()), "call 2=10.0.0.3");
    assert_eq!(rig.wait(9), "");
    assert_eq!(rig.wait(2), "hang up 2; call 3=10.0.0.4");
    assert_eq!(rig.end(2, 487), "", "its end is old news");
    assert_eq!(rig.wait(11), "hang up 3; reject 1 480; over");
    rig.rest();
    assert_eq!(rig.dial("anna", "201", offer()), "call 5=10.0.0.3");
    assert_eq!(rig.end(4, 487), "hang up 5; over", "the caller gives up");
    rig.rest();
}

#[test]
fn a_caller_does_not_ring_their_own_phone() {
    let mut rig = Rig::new(&[("anna", &[2, 7])]);
    assert_eq!(rig.dial("anna", "200", offer()), "call 2=10.0.0.7");
    assert_eq!(rig.end(1, 487), "hang up 2; over");
    rig.rest();
}

#[test]
fn calls_outside_are_limited() {
    let mut rig = Rig::new(&[]);
    assert_eq!(
        rig.dial("anna", "030123", offer()),
        "metered 1; call 2=10.0.0.99"
    );
    assert_eq!(
        rig.dial("anna", "030124", offer()),
        "log 403; reject 3 403",
        "one at once"
    );
    rig.answer(2);
    assert_eq!(rig.end(1, 0), "hang up 2; metered 0; over talked");
    assert_eq!(
        rig.dial("anna", "030123", offer()),
        "metered 1; call 5=10.0.0.99"
    );
    assert_eq!(rig.end(5, 486), "reject 4 486; over");
    assert_eq!(
        rig.dial("anna", "030123", offer()),
        "log 403; reject 6 403",
        "two a day"
    );
    assert_eq!(
        rig.dial("bert", "030123", offer()),
        "metered 1; call 8=10.0.0.99"
    );
    assert_eq!(rig.end(7, 487), "hang up 8; over");
    rig.rest();
}

#[test]
fn the_best_refusal_is_told() {
    let rows: [(&[u16], u16); 9] = [
        (&[], 480),
        (&[486, 480], 486),
        (&[404, 603, 486], 603),
        (&[408], 480),
        (&[401, 407], 480),
        (&[503], 500),
        (&[503, 404], 404),
        (&[488, 480], 488),
        (&[302], 480),
    ];
    for (statuses, expected) in rows {
        assert_eq!(best_status(statuses), expected, "{statuses:?}");
    }
}

#[test]
fn everything_ends_when_the_program_does() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    rig.dial("anna", "201", offer());
    let said = rig.handle(Input::HangUpAll);
    assert_eq!(
        said,
        "hang up 1; hang up 2; over talked; hang up 4; reject 3 480; over"
    );
    rig.rest();
    assert_eq!(rig.dial("anna", "201", offer()), "reject 5 503");
}
