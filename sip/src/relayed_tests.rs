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
