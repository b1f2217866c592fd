//! What is done with the packets of one stream: they pass (`media::relay`), or they are decoded and encoded again
//! (`media::transcoder`). Owns the choice between both and nothing of either.

use std::net::SocketAddr;
use std::time::Instant;

use media::relay::{Forward, Port, Relay, RelayEvent, RelayPeer, Side, SideStats};
use media::session::{Input, MediaEvent, SessionConfig};
use media::transcoder::{Transcoder, TranscoderOutput};

/// One side of a stream that is transcoded.
#[derive(Debug, Clone)]
pub struct TranscodedPeer {
    pub config: SessionConfig,
    /// RTCP goes to the RTP port (RFC 5761); `config.remote_rtcp` is then the same as `config.remote_rtp`.
    pub rtcp_mux: bool,
    /// So long without a packet from this side is told, as [`RelayEvent::NoPackets`]; never where there is none.
    pub silence_s: Option<u32>,
}

/// When a transcoded side was last heard.
#[derive(Debug)]
pub(super) struct Ear {
    silence_s: Option<u32>,
    packets: u64,
    since: Instant,
    is_told: bool,
}

impl Ear {
    fn new(now: Instant, silence_s: Option<u32>) -> Ear {
        Ear {
            silence_s,
            packets: 0,
            since: now,
            is_told: false,
        }
    }

    /// What there is to tell after so many packets.
    fn look(&mut self, now: Instant, packets: u64, side: Side) -> Option<RelayEvent> {
        if packets != self.packets {
            (self.packets, self.since) = (packets, now);
            let was_told = std::mem::take(&mut self.is_told);
            return was_told.then_some(RelayEvent::PacketsResumed { side });
        }
        let for_s = self.silence_s.filter(|_| !self.is_told)?;
        let is_over = now.saturating_duration_since(self.since).as_secs() >= u64::from(for_s);
        self.is_told = is_over;
        is_over.then_some(RelayEvent::NoPackets { side, for_s })
    }
}

#[derive(Debug)]
pub(super) enum Core {
    Pass(Box<Relay>),
    Transcode {
        transcoder: Box<Transcoder>,
        rtcp_mux: [bool; 2],
        ears: [Ear; 2],
        /// What is told after the packets are sent.
        events: Vec<RelayEvent>,
    },
}

/// A packet of our own making.
pub(super) struct Packet {
    pub side: Side,
    pub port: Port,
    pub to: SocketAddr,
    pub data: Vec<u8>,
}

impl Core {
    pub(super) fn new(now: Instant) -> Core {
        Core::Pass(Box::new(Relay::new(now)))
    }

    pub(super) fn connect(&mut self, now: Instant, side: Side, peer: RelayPeer) {
        if let Core::Transcode { transcoder, .. } = self {
            // A side need not shake hands again because packets pass from now on.
            let kept = Side::BOTH.map(|side| transcoder.release(side));
            let mut relay = Relay::new(now);
            for (side, association) in Side::BOTH.into_iter().zip(kept) {
                if let Some(association) = association {
                    relay.adopt(side, association);
                }
            }
            *self = Core::Pass(Box::new(relay));
        }
        if let Core::Pass(relay) = self {
            relay.connect(now, side, peer);
        }
    }

    pub(super) fn transcode(
        &mut self,
        now: Instant,
        peers: [TranscodedPeer; 2],
        seeds: [[u8; 32]; 2],
    ) {
        let mux = [peers[0].rtcp_mux, peers[1].rtcp_mux];
        let silence_s = [peers[0].silence_s, peers[1].silence_s];
        let [a, b] = peers.map(|peer| peer.config);
        match self {
            Core::Transcode {
                transcoder,
                rtcp_mux,
                ears,
                ..
            } => {
                *rtcp_mux = mux;
                for (ear, silence_s) in ears.iter_mut().zip(silence_s) {
                    // A phone that was on hold has time to speak again.
                    (ear.silence_s, ear.since) = (silence_s, now);
                }
                transcoder.reconfigure(now, Side::A, a);
                transcoder.reconfigure(now, Side::B, b);
            }
            Core::Pass(relay) => {
                let kept = Side::BOTH.map(|side| relay.release(side));
                let mut transcoder = Box::new(Transcoder::new([a, b], seeds, now));
                for (side, association) in Side::BOTH.into_iter().zip(kept) {
                    if let Some(association) = association {
                        transcoder.adopt(side, association);
                    }
                }
                *self = Core::Transcode {
                    transcoder,
                    rtcp_mux: mux,
                    ears: silence_s.map(|silence_s| Ear::new(now, silence_s)),
                    events: Vec::new(),
                };
            }
        }
    }

    pub(super) fn is_timed(&self) -> bool {
        match self {
            Core::Pass(relay) => relay.is_timed(),
            Core::Transcode { .. } => true,
        }
    }

    /// Takes one datagram. Where it passes, it is brought in line in its buffer, and this is where it goes.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        side: Side,
        port: Port,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        match self {
            Core::Pass(relay) => relay.receive(now, side, port, from, buffer, len),
            Core::Transcode { transcoder, .. } => {
                let data = buffer.get(..len)?;
                let input = match port {
                    Port::Rtp => Input::Rtp { from, data },
                    Port::Rtcp => Input::Rtcp { from, data },
                };
                transcoder.handle(now, side, input);
                None
            }
        }
    }

    /// What is due by now.
    pub(super) fn time(&mut self, now: Instant) {
        match self {
            Core::Pass(relay) => relay.time(now),
            Core::Transcode {
                transcoder,
                ears,
                events,
                ..
            } => {
                transcoder.timeout(now);
                for (ear, side) in ears.iter_mut().zip(Side::BOTH) {
                    let packets = transcoder.stats(side).packets_received;
                    events.extend(ear.look(now, packets, side));
                }
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self {
            // A few times a second, whatever it says; a handshake wants more.
            Core::Pass(relay) => relay.next_timeout(),
            Core::Transcode { transcoder, .. } => transcoder.next_timeout(),
        }
    }

    /// The next packet that does not merely pass. To be taken until there is none, before [`Core::poll_event`].
    pub(super) fn poll_packet(&mut self) -> Option<Packet> {
        let (transcoder, rtcp_mux, events) = match self {
            Core::Pass(relay) => {
                let media::relay::Packet { side, to, data } = relay.poll_packet()?;
                let port = Port::Rtp;
                return Some(Packet {
                    side,
                    port,
                    to,
                    data,
                });
            }
            Core::Transcode {
                transcoder,
                rtcp_mux,
                events,
                ..
            } => (transcoder, rtcp_mux, events),
        };
        loop {
            let (side, port, to, data) = match transcoder.poll_output()? {
                TranscoderOutput::Rtp { side, to, data } => (side, Port::Rtp, to, data),
                TranscoderOutput::Rtcp { side, to, data } if rtcp_mux[side.index()] => {
                    (side, Port::Rtp, to, data)
                }
                TranscoderOutput::Rtcp { side, to, data } => (side, Port::Rtcp, to, data),
                TranscoderOutput::Dtmf {
                    side,
                    digit,
                    duration_ms,
                } => {
                    events.push(RelayEvent::Digit {
                        side,
                        digit,
                        duration_ms,
                    });
                    continue;
                }
                TranscoderOutput::Event { side, event } => {
                    events.extend(relay_event(side, event));
                    continue;
                }
            };
            return Some(Packet {
                side,
                port,
                to,
                data,
            });
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<RelayEvent> {
        match self {
            Core::Pass(relay) => relay.poll_event(),
            Core::Transcode { events, .. } => (!events.is_empty()).then(|| events.remove(0)),
        }
    }

    pub(super) fn stats(&self, side: Side) -> SideStats {
        let transcoder = match self {
            Core::Pass(relay) => return relay.stats(side),
            Core::Transcode { transcoder, .. } => transcoder,
        };
        let stats = transcoder.stats(side);
        SideStats {
            packets_received: stats.packets_received,
            octets_received: stats.octets_received,
            packets_expected: stats.packets_expected,
            packets_lost: stats.packets_lost,
            jitter_ms: stats.jitter_ms,
            packets_sent: stats.packets_sent,
            octets_sent: stats.octets_sent,
            packets_stranger: stats.packets_stranger,
            packets_malformed: stats.packets_malformed,
            source: stats.sending_to,
            round_trip_ms: stats.round_trip_ms,
            remote_fraction_lost: stats.remote_fraction_lost,
            remote_packets_lost: stats.remote_packets_lost,
            ..SideStats::default()
        }
    }
}

/// What a session tells, in the words of a relay.
fn relay_event(side: Side, event: MediaEvent) -> Option<RelayEvent> {
    Some(match event {
        MediaEvent::FirstPacket { from } => RelayEvent::FirstPacket { side, from },
        MediaEvent::SourceLatched { from, .. } => RelayEvent::SourceChanged { side, from },
        MediaEvent::Stranger { from } => RelayEvent::Stranger { side, from },
        MediaEvent::Secured => RelayEvent::Secured { side },
        MediaEvent::NotSecured { why } => RelayEvent::NotSecured { side, why },
        _ => return None,
    })
}
