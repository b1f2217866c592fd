//! The fuzz bodies over a seeded corpus: good messages with octets flipped, cut, doubled and swapped.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{fuzz, fuzz_calls};

const ROUNDS: usize = 4_000;

const MESSAGES: &[&[u8]] = &[
    include_bytes!("../../tests/golden/rfc4475/wsinv.sip"),
    include_bytes!("../../tests/golden/rfc4475/intmeth.sip"),
    include_bytes!("../../tests/golden/rfc4475/longreq.sip"),
    include_bytes!("../../tests/golden/rfc4475/dblreq.sip"),
    include_bytes!("../../tests/golden/rfc4475/unreason.sip"),
    include_bytes!("../../tests/golden/rfc4475/regaut01.sip"),
    include_bytes!("../../tests/golden/rfc4475/regescrt.sip"),
    b"REGISTER sip:h SIP/2.0\r\nv:SIP/2.0/TCP [::1]:5;rport;branch=z9hG4bKa,SIP/2.0/UDP b\r\nf:<sip:a@h>;tag=1\r\n\
      t:sip:a@h\r\ni:x\r\nCSeq:1 REGISTER\r\nm:*\r\nAuthorization: Digest a=\"b\\\"c\",nc=00000001\r\nl:0\r\n\r\n\r\n\r\n",
];

const VALUES: &[&str] = &[
    "\"A \\\"B\\\" C\" <sip:a%20b:p@[2001:db8::1]:5061;transport=tcp;lr?x=y&z=%00>;tag=1;q=\"0.5\"",
    "SIP/2.0/UDP host.example.com:5060;branch=z9hG4bK1;rport=5;received=192.0.2.1",
    "sips:alice;x=y@example.com;maddr=239.1.1.1;ttl=15",
    "tel:+1-201-555-0123;phone-context=example.com",
    "Digest username=\"a, b\", realm=\"r\", nc=0000000a, algorithm=SHA-256",
    "4711 INVITE",
    "a84b4c76e66710@h;to-tag=7743;from-tag=6472;early-only",
    "<sip:c@h;method=INVITE?Replaces=a%40h%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces>",
    "refer;id=93809824",
    "terminated;reason=noresource;expires=60",
    "SIP/2.0 180 Ringing\r\n",
    "Signal=11\r\nDuration=160\r\n",
];

const SDPS: &[&str] = &[
    "v=0\r\no=a b 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=recvonly\r\n\
     m=video 4 RTP/SAVPF 97\r\nm=audio 6/2 RTP/AVP 96 8 101\r\na=rtpmap:96 PCMU/8000/1\r\n\
     a=rtpmap:101 telephone-event/8000\r\na=rtcp:7 IN IP6 ::1\r\na=ptime:20.5\r\nb=AS:64\r\n",
    "v=0\no=- 1 1 IN IP6 ::1\ns= \nt=0 0\nm=audio 65535 RTP/AVPF 0\nc=IN IP6 2001:db8::5/3\na=maxptime:10\n",
];

fn mutate(random: &mut StdRng, seed: &[u8]) -> Vec<u8> {
    const SPICE: &[u8] = b"\r\n \t:;,<>\"\\@?=/%\0\xff[]0-9SIP";
    let mut data = seed.to_vec();
    for _ in 0..random.random_range(1..6) {
        if data.is_empty() {
            return data;
        }
        let at = random.random_range(0..data.len());
        match random.random_range(0..5) {
            0 => data[at] = SPICE[random.random_range(0..SPICE.len())],
            1 => data[at] ^= 1 << random.random_range(0..8),
            2 => data.insert(at, SPICE[random.random_range(0..SPICE.len())]),
            3 => data.truncate(at),
            _ => {
                let end = (at + random.random_range(1..40)).min(data.len());
                let piece = data[at..end].to_vec();
                let to = random.random_range(0..data.len());
                data.splice(to..to, piece);
            }
        }
    }
    data
}

fn check(corpus: &[&[u8]], body: impl Fn(&[u8])) {
    let mut random = StdRng::seed_from_u64(0x5349_5031);
    corpus.iter().for_each(|seed| body(seed));
    for round in 0..ROUNDS {
        body(&mutate(&mut random, corpus[round % corpus.len()]));
    }
}

fn bytes<'a>(texts: &[&'a str]) -> Vec<&'a [u8]> {
    texts.iter().map(|text| text.as_bytes()).collect()
}

#[test]
fn stun() {
    let mut random = StdRng::seed_from_u64(8489);
    let mut longer = fuzz::STUN_REQUEST.to_vec();
    longer.extend(b"\x80\x22\x00\x04abcd\x00\x03\x00\x04\x00\x00\x00\x06");
    longer[3] = 16;
    for seed in [fuzz::STUN_REQUEST.to_vec(), longer] {
        fuzz::answer_stun(&seed);
        for _ in 0..ROUNDS {
            fuzz::answer_stun(&mutate(&mut random, &seed));
        }
    }
}

#[test]
fn messages() {
    check(MESSAGES, fuzz::parse_message);
}

#[test]
fn streams() {
    check(MESSAGES, fuzz::frame_stream);
}

#[test]
fn values() {
    check(&bytes(VALUES), fuzz::parse_values);
}

#[test]
fn bodies_of_texts() {
    let good: &[&[u8]] = &[
        b"\0Sch\xc3\xb6n\r\n",
        b"\x01From: <sip:a@h>\r\nTo: <sip:b@h>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: x\r\n\
          imdn.Disposition-Notification: positive-delivery, display\r\n\r\nContent-Type: text/plain\r\n\r\nhello",
        b"\x02--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\nContent-Type: message/cpim\r\n\r\nFrom: a\r\n\r\n\
          Content-Type: text/plain\r\n\r\ntwo\r\n--b--\r\n",
        b"\x04<isComposing><state>active</state></isComposing>",
    ];
    check(good, fuzz::read_instant);
}

#[test]
fn session_descriptions() {
    check(&bytes(SDPS), fuzz::parse_sdp);
}

#[test]
fn keys() {
    let good: &[&[u8]] = &[
        b"1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\n\
          2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj",
        b"3 AEAD_AES_256_GCM inline:HGAPy4Cedy/qumbZvpuCZSVT7rNDk8vG4TdUXp5hkyWqJCqiLRGab0KJy1g= WSH=64 -X",
    ];
    check(good, fuzz::read_keys);
}

const ANSWER: &str = "v=0\r\no=b 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n\
     m=video 0 RTP/SAVPF 97\r\nm=audio 6000 RTP/AVP 96 101\r\na=rtpmap:96 PCMU/8000\r\n\
     a=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\n";

#[test]
fn descriptions_that_pass_through() {
    let mut seeds = Vec::new();
    for kinds in [0, 0xff, 0b0101_1001, 0b0011_1011] {
        for offer in SDPS {
            seeds.push([&[kinds], offer.as_bytes(), b"\0", ANSWER.as_bytes()].concat());
        }
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    check(&seeds, fuzz::relay_descriptions);
}

/// Plays of any octets, many of them long enough for whole calls.
#[test]
fn calls() {
    let mut random = StdRng::seed_from_u64(0x4341_4c4c);
    let start = crate::testing::start();
    for _ in 0..ROUNDS / 8 {
        let length = random.random_range(1..600);
        let play: Vec<u8> = (0..length).map(|_| random.random_range(0..=255)).collect();
        fuzz_calls::drive_calls(start, &play);
    }
}
