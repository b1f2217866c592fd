//! Session keys out of a master key, RFC 3711 section 4.3 with a derivation rate of zero, and AES in counter mode as
//! RFC 3711 section 4.1.1 uses it, which is both the derivation's and the packets' keystream.
//!
//! PURE.

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};

/// RFC 3711 section 4.3.2.
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Blocks of keystream made at once: enough to keep the processor's pipeline full.
const BLOCKS: usize = 8;

/// XORs `data` with the keystream that starts at `counter`. Its last two octets count the blocks.
pub(super) fn counter_mode(
    cipher: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    mut counter: [u8; 16],
    data: &mut [u8],
) {
    let mut count = u16::from_be_bytes([counter[14], counter[15]]);
    for piece in data.chunks_mut(16 * BLOCKS) {
        let mut stream = [Array::from([0u8; 16]); BLOCKS];
        let blocks = &mut stream[..piece.len().div_ceil(16)];
        for block in blocks.iter_mut() {
            [counter[14], counter[15]] = count.to_be_bytes();
            *block = Array::from(counter);
            count = count.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        let stream = blocks.iter().flatten();
        for (octet, key) in piece.iter_mut().zip(stream) {
            *octet ^= key;
        }
    }
}

/// Session key of one label. `master` has 16 or 32 octets; a salt of 12 octets counts as one of 14 with zeros behind
/// (RFC 7714 section 11).
pub(super) fn derive<const N: usize>(master: &[u8], salt: &[u8], label: Label) -> [u8; N] {
    let mut counter = [0u8; 16];
    counter[..salt.len()].copy_from_slice(salt);
    counter[7] ^= label as u8;
    let mut key = [0u8; N];
    match <[u8; 32]>::try_from(master) {
        Ok(master) => counter_mode(&Aes256::new(&master.into()), counter, &mut key),
        Err(_) => {
            let master: [u8; 16] = master.try_into().expect("a master key has 16 or 32 octets");
            counter_mode(&Aes128::new(&master.into()), counter, &mut key);
        }
    }
    key
}
