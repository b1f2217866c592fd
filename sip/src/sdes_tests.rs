//! Lines as phones write them, and what becomes of our own.

use super::*;

#[test]
fn lines_of_all_kinds() {
    let k16 = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
    for (value, expected) in [
        // RFC 4568 §6.1 and §9.2 have lines of these shapes.
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16}|2^20|1:32"), "1 AesCm128HmacSha1_80 32"),
        (format!("1 AES_CM_128_HMAC_SHA1_32 {k16}|2^20"), "1 AesCm128HmacSha1_32 0"),
        (format!("2\tAES_CM_128_HMAC_SHA1_80  {k16}|1:4"), "2 AesCm128HmacSha1_80 4"),
        (format!("7 aes_cm_128_hmac_sha1_80 {k16}|1048576 WSH=128 -X"), "7 AesCm128HmacSha1_80 0"),
        (
            "1 AEAD_AES_256_GCM inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
            "1 AeadAes256Gcm 0",
        ),
        (
            "1 AEAD_AES_128_GCM inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            "1 AeadAes128Gcm 0",
        ),
        (format!("1 F8_128_HMAC_SHA1_80 {k16}"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16} UNENCRYPTED_SRTP"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16} KDR=3"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16};{k16}|2^20|2:1"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16}|0"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16}|2^49"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16}|2^20|1:0"), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {k16}|1:4|2:4"), "-"),
        (format!("1234567890 AES_CM_128_HMAC_SHA1_80 {k16}"), "-"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVe".to_owned(), "-"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:!".to_owned(), "-"),
        (format!("1 AES_CM_128_HMAC_SHA1_80 {}", &k16[7..]), "-"),
        ("1 x".to_owned(), "-"),
        (String::new(), "-"),
    ] {
        let shape = CryptoLine::parse(&value).map_or("-".to_owned(), |line| {
            format!("{} {:?} {}", line.tag, line.suite, line.mki_len)
        });
        assert_eq!(shape, expected, "{value}");
    }
}

#[test]
fn lines_of_ours_read_back_and_keys_differ() {
    let seed = KeySeed::new([7; 32]);
    let mut keys = Vec::new();
    for suite in Suite::ALL {
        for (mline, tag) in [(0, 1), (0, 2), (1, 1)] {
            let line = seed.line(mline, tag, suite);
            assert_eq!(CryptoLine::parse(&line.to_value()), Some(line.clone()));
            assert_eq!(line, seed.line(mline, tag, suite));
            keys.push(line.key.expose()[..suite.key_len()].to_vec());
        }
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 12);
}

#[test]
fn keys_do_not_print() {
    let line = KeySeed::new([7; 32]).line(0, 1, Suite::AeadAes128Gcm);
    let keys = SdesKeys {
        suite: line.suite,
        send: line.key.clone(),
        receive: line.key.clone(),
        receive_mki_len: 0,
    };
    assert!(format!("{keys:?}").contains("KeySalt(…)"));
    assert!(!format!("{keys:?} {line:?}").contains('['));
}
