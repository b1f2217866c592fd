//! Offers as phones make them, and what is made of them.

use super::*;

fn local() -> LocalMedia {
    LocalMedia {
        session_id: 11,
        session_version: 3,
        codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
        rtcp_mux: false,
        ..LocalMedia::new([192, 0, 2, 7].into(), 40_000)
    }
}

const HEAD: &str =
    "v=0\r\no=- 1 1 IN IP4 198.51.100.5\r\ns=-\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n";

/// The shape of what was agreed upon, or the status it is refused with.
///
/// `codec/number event→rtp,rtcp direction ptime #mline`
fn shape(result: Result<NegotiatedAudio, OfferError>) -> String {
    let audio = match result {
        Ok(audio) => audio,
        Err(error) => return error.to_status().to_string(),
    };
    let event = audio
        .telephone_event
        .map_or("-".to_owned(), |number| number.to_string());
    let at =
        |address: Option<SocketAddr>| address.map_or("-".to_owned(), |address| address.to_string());
    format!(
        "{}/{} {event}→{},{} {} {} #{}",
        audio.codec.encoding(),
        audio.payload_type,
        at(audio.remote_rtp),
        at(audio.remote_rtcp),
        audio.direction.as_str(),
        audio.ptime_ms,
        audio.mline
    )
}

fn check(name: &str, offer: &str, expected: &str) {
    let result = answer(offer, &local());
    if let Ok((text, audio)) = &result {
        let ours = Session::parse(text).unwrap();
        let theirs = Session::parse(offer).unwrap();
        // RFC 3264 §6: as many sections, in order, of the same kind and protocol; one of them open.
        assert_eq!(ours.media.len(), theirs.media.len(), "{name}");
        for (number, (own, other)) in ours.media.iter().zip(&theirs.media).enumerate() {
            assert_eq!(
                (&own.kind, &own.protocol),
                (&other.kind, &other.protocol),
                "{name}"
            );
            assert_eq!(
                own.port,
                if number == audio.mline { 40_000 } else { 0 },
                "{name}"
            );
            assert!(
                own.formats
                    .iter()
                    .all(|format| other.formats.contains(format)),
                "{name}"
            );
        }
        assert_eq!(ours.timing, theirs.timing, "{name}");
    }
    assert_eq!(shape(result.map(|(_, audio)| audio)), expected, "{name}");
}

#[test]
fn dialects() {
    check(
        "linphone",
        "v=0\r\no=alice 3747 461 IN IP4 198.51.100.5\r\ns=Talk\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n\
         a=ice-pwd:x\r\na=ice-ufrag:y\r\na=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n\
         a=record:off\r\nm=audio 7076 RTP/AVPF 96 97 98 0 8 18 101 99 100\r\na=rtpmap:96 opus/48000/2\r\n\
         a=fmtp:96 useinbandfec=1\r\na=rtpmap:97 speex/16000\r\na=fmtp:97 vbr=on\r\na=rtpmap:98 speex/8000\r\n\
         a=rtpmap:101 telephone-event/48000\r\na=rtpmap:99 telephone-event/16000\r\na=rtpmap:100 telephone-event/8000\r\n\
         a=rtcp:7077\r\na=rtcp-fb:* trr-int 5000\r\nm=video 9078 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
        "PCMU/0 100→198.51.100.5:7076,198.51.100.5:7077 sendrecv 20 #0",
    );
    check(
        "zoiper",
        "v=0\r\no=Z 0 0 IN IP4 198.51.100.5\r\ns=Z\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n\
         m=audio 8000 RTP/AVP 3 110 8 0 98 101\r\na=rtpmap:110 speex/8000\r\na=rtpmap:98 iLBC/8000\r\n\
         a=fmtp:98 mode=20\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n",
        "PCMA/8 101→198.51.100.5:8000,198.51.100.5:8001 sendrecv 20 #0",
    );
    check(
        "microsip",
        "v=0\r\no=- 3977 3977 IN IP4 198.51.100.5\r\ns=pjmedia\r\nb=AS:84\r\nt=0 0\r\na=X-nat:0\r\n\
         m=audio 4000 RTP/AVP 8 0 101\r\nc=IN IP4 198.51.100.5\r\nb=TIAS:64000\r\na=rtcp:4001 IN IP4 198.51.100.6\r\n\
         a=sendrecv\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\na=ssrc:1 cname:x\r\n",
        "PCMA/8 101→198.51.100.5:4000,198.51.100.6:4001 sendrecv 20 #0",
    );
    check(
        "freeswitch",
        "v=0\r\no=FreeSWITCH 1 2 IN IP4 198.51.100.5\r\ns=FreeSWITCH\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n\
         m=audio 30000 RTP/AVP 96 0\r\na=rtpmap:96 pcma/8000/1\r\na=ptime:30\r\n",
        "PCMA/96 -→198.51.100.5:30000,198.51.100.5:30001 sendrecv 30 #0",
    );
    check(
        "asterisk, on hold",
        "v=0\r\no=- 5 5 IN IP6 2001:db8::5\r\ns=Asterisk\r\nc=IN IP6 2001:db8::5\r\nt=0 0\r\n\
         m=audio 10000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=maxptime:150\r\na=sendonly\r\n",
        "PCMU/0 101→[2001:db8::5]:10000,[2001:db8::5]:10001 recvonly 20 #0",
    );
    check(
        "a browser",
        &format!(
            "{HEAD}a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\n\
             a=fingerprint:sha-256 00\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        ),
        "488",
    );
    check(
        "secure or plain",
        &format!(
            "{HEAD}m=audio 5000 RTP/SAVP 0\r\na=crypto:1 x\r\nm=image 9 udptl t38\r\nm=audio 6000 RTP/AVP 0\r\n"
        ),
        "PCMU/0 -→198.51.100.5:6000,198.51.100.5:6001 sendrecv 20 #2",
    );
}

#[test]
fn details() {
    let audio = |rest: &str| format!("{HEAD}m=audio 5000 RTP/AVP {rest}");
    for (name, offer, expected) in [
        (
            "inactive",
            audio("0\r\na=inactive\r\n"),
            "PCMU/0 -→198.51.100.5:5000,198.51.100.5:5001 inactive 20 #0",
        ),
        (
            "direction of the session",
            format!("{HEAD}a=recvonly\r\nm=audio 5000 RTP/AVP 0\r\n"),
            "PCMU/0 -→198.51.100.5:5000,198.51.100.5:5001 sendonly 20 #0",
        ),
        (
            "held the old way",
            audio("0\r\nc=IN IP4 0.0.0.0\r\n"),
            "PCMU/0 -→-,- recvonly 20 #0",
        ),
        (
            "a name for an address",
            audio("0\r\nc=IN IP4 phone.example.com\r\n"),
            "PCMU/0 -→-,- sendrecv 20 #0",
        ),
        (
            "multicast",
            audio("0\r\nc=IN IP4 224.2.1.1/127\r\n"),
            "PCMU/0 -→-,- sendrecv 20 #0",
        ),
        (
            "broadcast",
            audio("0\r\nc=IN IP4 255.255.255.255\r\n"),
            "PCMU/0 -→-,- sendrecv 20 #0",
        ),
        (
            "no port above",
            format!("{HEAD}m=audio 65535 RTP/AVP 0\r\n"),
            "PCMU/0 -→198.51.100.5:65535,- sendrecv 20 #0",
        ),
        (
            "a static number renamed",
            audio("0\r\na=rtpmap:0 G726-32/8000\r\n"),
            "488",
        ),
        (
            "two channels",
            audio("96\r\na=rtpmap:96 PCMU/8000/2\r\n"),
            "488",
        ),
        (
            "ptime over maxptime",
            audio("0\r\na=ptime:60\r\na=maxptime:40\r\n"),
            "PCMU/0 -→198.51.100.5:5000,198.51.100.5:5001 sendrecv 40 #0",
        ),
        (
            "ptime of nobody",
            audio("0\r\na=ptime:0\r\n"),
            "PCMU/0 -→198.51.100.5:5000,198.51.100.5:5001 sendrecv 20 #0",
        ),
        ("nothing in common", audio("18 3\r\n"), "488"),
        (
            "switched off",
            format!("{HEAD}m=audio 0 RTP/AVP 0\r\n"),
            "488",
        ),
        (
            "video only",
            format!("{HEAD}m=video 5000 RTP/AVP 31\r\n"),
            "488",
        ),
        ("nothing at all", HEAD.to_owned(), "488"),
        (
            "no address",
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n".to_owned(),
            "400",
        ),
        ("no description", "hello".to_owned(), "400"),
    ] {
        check(name, &offer, expected);
    }
}

#[test]
fn our_answer_word_for_word() {
    let offer = format!(
        "{HEAD}m=video 6 RTP/AVP 31\r\na=x\r\nm=audio 5000 RTP/AVP 8 96 0\r\na=rtpmap:96 telephone-event/8000\r\na=sendonly\r\n"
    );
    let expected = "v=0\r\no=- 11 3 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=video 0 RTP/AVP 31\r\n\
                    m=audio 40000 RTP/AVP 8 0 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                    a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=ptime:20\r\na=recvonly\r\n";
    assert_eq!(answer(&offer, &local()).unwrap().0, expected);
}

/// What two of us agree upon is the same from both sides.
#[test]
fn we_understand_ourselves() {
    let mut other = local();
    other.address = "2001:db8::9".parse().unwrap();
    other.codecs = vec![AudioCodec::Pcma];
    let ours = offer(&local());
    let (text, theirs) = answer(&ours, &other).unwrap();
    let mine = accept_answer(&ours, &text, &local()).unwrap();
    assert_eq!(
        shape(Ok(theirs)),
        "PCMA/8 101→192.0.2.7:40000,192.0.2.7:40001 sendrecv 20 #0"
    );
    assert_eq!(
        shape(Ok(mine)),
        "PCMA/8 101→[2001:db8::9]:40000,[2001:db8::9]:40001 sendrecv 20 #0"
    );
}

#[test]
fn answers_that_do_not_fit() {
    let ours = offer(&local());
    let with = |rest: &str| shape(accept_answer(&ours, &format!("{HEAD}{rest}"), &local()));
    let open = "→198.51.100.5:7,198.51.100.5:8";
    for (rest, expected) in [
        (
            "m=audio 7 RTP/AVP 8\r\n",
            format!("PCMA/8 -{open} sendrecv 20 #0"),
        ),
        (
            "m=audio 7 RTP/AVP 8\r\na=sendonly\r\n",
            format!("PCMA/8 -{open} recvonly 20 #0"),
        ),
        // Another number for the same thing: we send theirs.
        (
            "m=audio 7 RTP/AVP 100 99\r\na=rtpmap:100 PCMU/8000\r\na=rtpmap:99 telephone-event/8000\r\n",
            format!("PCMU/100 101{open} sendrecv 20 #0"),
        ),
        ("m=audio 0 RTP/AVP 0\r\n", "488".to_owned()),
        ("m=audio 7 RTP/SAVP 0\r\n", "488".to_owned()),
        ("m=audio 7 RTP/AVP 18\r\n", "488".to_owned()),
        ("m=video 7 RTP/AVP 0\r\n", "400".to_owned()),
        ("", "400".to_owned()),
        (
            "m=audio 7 RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\n",
            "400".to_owned(),
        ),
    ] {
        assert_eq!(with(rest), expected, "{rest}");
    }
}

#[test]
fn sections_keep_their_names() {
    let section = |port: u16, name: &str| {
        let mid = match name {
            "" => String::new(),
            name => format!("a=mid:{name}\r\n"),
        };
        format!("m=audio {port} RTP/AVP 0\r\n{mid}")
    };
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let last = |group: &str| format!("{head}{group}{}{}", section(9, "0"), section(9, "b"));
    let offer = |second: u16| format!("{head}{}{}", section(7, ""), section(second, ""));
    let rows = [
        (
            "a=group:BUNDLE 0 b\r\n",
            7,
            &["a=group:BUNDLE 0 b", "a=mid:0", "a=mid:b"][..],
        ),
        // What is refused leaves its bundle.
        (
            "a=group:BUNDLE 0 b\r\n",
            0,
            &["a=group:BUNDLE 0", "a=mid:0"][..],
        ),
        (
            "a=group:BUNDLE b\r\n",
            7,
            &["a=group:BUNDLE b", "a=mid:0", "a=mid:b"][..],
        ),
        ("a=group:LS 0 b\r\n", 7, &["a=mid:0", "a=mid:b"][..]),
    ];
    for (group, second, expected) in rows {
        let named = named_as_before(&offer(second), &last(group)).expect("two descriptions");
        let names: Vec<&str> = named
            .lines()
            .filter(|line| line.starts_with("a="))
            .collect();
        assert_eq!(names, expected, "{group} {second}");
    }
    let before = format!("{head}{}", section(9, ""));
    let plain = named_as_before(&offer(7), &before).expect("two descriptions");
    assert!(!plain.contains("a="), "{plain}");
}
