//! Phones that refuse a description and take another one: codecs that differ, keys that one insists on.

use sip::offer_answer::{FingerprintHash, SecurityPolicy};

use super::*;

const OPUS: &str = "v=0\r\no=- 7 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n\
     m=audio 4000 RTP/AVP 107 101\r\na=rtpmap:107 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n";
/// An answer in a 200 that takes nothing.
const NOTHING: &str = "v=0\r\no=- 7 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n\
     m=audio 0 RTP/AVP 107\r\n";

/// The audio section of an offer, in short: profile, formats, and what protection it offers.
fn audio(offer: &str) -> String {
    let line = offer.lines().find_map(|line| line.strip_prefix("m=audio "));
    let (_, rest) = line.and_then(|line| line.split_once(' ')).expect("audio");
    let means = [("a=crypto:", " +keys"), ("a=fingerprint:", " +hands")];
    let means = means.iter().filter(|(line, _)| offer.contains(line));
    let means: String = means.map(|(_, name)| *name).collect();
    format!("{rest}{means}")
}

/// The audio sections of all offers to a phone that refuses each.
fn all_offers(rig: &mut Rig, offer: &str) -> Vec<String> {
    rig.dial("anna", "201", Some(offer.to_owned()));
    let mut last = 2;
    while rig.end(last, 488).starts_with("call ") {
        last = rig.legs.len();
        assert!(last < 12, "it goes on for ever");
    }
    assert_eq!(rig.said.join("; "), "serve 1 Message Some(\"bert\"); over");
    rig.rest();
    rig.offers.iter().map(|offer| audio(offer)).collect()
}

#[test]
fn a_phone_without_a_codec_in_common_is_offered_ours() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", Some(OPUS.to_owned()));
    assert_eq!(
        audio(&rig.offers[0]),
        "RTP/AVP 107 101",
        "at first none of ours"
    );
    assert_eq!(rig.end(2, 488), "call 3=10.0.0.3");
    assert_eq!(audio(&rig.offers[1]), "RTP/AVP 107 101 9 0 8");
    assert_eq!(rig.progress(3, 180), "180 to 1");
    let leg = rig.leg(3);
    let answer = Some(sdp(5_000, ""));
    assert_eq!(
        rig.handle(Input::Answered { leg, answer }),
        "transcode Opus Pcmu; answer 1"
    );
    // Hold passes as ever: what was agreed upon is known to both sides.
    let offer = Some(OPUS.replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n"));
    let leg = rig.leg(1);
    assert_eq!(rig.handle(Input::ReInvite { leg, offer }), "reoffer 3");
    assert_eq!(
        rig.reoffered(3, Ok(Some(sdp(5_000, "a=recvonly\r\n")))),
        "transcode Opus Pcmu; accept 1"
    );
    // And the other way: the caller's phone refuses the other's codec once.
    let (leg, offer) = (rig.leg(3), Some(sdp(5_000, "a=sendrecv\r\n")));
    assert_eq!(rig.handle(Input::ReInvite { leg, offer }), "reoffer 1");
    assert_eq!(rig.reoffered(1, Err(488)), "reoffer 1");
    assert_eq!(
        rig.reoffered(1, Ok(Some(OPUS.to_owned()))),
        "transcode Opus Pcmu; accept 3"
    );
    assert_eq!(rig.end(1, 0), "hang up 3; over talked");
    rig.rest();
}

#[test]
fn a_codec_in_common_passes_also_where_ours_were_offered() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", offer());
    rig.end(2, 488);
    assert_eq!(rig.answer(3), "answer 1", "nothing is transcoded");
    rig.end(1, 0);
    rig.rest();
}

#[test]
fn an_answer_that_takes_nothing_gets_a_wider_offer() {
    let rows = [
        (Ok(Some(sdp(5_000, ""))), "transcode Opus Pcmu; answer 1"),
        (Err(488), "hang up 2; reject 1 488"),
        (Ok(Some(NOTHING.to_owned())), "hang up 2; reject 1 488"),
    ];
    for (result, expected) in rows {
        let mut rig = Rig::new(&[("bert", &[3])]);
        rig.dial("anna", "201", Some(OPUS.to_owned()));
        let (leg, answer) = (rig.leg(2), Some(NOTHING.to_owned()));
        assert_eq!(rig.handle(Input::Answered { leg, answer }), "reoffer 2");
        assert_eq!(rig.reoffered(2, result), expected);
        rig.end(1, 487);
        rig.rest();
    }
}

/// Every refusal is met with other words, and the last one counts.
#[test]
fn what_a_phone_is_offered_after_each_refusal() {
    let keys = sdp(
        4_000,
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n",
    );
    let plain = sdp(4_000, "");
    let wide = "0 101 96 9 8";
    let rows: [(SecurityPolicy, &str, Vec<String>); 4] = [
        (
            SecurityPolicy::Off,
            &plain,
            vec!["RTP/AVP 0 101".into(), format!("RTP/AVP {wide}")],
        ),
        (
            SecurityPolicy::Optional,
            &plain,
            vec![
                "RTP/AVP 0 101".into(),
                "RTP/SAVP 0 101 +keys".into(),
                format!("RTP/AVP {wide}"),
                format!("RTP/SAVP {wide} +keys"),
            ],
        ),
        // Keys are offered over private signalling alone, but to who insists.
        (
            SecurityPolicy::Optional,
            &keys,
            vec![
                "RTP/AVP 0 101".into(),
                "RTP/SAVP 0 101 +keys".into(),
                format!("RTP/AVP {wide}"),
                format!("RTP/SAVP {wide} +keys"),
            ],
        ),
        (
            SecurityPolicy::Off,
            OPUS,
            vec!["RTP/AVP 107 101".into(), "RTP/AVP 107 101 9 0 8".into()],
        ),
    ];
    for (policy, offer, expected) in rows {
        let mut rig = Rig::with(&[("bert", &[3])], policy);
        assert_eq!(all_offers(&mut rig, offer), expected, "{policy:?}");
    }
}

const SHOWN: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

/// Whoever calls and however its signalling comes: each phone is asked for the one protection it may insist on.
#[test]
fn every_protection_is_offered_once() {
    use SecurityPolicy::{Optional, Required};
    let hands = format!("a=fingerprint:sha-256 {SHOWN}\r\na=setup:actpass\r\n");
    let shaking = sdp(4_000, &hands).replace("RTP/AVP", "UDP/TLS/RTP/SAVP");
    let web = shaking.replace("RTP/SAVP", "RTP/SAVPF");
    let plain = sdp(4_000, "");
    // Policy, a browser calls, nobody reads along on the way to the phone; what it is offered.
    type Row<'a> = (SecurityPolicy, bool, bool, &'a str, &'a [&'a str]);
    let rows: [Row; 7] = [
        (
            Optional,
            false,
            false,
            &shaking,
            &["AVP +hands", "UDP/TLS +hands", "SAVP +keys"],
        ),
        (
            Optional,
            false,
            true,
            &shaking,
            &["AVP +keys +hands", "UDP/TLS +hands", "SAVP +keys"],
        ),
        (
            Optional,
            true,
            true,
            &web,
            &["AVP", "SAVP +keys", "UDP/TLS +hands"],
        ),
        (
            Optional,
            true,
            false,
            &web,
            &["AVP", "SAVP +keys", "UDP/TLS +hands"],
        ),
        (
            Optional,
            false,
            false,
            &plain,
            &["AVP", "SAVP +keys", "UDP/TLS +hands"],
        ),
        (
            Required,
            false,
            true,
            &shaking,
            &["SAVP +keys", "UDP/TLS +hands"],
        ),
        (Required, false, false, &shaking, &["UDP/TLS +hands"]),
    ];
    for (policy, from_web, is_private, offer, expected) in rows {
        let own = Fingerprint {
            hash: FingerprintHash::Sha256,
            octets: vec![7; 32],
        };
        let mut rig = Rig::with_certificates(&[("bert", &[3])], policy, vec![own]);
        rig.from_web = from_web;
        rig.world.is_private = is_private;
        let offers = all_offers(&mut rig, offer);
        // Then the same with codecs of ours, and in the end without protection if need be.
        let long = |formats: &str| {
            let profile = |short: &&str| {
                let (name, means) = short.split_once(' ').unwrap_or((short, ""));
                let means = if means.is_empty() {
                    String::new()
                } else {
                    format!(" {means}")
                };
                let name = name.replace("UDP/TLS", "UDP/TLS/RTP/SAVP");
                let name = match name.contains('/') {
                    true => name,
                    false => format!("RTP/{name}"),
                };
                format!("{name} {formats}{means}")
            };
            expected.iter().map(profile).collect::<Vec<String>>()
        };
        let mut all = long("0 101");
        all.extend(long("0 101 96 9 8"));
        let bare = "RTP/AVP 0 101 96 9 8".to_owned();
        if policy == Optional && !all.contains(&bare) {
            all.push(bare);
        }
        assert_eq!(offers, all, "{policy:?} {from_web} {is_private} {offer}");
    }
}

#[test]
fn a_refusal_of_the_call_is_no_refusal_of_its_media() {
    for status in [486, 480, 404, 603, 503] {
        let mut rig = Rig::with(&[("bert", &[3])], SecurityPolicy::Optional);
        rig.dial("anna", "201", offer());
        rig.end(2, status);
        assert_eq!(rig.offers.len(), 1, "{status}");
        rig.rest();
    }
}

/// Bert puts Anna, whose phone has Opus alone, together with Carl, whose phone has none.
#[test]
fn two_without_a_codec_in_common_are_put_together() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", Some(OPUS.to_owned()));
    let (leg, answer) = (rig.leg(2), Some(OPUS.to_owned()));
    assert_eq!(rig.handle(Input::Answered { leg, answer }), "answer 1");
    rig.dial("bert", "202", offer());
    rig.answer(4);
    assert_eq!(
        rig.transfer(2, "202", Some(3)),
        "transfer 2 Ok(()); over talked; reoffer 1"
    );
    assert_eq!(
        rig.reoffered(1, Err(488)),
        "reoffer 1",
        "with codecs of ours"
    );
    assert_eq!(rig.reoffered(1, Ok(Some(OPUS.to_owned()))), "reoffer 4");
    assert_eq!(rig.reoffered(4, Err(488)), "reoffer 4");
    assert_eq!(
        rig.reoffered(4, Ok(Some(sdp(5_000, "")))),
        "transcode Opus Pcmu; notify 2 200"
    );
    rig.end(2, 0);
    rig.wait(5);
    rig.end(1, 0);
    rig.rest();
}

#[test]
fn a_blind_transfer_to_a_phone_with_other_codecs() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", Some(OPUS.to_owned()));
    let (leg, answer) = (rig.leg(2), Some(OPUS.to_owned()));
    rig.handle(Input::Answered { leg, answer });
    rig.transfer(2, "202", None);
    assert_eq!(rig.end(3, 488), "call 4=10.0.0.4");
    let (leg, answer) = (rig.leg(4), Some(sdp(5_000, "")));
    assert_eq!(rig.handle(Input::Answered { leg, answer }), "reoffer 1");
    assert_eq!(rig.reoffered(1, Err(488)), "reoffer 1");
    assert_eq!(
        rig.reoffered(1, Ok(Some(OPUS.to_owned()))),
        "transcode Opus Pcmu; notify 2 200"
    );
    rig.end(2, 0);
    rig.end(1, 0);
    rig.rest();
}
