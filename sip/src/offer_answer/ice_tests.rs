//! Offers as browsers write them, and what we answer; ours to a browser, and what it answers.

use super::super::*;
use super::*;

const FINGERPRINT: &str = "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

/// As Chromium writes it before it has gathered anything.
fn browser_offer(change: &[(&str, &str)]) -> String {
    let text = format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS one\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:aB+/\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
         a=ice-options:trickle\r\na=fingerprint:{FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:one two\r\n\
         a=candidate:1 1 udp 2113937151 b3a9d8c2-1f63-4d0b.local 51000 typ host\r\n\
         a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\n\
         a=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         a=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=rtpmap:126 telephone-event/8000\r\na=ssrc:77 cname:abc\r\n"
    );
    change
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}

fn local(is_web: bool, policy: SecurityPolicy) -> LocalMedia {
    LocalMedia {
        security: LocalSecurity {
            policy,
            fingerprint: Fingerprint::parse(FINGERPRINT),
            ice: Some(LocalIce::new([5; 32])),
            offers_ice: is_web,
            is_web,
            ..LocalSecurity::default()
        },
        ..LocalMedia::new([192, 0, 2, 2].into(), 4_000)
    }
}

#[test]
fn a_browser_is_answered_in_its_own_words() {
    let local = local(true, SecurityPolicy::Required);
    let (answer, agreed) = answer(&browser_offer(&[]), &local).unwrap();
    let NegotiatedSecurity::Dtls { role, ice, .. } = &agreed.security else {
        panic!("{agreed:?}");
    };
    assert_eq!(*role, DtlsRole::Passive);
    assert_eq!(ice.as_ref().unwrap().remote_ufrag, "aB+/");
    // No address is no hold where checks will show one.
    assert_eq!(
        (agreed.direction, agreed.remote_rtp),
        (Direction::SendRecv, None)
    );
    assert!(agreed.rtcp_mux && agreed.codec == AudioCodec::Opus);
    assert_eq!(agreed.telephone_event, Some(110));
    for line in [
        "m=audio 4000 UDP/TLS/RTP/SAVPF 111 110",
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "a=mid:0",
        "a=rtcp-mux",
        "a=setup:passive",
        "a=candidate:1 1 udp 2130706431 192.0.2.2 4000 typ host",
        "a=end-of-candidates",
    ] {
        assert!(answer.lines().any(|one| one == line), "{line} in\n{answer}");
    }
    assert!(Session::parse(&answer).is_ok());
}

#[test]
fn whose_paths_are_taken() {
    let rows: [(&[(&str, &str)], bool); 6] = [
        (&[], true),
        // RTCP on a port of its own, an agent like us, names that are none.
        (&[("a=rtcp-mux\r\n", "")], false),
        (&[("a=group", "a=ice-lite\r\na=group")], false),
        (&[("a=ice-ufrag:aB+/", "a=ice-ufrag:a b")], false),
        (&[("0123456789abcdefghijklmn", "short")], false),
        (&[("a=ice-pwd:0123456789abcdefghijklmn\r\n", "")], false),
    ];
    for (change, is_taken) in rows {
        let offer = browser_offer(change);
        let (answer, agreed) = answer(&offer, &local(false, SecurityPolicy::Optional)).unwrap();
        let NegotiatedSecurity::Dtls { ice, .. } = &agreed.security else {
            panic!("{agreed:?}");
        };
        assert_eq!(ice.is_some(), is_taken, "{change:?}");
        assert_eq!(answer.contains("a=ice-ufrag:"), is_taken);
        assert_eq!(answer.contains("a=ice-lite"), is_taken);
    }
}

/// No address is hold, but where a handshake goes with the checks that show one.
#[test]
fn who_is_on_hold_without_an_address() {
    let plain = ("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    let unproven = ("a=fingerprint:", "a=none:");
    let rows: [(&[(&str, &str)], Direction); 4] = [
        (&[plain], Direction::SendRecv),
        (&[plain, unproven], Direction::SendOnly),
        (&[plain, ("a=rtcp-mux\r\n", "")], Direction::SendOnly),
        (
            &[plain, unproven, ("0.0.0.0", "192.0.2.7")],
            Direction::SendRecv,
        ),
    ];
    for (change, expected) in rows {
        let offer = browser_offer(change);
        let (_, agreed) = answer(&offer, &local(false, SecurityPolicy::Optional)).unwrap();
        // Ours, so it is the other way round.
        assert_eq!(agreed.direction.mirrored(), expected, "{change:?}");
    }
}

#[test]
fn policy_holds_for_phones() {
    let offer = browser_offer(&[]);
    let refused = answer(&offer, &local(false, SecurityPolicy::Off));
    assert!(
        matches!(refused, Err(OfferError::Protocol(_))),
        "{refused:?}"
    );
    let plain = browser_offer(&[
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ("a=fingerprint:", "a=none:"),
    ]);
    let required = answer(&plain, &local(false, SecurityPolicy::Required));
    assert!(
        matches!(required, Err(OfferError::NotSecure)),
        "{required:?}"
    );
}

#[test]
fn a_browser_is_offered_what_it_can_take() {
    let local = local(true, SecurityPolicy::Required);
    let offer = offer(&local);
    for part in [
        "m=audio 4000 UDP/TLS/RTP/SAVPF",
        "a=ice-lite\r\n",
        "a=setup:actpass",
        "a=ice-pwd:",
        "a=rtcp-mux",
    ] {
        assert!(offer.contains(part), "{part} in\n{offer}");
    }
    assert!(!offer.contains("a=crypto"));
    let theirs = browser_offer(&[("a=setup:actpass", "a=setup:active")]);
    let agreed = accept_answer(&offer, &theirs, &local).unwrap();
    let NegotiatedSecurity::Dtls { role, ice, .. } = &agreed.security else {
        panic!("{agreed:?}");
    };
    assert_eq!(*role, DtlsRole::Passive);
    let ours = local.security.ice.as_ref().unwrap();
    assert_eq!(ice.as_ref(), Some(&ours.with("aB+/".to_owned())));
}

/// The peer's name changes: a network has changed there, and both begin anew.
#[test]
fn a_restart_changes_our_names_once() {
    let mut local = local(true, SecurityPolicy::Required);
    let mut said = |name: &str| {
        let offer = browser_offer(&[("a=ice-ufrag:aB+/", &format!("a=ice-ufrag:{name}"))]);
        // A description may be written more than once before it is sent.
        let twice = [(); 2].map(|()| answer(&offer, &local).unwrap());
        assert_eq!(twice[0].0, twice[1].0);
        let (answer, agreed) = &twice[0];
        let ice = agreed.security.ice().unwrap();
        let lines = [
            format!("a=ice-ufrag:{}\r\n", ice.local_ufrag),
            format!("a=ice-pwd:{}\r\n", ice.local_pwd.expose()),
        ];
        assert!(lines.iter().all(|line| answer.contains(line)));
        local.security.ice.as_mut().unwrap().keep([ice]);
        assert!(offer_names(&local).iter().eq(&lines), "an offer of ours");
        lines
    };
    let first = said("one1");
    assert_eq!(said("one1"), first, "held or not, the paths are the same");
    let second = said("two2");
    assert!(second[0] != first[0] && second[1] != first[1]);
    assert_eq!(said("two2"), second);
    assert!(!first.contains(&said("one1")[0]), "back is anew as well");
}

fn offer_names(local: &LocalMedia) -> Vec<String> {
    let offer = offer(local);
    let lines = offer.lines();
    let names =
        lines.filter(|line| line.starts_with("a=ice-ufrag") || line.starts_with("a=ice-pwd"));
    names.map(|line| format!("{line}\r\n")).collect()
}

#[test]
fn names_are_of_their_alphabet_and_of_their_leg() {
    let (one, other) = (LocalIce::new([1; 32]), LocalIce::new([2; 32]));
    assert!(one != other && one == LocalIce::new([1; 32]));
    assert!(UFRAG_LEN.contains(&one.ufrag.len()) && PWD_LEN.contains(&one.pwd.expose().len()));
    assert!(is_ice_char(&one.ufrag) && is_ice_char(one.pwd.expose()));
    assert!(!format!("{one:?}").contains(one.pwd.expose()));
}
