//! PURE.
//!
//! Pieces of sound that were heard before, and what was heard in them. The engines of one model share one such memory, so
//! that the same sound is never decoded twice: neither the finished pieces of an utterance that goes on, nor a final over
//! sound that an early job has decoded. Does not decode, and does not lock: `whisper` wraps it.
//!
//! A piece is found by its exact samples (a hash first, then all of them); a decode of it also by its settings. It stays
//! in memory, and is never written or printed.
//!
//! Full: beyond the bound in bytes, or [`PIECES_MAX`] pieces, the least recently used goes. A piece larger than the bound
//! is not kept. Of one piece at most [`DECODES_MAX`] decodes are kept, the oldest goes.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Most pieces kept, so that looking through them stays cheap.
pub const PIECES_MAX: usize = 512;
/// Most decodes of one piece: with its own context, and with all context.
pub const DECODES_MAX: usize = 2;
/// What a piece and its texts cost beside the samples, in bytes, generously.
const PIECE_OVERHEAD_BYTES: usize = 1_024;

/// What one decode wrote.
#[derive(Clone, PartialEq, Default)]
pub struct Decoded {
    /// The words, trimmed.
    pub text: String,
    /// Tokens of text.
    pub tokens: u32,
    /// Sum of the natural logarithms of their probabilities.
    pub logprob_sum: f32,
    /// True when the decoder hit its token limit.
    pub truncated: bool,
}

impl std::fmt::Debug for Decoded {
    /// The text is a caller's and stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded")
            .field("letters", &self.text.chars().count())
            .field("tokens", &self.tokens)
            .field("logprob_sum", &self.logprob_sum)
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// Samples and their hash, made once per piece because it reads all of them.
#[derive(Debug, Clone, Copy)]
pub struct Sound<'a> {
    pcm: &'a [i16],
    hash: u64,
}

impl<'a> Sound<'a> {
    /// Hashes `pcm`.
    pub fn new(pcm: &'a [i16]) -> Sound<'a> {
        let mut hasher = DefaultHasher::new();
        pcm.hash(&mut hasher);
        Sound {
            pcm,
            hash: hasher.finish(),
        }
    }

    /// The samples.
    pub fn pcm(&self) -> &'a [i16] {
        self.pcm
    }
}

struct Piece {
    hash: u64,
    pcm: Box<[i16]>,
    voiced_ms: Option<u32>,
    /// By audio context in units of 20 ms.
    decodes: Vec<(i32, Decoded)>,
}

impl Piece {
    fn bytes(&self) -> usize {
        size_of_val(&*self.pcm) + PIECE_OVERHEAD_BYTES
    }
}

/// The memory of one model. The least recently used piece is in front.
pub struct Pieces {
    pieces: VecDeque<Piece>,
    bytes: usize,
    bytes_max: usize,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces")
            .field("pieces", &self.pieces.len())
            .field("bytes", &self.bytes)
            .field("bytes_max", &self.bytes_max)
            .finish()
    }
}

impl Pieces {
    /// An empty memory of at most `bytes_max` bytes. With 0 it keeps nothing.
    pub fn new(bytes_max: usize) -> Pieces {
        Pieces {
            pieces: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// What was heard in `sound` when it was decoded with `audio_ctx` units of context.
    pub fn decoded(&mut self, sound: &Sound<'_>, audio_ctx: i32) -> Option<Decoded> {
        let piece = self.find(sound)?;
        let (_, decoded) = piece.decodes.iter().find(|(ctx, _)| *ctx == audio_ctx)?;
        Some(decoded.clone())
    }

    /// How much of `sound` is voice, in milliseconds, if that was asked before.
    pub fn voiced_ms(&mut self, sound: &Sound<'_>) -> Option<u32> {
        self.find(sound)?.voiced_ms
    }

    /// Keeps the outcome of a whole decode.
    pub fn keep_decoded(&mut self, sound: &Sound<'_>, audio_ctx: i32, decoded: Decoded) {
        self.keep(sound, |piece| {
            piece.decodes.retain(|(ctx, _)| *ctx != audio_ctx);
            if piece.decodes.len() >= DECODES_MAX {
                piece.decodes.remove(0);
            }
            piece.decodes.push((audio_ctx, decoded));
        });
    }

    /// Keeps how much of `sound` is voice.
    pub fn keep_voiced_ms(&mut self, sound: &Sound<'_>, voiced_ms: u32) {
        self.keep(sound, |piece| piece.voiced_ms = Some(voiced_ms));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    /// Bytes in use, by the count that the bound is held to.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pieces kept.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Finds a piece and makes it the most recently used.
    fn find(&mut self, sound: &Sound<'_>) -> Option<&mut Piece> {
        let place = self
            .pieces
            .iter()
            .rposition(|piece| piece.hash == sound.hash && *piece.pcm == *sound.pcm)?;
        let piece = self.pieces.remove(place)?;
        self.pieces.push_back(piece);
        self.pieces.back_mut()
    }

    fn keep(&mut self, sound: &Sound<'_>, note: impl FnOnce(&mut Piece)) {
        if let Some(piece) = self.find(sound) {
            note(piece);
            return;
        }
        let mut piece = Piece {
            hash: sound.hash,
            pcm: sound.pcm.into(),
            voiced_ms: None,
            decodes: Vec::new(),
        };
        note(&mut piece);
        let bytes = piece.bytes();
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes + bytes > self.bytes_max || self.pieces.len() >= PIECES_MAX {
            let Some(oldest) = self.pieces.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
        self.bytes += bytes;
        self.pieces.push_back(piece);
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
