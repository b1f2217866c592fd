//! G.711 companding: one octet, one 8 kHz sample. ITU-T G.711, sections 3 and 4 (A-law, mu-law).
//!
//! Owns: the two laws as pure functions over tables built at compile time. Does not own: rates and frames.
//!
//! PURE.

const fn ulaw_expand(code: u8) -> i16 {
    // All bits are inverted on the wire (G.711 table 2a, note 2).
    let code = !code;
    let magnitude = ((((code & 0x0f) as i32) << 3) + 0x84) << ((code & 0x70) >> 4);
    if code & 0x80 != 0 {
        (0x84 - magnitude) as i16
    } else {
        (magnitude - 0x84) as i16
    }
}

const fn alaw_expand(code: u8) -> i16 {
    // Even bits are inverted on the wire (G.711 table 1a, note 2).
    let code = code ^ 0x55;
    let segment = (code & 0x70) >> 4;
    let step = ((code & 0x0f) as i32) << 4;
    let magnitude = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 {
        magnitude as i16
    } else {
        -magnitude as i16
    }
}

const fn table(alaw: bool) -> [i16; 256] {
    let mut values = [0; 256];
    let mut code = 0;
    while code < 256 {
        values[code] = if alaw {
            alaw_expand(code as u8)
        } else {
            ulaw_expand(code as u8)
        };
        code += 1;
    }
    values
}

static ULAW: [i16; 256] = table(false);
static ALAW: [i16; 256] = table(true);

/// One mu-law octet as a linear sample.
#[inline]
pub fn ulaw_to_linear(code: u8) -> i16 {
    ULAW[code as usize]
}

/// One A-law octet as a linear sample.
#[inline]
pub fn alaw_to_linear(code: u8) -> i16 {
    ALAW[code as usize]
}

/// A linear sample as mu-law.
#[inline]
pub fn linear_to_ulaw(sample: i16) -> u8 {
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + 0x84;
    // The segment is the position of the highest bit above the 8 lowest.
    let segment = (31 - magnitude.leading_zeros()).saturating_sub(7);
    let step = ((magnitude >> (segment + 3)) & 0x0f) as u8;
    !(sign | ((segment as u8) << 4) | step)
}

/// A linear sample as A-law.
#[inline]
pub fn linear_to_alaw(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 {
        (0x80, i32::from(sample))
    } else {
        // Both signs get the same intervals: -1 falls where 0 does.
        (0, -i32::from(sample) - 1)
    };
    let code = if magnitude < 0x100 {
        (magnitude >> 4) as u8
    } else {
        let segment = 31 - magnitude.leading_zeros() - 7;
        ((segment as u8) << 4) | ((magnitude >> (segment + 3)) & 0x0f) as u8
    };
    (sign | code) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes() {
        for (code, linear) in [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xfe, 8),
        ] {
            assert_eq!(ulaw_to_linear(code), linear, "mu-law {code:#x}");
        }
        for (code, linear) in [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256)] {
            assert_eq!(alaw_to_linear(code), linear, "A-law {code:#x}");
        }
    }

    #[test]
    fn every_code_survives_a_round_trip() {
        for code in 0..=255u8 {
            // Mu-law has two zeros; the negative one comes back as the positive.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(linear_to_ulaw(ulaw_to_linear(code)), expected);
            assert_eq!(linear_to_alaw(alaw_to_linear(code)), code);
        }
    }

    #[test]
    fn every_sample_stays_within_its_step() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(sample).abs();
            // Half of the widest step of the segment, plus clipping at the top.
            let ulaw_error =
                (i32::from(ulaw_to_linear(linear_to_ulaw(sample))) - i32::from(sample)).abs();
            assert!(
                ulaw_error <= (magnitude + 132) / 32 + 4 || magnitude > 32_635,
                "{sample}"
            );
            let alaw_error =
                (i32::from(alaw_to_linear(linear_to_alaw(sample))) - i32::from(sample)).abs();
            assert!(
                alaw_error <= magnitude / 32 + 9 || magnitude > 32_512,
                "{sample}"
            );
        }
    }
}
