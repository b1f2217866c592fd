//! The invariants that need a memory: what was asked, committed, synthesised, sent and heard.
//! Panics with a sentence at the first step that breaks one.
//! PURE.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent_bridge::conversation::Role;
use agent_bridge::turn::{Entry, ReplyId};
use media::codec::{Codec, Decoder};
use media::rtp::Packet;

use crate::workers::{SAMPLES_PER_LETTER, VOICE_LEVEL};

const FRAME: Duration = Duration::from_millis(20);

#[derive(Default)]
pub struct Ledger {
    pub asked: HashMap<ReplyId, &'static str>,
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
    }

    /// The stream may rest from here: hold, resume, another address.
    pub fn stream_changes(&mut self) {
        self.last_packet = None;
    }

    pub fn ask(&mut self, id: ReplyId) {
        assert_eq!(
            self.asked.insert(id, "asked"),
            None,
            "a reply id is used twice"
        );
    }

    pub fn commit(&mut self, id: ReplyId) {
        assert_eq!(
            self.asked.insert(id, "committed"),
            Some("asked"),
            "commit of what was not asked"
        );
    }

    pub fn cancel(&mut self, id: ReplyId) {
        assert!(
            self.asked.insert(id, "cancelled").is_some(),
            "cancel of what was not asked"
        );
    }

    pub fn synthesise(&self, id: ReplyId) {
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
