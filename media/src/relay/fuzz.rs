//! Fuzz body: a script of packets, waits and new descriptions around one relayed stream.
//!
//! PURE.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{EVENTS_MAX, Port, ROOM, Relay, RelayPeer, RelaySecurity, Side};
use crate::srtp::{KeySalt, SrtpKeys, Suite};

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n % 4], 4_000 + u16::from(n / 4)))
}

fn peer(n: u8) -> RelayPeer {
    let suite = Suite::AesCm128HmacSha1_80;
    let keys = |n| KeySalt::new(suite, &[n; 30]).map(|key| (key.clone(), key));
    let security = match keys(n).filter(|_| n & 0xc0 == 0xc0) {
        Some((send, receive)) => RelaySecurity::Srtp(SrtpKeys {
            suite,
            send,
            receive,
            receive_mki_len: n & 3,
        }),
        None => RelaySecurity::None,
    };
    RelayPeer {
        remote_rtp: (n & 1 == 0).then(|| address(n / 2)),
        remote_rtcp: (n & 2 == 0).then(|| address(n / 4)),
        rtcp_mux: n & 4 == 0,
        signalled_from: (n & 8 == 0).then(|| address(n / 16).ip()),
        telephone_events: vec![(101, 8_000), (96, 48_000)],
        silence_s: (n & 16 == 0).then_some(2),
        is_opaque: n & 0xe0 == 0x20,
        security,
        ..RelayPeer::default()
    }
}

/// Each step takes an operation, an argument and, for a packet, its length and octets from the data.
///
/// Asserted: what goes out fits its buffer and goes to an address that can be sent to, events have a bound, figures of
/// what was sent are those of what went out.
pub fn relay(start: Instant, data: &[u8]) {
    let mut relay = Relay::new(start);
    let mut now = start;
    let mut sent = [0u64; 2];
    let mut rest = data;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        let side = Side::BOTH[usize::from(operation & 1)];
        match operation >> 1 & 3 {
            0 => relay.connect(now, side, peer(*argument)),
            1 => now += Duration::from_millis(u64::from(*argument) * 8),
            kind => {
                let port = if kind == 2 { Port::Rtp } else { Port::Rtcp };
                let len = rest.len().min(usize::from(operation >> 3) * 8);
                let mut buffer = rest[..len].to_vec();
                rest = &rest[len..];
                buffer.resize(len + ROOM, 0);
                let from = address(*argument);
                let forward = relay.receive(now, side, port, from, &mut buffer, len);
                if let Some(forward) = forward {
                    assert!(forward.len <= buffer.len());
                    assert!(forward.to.port() != 0 && !forward.to.ip().is_unspecified());
                    sent[side.other().index()] += 1;
                }
            }
        }
        relay.time(now);
        let events = std::iter::from_fn(|| relay.poll_event()).count();
        assert!(events <= EVENTS_MAX);
    }
    for side in Side::BOTH {
        assert!(relay.stats(side).packets_sent <= sent[side.index()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, RngExt, SeedableRng};

    #[test]
    fn scripts_of_noise() {
        let mut random = StdRng::from_seed([7; 32]);
        let start = Instant::now();
        for _ in 0..3_000 {
            // Both sides known, then packets that mostly look like RTP and RTCP.
            let mut script = vec![0, random.random(), 1, random.random()];
            for _ in 0..random.next_u32() % 24 {
                let len = 8 * random.random_range(1..16usize);
                let kind = random.random_range(1..4u8);
                script.push((len as u8) | (kind << 1) | (random.random::<u8>() & 1));
                script.push(random.random::<u8>() & 7);
                if kind > 1 {
                    let mut packet = vec![0; len];
                    random.fill(&mut packet[..]);
                    packet[0] = 0x80 | (packet[0] & 0x3f);
                    packet[1] = [0, 101, 200, 201, 203, 205, 206, packet[1]]
                        [random.random_range(0..8usize)];
                    script.extend(packet);
                }
            }
            relay(start, &script);
        }
    }
}
