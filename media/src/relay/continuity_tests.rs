//! Numbers before and after a change of source, in RTP and in each kind of RTCP.

use super::*;

const NEW: u32 = 0x2222_2222;
const OLD: u32 = 0x1111_1111;
const OTHER: u32 = 0x3333_3333;

fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 0];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes
}

/// SSRC, sequence, timestamp and marker of what comes out.
fn pass(stream: &mut Continuity, now: Instant, bytes: Vec<u8>) -> (u32, u16, u32, bool) {
    let mut bytes = bytes;
    stream.rtp(now, 8_000, &mut bytes);
    (
        u32::from_be_bytes(bytes[8..12].try_into().unwrap()),
        u16::from_be_bytes([bytes[2], bytes[3]]),
        u32::from_be_bytes(bytes[4..8].try_into().unwrap()),
        bytes[1] & 0x80 != 0,
    )
}

#[test]
fn the_first_source_passes_as_it_is() {
    let now = Instant::now();
    let mut stream = Continuity::default();
    for (ssrc, sequence, timestamp) in [
        (OLD, 65_535, 160),
        (OLD, 0, 320),
        (NEW, 9, 0),
        (OLD, 1, 480),
    ] {
        let out = pass(&mut stream, now, packet(ssrc, sequence, timestamp));
        assert_eq!(out, (ssrc, sequence, timestamp, false));
    }
    assert!(stream.is_plain());
}

#[test]
fn another_source_goes_on_where_the_first_stopped() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut stream = Continuity::default();
    // Nothing came before: there is nothing to go on with.
    stream.source_changed();
    assert_eq!(
        pass(&mut stream, at(0), packet(OLD, 65_534, 4_000)),
        (OLD, 65_534, 4_000, false)
    );
    assert_eq!(
        pass(&mut stream, at(20), packet(OLD, 65_535, 4_160)),
        (OLD, 65_535, 4_160, false)
    );
    stream.source_changed();
    // A second later: the timestamp says so, the sequence number does not.
    let out = pass(&mut stream, at(1_020), packet(NEW, 700, 90));
    assert_eq!(out, (OLD, 0, 4_160 + 8_000, true));
    assert_eq!(
        pass(&mut stream, at(1_040), packet(NEW, 701, 250)),
        (OLD, 1, 12_320, false)
    );
    // A stream beside it, such as retransmissions, passes as it is.
    assert_eq!(
        pass(&mut stream, at(1_041), packet(OTHER, 5, 6)),
        (OTHER, 5, 6, false)
    );
    assert_eq!(
        pass(&mut stream, at(1_060), packet(NEW, 702, 410)),
        (OLD, 2, 12_480, false)
    );
}

#[test]
fn the_same_phone_at_another_address_changes_nothing() {
    let now = Instant::now();
    let mut stream = Continuity::default();
    pass(&mut stream, now, packet(OLD, 10, 1_600));
    stream.source_changed();
    assert_eq!(
        pass(&mut stream, now, packet(OLD, 11, 1_760)),
        (OLD, 11, 1_760, false)
    );
    assert!(stream.is_plain());
}

/// `sent` with NEW taken for OLD: sequence +100, timestamp +1000.
fn mapped() -> Continuity {
    let now = Instant::now();
    let mut stream = Continuity::default();
    pass(&mut stream, now, packet(OLD, 99, 1_000 - STEP));
    stream.source_changed();
    pass(&mut stream, now, packet(NEW, 0, 0));
    stream
}

fn words(first: [u8; 2], body: &[u32]) -> Vec<u8> {
    let mut bytes = vec![first[0], first[1]];
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    body.iter()
        .for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
    bytes
}

#[test]
fn reports_name_what_each_side_knows() {
    let check = |name: &str, first: [u8; 2], from_new: bool, body: &[u32], expected: &[u32]| {
        let (mapped, plain) = (mapped(), Continuity::default());
        let mut bytes = words(first, body);
        if from_new {
            rtcp(&mapped, &plain, &mut bytes);
        } else {
            rtcp(&plain, &mapped, &mut bytes);
        }
        assert_eq!(bytes, words(first, expected), "{name}");
    };
    // From the new source to the side that knows the old one.
    check(
        "SR",
        [0x81, 200],
        true,
        &[NEW, 1, 2, 50, 3, 4, OTHER, 0, 9, 0, 0, 0],
        &[OLD, 1, 2, 1_050, 3, 4, OTHER, 0, 9, 0, 0, 0],
    );
    check(
        "SDES",
        [0x81, 202],
        true,
        &[NEW, 0x0101_6100],
        &[OLD, 0x0101_6100],
    );
    check("BYE", [0x82, 203], true, &[OTHER, NEW], &[OTHER, OLD]);
    check("PLI", [0x81, 206], true, &[NEW, OTHER], &[OLD, OTHER]);
    // Back to the new source.
    check(
        "RR",
        [0x81, 201],
        false,
        &[OTHER, OLD, 0, 0x0001_0000 + 164, 0, 0, 0],
        &[OTHER, NEW, 0, 0x0001_0000 + 64, 0, 0, 0],
    );
    check(
        "NACK",
        [0x81, 205],
        false,
        &[OTHER, OLD, (164 << 16) | 3],
        &[OTHER, NEW, (64 << 16) | 3],
    );
    check(
        "NACK of another stream",
        [0x81, 205],
        false,
        &[OTHER, OTHER, 164 << 16],
        &[OTHER, OTHER, 164 << 16],
    );
    check(
        "FIR",
        [0x84, 206],
        false,
        &[OTHER, 0, OLD, 7],
        &[OTHER, 0, NEW, 7],
    );
}

#[test]
fn broken_reports_pass_as_they_are() {
    let (mapped, plain) = (mapped(), Continuity::default());
    for bytes in [
        &[0x80u8, 200, 0, 9, 1, 2][..],
        &[0x9f, 201, 0, 0],
        &[0x8f, 205, 0, 1, 0, 0, 0, 0],
        &[],
    ] {
        let mut changed = bytes.to_vec();
        rtcp(&mapped, &plain, &mut changed);
        rtcp(&plain, &mapped, &mut changed);
        assert_eq!(changed, bytes);
    }
}
