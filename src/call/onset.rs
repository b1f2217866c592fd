//! PURE.
//! The first sound of an interruption: a loud frame on a line that has proven quiet while we spoke. It comes well before
//! the voice detector is sure, which does not take the first consonant of "stop" for a voice. What it leads to is a
//! short pause of playout, no more: without a voice the sound goes on. Decides nothing about turns.
//!
//! A line that carries our echo, noise or music never proves quiet. One that did, and then brought sounds that were no
//! voice, must prove it for twice as long each time.

/// Our own frames below this mean square are silence: about −44 dBFS.
const OURS_AUDIBLE: f32 = 43_000.0;
/// The caller's frames from this mean square on are a sound: about −47 dBFS.
const SOUND: f32 = 22_000.0;
/// How many times stronger than the line's own noise a sound must be: 12 dB.
const ABOVE_NOISE: f32 = 16.0;
/// The measured noise rises by this factor per frame, about 1 dB/s, and falls at once.
const NOISE_RISE: f32 = 1.005;
/// Loud frames in a row that make an onset.
const LOUD_FRAMES: u32 = 2;
/// Frames of ours, audible, over which nothing came back: one second.
const PROOF_FRAMES_MIN: u32 = 50;
const PROOF_FRAMES_MAX: u32 = 64 * PROOF_FRAMES_MIN;
/// Our own pauses between words are shorter than this: half a second.
const SPEAKING_FRAMES: u32 = 25;
/// Frames that playout waits for a voice: 240 ms, what the detector needs for an unvoiced beginning.
const HOLD_FRAMES: u32 = 12;

/// One per call.
#[derive(Debug)]
pub(super) struct Onset {
    noise: f32,
    /// Frames of ours that were audible since something last came back.
    quiet_frames: u32,
    proof_frames: u32,
    loud_frames: u32,
    /// Frames left of the wait for a voice.
    hold_frames: u32,
    is_ours_audible: bool,
    /// Frames since we were last audible.
    silent_frames: u32,
}

impl Onset {
    pub(super) fn new() -> Onset {
        Onset {
            noise: SOUND,
            quiet_frames: 0,
            proof_frames: PROOF_FRAMES_MIN,
            loud_frames: 0,
            hold_frames: 0,
            is_ours_audible: false,
            silent_frames: u32::MAX,
        }
    }

    /// A frame that we send.
    pub(super) fn ours(&mut self, frame: &media::Frame) {
        self.is_ours_audible = mean_square(frame) >= OURS_AUDIBLE;
        self.silent_frames = match self.is_ours_audible {
            true => 0,
            false => self.silent_frames.saturating_add(1),
        };
    }

    /// A frame of the caller, without our echo as far as it is known. `is_tone`: a key or a line tone sounds.
    pub(super) fn theirs(&mut self, frame: &media::Frame, is_tone: bool) {
        let power = mean_square(frame);
        let is_loud = !is_tone && power >= SOUND && power >= self.noise * ABOVE_NOISE;
        self.noise = (self.noise * NOISE_RISE).min(power.max(1.0)).min(SOUND);
        if self.hold_frames > 0 {
            self.hold_frames -= 1;
            if self.hold_frames == 0 {
                self.proof_frames = (self.proof_frames * 2).min(PROOF_FRAMES_MAX);
                self.quiet_frames = 0;
            }
            return;
        }
        // While we say nothing there is nothing to hold.
        if !is_loud || self.silent_frames > SPEAKING_FRAMES {
            self.loud_frames = 0;
            self.quiet_frames = self
                .quiet_frames
                .saturating_add(u32::from(self.is_ours_audible));
            return;
        }
        self.loud_frames += 1;
        if self.quiet_frames < self.proof_frames {
            // Not proven, and this may be our own sound coming back.
            self.quiet_frames = 0;
        } else if self.loud_frames >= LOUD_FRAMES {
            self.hold_frames = HOLD_FRAMES;
            self.loud_frames = 0;
        }
    }

    /// It was a voice: the line is as good as it was.
    pub(super) fn confirmed(&mut self) {
        self.hold_frames = 0;
        self.loud_frames = 0;
    }

    /// Playout waits for a voice.
    pub(super) fn is_holding(&self) -> bool {
        self.hold_frames > 0
    }
}

fn mean_square(frame: &media::Frame) -> f32 {
    let sum: f32 = frame.iter().map(|s| f32::from(*s) * f32::from(*s)).sum();
    sum / frame.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `o` we speak and the line is quiet, `O` we speak and a sound comes, `.` silence, `x` a sound in our silence,
    /// `v` a voice is confirmed; a number repeats what follows it.
    fn run(onset: &mut Onset, script: &str) -> Vec<usize> {
        let mut held = Vec::new();
        let mut at = 0;
        for word in script.split_whitespace() {
            let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
            let times = digits.parse().unwrap_or(1);
            for _ in 0..times {
                for step in word[digits.len()..].chars() {
                    let loud = [3_000; media::FRAME_SAMPLES];
                    let quiet = [5; media::FRAME_SAMPLES];
                    match step {
                        'v' => {
                            onset.confirmed();
                            continue;
                        }
                        'o' | 'O' => onset.ours(&loud),
                        _ => onset.ours(&quiet),
                    }
                    let theirs = if matches!(step, 'O' | 'x') {
                        loud
                    } else {
                        quiet
                    };
                    onset.theirs(&theirs, false);
                    at += 1;
                    if onset.is_holding() {
                        held.push(at);
                    }
                }
            }
        }
        held
    }

    #[test]
    fn a_sound_on_a_proven_line_holds_playout_for_a_moment() {
        let held = run(&mut Onset::new(), "50o 2O 20.");
        assert_eq!(held, (52..64).collect::<Vec<_>>());
    }

    #[test]
    fn a_voice_ends_the_hold_and_keeps_the_proof() {
        let mut onset = Onset::new();
        assert_eq!(run(&mut onset, "50o 2O v"), [52]);
        assert!(!onset.is_holding());
        assert_eq!(run(&mut onset, "o 2O v"), [3]);
    }

    #[test]
    fn neither_a_click_nor_an_echo_nor_an_unproven_line_holds() {
        for script in [
            "50o O 20o",
            "200O",
            "49o 20O",
            "20o 500O",
            "100x",
            "50o 30. 9x",
        ] {
            assert!(run(&mut Onset::new(), script).is_empty(), "{script}");
        }
    }

    #[test]
    fn sounds_that_were_no_voice_ask_for_more_proof() {
        let mut onset = Onset::new();
        assert_eq!(run(&mut onset, "50o 2O 20.").len(), 12);
        assert!(run(&mut onset, "99o 2O 20.").is_empty());
        assert_eq!(run(&mut onset, "100o 2O 20.").len(), 12);
    }

    #[test]
    fn steady_noise_is_the_line_itself() {
        let mut onset = Onset::new();
        let noise = [400; media::FRAME_SAMPLES];
        onset.ours(&[3_000; media::FRAME_SAMPLES]);
        for _ in 0..1_000 {
            onset.theirs(&noise, false);
            assert!(!onset.is_holding());
        }
    }
}
