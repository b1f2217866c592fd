//! Calls handed on: blind, attended, to the assistant, and back.

use super::*;

#[test]
fn a_blind_transfer() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    assert_eq!(rig.transfer(2, "990", None), "transfer 2 Err(404)");
    assert_eq!(
        rig.transfer(2, "202", None),
        "transfer 2 Ok(()); call 3=10.0.0.4"
    );
    assert_eq!(rig.progress(3, 180), "notify 2 180");
    assert_eq!(rig.answer(3), "reoffer 1");
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "notify 2 200");
    assert_eq!(rig.wait(5), "hang up 2", "it did not hang up by itself");
    assert_eq!(rig.end(3, 0), "hang up 1; over talked");
    rig.rest();
}

#[test]
fn a_transfer_that_nobody_takes_goes_back() {
    for still_there in [true, false] {
        let mut rig = Rig::new(&[("bert", &[3]), ("anna", &[6])]);
        rig.dial("carl", "201", offer());
        rig.answer(2);
        rig.transfer(1, "300", None);
        assert_eq!(rig.said.join("; "), "transfer 1 Ok(()); call 3=10.0.0.3");
        if !still_there {
            assert_eq!(rig.end(1, 0), "", "the transferring phone may go");
        }
        let back = rig.end(3, 486);
        if still_there {
            assert_eq!(back, "notify 1 486");
            let leg = rig.leg(1);
            let back = rig.handle(Input::ReInvite {
                leg,
                offer: Some(sdp(4_002, "")),
            });
            assert_eq!(back, "reoffer 2", "the call goes on");
            assert_eq!(rig.end(1, 0), "hang up 2; over talked");
        } else {
            assert_eq!(back, "hang up 2; over talked");
        }
        rig.rest();
    }
}

#[test]
fn a_transfer_to_the_assistant() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    assert_eq!(
        rig.transfer(1, "100", None),
        "transfer 1 Ok(()); notify 1 200; hang up 1; serve standing 2 Agent None; over talked"
    );
    rig.rest();
}

/// Bert talks with Anna, asks Carl, and puts the two together. Both of his calls stand.
#[test]
fn an_attended_transfer() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    rig.dial("bert", "202", offer());
    rig.answer(4);
    assert_eq!(
        rig.transfer(1, "202", Some(3)),
        "transfer 1 Err(403)",
        "another's call"
    );
    assert_eq!(
        rig.transfer(2, "202", Some(3)),
        "transfer 2 Ok(()); over talked; reoffer 1"
    );
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "reoffer 4");
    assert_eq!(rig.reoffered(4, Ok(Some(sdp(5_000, "")))), "notify 2 200");
    assert_eq!(rig.end(2, 0), "");
    assert_eq!(rig.wait(5), "hang up 3");
    assert_eq!(rig.end(1, 0), "hang up 4; over talked");
    rig.rest();
}

/// The same while Carl's phone still rings.
#[test]
fn an_attended_transfer_before_the_answer() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    rig.dial("bert", "202", offer());
    assert_eq!(
        rig.transfer(2, "202", Some(3)),
        "transfer 2 Ok(()); reject 3 487; over"
    );
    assert_eq!(rig.answer(4), "reoffer 1");
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "notify 2 200");
    rig.end(2, 0);
    assert_eq!(rig.end(4, 0), "hang up 1; over talked");
    rig.rest();
}

/// As a browser writes it; `name`: of its paths.
fn browser(setup: &str, name: &str) -> String {
    sdp(4_000, "")
        .replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")
        .replace("t=0 0\r\n", "t=0 0\r\na=group:BUNDLE 0\r\n")
        + &format!(
            "a=fingerprint:sha-256 {}\r\na=setup:{setup}\r\na=ice-ufrag:{name}\r\n\
             a=ice-pwd:0123456789012345678901\r\na=rtcp-mux\r\na=mid:0\r\n",
            vec!["0A"; 32].join(":")
        )
}

fn line_of<'a>(sdp: &'a str, name: &str) -> &'a str {
    let found = sdp.lines().find(|line| line.starts_with(name));
    found.unwrap_or_else(|| panic!("no {name} in {sdp}"))
}

/// Certificate, part in the handshake, name of paths and port as a description shows them. Its section stays in its bundle, or
/// a browser would take none of it.
fn shown(sdp: &str) -> [String; 4] {
    assert!(
        sdp.contains("a=group:BUNDLE 0\r\n") && sdp.contains("a=mid:0\r\n"),
        "{sdp}"
    );
    ["a=fingerprint:", "a=setup:", "a=ice-ufrag:", "m=audio "]
        .map(|name| line_of(sdp, name)[name.len()..].to_owned())
}

/// A browser that is handed on shakes hands with the new relay, however often: else it would go on with keys that only the
/// old one has.
#[test]
fn a_browser_begins_anew_with_each_transfer() {
    let certificate = |octet: u8| Fingerprint {
        hash: sip::offer_answer::FingerprintHash::Sha256,
        octets: vec![octet; 32],
    };
    let both = vec![certificate(1), certificate(2)];
    let phones: [(&str, &[u8]); 2] = [("bert", &[3]), ("carl", &[4])];
    for is_attended in [false, true] {
        let policy = sip::offer_answer::SecurityPolicy::Off;
        let mut rig = Rig::with_certificates(&phones, policy, both.clone());
        rig.from_web = true;
        rig.dial("anna", "201", Some(browser("actpass", "aaaa")));
        rig.from_web = false;
        rig.answer(2);
        let first = shown(&rig.answers[0]);
        assert_eq!(first[0], certificate(1).to_string());

        // One that nobody takes changes nothing.
        rig.transfer(2, "300", None);
        rig.end(3, 486);
        assert_eq!(rig.end(4, 486), "notify 2 486");
        let leg = rig.leg(1);
        let again = Input::ReInvite {
            leg,
            offer: Some(browser("actpass", "bbbb")),
        };
        assert_eq!(rig.handle(again), "reoffer 2");
        rig.reoffered(2, Ok(Some(sdp(5_000, ""))));
        let agreed = rig.secured.last().cloned();
        assert!(matches!(agreed, Some(NegotiatedSecurity::Dtls { own, .. }) if own == both[0]));

        if is_attended {
            rig.dial("bert", "202", offer());
            rig.answer(6);
            rig.transfer(2, "202", Some(5));
        } else {
            rig.transfer(2, "202", None);
            rig.answer(5);
        }
        let second = shown(rig.offers.last().expect("an offer to the browser"));
        assert_eq!(second[0], certificate(2).to_string());
        assert_eq!(second[1], "actpass");
        assert_ne!(second[2], first[2]);
        assert_ne!(second[3], first[3]);
        rig.reoffered(1, Ok(Some(browser("active", "cccc"))));
        let third = match is_attended {
            true => {
                rig.reoffered(6, Ok(Some(sdp(5_000, ""))));
                6
            }
            false => 5,
        };
        let Some(NegotiatedSecurity::Dtls { role, own, ice, .. }) = rig.secured.last() else {
            panic!("{:?}", rig.secured);
        };
        assert_eq!((role.as_str(), own), ("passive", &both[1]));
        let ice = ice.as_ref().expect("paths");
        assert_eq!(
            (&ice.local_ufrag, ice.remote_ufrag.as_str()),
            (&second[2], "cccc")
        );

        // And on, back to Bert.
        rig.end(2, 0);
        rig.wait(5);
        rig.transfer(third, "201", None);
        rig.answer(third + 1);
        let last = shown(rig.offers.last().expect("an offer to the browser"));
        assert_eq!(last[0], certificate(1).to_string());
        assert_ne!(last[2], second[2]);
        rig.end(1, 0);
        rig.wait(5);
    }
}
