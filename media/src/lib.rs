//! Sound as packets, without IO: what arrives as datagrams leaves as 20 ms frames, and the other way round.
//!
//! Owns: RTP and RTCP (RFC 3550, 3551), telephone-event (RFC 4733), G.711, reordering, concealment, resampling,
//! paced playout with the record of what was heard, call-progress tones, sound files as bytes.
//! Does not own: sockets, clocks, threads, SIP, speech recognition, speech synthesis.
//!
//! Inside the program sound is mono, 16 bit, [`SAMPLE_RATE_HZ`], cut into frames of [`FRAME_SAMPLES`] (20 ms).
//!
//! Driving contract, the same for every state machine here: hand in one input with the present instant, then take
//! outputs until there are none, then wait for the next input or for the instant named by `next_timeout`.
//!
//! PURE.

// Tests build one base instant; nothing else reads a clock.
#![cfg_attr(test, allow(clippy::disallowed_methods))]
// Tables of test rows are plain tuples.
#![cfg_attr(test, allow(clippy::type_complexity))]

pub mod association;
pub mod codec;
pub mod comfort_noise;
pub mod concealment;
pub mod dtls;
pub mod dtmf;
pub mod dtmf_inband;
pub mod echo;
pub mod file;
pub mod frame_clock;
pub mod ice;
pub mod jitter_buffer;
pub mod playout;
pub mod quality;
pub mod receiver;
pub mod relay;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod sender;
pub mod session;
pub mod srtp;
pub mod steady;
pub mod stretch;
pub mod tempo;
pub mod tones;
pub mod transcoder;
pub mod transit;

#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod fuzz_secure;

/// Sample rate of all sound inside the program, in hertz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples in one frame: 20 ms at [`SAMPLE_RATE_HZ`].
pub const FRAME_SAMPLES: usize = 320;

/// Length of one frame in milliseconds.
pub const FRAME_MS: u64 = 20;

/// One frame of sound: mono, 16 bit, 20 ms.
pub type Frame = [i16; FRAME_SAMPLES];

/// A frame of digital silence.
pub const SILENCE: Frame = [0; FRAME_SAMPLES];
