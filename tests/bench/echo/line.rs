//! A simulated phone that sends our sound back: telephone codec both ways, delay, room, noise, loss, late packets, a
//! clock of its own. Deterministic by its seed.

use media::codec::{Codec, Decoder, Encoder};
use media::concealment::Concealer;
use media::{FRAME_SAMPLES, Frame};

const DELAY_MS_MAX: usize = 400;
const RING: usize = 16_384;

/// What lies between our playout and our receiver.
#[derive(Debug, Clone)]
pub struct Line {
    /// Energy of the echo against what we played, in decibels; `None` sends nothing back.
    pub echo_db: Option<f64>,
    pub delay_ms: f64,
    /// A room of 0.3 s reverberation, its reflections 3 dB under the direct way.
    pub room: bool,
    /// The phone's clock against ours.
    pub drift_ppm: f64,
    /// Share of packets lost.
    pub loss: f64,
    /// Every so many frames the phone's packets come 100 ms late, in a heap.
    pub stall_every: Option<usize>,
    /// New random delay every so many frames.
    pub new_delay_every: Option<usize>,
    /// Root mean square of the phone's own noise.
    pub noise: f64,
    pub seed: u64,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            echo_db: None,
            delay_ms: 60.0,
            room: false,
            drift_ppm: 0.0,
            loss: 0.0,
            stall_every: None,
            new_delay_every: None,
            noise: 8.0,
            seed: 1,
        }
    }
}

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The line at work: one played frame in, the frames received meanwhile out.
pub struct Phone {
    line: Line,
    random: Random,
    down: (Encoder, Decoder),
    up: (Encoder, Decoder),
    concealer: Concealer,
    /// (samples later, gain)
    taps: Vec<(usize, f64)>,
    ring: Vec<f64>,
    heard: usize,
    delay: f64,
    frames: usize,
    late: Vec<Vec<i16>>,
    filler: usize,
    surplus: usize,
}

impl Phone {
    pub fn new(line: Line) -> Phone {
        let mut random = Random::new(line.seed);
        let mut taps = vec![(0, 1.0)];
        if line.room {
            for at in (40..3_200).step_by(16) {
                let at = at + (random.unit() * 16.0) as usize;
                // −60 dB after 0.3 s.
                let level = 10_f64.powf(-3.0 * at as f64 / 4_800.0);
                taps.push((at, if random.unit() < 0.5 { level } else { -level }));
            }
            let tail: f64 = taps[1..].iter().map(|(_, g)| g * g).sum();
            let scale = (0.5 / tail).sqrt();
            taps[1..].iter_mut().for_each(|(_, g)| *g *= scale);
        }
        let energy: f64 = taps.iter().map(|(_, g)| g * g).sum();
        let gain = line.echo_db.map_or(0.0, |db| 10_f64.powf(db / 20.0));
        taps.iter_mut()
            .for_each(|(_, g)| *g *= gain / energy.sqrt());
        let both = || (Encoder::new(Codec::Pcmu), Decoder::new(Codec::Pcmu));
        Phone {
            random,
            down: both(),
            up: both(),
            concealer: Concealer::new(),
            taps,
            ring: vec![0.0; RING],
            heard: 0,
            delay: line.delay_ms,
            frames: 0,
            late: Vec::new(),
            filler: 0,
            surplus: 0,
            line,
        }
    }

    /// 20 ms: we play `far`, the caller says `voice`.
    pub fn frame(&mut self, far: &Frame, voice: &[i16]) -> Vec<Frame> {
        let played = self.down.1.decode(&self.down.0.encode(far));
        for n in 0..FRAME_SAMPLES {
            self.ring[self.heard % RING] = f64::from(played.get(n).copied().unwrap_or(0));
            self.heard += 1;
        }
        if let Some(every) = self.line.new_delay_every
            && self.frames % every == every - 1
        {
            self.delay = 20.0 + self.random.unit() * 230.0;
        }
        let seconds = self.frames as f64 * 0.02;
        let delay = (self.delay * 16.0 + seconds * 16_000.0 * self.line.drift_ppm * 1e-6)
            .clamp(1.0, DELAY_MS_MAX as f64 * 16.0);
        let whole = delay.floor() as usize;
        let part = delay - delay.floor();
        let mut mic: Frame = [0; FRAME_SAMPLES];
        for (n, sample) in mic.iter_mut().enumerate() {
            let now = self.heard - FRAME_SAMPLES + n;
            let mut sum = 0.0;
            if self.line.echo_db.is_some() {
                for &(later, gain) in &self.taps {
                    let at = RING * 4 + now - whole - later;
                    let (a, b) = (self.ring[at % RING], self.ring[(at - 1) % RING]);
                    sum += gain * (a * (1.0 - part) + b * part);
                }
            }
            let noise = (self.random.unit() - 0.5) * 12_f64.sqrt() * self.line.noise;
            let voice = voice.get(n).copied().map_or(0.0, f64::from);
            *sample = (sum + noise + voice).round().clamp(-32_768.0, 32_767.0) as i16;
        }
        let payload = self.up.0.encode(&mic);
        self.frames += 1;
        self.network(payload)
    }

    fn network(&mut self, payload: Vec<u8>) -> Vec<Frame> {
        let lost = self.random.unit() < self.line.loss;
        let sound = if lost {
            self.concealer.conceal(FRAME_SAMPLES)
        } else {
            let mut pcm = self.up.1.decode(&payload);
            pcm.resize(FRAME_SAMPLES, 0);
            self.concealer.heard(&mut pcm);
            pcm
        };
        self.late.push(sound);
        if let Some(every) = self.line.stall_every
            && self.frames % every < 5
            && self.frames > every
        {
            // The receiver waits for 60 ms, then fills.
            if self.frames % every < 3 {
                return Vec::new();
            }
            self.filler += 1;
            return vec![[0; FRAME_SAMPLES]];
        }
        self.surplus += std::mem::take(&mut self.filler);
        let mut out = Vec::new();
        for sound in self.late.drain(..) {
            let mut frame = [0; FRAME_SAMPLES];
            frame.copy_from_slice(&sound);
            let loud = frame.iter().any(|s| s.unsigned_abs() > 200);
            if self.surplus > 0 && !loud {
                self.surplus -= 1;
                continue;
            }
            out.push(frame);
        }
        out
    }
}
