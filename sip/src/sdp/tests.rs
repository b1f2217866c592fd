//! Session descriptions as phones write them, and those that are none.

use super::*;

#[test]
fn reading() {
    let text = "v=0\r\no=My Phone 3747 461 IN IP4 192.0.2.1\r\ns=\r\ni=ignored\r\nc=IN IP4 192.0.2.1/127\r\nb=AS:80\r\n\
                t=0 0\r\na=group:BUNDLE a b\r\na=sendonly\r\nm=audio 49170/2 RTP/AVP 0 8\r\nc=IN IP6 ::1\r\na=ptime: 20 \r\n\
                a=recvonly\r\nm=video 0 RTP/AVP 31\r\nk=clear:x\r\n";
    let session = Session::parse(text).unwrap();
    assert_eq!(session.origin.user, "My Phone");
    assert_eq!(
        session.connection.as_ref().and_then(Connection::ip),
        "192.0.2.1".parse().ok()
    );
    assert_eq!(session.attribute("sendonly"), Some(None));
    let audio = &session.media[0];
    assert_eq!(
        (audio.port, audio.port_count, audio.formats.len()),
        (49170, Some(2), 2)
    );
    assert_eq!(
        audio.connection.as_ref().and_then(Connection::ip),
        "::1".parse().ok()
    );
    assert_eq!(audio.attribute("ptime"), Some(Some("20")));
    assert_eq!(session.media[1].port, 0);
}

#[test]
fn writing() {
    let text = "v=0\r\no=- 1 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nb=AS:64\r\nt=0 0\r\na=x\r\n\
                m=audio 5 RTP/AVP 0\r\nc=IN IP4 host.example.com\r\na=rtpmap:0 PCMU/8000\r\n";
    assert_eq!(Session::parse(text).unwrap().to_string(), text);
}

#[test]
fn refusing() {
    let good = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
    assert!(Session::parse(good).is_ok());
    // Line ends of any kind, and the NUL some phones end with.
    assert!(Session::parse(&format!("{}\0", good.replace("\r\n", "\n"))).is_ok());
    let bad = [
        String::new(),
        "hello".to_owned(),
        "v=1\r\no=- 1 1 IN IP4 192.0.2.1\r\n".to_owned(),
        "v=0\r\ns=-\r\n".to_owned(),
        "v=0\r\no=- 1 1\r\n".to_owned(),
        format!("{good}m=audio\r\n"),
        format!("{good}m=audio x RTP/AVP 0\r\n"),
        format!("{good}m=audio 70000 RTP/AVP 0\r\n"),
        format!("{good}c=IN\r\n"),
        format!("{good}c=IN IP4 /192.0.2.1\r\n"),
        format!("{good}junk\r\n"),
        format!("{good}a=\u{1}\r\n"),
        format!("{good}{good}"),
        format!(
            "{good}{}",
            "m=audio 1 RTP/AVP 0\r\n".repeat(SDP_MEDIA_MAX + 1)
        ),
        format!(
            "{good}m=audio 1 RTP/AVP{}\r\n",
            " 0".repeat(SDP_FORMATS_MAX + 1)
        ),
        format!("{good}{}", "a=x\r\n".repeat(SDP_LINES_MAX)),
        format!(
            "{good}{}",
            "a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(1_000)
        ),
    ];
    for text in bad {
        assert!(
            Session::parse(&text).is_err(),
            "{}",
            &text[..text.len().min(200)]
        );
    }
}
