//! Offers of protection as phones make them, under every policy, and what two of us agree upon.

use super::*;
use crate::offer_answer::{LocalMedia, NegotiatedAudio, accept_answer, answer, offer};

fn local(policy: SecurityPolicy, is_private: bool, octet: u8) -> LocalMedia {
    LocalMedia {
        security: LocalSecurity {
            policy,
            signalling_is_private: is_private,
            key_seed: Some(KeySeed::new([octet; 32])),
            fingerprint: Some(Fingerprint {
                hash: FingerprintHash::Sha256,
                octets: vec![octet; 32],
            }),
            ..LocalSecurity::default()
        },
        ..LocalMedia::new([192, 0, 2, octet].into(), 40_000)
    }
}

fn shape(result: Result<NegotiatedAudio, OfferError>) -> String {
    match result.map(|audio| audio.security) {
        Ok(NegotiatedSecurity::None) => "plain".to_owned(),
        Ok(NegotiatedSecurity::Sdes(keys)) => keys.suite.name().to_owned(),
        Ok(NegotiatedSecurity::Dtls { role, .. }) => role.as_str().to_owned(),
        Err(error) => format!("{} {}", error.to_status(), error.warning_code()),
    }
}

const CRYPTO: &str = "a=crypto:1 F8_128_HMAC_SHA1_80 inline:x\r\na=crypto:2 AES_CM_128_HMAC_SHA1_32 \
     inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20\r\n";

fn offered(protocol: &str, attributes: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.5\r\ns=-\r\nc=IN IP4 198.51.100.5\r\nt=0 0\r\n\
         m=audio 5000 {protocol} 0\r\n{attributes}"
    )
}

#[test]
fn policies() {
    use SecurityPolicy::{Off, Optional, Required};
    let hash = vec!["AB"; 32].join(":");
    let dtls = |setup: &str| format!("a=fingerprint:sha-256 {hash}\r\na=setup:{setup}\r\n");
    let short = "AES_CM_128_HMAC_SHA1_32";
    for (protocol, attributes, policy, is_private, expected) in [
        ("RTP/AVP", String::new(), Off, true, "plain"),
        ("RTP/AVP", CRYPTO.to_owned(), Off, true, "plain"),
        ("RTP/SAVP", CRYPTO.to_owned(), Off, true, "488 302"),
        ("RTP/AVP", String::new(), Optional, true, "plain"),
        ("RTP/AVP", CRYPTO.to_owned(), Optional, true, short),
        ("RTP/SAVP", CRYPTO.to_owned(), Optional, true, short),
        ("RTP/SAVPF", CRYPTO.to_owned(), Optional, false, short),
        ("RTP/SAVP", String::new(), Optional, true, "488 302"),
        ("RTP/AVP", String::new(), Required, true, "488 302"),
        ("RTP/SAVP", CRYPTO.to_owned(), Required, true, short),
        ("RTP/SAVP", CRYPTO.to_owned(), Required, false, "488 302"),
        (
            "UDP/TLS/RTP/SAVPF",
            dtls("actpass"),
            Required,
            false,
            "passive",
        ),
        (
            "UDP/TLS/RTP/SAVP",
            dtls("passive"),
            Optional,
            true,
            "active",
        ),
        (
            "UDP/TLS/RTP/SAVP",
            dtls("active"),
            Optional,
            true,
            "passive",
        ),
        (
            "UDP/TLS/RTP/SAVP",
            dtls("holdconn"),
            Optional,
            true,
            "488 302",
        ),
        ("UDP/TLS/RTP/SAVP", dtls("actpass"), Off, true, "488 302"),
        ("RTP/AVP", dtls("actpass"), Optional, true, "passive"),
        // Both: keys at once where nobody reads them, a handshake where somebody may.
        ("RTP/SAVP", dtls("actpass") + CRYPTO, Optional, true, short),
        (
            "RTP/SAVP",
            dtls("actpass") + CRYPTO,
            Optional,
            false,
            "passive",
        ),
        ("TCP/RTP/AVP", String::new(), Optional, true, "488 302"),
    ] {
        let result = answer(
            &offered(protocol, &attributes),
            &local(policy, is_private, 1),
        );
        let shape = shape(result.map(|(_, audio)| audio));
        assert_eq!(
            shape, expected,
            "{protocol} {attributes} {policy:?} {is_private}"
        );
    }
}

/// Both sides of an agreement hold the same keys, or complementary roles, whatever each one's policy is.
#[test]
fn we_understand_ourselves() {
    use SecurityPolicy::{Off, Optional, Required};
    for (ours, theirs, is_private, expected) in [
        (Optional, Optional, true, "AEAD_AES_128_GCM"),
        (Optional, Optional, false, "active"),
        (Required, Required, true, "AEAD_AES_128_GCM"),
        (Required, Required, false, "active"),
        (Optional, Off, true, "plain"),
        (Off, Optional, true, "plain"),
    ] {
        let (a, b) = (local(ours, is_private, 1), local(theirs, is_private, 2));
        let text = offer(&a);
        let (reply, far) = answer(&text, &b).unwrap();
        let near = accept_answer(&text, &reply, &a).unwrap();
        match (&near.security, &far.security) {
            (NegotiatedSecurity::Sdes(near), NegotiatedSecurity::Sdes(far)) => {
                assert_eq!((&near.send, &near.receive), (&far.receive, &far.send));
                assert_ne!(near.send, near.receive);
            }
            (
                NegotiatedSecurity::Dtls { role, peer, .. },
                NegotiatedSecurity::Dtls { role: other, .. },
            ) => {
                assert_ne!(role, other);
                assert_eq!(peer.octets, vec![2; 32]);
            }
            (near, far) => assert_eq!(near, far),
        }
        assert_eq!(
            shape(Ok(near)),
            expected,
            "{ours:?} {theirs:?} {is_private}"
        );
    }
    let required = offer(&local(Required, true, 1));
    assert!(
        required.contains("RTP/SAVP 96") && !required.contains("fingerprint"),
        "{required}"
    );
    let text = offer(&local(Optional, true, 1));
    let foreign = offered("RTP/AVP", CRYPTO);
    assert_eq!(
        shape(accept_answer(&text, &foreign, &local(Optional, true, 1))),
        "400 399"
    );
}
