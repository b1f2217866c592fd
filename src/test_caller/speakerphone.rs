//! A telephone without echo cancelling, as the test caller plays it. Owns the mix; how loud and how late is the drill's.
//! PURE.

use super::caller::WIRE_FRAME_SAMPLES;

/// What the caller's loudspeaker puts back into its microphone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speakerphone {
    pub(super) gain: f64,
    /// Place in `heard` that the next packet sends back.
    pub(super) at: isize,
}

impl Speakerphone {
    pub(super) fn mix(
        &mut self,
        own: &[i16; WIRE_FRAME_SAMPLES],
        heard: &[i16],
    ) -> [i16; WIRE_FRAME_SAMPLES] {
        let mut mixed = *own;
        for (n, sample) in mixed.iter_mut().enumerate() {
            let at = usize::try_from(self.at + n as isize).ok();
            let echo = at.and_then(|at| heard.get(at)).copied().unwrap_or(0);
            let sum = f64::from(*sample) + self.gain * f64::from(echo);
            *sample = sum.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
        }
        self.at += WIRE_FRAME_SAMPLES as isize;
        mixed
    }
}
