//! Against the figures of RFC 3711 appendix B, RFC 7714 sections 16 and 17, and a packet that the reference
//! implementation is tested with.

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, LessSafeKey, UnboundKey};

use super::derivation::{Label, counter_mode, derive};
use super::transform::Transform;
use super::*;
use aes::Aes128;
use aes::cipher::KeyInit;

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

const MASTER: &str = "E1F97A0D3E018BE0D64FA32C06DE4139";
const SALT: &str = "0EC675AD498AFEEBB6960B3AABE6";

#[test]
fn keystream_of_rfc_3711_b_2() {
    let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let start: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = vec![0; 48];
    counter_mode(&Aes128::new(&key.into()), start, &mut stream);
    let expected = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(stream, hex(expected));
    // The pieces that are made at once join without a seam.
    let mut long = vec![0; 16 * 0xff10];
    counter_mode(&Aes128::new(&key.into()), start, &mut long);
    let expected = "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44";
    assert_eq!(long[16 * 0xfeff..16 * 0xff02], hex(expected));
}

#[test]
fn session_keys_of_rfc_3711_b_3() {
    let (master, salt) = (hex(MASTER), hex(SALT));
    assert_eq!(
        derive::<16>(&master, &salt, Label::RtpEncryption).to_vec(),
        hex("C61E7A93744F39EE10734AFE3FF7A087")
    );
    assert_eq!(
        derive::<14>(&master, &salt, Label::RtpSalt).to_vec(),
        hex("30CBBC08863D8C85D49DB34A9AE1")
    );
    assert_eq!(
        derive::<20>(&master, &salt, Label::RtpAuthentication).to_vec(),
        hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    );
}

#[test]
fn counter_mode_packets() {
    let octets = [hex(MASTER), hex(SALT)].concat();
    let suite = Suite::AesCm128HmacSha1_80;
    let key = KeySalt::new(suite, &octets).unwrap();
    let mut context = SrtpContext::new(&SrtpKeys {
        suite,
        send: key.clone(),
        receive: key,
        receive_mki_len: 0,
    });
    let clear = hex("800f1234decafbadcafebabe abababababababababababababababab");
    let mut packet = clear.clone();
    context.protect(&mut packet).unwrap();
    assert_eq!(
        packet,
        hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb")
    );
    context.unprotect(&mut packet).unwrap();
    assert_eq!(packet, clear);

    let clear = hex("81c8000bcafebabe abababababababababababababababab");
    let mut packet = clear.clone();
    context.protect_rtcp(&mut packet).unwrap();
    assert_eq!(
        packet,
        hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798")
    );
    context.unprotect_rtcp(&mut packet).unwrap();
    assert_eq!(packet, clear);
}

fn gcm(algorithm: &'static Algorithm) -> Transform {
    let key: Vec<u8> = (0..algorithm.key_len() as u8).collect();
    let key = UnboundKey::new(algorithm, &key).unwrap();
    Transform::Gcm {
        key: Box::new(LessSafeKey::new(key)),
        salt: hex("517569642070726f2071756f").try_into().unwrap(),
    }
}

#[test]
fn packets_of_rfc_7714_16() {
    let header = "8040f17b 8041f8d3 5501a0b2";
    let payload =
        "47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573";
    for (algorithm, expected) in [
        (
            &AES_128_GCM,
            "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de
             3adf8833 899d7f27 beb16a91 52cf765e e4390cce",
        ),
        (
            &AES_256_GCM,
            "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba6
             3799b87b 7aa3db36 dfffd6b0 f9bb7878 d7a76c13",
        ),
    ] {
        let clear = [hex(header), hex(payload)].concat();
        let mut packet = clear.clone();
        packet.resize(clear.len() + 16, 0);
        let transform = gcm(algorithm);
        transform.seal(&mut packet, 12, clear.len(), 0x5501_a0b2, 0xf17b);
        assert_eq!(packet, [hex(header), hex(expected)].concat());
        assert!(transform.open(&mut packet, 12, clear.len(), 0, 0x5501_a0b2, 0xf17b));
        assert_eq!(packet[..clear.len()], clear);
    }
}

#[test]
fn reports_of_rfc_7714_17() {
    let clear = hex(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    let expected = hex(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
         c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
    let transform = gcm(&AES_128_GCM);
    let mut packet = clear.clone();
    packet.resize(clear.len() + 20, 0);
    transform.seal_rtcp(&mut packet, clear.len(), 0x4d61_7273, 0x5d4);
    assert_eq!(packet, expected);
    assert_eq!(transform.rtcp_index(&packet, 0), 0x5d4);
    assert!(transform.open_rtcp(&mut packet, clear.len(), 0, 0x4d61_7273));
    assert_eq!(packet[..clear.len()], clear);
}
