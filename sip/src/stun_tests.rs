//! PURE.
//! STUN requests and what they are answered, with the sample message of RFC 5769 for what both ends must agree on.

use super::*;

const TRANSACTION: [u8; 12] = *b"0123456789ab";

/// A request of this type with these attributes, padded; its length is right.
fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend(MAGIC_COOKIE.to_be_bytes());
    bytes.extend(TRANSACTION);
    for (kind, value) in attributes {
        bytes.extend(kind.to_be_bytes());
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = (bytes.len() - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn with_fingerprint(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - HEADER_LEN + 8) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let sum = crc32(&bytes) ^ FINGERPRINT_XOR;
    bytes.extend(FINGERPRINT.to_be_bytes());
    bytes.extend([0, 4]);
    bytes.extend(sum.to_be_bytes());
    bytes
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn the_check_value_of_the_sum() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

/// RFC 5769 §2.2 and §2.3: what 192.0.2.1:32853 and 2001:db8:1234:5678:11:2233:4455:6677 look like.
#[test]
fn addresses_as_in_the_samples_of_rfc_5769() {
    let transaction = [
        0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf,
        0xae,
    ];
    assert_eq!(
        xored(address("192.0.2.1:32853"), &transaction),
        [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
    );
    let six = address("[2001:db8:1234:5678:11:2233:4455:6677]:32853");
    let expected = [
        0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5,
        0xbe, 0xd2, 0xb9, 0xd9,
    ];
    assert_eq!(xored(six, &transaction), expected);
}

#[test]
fn a_binding_request_is_told_its_address() {
    for (source, length) in [("192.0.2.7:5062", 12), ("[2001:db8::7]:5062", 24)] {
        let source = address(source);
        let plain = answer(&message(BINDING_REQUEST, &[]), source).expect("an answer");
        assert_eq!(plain[..2], BINDING_SUCCESS.to_be_bytes());
        assert_eq!(plain.len(), HEADER_LEN + length);
        assert_eq!(plain[4..8], MAGIC_COOKIE.to_be_bytes());
        assert_eq!(plain[8..20], TRANSACTION);
        assert_eq!(plain[20..22], XOR_MAPPED_ADDRESS.to_be_bytes());
        assert_eq!(plain[24..], xored(source, &plain[4..20]));
        // Asked with a fingerprint, answered with one.
        let marked = with_fingerprint(message(BINDING_REQUEST, &[(0x8022, b"phone 1.0")]));
        let marked = answer(&marked, source).expect("an answer");
        assert_eq!(marked, with_fingerprint(plain));
    }
    // A socket for both families sees IPv4 wrapped; the phone does not.
    let wrapped = answer(
        &message(BINDING_REQUEST, &[]),
        address("[::ffff:192.0.2.7]:5062"),
    );
    let plain = answer(&message(BINDING_REQUEST, &[]), address("192.0.2.7:5062"));
    assert_eq!(wrapped, plain);
}

#[test]
fn what_must_be_understood_and_is_not_is_named() {
    let request = message(
        BINDING_REQUEST,
        &[(0x0003, &[0, 0, 0, 6]), (0x0006, b"user")],
    );
    let refused = answer(&request, address("192.0.2.7:5062")).expect("an answer");
    assert_eq!(refused[..2], BINDING_ERROR.to_be_bytes());
    let expected = [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 3, 0, 0];
    assert_eq!(refused[20..], expected);
    assert_eq!(usize::from(u16_at(&refused, 2).unwrap()), expected.len());
}

#[test]
fn everything_else_is_dropped() {
    let good = message(BINDING_REQUEST, &[]);
    let source = address("192.0.2.7:5062");
    let changed = |at: usize, octet: u8| {
        let mut bytes = good.clone();
        bytes[at] = octet;
        bytes
    };
    let mut broken_fingerprint = with_fingerprint(good.clone());
    broken_fingerprint[27] ^= 1;
    let mut after_fingerprint = with_fingerprint(good.clone());
    after_fingerprint.extend([0x80, 0x22, 0, 0]);
    after_fingerprint[3] = 12;
    let unknown: Vec<(u16, &[u8])> = (0x10..0x18).map(|kind| (kind, &[][..])).collect();
    for (bytes, why) in [
        (Vec::new(), "empty"),
        (good[..19].to_vec(), "half a header"),
        (changed(3, 4), "longer than it is"),
        (changed(3, 1), "an odd length"),
        (changed(4, 0), "no cookie"),
        (changed(1, 0x11), "an indication"),
        (message(BINDING_SUCCESS, &[]), "an answer"),
        (message(0x0003, &[]), "an allocation"),
        (broken_fingerprint, "a wrong fingerprint"),
        (after_fingerprint, "something after the fingerprint"),
        (message(BINDING_REQUEST, &unknown), "too much unknown"),
        (b"OPTIONS sip:192.0.2.1 SIP/2.0\r\n\r\n".to_vec(), "SIP"),
    ] {
        assert_eq!(answer(&bytes, source), None, "{why}");
    }
    let mut outside = message(BINDING_REQUEST, &[(0x8022, b"abcd")]);
    outside[23] = 200;
    assert_eq!(answer(&outside, source), None, "an attribute past the end");
}
