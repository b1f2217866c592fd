//! The invariants that need a memory: what was asked, committed, synthesised, sent and heard.
//! Panics with a sentence at the first step that breaks one.
//! PURE.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent_bridge::conversation::Role;
use agent_bridge::turn::{Entry, ReplyId};
use media::codec::{Codec, Decoder};
use media::rtp::Packet;

use crate::workers::{LEVELS, SAMPLES_PER_LETTER, VOICE_LEVEL, level};

const FRAME: Duration = Duration::from_millis(20);

#[derive(Default)]
pub struct Ledger {
    pub asked: HashMap<ReplyId, &'static str>,
    /// What was asked before the turn was over, and what became of it.
    guesses: HashSet<ReplyId>,
    pub hits: u32,
    pub misses: u32,
    /// Tool calls that arrived for a guess.
    pub guessed_tools: u32,
    pub alarms: u32,
    committed: HashSet<ReplyId>,
    /// What the one who answers was told to have been heard, and whether that was the last word on it.
    told: HashMap<ReplyId, (String, bool)>,
    /// The latest reply of each loudness, and packets in which one was recognised.
    by_level: HashMap<u32, ReplyId>,
    pub recognised: u64,
    pub hangups: u32,
    /// Where our packets may go.
    pub phone: Vec<SocketAddr>,
    /// The phone wants no sound; packets after this moment break its word.
    pub held: bool,
    /// The last packet of ours, if nothing has interrupted the stream since.
    last_packet: Option<Instant>,
    packets: u64,
    decoder: Option<Decoder>,
    /// 16 kHz samples of voice that went out, and those that somebody must have heard.
    voiced_sent: u64,
    voiced_claimed: u64,
}

impl Ledger {
    pub fn new(phone: SocketAddr) -> Ledger {
        Ledger {
            phone: vec![phone],
            ..Ledger::default()
        }
    }

    /// One packet of sound leaves. `is_paced`: it is our own, not an echo.
    pub fn rtp(&mut self, now: Instant, to: SocketAddr, data: &[u8], is_paced: bool) {
        assert!(
            self.phone.contains(&to),
            "sound goes to {to}, which is not the phone"
        );
        assert!(!self.held, "sound goes to a phone that holds the call");
        self.packets += 1;
        if !is_paced {
            return;
        }
        if let Some(last) = self.last_packet.replace(now) {
            assert_eq!(
                now - last,
                FRAME,
                "one packet per 20 ms, no more and no fewer"
            );
        }
        let packet = Packet::parse(data).expect("we send RTP");
        let decoder = self
            .decoder
            .get_or_insert_with(|| Decoder::new(Codec::Pcmu));
        let samples = decoder.decode(packet.payload);
        let voiced = samples
            .iter()
            .filter(|sample| sample.unsigned_abs() > VOICE_LEVEL.unsigned_abs() / 4);
        self.voiced_sent += voiced.count() as u64;
        self.audible(&samples);
    }

    /// Whose sound a packet is full of: of something committed or our own, never a guess or what was called off.
    fn audible(&mut self, samples: &[i16]) {
        for (step, id) in &self.by_level {
            let level = f64::from(level(ReplyId(*step)));
            let near = samples
                .iter()
                .filter(|sample| (f64::from(**sample) / level - 1.0).abs() < 0.06);
            if near.count() * 10 < samples.len() * 9 {
                continue;
            }
            self.recognised += 1;
            let stage = self.asked.get(id);
            assert!(
                matches!(stage, None | Some(&"committed")),
                "{id:?} is audible, which is {stage:?}"
            );
        }
    }

    /// An alarm names the reply that set it.
    fn alarm(&mut self, text: &str) {
        let Some((_, rest)) = text.split_once("tea") else {
            return;
        };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(id) = digits.parse() {
            self.alarms += 1;
            let id = ReplyId(id);
            assert!(
                self.committed.contains(&id),
                "{id:?} set a timer as a guess"
            );
        }
    }

    pub fn tool_told(&mut self, id: ReplyId) {
        let is_guess = self.asked.get(&id) == Some(&"asked");
        self.guessed_tools += u32::from(is_guess);
    }

    /// The stream may rest from here: hold, resume, another address.
    pub fn stream_changes(&mut self) {
        self.last_packet = None;
    }

    pub fn ask(&mut self, id: ReplyId, is_guess: bool) {
        if is_guess {
            self.guesses.insert(id);
        }
        assert_eq!(
            self.asked.insert(id, "asked"),
            None,
            "a reply id is used twice"
        );
    }

    pub fn commit(&mut self, id: ReplyId) {
        self.hits += u32::from(self.guesses.contains(&id));
        self.committed.insert(id);
        assert_eq!(
            self.asked.insert(id, "committed"),
            Some("asked"),
            "commit of what was not asked"
        );
    }

    /// A reply is heard from its beginning on, after its commit, and once for good.
    pub fn told_heard(&mut self, id: ReplyId, text: &str, is_over: bool) {
        assert!(
            self.committed.contains(&id),
            "{id:?} was heard before its commit"
        );
        let (before, was_over) = self.told.entry(id).or_default();
        assert!(!*was_over, "{id:?} was over, and is heard again");
        assert!(
            text.starts_with(before.as_str()),
            "{before:?} was heard of {id:?}, and then {text:?}"
        );
        (*before, *was_over) = (text.to_owned(), is_over);
    }

    pub fn cancel(&mut self, id: ReplyId) {
        self.misses += u32::from(self.asked.get(&id) == Some(&"asked"));
        assert!(
            self.asked.insert(id, "cancelled").is_some(),
            "cancel of what was not asked"
        );
    }

    pub fn synthesise(&mut self, id: ReplyId, text: &str) {
        self.by_level.insert(id.0 % LEVELS, id);
        self.alarm(text);
        let stage = self.asked.get(&id);
        assert_ne!(stage, Some(&"cancelled"), "a cancelled reply is spoken");
    }

    /// Heard is never more than sent. The voice takes the same time for each letter, so words are samples;
    /// of a cut clause the share of each word is an estimate, which may be off by some words.
    pub fn said(&mut self, entry: &Entry) {
        if entry.role != Role::Assistant {
            return;
        }
        let letters: usize = entry
            .text
            .split_whitespace()
            .map(|word| word.chars().count())
            .sum();
        let samples = (letters * SAMPLES_PER_LETTER) as u64;
        self.voiced_claimed += if entry.complete {
            samples * 95 / 100
        } else {
            samples / 2
        };
        assert!(
            self.voiced_claimed <= self.voiced_sent,
            "{:?} counts as heard, but only {} of {} samples were sent",
            entry.text,
            self.voiced_sent,
            self.voiced_claimed
        );
    }

    /// What was heard is what was written, in order; only words whose clause got no sound are missing.
    pub fn heard(heard: &str, reply: &str) {
        let words = |text: &str| -> Vec<String> {
            text.split_whitespace()
                .map(|word| {
                    word.chars()
                        .filter(|c| c.is_alphanumeric())
                        .collect::<String>()
                })
                .filter(|word| !word.is_empty())
                .collect()
        };
        let written = words(reply);
        let mut rest = written.iter();
        for word in words(heard) {
            assert!(
                rest.any(|candidate| *candidate == word),
                "{heard:?} was heard, but {reply:?} was written"
            );
        }
    }

    pub fn packets(&self) -> u64 {
        self.packets
    }
}
