//! The connection to a gateway: challenge, proof, greeting, the requests under way, who is silent for too long, and when
//! to try again. Owns their order and their waits; neither sockets nor what is asked.
//! PURE.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde::Serialize;
use serde_json::Value;

use super::companion::Companion;
use super::error::LinkError;
use super::identity::DeviceKey;
use super::wire::{self, Incoming, SCOPES, WireError};

/// Requests that wait for an answer. The next one is refused.
pub const REQUESTS_MAX: usize = 128;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// From the open socket to the greeting. A gateway that has just started is slow.
const GREETING_TIMEOUT: Duration = Duration::from_secs(20);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// The same on this machine, where an attempt costs nothing: a gateway that restarts is missed in a call.
pub const BACKOFF_MAX_NEAR: Duration = Duration::from_secs(3);
/// Between attempts that only a person's action can help.
const BACKOFF_OWNER: Duration = Duration::from_secs(60);
/// A pairing may be approved any moment.
const BACKOFF_PAIRING: Duration = Duration::from_secs(5);
const STARTING_MIN: Duration = Duration::from_millis(250);
/// What a gateway that says nothing about it is taken to send a tick in.
const TICK: Duration = Duration::from_secs(30);
const TICK_MIN: Duration = Duration::from_secs(1);
const TICK_MAX: Duration = Duration::from_secs(300);

/// What a link needs to know.
#[derive(Debug)]
pub struct LinkConfig {
    /// Shown in the gateway's list of devices.
    pub name: String,
    /// The gateway's own token; empty: none.
    pub token: String,
    /// The token that the gateway gave this device; empty: none.
    pub device_token: String,
    /// The longest pause between attempts.
    pub backoff_max: Duration,
}

/// A gateway that has greeted us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// OpenClaw's version.
    pub version: String,
    pub protocol: u32,
    /// Changes with each start of the gateway.
    pub boot: String,
    pub default_agent: String,
    /// This device is in the gateway's list, and has a token of its own.
    pub is_paired: bool,
    /// What it has of our plugin.
    pub companion: Companion,
}

/// How the link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    Connecting,
    Ready(Arc<Hello>),
    /// It is tried again by itself.
    Down(LinkError),
}

/// What is wanted to be known of a request when its answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    Connect,
    Send {
        run: String,
    },
    History {
        run: String,
    },
    Approvals {
        is_plugin: bool,
    },
    Resolve {
        ticket: u64,
    },
    /// The version of our plugin there.
    Companion,
    Append {
        ticket: u64,
    },
    Unimportant,
}

#[derive(Debug)]
pub enum LinkInput<'a> {
    /// The socket that `Dial` asked for is open.
    Opened,
    Text(&'a str),
    /// It could not be opened, or is closed.
    Closed(LinkError),
    /// Somebody waits for the link: no longer pause than needed.
    Wake,
    Timeout,
}

#[derive(Debug, PartialEq)]
pub enum LinkOutput {
    /// Open a socket. The one before is gone.
    Dial,
    HangUp,
    Write(String),
    State(LinkState),
    /// To be kept for the next start.
    KeepDeviceToken(String),
    Answered {
        tag: Tag,
        result: Result<Value, LinkError>,
    },
    Event(Incoming),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Until then, after an attempt at that time.
    Resting {
        until: Instant,
        since: Instant,
        can_hurry: bool,
    },
    Dialling,
    /// The socket is open; greeted by then or never.
    Greeting {
        by: Instant,
    },
    Ready,
}

#[derive(Debug)]
struct Pending {
    tag: Tag,
    by: Instant,
}

#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    key: DeviceKey,
    rng: StdRng,
    stage: Stage,
    outputs: VecDeque<LinkOutput>,
    pending: BTreeMap<u64, Pending>,
    next_id: u64,
    /// Attempts since the last greeting.
    attempts: u32,
    heard_at: Instant,
    tick: Duration,
    /// The gateway's token was refused, and this device has one of its own.
    uses_device_token: bool,
}

impl Link {
    /// `seed` spreads the attempts. The first `Dial` is among the outputs at once.
    pub fn new(config: LinkConfig, key: DeviceKey, seed: [u8; 32], now: Instant) -> Link {
        let uses_device_token = config.token.is_empty();
        Link {
            config,
            key,
            rng: StdRng::from_seed(seed),
            stage: Stage::Dialling,
            outputs: VecDeque::from([LinkOutput::State(LinkState::Connecting), LinkOutput::Dial]),
            pending: BTreeMap::new(),
            next_id: 1,
            attempts: 0,
            heard_at: now,
            tick: TICK,
            uses_device_token,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    pub fn poll_output(&mut self) -> Option<LinkOutput> {
        self.outputs.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Resting { until, .. } => Some(*until),
            Stage::Dialling => None,
            Stage::Greeting { by } => Some(*by),
            Stage::Ready => Some(self.silent_at()),
        };
        let requests = self.pending.values().map(|pending| pending.by);
        stage.into_iter().chain(requests).min()
    }

    pub fn handle(&mut self, now: Instant, input: LinkInput<'_>) {
        match input {
            LinkInput::Opened if self.stage == Stage::Dialling => {
                self.heard_at = now;
                self.stage = Stage::Greeting {
                    by: now + GREETING_TIMEOUT,
                };
            }
            LinkInput::Text(text)
                if matches!(self.stage, Stage::Greeting { .. } | Stage::Ready) =>
            {
                self.heard_at = now;
                self.frame(now, text);
            }
            LinkInput::Closed(why) if !matches!(self.stage, Stage::Resting { .. }) => {
                self.rest(now, why)
            }
            LinkInput::Wake => self.wake(now),
            LinkInput::Timeout => self.timeout(now),
            LinkInput::Opened | LinkInput::Text(_) | LinkInput::Closed(_) => {}
        }
    }

    /// Sends a request whose answer comes as `Answered` with this tag, in any case.
    pub fn request(&mut self, now: Instant, method: &str, params: impl Serialize, tag: Tag) {
        self.request_within(now, REQUEST_TIMEOUT, method, params, tag);
    }

    /// The same where somebody waits no longer than `patience`.
    pub fn request_within(
        &mut self,
        now: Instant,
        patience: Duration,
        method: &str,
        params: impl Serialize,
        tag: Tag,
    ) {
        let refusal = match () {
            () if !self.is_ready() && tag != Tag::Connect => Some(LinkError::Unreachable {
                why: "there is no link at the moment".to_owned(),
            }),
            () if self.pending.len() >= REQUESTS_MAX => Some(LinkError::Full),
            () => None,
        };
        if let Some(error) = refusal {
            let result = Err(error);
            return self.outputs.push_back(LinkOutput::Answered { tag, result });
        }
        let id = self.next_id;
        self.next_id += 1;
        let text = wire::request(id, method, params);
        self.pending.insert(
            id,
            Pending {
                tag,
                by: now + patience,
            },
        );
        self.outputs.push_back(LinkOutput::Write(text));
    }

    fn silent_at(&self) -> Instant {
        self.heard_at + self.tick * 2
    }

    fn frame(&mut self, now: Instant, text: &str) {
        match wire::parse(text) {
            // Before the greeting only one who speaks the protocol may go on; later a frame that is not
            // understood is not the last one.
            None if !self.is_ready() => self.drop_socket(now, LinkError::NotAGateway),
            None => {}
            Some(Incoming::Challenge { nonce, at_ms }) => self.prove(now, &nonce, at_ms),
            Some(Incoming::Response { id, result }) => self.answered(now, id, result),
            Some(_) if !self.is_ready() => {}
            Some(event) => self.outputs.push_back(LinkOutput::Event(event)),
        }
    }

    fn prove(&mut self, now: Instant, nonce: &str, at_ms: u64) {
        let is_asked = self
            .pending
            .values()
            .any(|pending| pending.tag == Tag::Connect);
        if self.is_ready() || is_asked {
            return;
        }
        let token = match self.uses_device_token {
            true => self.config.device_token.clone(),
            false => self.config.token.clone(),
        };
        let device = self.key.prove(nonce, at_ms, &token);
        let id = self.next_id;
        self.next_id += 1;
        let text = wire::request(
            id,
            "connect",
            wire::connect(&self.config.name, &token, device),
        );
        let by = now + GREETING_TIMEOUT;
        self.pending.insert(
            id,
            Pending {
                tag: Tag::Connect,
                by,
            },
        );
        self.outputs.push_back(LinkOutput::Write(text));
    }

    fn answered(&mut self, now: Instant, id: u64, result: Result<Value, WireError>) {
        // An answer to a question of another connection, or of nobody.
        let Some(Pending { tag, .. }) = self.pending.remove(&id) else {
            return;
        };
        if tag == Tag::Connect {
            return match result {
                Ok(payload) => self.greeted(now, &payload),
                Err(error) => self.refused(now, &error),
            };
        }
        let result = result.map_err(|error| LinkError::of_request(&error));
        self.outputs.push_back(LinkOutput::Answered { tag, result });
    }

    fn greeted(&mut self, now: Instant, payload: &Value) {
        let auth = &payload["auth"];
        let scopes = auth["scopes"].as_array().map_or(&[][..], Vec::as_slice);
        if SCOPES
            .iter()
            .any(|wanted| !scopes.iter().any(|scope| scope == wanted))
        {
            return self.drop_socket(now, LinkError::Scopes);
        }
        let text = |value: &Value| -> String {
            let text = value.as_str().unwrap_or_default();
            text.chars().filter(|c| !c.is_control()).take(128).collect()
        };
        let fresh = text(&auth["deviceToken"]);
        if !fresh.is_empty() && fresh != self.config.device_token {
            self.config.device_token.clone_from(&fresh);
            self.outputs.push_back(LinkOutput::KeepDeviceToken(fresh));
        }
        let tick_ms = payload["policy"]["tickIntervalMs"].as_u64();
        self.tick = tick_ms
            .map_or(TICK, Duration::from_millis)
            .clamp(TICK_MIN, TICK_MAX);
        self.stage = Stage::Ready;
        self.attempts = 0;
        let default_agent = text(&payload["snapshot"]["sessionDefaults"]["defaultAgentId"]);
        let hello = Hello {
            version: text(&payload["server"]["version"]),
            protocol: wire::PROTOCOL,
            boot: text(&payload["server"]["bootId"]),
            default_agent: match default_agent.as_str() {
                "" => "main".to_owned(),
                _ => default_agent,
            },
            is_paired: !self.config.device_token.is_empty(),
            companion: Companion::offered(&payload["features"]["methods"]),
        };
        self.outputs
            .push_back(LinkOutput::State(LinkState::Ready(Arc::new(hello))));
    }

    fn refused(&mut self, now: Instant, error: &WireError) {
        let why = LinkError::of_connect(error);
        let has_device_token = !self.config.device_token.is_empty();
        match why {
            // Once: the gateway's token was changed, and this device's own may still be good.
            LinkError::Token
                if error.can_use_device_token && has_device_token && !self.uses_device_token =>
            {
                self.uses_device_token = true;
                self.drop_socket(now, why);
            }
            LinkError::Token => {
                self.uses_device_token = self.config.token.is_empty();
                self.drop_socket(now, why);
            }
            why => self.drop_socket(now, why),
        }
    }

    fn drop_socket(&mut self, now: Instant, why: LinkError) {
        self.outputs.push_back(LinkOutput::HangUp);
        self.rest(now, why);
    }

    fn rest(&mut self, now: Instant, why: LinkError) {
        for (_, Pending { tag, .. }) in std::mem::take(&mut self.pending) {
            if tag != Tag::Connect {
                let result = Err(why.clone());
                self.outputs.push_back(LinkOutput::Answered { tag, result });
            }
        }
        let pause = match &why {
            LinkError::Starting { retry_after } => (*retry_after).max(STARTING_MIN),
            LinkError::NotPaired { .. } => BACKOFF_PAIRING,
            LinkError::Token if self.uses_device_token && !self.config.token.is_empty() => {
                BACKOFF_MIN
            }
            why if why.needs_owner() => BACKOFF_OWNER,
            _ => {
                let doubled = BACKOFF_MIN * 2u32.pow(self.attempts.min(5));
                self.attempts += 1;
                doubled.min(self.config.backoff_max)
            }
        };
        // A fifth more or less, so that several programs do not come back in one moment.
        let spread = self.rng.random_range(0.8..1.2);
        self.stage = Stage::Resting {
            until: now
                + pause
                    .mul_f64(spread)
                    .clamp(STARTING_MIN, BACKOFF_OWNER.mul_f64(1.2)),
            since: now,
            can_hurry: !why.needs_owner(),
        };
        self.outputs
            .push_back(LinkOutput::State(LinkState::Down(why)));
    }

    fn wake(&mut self, now: Instant) {
        if let Stage::Resting {
            until,
            since,
            can_hurry: true,
        } = &mut self.stage
        {
            *until = (*until).min(*since + BACKOFF_MIN).max(now);
        }
    }

    fn timeout(&mut self, now: Instant) {
        match self.stage {
            Stage::Resting { until, .. } if until <= now => {
                self.stage = Stage::Dialling;
                self.outputs.push_back(LinkOutput::Dial);
            }
            Stage::Greeting { by } if by <= now => self.drop_socket(now, LinkError::Late),
            Stage::Ready if self.silent_at() <= now => self.drop_socket(now, LinkError::Silent),
            _ => {}
        }
        let late: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, one)| one.by <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(Pending { tag, .. }) = self.pending.remove(&id) {
                if tag == Tag::Connect {
                    self.drop_socket(now, LinkError::Late);
                    return;
                }
                let result = Err(LinkError::Late);
                self.outputs.push_back(LinkOutput::Answered { tag, result });
            }
        }
    }
}
