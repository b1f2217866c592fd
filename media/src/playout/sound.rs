//! What a clause sounds like, window by window: loudness and the shape of the spectrum in six numbers.
//!
//! Owns: the windows and their numbers. Not what they mean (`figures`).
//!
//! PURE.

/// Samples in one window: 10 ms at 16 kHz.
pub const WINDOW_SAMPLES: usize = 160;

/// Numbers that describe a window.
pub const FEATURES: usize = 6;

/// Loudness in dB of full scale divided by 10; autocorrelation at one sample over that at none; the same of the sound
/// with its lows taken down, at one to three samples; and the change of loudness towards the next window.
pub type Window = [f32; FEATURES];

/// Loudness below which a window is quiet, in dB of full scale over 10.
pub const QUIET: f32 = -5.2;

/// Turns samples into windows as they come.
#[derive(Debug, Default)]
pub struct Listener {
    partial: Vec<i16>,
    windows: Vec<Window>,
}

impl Listener {
    pub fn push(&mut self, pcm: &[i16]) {
        for &sample in pcm {
            self.partial.push(sample);
            if self.partial.len() == WINDOW_SAMPLES {
                self.end_window();
            }
        }
    }

    /// Looks at a last window that is not full; one of less than half is left out.
    pub fn finish(&mut self) {
        if self.partial.len() >= WINDOW_SAMPLES / 2 {
            self.end_window();
        }
        self.partial.clear();
    }

    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    fn end_window(&mut self) {
        let samples: Vec<f32> = self
            .partial
            .iter()
            .map(|&sample| f32::from(sample))
            .collect();
        let brighter: Vec<f32> = samples
            .windows(2)
            .map(|pair| pair[1] - 0.95 * pair[0])
            .collect();
        // One bit of noise keeps digital silence finite.
        let power = lagged(&samples, 0) + samples.len() as f32;
        let bright = lagged(&brighter, 0) + samples.len() as f32;
        let loudness = (power / samples.len() as f32 / (32_768.0 * 32_768.0)).log10();
        let window = [
            loudness,
            lagged(&samples, 1) / power,
            lagged(&brighter, 1) / bright,
            lagged(&brighter, 2) / bright,
            lagged(&brighter, 3) / bright,
            0.0,
        ];
        if let Some(last) = self.windows.last_mut() {
            last[5] = loudness - last[0];
        }
        self.windows.push(window);
        self.partial.clear();
    }
}

/// Sum of the products of samples so many places apart.
fn lagged(samples: &[f32], places: usize) -> f32 {
    let later = samples.get(places..).unwrap_or_default();
    samples.iter().zip(later).map(|(a, b)| a * b).sum()
}
