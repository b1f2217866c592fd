//! Offers and answers of two phones, as each of them sees them.

use super::*;

fn side(host: u8, port: u16) -> RelayLocal {
    RelayLocal {
        address: [192, 0, 2, host].into(),
        ports: vec![port, port + 2],
        session_id: 5,
        session_version: 1,
        rtcp_mux: false,
        security: LocalSecurity::default(),
        extra_codecs: Vec::new(),
    }
}

const OFFER: &str = "v=0\r\no=alice 9 9 IN IP4 10.1.1.1\r\ns=Talk\r\nc=IN IP4 10.1.1.1\r\nt=0 0\r\n\
     a=ice-ufrag:x\r\na=rtcp-xr:voip-metrics\r\nm=audio 7076 RTP/AVPF 107 9 18 101\r\n\
     a=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\na=rtpmap:101 telephone-event/48000\r\n\
     a=candidate:1 1 UDP 1 10.1.1.1 7076 typ host\r\na=rtcp:7077\r\na=rtcp-fb:* trr-int 5000\r\n\
     m=video 9078 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\nm=image 0 udptl t38\r\n";

#[test]
fn an_offer_and_its_answer_pass_without_addresses() {
    let (a, b) = (side(1, 40_000), side(2, 50_000));
    let offered = rewrite_offer(OFFER, &a.security, &b).unwrap();
    assert_eq!(
        offered,
        "v=0\r\no=- 5 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\na=rtcp-xr:voip-metrics\r\n\
         m=audio 50000 RTP/AVPF 107 9 18 101\r\na=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\n\
         a=rtpmap:101 telephone-event/48000\r\na=rtcp-fb:* trr-int 5000\r\na=sendrecv\r\n\
         m=video 50002 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=sendrecv\r\nm=image 0 udptl t38\r\n"
    );
    let answer = "v=0\r\no=bob 1 1 IN IP4 10.2.2.2\r\ns=-\r\nc=IN IP4 10.2.2.2\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVPF 18 107 101\r\na=rtpmap:107 opus/48000/2\r\na=rtpmap:101 telephone-event/48000\r\n\
         a=sendonly\r\nm=video 0 RTP/AVPF 96\r\nm=image 0 udptl t38\r\n";
    let relayed = rewrite_answer(OFFER, &offered, answer, &a, &b).unwrap();
    assert_eq!(
        relayed.sdp,
        "v=0\r\no=- 5 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVPF 18 107 101\r\na=rtpmap:107 opus/48000/2\r\na=rtpmap:101 telephone-event/48000\r\n\
         a=sendonly\r\nm=video 0 RTP/AVPF 96\r\nm=image 0 udptl t38\r\n"
    );
    let [stream] = &relayed.streams[..] else {
        panic!("one stream is agreed upon");
    };
    assert_eq!(stream.transcoding, None);
    assert_eq!(stream.offerer.remote_rtp, "10.1.1.1:7076".parse().ok());
    assert_eq!(stream.answerer.remote_rtcp, "10.2.2.2:6001".parse().ok());
    assert_eq!(stream.offerer.direction, Direction::SendOnly);
    assert_eq!(stream.answerer.direction, Direction::RecvOnly);
    assert_eq!(stream.offerer.telephone_events, [(101, 48_000)]);
}

const BROWSER: &str = "v=0\r\no=- 4 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n\
     m=audio 9 UDP/TLS/RTP/SAVPF 111 0 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:aBcd\r\n\
     a=ice-pwd:0123456789abcdefghijklmn\r\na=fingerprint:sha-256 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:\
     00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\na=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:x\r\n\
     a=sendrecv\r\na=msid:- x\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
     a=rtpmap:126 telephone-event/8000\r\na=ssrc:7 cname:x\r\n";

fn web(host: u8, port: u16) -> RelayLocal {
    use crate::offer_answer::{Fingerprint, FingerprintHash, LocalIce, SecurityPolicy};
    RelayLocal {
        rtcp_mux: true,
        security: LocalSecurity {
            policy: SecurityPolicy::Required,
            fingerprint: Some(Fingerprint {
                hash: FingerprintHash::Sha256,
                octets: vec![host; 32],
            }),
            ice: Some(LocalIce::new([host; 32])),
            offers_ice: true,
            is_web: true,
            ..LocalSecurity::default()
        },
        ..side(host, port)
    }
}

#[test]
fn a_browser_calls_a_phone_and_is_called_by_one() {
    let (a, b) = (web(1, 40_000), side(2, 50_000));
    let offered = rewrite_offer(BROWSER, &a.security, &b).unwrap();
    assert_eq!(
        offered,
        "v=0\r\no=- 5 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
         m=audio 50000 RTP/AVP 111 0 126\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=sendrecv\r\n"
    );
    let answer = "v=0\r\no=bob 1 1 IN IP4 10.2.2.2\r\ns=-\r\nc=IN IP4 10.2.2.2\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 0 126\r\na=rtpmap:126 telephone-event/8000\r\n";
    let relayed = rewrite_answer(BROWSER, &offered, answer, &a, &b).unwrap();
    for part in [
        "m=audio 40000 UDP/TLS/RTP/SAVPF 0 126\r\n",
        "a=ice-lite\r\n",
        "a=group:BUNDLE 0\r\n",
        "a=mid:0\r\n",
        "a=setup:passive\r\n",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host\r\n",
        "a=rtcp-mux\r\n",
    ] {
        assert!(relayed.sdp.contains(part), "{part} in\n{}", relayed.sdp);
    }
    let stream = &relayed.streams[0];
    let security = &stream.offerer.security;
    assert!(matches!(
        security,
        NegotiatedSecurity::Dtls { ice: Some(_), .. }
    ));
    assert_eq!(stream.answerer.security, NegotiatedSecurity::None);
    assert!(stream.offerer.direction == Direction::SendRecv && stream.offerer.rtcp_mux);

    let plain = "v=0\r\no=bob 1 1 IN IP4 10.2.2.2\r\ns=-\r\nc=IN IP4 10.2.2.2\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";
    let offered = rewrite_offer(plain, &b.security, &a).unwrap();
    assert!(offered.contains("m=audio 40000 UDP/TLS/RTP/SAVPF 0\r\n"));
    assert!(offered.contains("a=ice-lite") && offered.contains("a=setup:actpass"));
    let taken = BROWSER
        .replace("a=setup:actpass", "a=setup:active")
        .replace(" 111 0 126", " 0");
    let relayed = rewrite_answer(plain, &offered, &taken, &b, &a).unwrap();
    assert!(!relayed.sdp.contains("ssrc") && !relayed.sdp.contains("a=mid"));
    assert_eq!(relayed.streams[0].answerer.direction, Direction::SendRecv);
}
