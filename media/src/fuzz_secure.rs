//! Fuzz bodies for what guards the sound: SRTP and SRTCP from the wire, and a handshake on a line that somebody else writes
//! on. Plain functions that take any octets and assert what must always hold.
//!
//! PURE.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::dtls::{
    Certificate, DtlsConfig, Fingerprint, FingerprintHash, Handshake, LIFETIME_MAX, Progress, Role,
    is_dtls,
};
use crate::ice::{self, Ice, IceConfig, PATHS_MAX, stun};
use crate::rtp;
use crate::srtp::{GROWTH_MAX, KeySalt, SrtpContext, SrtpKeys, Suite};

const SUITES: [Suite; 4] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

fn keys(suite: Suite, send: u8, receive: u8, receive_mki_len: u8) -> SrtpKeys {
    let key = |octet| {
        let octets = vec![octet; suite.key_len() + suite.salt_len()];
        KeySalt::new(suite, &octets).expect("as long as the suite wants")
    };
    SrtpKeys {
        suite,
        send: key(send),
        receive: key(receive),
        receive_mki_len,
    }
}

/// A good packet of the peer's: RTP, or a receiver report.
fn plain(is_rtcp: bool, ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    if is_rtcp {
        let words = (payload.len() / 4 * 4).min(64);
        let mut packet = vec![0x80, 201, 0, 1 + (words / 4) as u8];
        packet.extend(ssrc.to_be_bytes());
        packet.extend(&payload[..words]);
        return packet;
    }
    let [high, low] = sequence.to_be_bytes();
    let mut packet = vec![0x80, 0, high, low, 0, 0, 0, 0];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// The first octet chooses suite and the length of the name of the key; then come packets: good ones, the same with octets
/// changed, the same again, and noise.
///
/// Asserted: what the peer sent comes out as it was, once; nothing else comes out; and none of it keeps the next good
/// packet from coming through.
pub fn srtp(data: &[u8]) {
    let [choice, rest @ ..] = data else {
        return;
    };
    let suite = SUITES[usize::from(choice & 3)];
    // With a name in front of the tag our own sender cannot play the peer: there is only noise then.
    let mki_len = choice >> 2 & 31;
    let mut ours = SrtpContext::new(&keys(suite, 1, 2, mki_len));
    let mut theirs = SrtpContext::new(&keys(suite, 2, 1, 0));
    let mut sequences = [60_000u16; 4];
    let mut last: Option<(bool, Vec<u8>)> = None;
    let mut rest = rest;
    while let [operation, argument, tail @ ..] = rest {
        let len = tail.len().min(usize::from(*argument));
        let (octets, tail) = tail.split_at(len);
        rest = tail;
        let is_rtcp = operation & 4 != 0;
        let mut take = |is_rtcp: bool, packet: &mut Vec<u8>| match is_rtcp {
            true => ours.unprotect_rtcp(packet),
            false => ours.unprotect(packet),
        };
        match operation & 3 {
            0 | 1 if mki_len == 0 => {
                let sender = usize::from(operation >> 3 & 3);
                let step = u16::from(operation >> 5);
                sequences[sender] = sequences[sender].wrapping_add(1 + step * 40);
                let clear = plain(is_rtcp, sender as u32, sequences[sender], octets);
                let mut packet = clear.clone();
                let sealed = match is_rtcp {
                    true => theirs.protect_rtcp(&mut packet),
                    false => theirs.protect(&mut packet),
                };
                assert!(sealed.is_ok() && packet.len() <= clear.len() + GROWTH_MAX);
                if operation & 3 == 1 {
                    // Somebody changes an octet on the way; then the packet itself comes.
                    let mut changed = packet.clone();
                    let at = usize::from(*argument) % changed.len();
                    changed[at] ^= operation | 1;
                    assert!(take(is_rtcp, &mut changed).is_err(), "changed at {at}");
                }
                last = Some((is_rtcp, packet.clone()));
                assert_eq!(take(is_rtcp, &mut packet), Ok(()), "a good packet");
                assert_eq!(packet, clear);
            }
            2 => {
                if let Some((is_rtcp, packet)) = &last {
                    assert!(take(*is_rtcp, &mut packet.clone()).is_err(), "a replay");
                }
            }
            _ => {
                // Most noise is no packet at all; with this it gets as far as the tag.
                let mut noise = octets.to_vec();
                if let (true, [first, second, ..]) = (operation & 8 != 0, &mut noise[..]) {
                    *first = 0x80 | *first & 0x3f;
                    *second = if is_rtcp {
                        200 + (*second & 3)
                    } else {
                        *second
                    };
                }
                let before = noise.len();
                assert!(take(is_rtcp, &mut noise).is_err(), "noise");
                assert_eq!(noise.len(), before);
            }
        }
    }
    if mki_len == 0 {
        let clear = plain(false, 0, sequences[0].wrapping_add(1), b"after all that");
        let mut packet = clear.clone();
        assert_eq!(theirs.protect(&mut packet), Ok(()));
        assert_eq!(ours.unprotect(&mut packet), Ok(()));
        assert_eq!(packet, clear);
        assert!(rtp::Packet::parse(&packet).is_ok());
    }
}

/// Made once: each costs more than all else in a run.
fn certificates() -> &'static [Certificate; 2] {
    static MADE: OnceLock<[Certificate; 2]> = OnceLock::new();
    MADE.get_or_init(|| [(); 2].map(|()| Certificate::generate().expect("a certificate")))
}

fn handshake(start: Instant, own: usize, role: Role) -> Handshake {
    let certificates = certificates();
    let config = DtlsConfig {
        certificate: certificates[own].clone(),
        peer: Fingerprint {
            hash: FingerprintHash::Sha256,
            octets: certificates[1 - own].fingerprint().to_vec(),
        },
        role,
    };
    Handshake::new(config, start).expect("it begins")
}

/// Steps that a run may take.
const STEPS_MAX: usize = 96;
/// Datagrams from one side that wait on the line.
const LINE_MAX: usize = 64;

/// Two ends of a handshake, and a line that the data decides about: what arrives, what is lost, comes twice or changed,
/// what a stranger says, how time goes.
///
/// Asserted: what is sent belongs to a handshake and has a bound, the next timeout does not stand still, both come to an
/// end, and where both have keys they are the same.
pub fn dtls(start: Instant, data: &[u8]) {
    let mut now = start;
    let mut ends = [
        handshake(start, 0, Role::Active),
        handshake(start, 1, Role::Passive),
    ];
    let mut lines: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    let mut rest = data;
    for _ in 0..STEPS_MAX {
        for (end, line) in ends.iter_mut().zip(&mut lines) {
            let mut count = 0;
            while let Some(datagram) = end.poll_datagram() {
                assert!(is_dtls(&datagram), "{datagram:?}");
                count += 1;
                assert!(count <= 64, "one step, and no end of datagrams");
                if line.len() < LINE_MAX {
                    line.push(datagram);
                }
            }
        }
        let [operation, argument, tail @ ..] = rest else {
            break;
        };
        rest = tail;
        let from = usize::from(operation & 1);
        let to = &mut ends[1 - from];
        let first = lines[from].first().cloned();
        match (operation >> 1 & 7, first) {
            (0 | 1, Some(datagram)) => {
                lines[from].remove(0);
                to.receive(now, &datagram);
            }
            (2, Some(_)) => drop(lines[from].remove(0)),
            (3, Some(datagram)) => to.receive(now, &datagram),
            (4, Some(mut datagram)) => {
                // Changed where the data says, and maybe cut; the datagram itself may come later.
                let at =
                    (usize::from(*argument) << 2 | usize::from(operation >> 6)) % datagram.len();
                datagram[at] ^= operation >> 4 | 1;
                if operation & 0x20 != 0 {
                    datagram.truncate(at + 1);
                }
                to.receive(now, &datagram);
            }
            (5, Some(_)) => lines[from].rotate_left(1),
            (6, _) => {
                let len = rest.len().min(usize::from(*argument));
                let (noise, tail) = rest.split_at(len);
                rest = tail;
                let mut noise = noise.to_vec();
                if let (true, [kind, major, minor, ..]) = (operation & 0x10 != 0, &mut noise[..]) {
                    *kind = 20 + (*kind & 3);
                    (*major, *minor) = (254, 253);
                }
                to.receive(now, &noise);
            }
            _ => now += Duration::from_millis(u64::from(*argument) * 8),
        }
        let mut wakes = 0;
        for end in &mut ends {
            while end.next_timeout().is_some_and(|due| due <= now) {
                end.time(now);
                wakes += 1;
                assert!(wakes < 256, "the next timeout stands still");
            }
        }
    }
    if let [Progress::Done(ours), Progress::Done(theirs)] =
        [&ends[0], &ends[1]].map(|e| e.progress())
    {
        assert!(ours.send == theirs.receive && ours.receive == theirs.send);
    }
    for end in &mut ends {
        end.time(start + LIFETIME_MAX + Duration::from_secs(600));
        assert_ne!(end.progress(), &Progress::Running, "it has come to an end");
    }
}

/// Checks of paths: good ones from addresses the data chooses, the same with octets changed, and noise, first as a
/// request of its own and then in the middle of all others.
///
/// Asserted: only good checks are answered and make paths, no answer is longer than its question by more than an address,
/// and there is a bound to what is remembered.
pub fn checks(start: Instant, data: &[u8]) {
    let _ = stun::read(data);
    let mut ice = Ice::new(IceConfig {
        local_ufrag: "ours".to_owned(),
        local_pwd: "a password of ours".to_owned(),
        remote_ufrag: "theirs".to_owned(),
    });
    let mut now = start;
    let mut good = Vec::new();
    let mut rest = data;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        now += Duration::from_millis(u64::from(operation >> 4));
        let from = std::net::SocketAddr::from(([192, 0, 2, *argument], 4_000));
        let known = ice.is_path(from);
        match operation & 3 {
            0 | 1 => {
                let nominate = operation & 4 != 0;
                let password = "a password of ours";
                let check = stun::ask([*argument; 12], "ours:theirs", nominate, password);
                let answer = ice.check(now, from, &check).expect("a good check");
                assert!(answer.len() <= check.len() + 24);
                assert!(ice.is_path(from) && ice.path().is_some());
                assert!(!nominate || ice.path() == Some(from));
                if !good.contains(&from) {
                    good.push(from);
                }
                let at = usize::from(*argument) % check.len();
                let mut changed = check;
                changed[at] ^= operation | 1;
                assert_eq!(ice.check(now, from, &changed), None, "changed at {at}");
            }
            _ => {
                let len = rest.len().min(usize::from(*argument));
                let (noise, tail) = rest.split_at(len);
                rest = tail;
                let mut noise = noise.to_vec();
                // With this it gets as far as the attributes.
                if noise.len() >= 20 && operation & 4 != 0 {
                    let length = (noise.len() / 4 * 4 - 20) as u16;
                    noise.truncate(noise.len() / 4 * 4);
                    noise[..2].copy_from_slice(&[0, 1]);
                    noise[2..4].copy_from_slice(&length.to_be_bytes());
                    noise[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
                }
                assert!(!ice::is_stun(&noise) || ice.check(now, from, &noise).is_none());
                assert_eq!(ice.is_path(from), known);
            }
        }
        let paths = good.iter().filter(|path| ice.is_path(**path)).count();
        assert!(paths <= PATHS_MAX);
    }
}

#[cfg(test)]
#[path = "fuzz_secure_tests.rs"]
mod tests;
