//! Two ends and what lies between them: loss, turns of the counter, replays, forgeries, strangers, other keys.

use super::*;

const SUITES: [Suite; 4] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

pub(crate) fn key(suite: Suite, octet: u8) -> KeySalt {
    KeySalt::new(suite, &vec![octet; suite.key_len() + suite.salt_len()]).unwrap()
}

/// Keys of both ends.
pub(crate) fn ends(suite: Suite) -> (SrtpKeys, SrtpKeys) {
    let keys = |send, receive| SrtpKeys {
        suite,
        send: key(suite, send),
        receive: key(suite, receive),
        receive_mki_len: 0,
    };
    (keys(1, 2), keys(2, 1))
}

fn pair(suite: Suite) -> (SrtpContext, SrtpContext) {
    let (ours, theirs) = ends(suite);
    (SrtpContext::new(&ours), SrtpContext::new(&theirs))
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let packet = rtp::Packet {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
        payload,
    };
    packet.to_bytes()
}

fn rtcp() -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
    packet.extend([0x81, 202, 0, 2, 0, 0, 0, 7, 1, 1, b'x', 0]);
    packet
}

#[test]
fn packets_of_every_length_and_shape_pass() {
    for suite in SUITES {
        let (mut a, mut b) = pair(suite);
        for length in (0..300).chain([1_400]) {
            let mut clear = rtp(9, length, &vec![0x5a; usize::from(length)]);
            if length % 3 == 1 {
                // A CSRC and an extension of one word.
                clear[0] |= 0x11;
                clear.splice(12..12, [1, 2, 3, 4, 0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
            }
            let mut packet = clear.clone();
            a.protect(&mut packet).unwrap();
            assert!(packet.len() <= clear.len() + GROWTH_MAX);
            assert!(length < 8 || packet[..clear.len()] != clear[..]);
            b.unprotect(&mut packet).unwrap();
            assert_eq!(packet, clear, "{suite:?} {length}");
        }
        for _ in 0..3 {
            let mut packet = rtcp();
            a.protect_rtcp(&mut packet).unwrap();
            b.unprotect_rtcp(&mut packet).unwrap();
            assert_eq!(packet, rtcp());
        }
    }
}

#[test]
fn the_counter_turns_in_spite_of_loss_and_order() {
    let (mut a, mut b) = pair(Suite::AeadAes128Gcm);
    let mut held: Option<Vec<u8>> = None;
    for n in 0..200_000u32 {
        let mut packet = rtp(9, n as u16, &n.to_be_bytes());
        a.protect(&mut packet).unwrap();
        // Every tenth is lost, every seventh comes one too late, and once a long while is lost, over a turn.
        if n % 10 == 3 || (60_000..70_000).contains(&n) {
            held = None;
            continue;
        }
        let packets = match n % 7 {
            2 => {
                held = Some(packet);
                continue;
            }
            _ => [Some(packet), held.take()],
        };
        for mut packet in packets.into_iter().flatten() {
            b.unprotect(&mut packet)
                .unwrap_or_else(|error| panic!("{n}: {error}"));
        }
    }
}

#[test]
fn the_first_packets_may_be_lost_over_a_turn() {
    for suite in SUITES {
        let (mut a, mut b) = pair(suite);
        for sequence in [65_534, 65_535, 0, 1] {
            let mut packet = rtp(9, sequence, b"sound");
            a.protect(&mut packet).unwrap();
            if sequence < 2 {
                assert_eq!(b.unprotect(&mut packet), Ok(()), "{suite:?} {sequence}");
            }
        }
    }
}

/// A call that moved to other ports: its phone goes on counting under its old key.
#[test]
fn a_sender_that_counts_since_long_is_understood() {
    for suite in SUITES {
        let (mut a, mut b) = pair(suite);
        a.send.rtp_indices.accept(9, 3 << 16 | 40_000);
        for sequence in 40_001..40_010 {
            let clear = rtp(9, sequence, b"late");
            let mut packet = clear.clone();
            a.protect(&mut packet).unwrap();
            b.unprotect(&mut packet).unwrap();
            assert_eq!(packet, clear, "{suite:?} {sequence}");
        }
    }
}

/// However many strangers were there before it.
#[test]
fn a_sender_that_counts_since_long_is_found_behind_forgeries() {
    for rounds in [1u64, 3, 15] {
        let (mut a, mut b) = pair(Suite::AeadAes128Gcm);
        for n in 0..200 {
            let mut forged = rtp(9, n, &[1; 40]);
            assert_eq!(b.unprotect(&mut forged), Err(SrtpError::NotAuthentic));
        }
        a.send.rtp_indices.accept(9, rounds << 16 | 40_000);
        let mut understood = 0;
        for sequence in 40_001..40_100 {
            let mut packet = rtp(9, sequence, b"late");
            a.protect(&mut packet).unwrap();
            understood += u32::from(b.unprotect(&mut packet).is_ok());
            // As many as would spend a count that strangers share.
            for n in 0..14 {
                assert!(b.unprotect(&mut rtp(9, sequence + n, &[1; 40])).is_err());
            }
        }
        assert!(understood >= 99 - 15, "{rounds}: {understood}");
    }
}

/// What was recorded in an earlier round opens in a new context, too; it must not keep its own sender out.
#[test]
fn a_recording_that_comes_first_does_no_harm() {
    // Round and number of what was recorded, of what the sender sends, and how many replays come first.
    let rows: [(u64, u64, u64, u64, u64); 8] = [
        (0, 40_000, 1, 40_001, 1),
        (0, 40_000, 1, 39_990, 1),
        (0, 3, 1, 65_500, 1),
        (0, 1_000, 0, 50_000, 1),
        (1, 1_000, 2, 50_000, 1),
        (0, 40_000, 15, 40_001, 1),
        // So many that its counter is believed.
        (0, 30_000, 1, 40_000, 500),
        (0, 40_000, 1, 40_020, 500),
    ];
    for row @ (old, recorded, new, sequence, replays) in rows {
        let (mut a, mut b) = pair(Suite::AesCm128HmacSha1_80);
        let mut recording = Vec::new();
        a.send.rtp_indices.accept(9, (old << 16 | recorded) - 1);
        for n in 0..replays {
            let mut packet = rtp(9, (recorded + n) as u16, b"old sound");
            a.protect(&mut packet).unwrap();
            recording.push(packet);
        }
        let mut replayed = recording.clone();
        for packet in &mut replayed {
            assert_eq!(b.unprotect(packet), Ok(()), "{row:?}");
        }
        let (mut a, _) = pair(Suite::AesCm128HmacSha1_80);
        a.send.rtp_indices.accept(9, (new << 16 | sequence) - 1);
        let mut understood = 0;
        for n in 0..200 {
            let clear = rtp(9, (sequence + n) as u16, b"new sound");
            let mut packet = clear.clone();
            a.protect(&mut packet).unwrap();
            if b.unprotect(&mut packet).is_ok() {
                assert_eq!(packet, clear, "{row:?}");
                understood += 1;
            }
        }
        assert!(understood >= 200 - 17, "{row:?}: {understood}");
        // And the old ones are old.
        for packet in &mut recording {
            assert!(b.unprotect(packet).is_err(), "{row:?}");
        }
    }
}

#[test]
fn forgeries_and_replays_are_refused_and_do_no_harm() {
    for suite in SUITES {
        let (mut a, mut b) = pair(suite);
        let mut good = Vec::new();
        for sequence in 0..4 {
            let mut packet = rtp(9, sequence, b"some sound");
            a.protect(&mut packet).unwrap();
            good.push(packet);
        }
        for at in 0..good[0].len() {
            let mut forged = good[0].clone();
            forged[at] ^= 0x04;
            let refusal = b.unprotect(&mut forged).unwrap_err();
            assert_ne!(refusal, SrtpError::Replayed, "{suite:?} {at}");
        }
        for cut in 0..good[0].len() {
            assert!(b.unprotect(&mut good[0][..cut].to_vec()).is_err());
        }
        // Far ahead: nobody's counter moved by it.
        let mut forged = good[0].clone();
        forged[2] = 0x7f;
        assert_eq!(b.unprotect(&mut forged), Err(SrtpError::NotAuthentic));
        for packet in &good {
            assert_eq!(b.unprotect(&mut packet.clone()), Ok(()));
            assert_eq!(b.unprotect(&mut packet.clone()), Err(SrtpError::Replayed));
        }
        // One number is not encrypted twice, whatever the packet says.
        assert_eq!(a.protect(&mut rtp(9, 3, b"else")), Err(SrtpError::Replayed));

        let mut report = rtcp();
        a.protect_rtcp(&mut report).unwrap();
        for at in 2..report.len() {
            let mut forged = report.clone();
            forged[at] ^= 0x40;
            assert_eq!(
                b.unprotect_rtcp(&mut forged),
                Err(SrtpError::NotAuthentic),
                "{suite:?} {at}"
            );
        }
        assert_eq!(b.unprotect_rtcp(&mut report.clone()), Ok(()));
        assert_eq!(b.unprotect_rtcp(&mut report), Err(SrtpError::Replayed));
    }
}

#[test]
fn strangers_leave_no_trace() {
    let (mut a, mut b) = pair(Suite::AesCm128HmacSha1_80);
    let mut packet = rtp(9, 0, b"sound");
    a.protect(&mut packet).unwrap();
    b.unprotect(&mut packet).unwrap();
    for ssrc in 100..10_000u32 {
        assert_eq!(
            b.unprotect(&mut rtp(ssrc, 5, &[1; 40])),
            Err(SrtpError::NotAuthentic)
        );
    }
    let mut packet = rtp(9, 1, b"sound");
    a.protect(&mut packet).unwrap();
    assert_eq!(b.unprotect(&mut packet), Ok(()));
}

#[test]
fn names_of_keys_are_read_past() {
    for suite in SUITES {
        let (ours, mut theirs) = ends(suite);
        theirs.receive_mki_len = 4;
        let (mut a, mut b) = (SrtpContext::new(&ours), SrtpContext::new(&theirs));
        let clear = rtp(9, 1, b"sound");
        let mut packet = clear.clone();
        a.protect(&mut packet).unwrap();
        // Before the tag of RFC 3711, behind that of RFC 7714.
        let tag_len = match suite {
            Suite::AesCm128HmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 => 4,
            _ => 0,
        };
        let at = packet.len() - tag_len;
        packet.splice(at..at, [0, 0, 0, 1]);
        assert_eq!(b.unprotect(&mut packet), Ok(()), "{suite:?}");
        assert_eq!(packet, clear);
        let mut packet = rtcp();
        a.protect_rtcp(&mut packet).unwrap();
        let at = packet.len() - if tag_len == 0 { 0 } else { 10 };
        packet.splice(at..at, [0, 0, 0, 1]);
        assert_eq!(b.unprotect_rtcp(&mut packet), Ok(()), "{suite:?}");
        assert_eq!(packet, rtcp());
    }
}

#[test]
fn other_keys_begin_anew_and_the_same_go_on() {
    let suite = Suite::AeadAes128Gcm;
    let (ours, theirs) = ends(suite);
    let (mut a, mut b) = pair(suite);
    let mut first = rtp(9, 7, b"sound");
    a.protect(&mut first).unwrap();
    b.unprotect(&mut first.clone()).unwrap();
    b.rekey(&theirs, &theirs);
    assert_eq!(b.unprotect(&mut first.clone()), Err(SrtpError::Replayed));
    let ours_next = SrtpKeys {
        send: key(suite, 5),
        ..ours.clone()
    };
    let theirs_next = SrtpKeys {
        receive: key(suite, 5),
        ..theirs.clone()
    };
    a.rekey(&ours, &ours_next);
    b.rekey(&theirs, &theirs_next);
    assert_eq!(b.unprotect(&mut first), Err(SrtpError::NotAuthentic));
    let mut next = rtp(9, 7, b"sound");
    a.protect(&mut next).unwrap();
    assert_eq!(b.unprotect(&mut next), Ok(()));
}

#[test]
fn secrets_do_not_print() {
    let (ours, _) = ends(Suite::AeadAes128Gcm);
    let text = format!("{ours:?} {:?}", SrtpContext::new(&ours));
    assert!(
        text.contains("KeySalt(…)") && !text.contains("[1"),
        "{text}"
    );
}
