//! Background noise as a few octets: what a sender that pauses says the silence sounds like. RFC 3389.
//!
//! Owns: reading the payload (level, reflection coefficients), noise of that level and colour, writing a payload that
//! says a level. Does not own: when the sender paused.
//!
//! Levels are -dBov: 0 is a square wave of full scale (RFC 3389 section 3.1). Ours carries no colour, which the format
//! allows (section 3.2: order zero).
//!
//! PURE.

use crate::Frame;

/// Reflection coefficients taken; further ones shape what no telephone carries.
pub const ORDER_MAX: usize = 12;

/// Above this level (-dBov) what a peer says is no background; it is brought down to it.
const LOUDEST_DBOV: u8 = 30;

/// What one payload says.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// -dBov, 0 to 127.
    pub level_dbov: u8,
    /// Within -1 and 1.
    pub reflections: Vec<f32>,
}

impl Description {
    /// Reads a payload; an empty one says nothing.
    pub fn parse(payload: &[u8]) -> Option<Description> {
        let (&level, reflections) = payload.split_first()?;
        let reflections = reflections.iter().take(ORDER_MAX);
        Some(Description {
            // RFC 3389 section 3.1: the highest bit is always 0.
            level_dbov: level & 0x7f,
            // Section 3.2: 127 stands for 0, a step is 1/127. 255 would be beyond 1.
            reflections: reflections
                .map(|&octet| ((f32::from(octet) - 127.0) / 127.0).clamp(-0.99, 0.99))
                .collect(),
        })
    }
}

/// The payload for a background this loud.
pub fn payload(level_dbov: u8) -> [u8; 1] {
    [level_dbov.min(127)]
}

/// The level of a frame in -dBov.
pub fn level_dbov(frame: &Frame) -> u8 {
    let energy: f32 = frame.iter().map(|&s| f32::from(s).powi(2)).sum();
    let rms = (energy / frame.len() as f32).sqrt() / 32_768.0;
    (-20.0 * rms.max(1e-7).log10()).round().clamp(0.0, 127.0) as u8
}

/// Noise as described.
#[derive(Debug, Clone)]
pub struct Generator {
    reflections: Vec<f32>,
    /// Backward errors of the lattice.
    state: [f32; ORDER_MAX],
    gain: f32,
    /// Loudness glides, so that an update does not click.
    gain_now: f32,
    random: u32,
}

impl Generator {
    pub fn new(description: &Description) -> Generator {
        let mut generator = Generator {
            reflections: Vec::new(),
            state: [0.0; ORDER_MAX],
            gain: 0.0,
            gain_now: 0.0,
            random: 0x2545_f491,
        };
        generator.update(description);
        generator
    }

    /// The sender described its silence anew.
    pub fn update(&mut self, description: &Description) {
        self.reflections.clone_from(&description.reflections);
        let level = f32::from(description.level_dbov.max(LOUDEST_DBOV));
        let rms = 32_768.0 * 10f32.powf(-level / 20.0);
        // An all-pole lattice makes noise louder by the product of 1 / (1 - k^2); and white noise of -1 to 1 has an rms
        // of 1 / sqrt(3).
        let power: f32 = self.reflections.iter().map(|k| 1.0 - k * k).product();
        self.gain = rms * power.sqrt() * 3f32.sqrt();
    }

    /// The next `count` samples.
    pub fn noise(&mut self, count: usize) -> Vec<i16> {
        (0..count).map(|_| self.next().round() as i16).collect()
    }

    fn next(&mut self) -> f32 {
        // Marsaglia's xorshift: noise, not secrets.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.gain_now += (self.gain - self.gain_now) / 64.0;
        let mut forward = self.random as i32 as f32 / 2_147_483_648.0 * self.gain_now;
        for n in (0..self.reflections.len()).rev() {
            let k = self.reflections[n];
            forward -= k * self.state[n];
            let backward = self.state[n] + k * forward;
            if let Some(above) = self.state.get_mut(n + 1) {
                *above = backward;
            }
        }
        self.state[0] = forward;
        forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SILENCE;

    fn rms(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
        (sum / samples.len() as f64).sqrt()
    }

    #[test]
    fn payloads_are_read() {
        for (payload, expected) in [
            (&[][..], None),
            (&[40], Some((40, vec![]))),
            (&[0xc8, 127, 254, 0], Some((72, vec![0.0, 0.99, -0.99]))),
        ] {
            let found = Description::parse(payload).map(|d| (d.level_dbov, d.reflections));
            assert_eq!(found, expected, "{payload:?}");
        }
        let long = Description::parse(&[255; 1_000]).unwrap();
        assert_eq!(long.reflections.len(), ORDER_MAX);
    }

    #[test]
    fn noise_is_as_loud_as_described() {
        for (level_dbov, expected) in [(40, 40.0), (60, 60.0), (70, 70.0), (0, 30.0)] {
            for reflections in [vec![], vec![0.7], vec![-0.8, 0.3, 0.1, -0.2]] {
                let description = Description {
                    level_dbov,
                    reflections,
                };
                let noise = Generator::new(&description).noise(64_000);
                let dbov = -20.0 * (rms(&noise[3_200..]) / 32_768.0).log10();
                assert!((dbov - expected).abs() < 1.0, "{description:?}: {dbov:.1}");
            }
        }
    }

    #[test]
    fn nothing_a_peer_describes_grows_without_end() {
        let mut seed = 1u32;
        for _ in 0..200 {
            let payload: Vec<u8> = (0..13)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let mut generator = Generator::new(&Description::parse(&payload).unwrap());
            let noise = generator.noise(16_000);
            assert!(rms(&noise) < 3_000.0, "{payload:?}: {}", rms(&noise));
        }
    }

    #[test]
    fn our_level_is_what_we_hear() {
        let mut frame = SILENCE;
        assert_eq!(level_dbov(&frame), 127);
        frame.fill(328);
        assert_eq!(
            (level_dbov(&frame), payload(level_dbov(&frame))),
            (40, [40])
        );
    }
}
