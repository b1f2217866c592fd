//! The samples of RFC 5769, and requests with something wrong in them.

use super::*;

/// RFC 5769 section 2.1: password VOkJxbRl1RmTxUk/WvJxBt, name evtj:h6vY.
const SAMPLE: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
const SAMPLE_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn octets(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    hex.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn the_sample_of_the_rfc() {
    let sample = octets(SAMPLE);
    assert!(is_stun(&sample));
    let request = read(&sample).unwrap();
    assert_eq!(request.username, b"evtj:h6vY");
    assert_eq!(request.priority, 0x6e00_01ff);
    assert!(request.controlled && !request.use_candidate);
    assert!(request.is_proven(SAMPLE_PASSWORD));
    assert!(!request.is_proven(b"VOkJxbRl1RmTxUk/WvJxBu"));
    assert!(request.unknown.is_empty());
}

/// RFC 5769 section 2.2: 192.0.2.1 port 32853 for the transaction of the sample.
#[test]
fn the_address_of_the_rfc() {
    let sample = octets(SAMPLE);
    let v4 = xored("192.0.2.1:32853".parse().unwrap(), &sample[4..20]);
    assert_eq!(v4, octets("0001a147e112a643"));
    let v6 = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
    let v6 = xored(v6.parse().unwrap(), &sample[4..20]);
    assert_eq!(v6, octets("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"));
}

#[test]
fn any_bit_that_changes_is_seen() {
    let sample = octets(SAMPLE);
    for at in 0..sample.len() {
        for bit in 0..8 {
            let mut changed = sample.clone();
            changed[at] ^= 1 << bit;
            let is_taken = read(&changed).is_ok_and(|request| request.is_proven(SAMPLE_PASSWORD));
            assert!(!is_taken, "octet {at}, bit {bit}");
        }
        assert!(read(&sample[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn what_is_no_request() {
    let mut long = octets(SAMPLE);
    long.resize(REQUEST_LEN_MAX + 4, 0);
    let length = (long.len() - HEADER_LEN) as u16;
    long[2..4].copy_from_slice(&length.to_be_bytes());
    let mut indication = octets(SAMPLE);
    indication[1] = 0x11;
    let mut answer = octets(SAMPLE);
    answer[..2].copy_from_slice(&[1, 1]);
    let without_sum = {
        let mut bytes = octets(SAMPLE);
        bytes.truncate(bytes.len() - 8);
        let length = (bytes.len() - HEADER_LEN) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let rows: [(&[u8], StunError); 5] = [
        (b"", StunError::Malformed),
        (&long, StunError::Malformed),
        (&indication, StunError::NotAsked),
        (&answer, StunError::NotAsked),
        (&without_sum, StunError::Fingerprint),
    ];
    for (datagram, error) in rows {
        assert_eq!(read(datagram), Err(error), "{datagram:?}");
    }
}

#[test]
fn what_we_write_is_read() {
    let asked = ask([9; 12], "ours:theirs", true, "secret");
    let request = read(&asked).unwrap();
    assert!(request.is_proven(b"secret") && request.use_candidate && !request.controlled);
    let answer = request.accept("192.0.2.7:4000".parse().unwrap(), b"secret");
    assert_eq!(answer[4..20], asked[4..20]);
    assert_eq!(read(&answer), Err(StunError::NotAsked));
    // No answer is longer than what a check costs whoever asks.
    assert!(answer.len() <= asked.len() + 24);
}
