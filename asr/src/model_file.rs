//! PURE.
//!
//! What a Whisper ggml file is, and whether whisper.cpp may be shown it. Walks magic, hyper-parameters, mel filters,
//! vocabulary and the whole tensor table by whisper.cpp 1.8's own rules, because that loader checks little and answers
//! much of the rest with `abort()`. Owns no file handle: the caller brings bytes, or anything that reads and seeks, and
//! the weights themselves are skipped, not read.
//!
//! Layout: whisper.cpp `whisper_model_load`. All integers are 32 bit little-endian; nothing is padded.

use std::collections::HashMap;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};

/// The model carried by the program: `mini-en`, see `asr/models/README.md`.
static EMBEDDED: &[u8] = include_bytes!("../models/mini-en-q5_0.bin");

/// Name of the embedded model, for people.
pub const EMBEDDED_NAME: &str = "mini-en (embedded)";

/// Width of the embedded model's network, by which a copy of it on disk is known too.
const MINI_STATE: i32 = 192;

const MAGIC: u32 = 0x6767_6d6c;
const FFT_BINS: i32 = 201;
/// Smallest vocabulary that holds whisper.cpp's compiled-in special tokens (up to 50363, begin of timestamps).
const N_VOCAB_MIN: i32 = 50_364;
/// From here on whisper.cpp takes a model for multilingual.
const N_VOCAB_MULTILINGUAL: i32 = 51_865;
/// One more language than this and whisper.cpp has no name for it (and reads a null pointer).
const N_VOCAB_MAX: i32 = 51_866;
const LAYERS_MAX: i32 = 64;
const STATE_MAX: i32 = 2_048;
const N_AUDIO_CTX_MAX: i32 = 1_500;
const N_TEXT_CTX_MAX: i32 = 1_024;
const N_MELS_MAX: i32 = 128;
const VOCAB_PIECE_BYTES_MAX: u32 = 1_024;
const TENSOR_NAME_BYTES_MAX: i32 = 128;

/// Bytes of the embedded model.
pub fn embedded() -> &'static [u8] {
    EMBEDDED
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It does not start as a ggml file does; perhaps a saved web page, an archive, a GGUF or PyTorch file.
    #[error("not a Whisper ggml model (its first four bytes are {found:#010x}){hint}")]
    NotGgml {
        /// The first four bytes as a little-endian number.
        found: u32,
        /// What it seems to be instead, starting with a semicolon; empty when unknown.
        hint: &'static str,
    },
    /// It ends before it is complete: a broken download, most often.
    #[error("cut short: the file ends inside {within}")]
    CutShort {
        /// Where the end came.
        within: String,
    },
    /// A number in the header is outside what whisper.cpp can take.
    #[error("header field {field} is {found}, expected {expected}")]
    Header {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: i64,
        /// What it may be.
        expected: String,
    },
    /// The vocabulary is not usable.
    #[error("vocabulary: {reason}")]
    Vocabulary {
        /// What is wrong.
        reason: String,
    },
    /// A tensor is unknown, doubled, or of the wrong type or shape.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Its name, as far as it could be read.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The file is complete, but some weights are not in it.
    #[error("{missing} of {expected} tensors are missing, {first} among them")]
    TensorsMissing {
        /// How many are not there.
        missing: usize,
        /// How many there should be.
        expected: usize,
        /// The first by name.
        first: String,
    },
    /// Reading failed.
    #[error("reading failed: {reason}")]
    Io {
        /// The reader's words.
        reason: String,
    },
}

/// What a sound model file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// `mini`, `tiny`, `base`, `small`, `medium`, `large`, `turbo`, `distil`, or `custom` for other shapes.
    pub kind: &'static str,
    /// True for models that know English only.
    pub english_only: bool,
    /// Type of the large weights, such as `f16` or `q5_0`.
    pub weights: &'static str,
    /// True when those weights are smaller than 16 bit.
    pub quantised: bool,
    /// Size of the file.
    pub bytes: u64,
    /// Longest audio context in units of 20 ms.
    pub n_audio_ctx: i32,
    /// Longest text context in tokens.
    pub n_text_ctx: i32,
    /// Size of the token table.
    pub n_vocab: i32,
}

impl ModelInfo {
    /// True for this project's own small model, embedded or on disk. It answers silence with an empty text and was
    /// trained at short audio contexts, which OpenAI's models were not.
    pub fn is_mini(&self) -> bool {
        self.kind == "mini"
    }
}

/// Checks a model held in memory. Errors: [`ModelError`]; anything accepted loads without an abort.
pub fn inspect(bytes: &[u8]) -> Result<ModelInfo, ModelError> {
    inspect_reader(Cursor::new(bytes), bytes.len() as u64)
}

/// Checks a model of `bytes` length behind a reader (buffered, please: it reads in small steps and skips the weights).
pub fn inspect_reader(reader: impl Read + Seek, bytes: u64) -> Result<ModelInfo, ModelError> {
    let mut walk = Walk {
        reader,
        left: bytes,
    };
    let magic = walk.u32("the magic number")?;
    if magic != MAGIC {
        return Err(ModelError::NotGgml {
            found: magic,
            hint: hint(magic),
        });
    }
    let header = Header::read(&mut walk)?;
    read_filters(&mut walk, &header)?;
    read_vocabulary(&mut walk, &header)?;
    read_tensors(&mut walk, &header)?;
    Ok(header.describe(bytes))
}

fn hint(magic: u32) -> &'static str {
    match &magic.to_le_bytes() {
        b"GGUF" => "; it is a GGUF file, whisper.cpp wants the older ggml form",
        b"PK\x03\x04" => "; it is a zip archive or a PyTorch checkpoint",
        b"<!DO" | b"<htm" | b"<!do" => "; it is a web page, so the download went wrong",
        b"vers" => "; it is a Git LFS pointer, not the file itself",
        _ => "",
    }
}

/// A reader that knows how much is left, so that no length in the file is believed before it is checked.
struct Walk<R> {
    reader: R,
    left: u64,
}

impl<R: Read + Seek> Walk<R> {
    fn spend(&mut self, bytes: u64, within: &str) -> Result<(), ModelError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ModelError::CutShort {
                within: within.to_owned(),
            }),
        }
    }

    fn fill(&mut self, into: &mut [u8], within: &str) -> Result<(), ModelError> {
        self.spend(into.len() as u64, within)?;
        self.reader
            .read_exact(into)
            .map_err(|error| io_error(&error, within))
    }

    fn u32(&mut self, within: &str) -> Result<u32, ModelError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes, within)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn i32(&mut self, within: &str) -> Result<i32, ModelError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes, within)?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn skip(&mut self, bytes: u64, within: &str) -> Result<(), ModelError> {
        self.spend(bytes, within)?;
        let step = i64::try_from(bytes).map_err(|_| ModelError::CutShort {
            within: within.to_owned(),
        })?;
        self.reader
            .seek(SeekFrom::Current(step))
            .map_err(|error| io_error(&error, within))?;
        Ok(())
    }
}

fn io_error(error: &std::io::Error, within: &str) -> ModelError {
    if error.kind() == ErrorKind::UnexpectedEof {
        ModelError::CutShort {
            within: within.to_owned(),
        }
    } else {
        ModelError::Io {
            reason: error.to_string(),
        }
    }
}

/// A ggml tensor type: its code, its name, and how many bytes hold how many elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TensorType {
    code: i32,
    name: &'static str,
    block_bytes: u64,
    block_elements: u64,
}

const fn tensor_type(
    code: i32,
    name: &'static str,
    block_bytes: u64,
    block_elements: u64,
) -> TensorType {
    TensorType {
        code,
        name,
        block_bytes,
        block_elements,
    }
}

const F32: TensorType = tensor_type(0, "f32", 4, 1);
const F16: TensorType = tensor_type(1, "f16", 2, 1);

/// Weight types by the header's ftype. Type f32 (ftype 0) is left out: whisper.cpp loads it and then aborts in its first
/// convolution, which wants f16 kernels.
const WEIGHT_TYPES: [(i32, TensorType); 11] = [
    (1, F16),
    (2, tensor_type(2, "q4_0", 18, 32)),
    (3, tensor_type(3, "q4_1", 20, 32)),
    (7, tensor_type(8, "q8_0", 34, 32)),
    (8, tensor_type(6, "q5_0", 22, 32)),
    (9, tensor_type(7, "q5_1", 24, 32)),
    (10, tensor_type(10, "q2_k", 84, 256)),
    (11, tensor_type(11, "q3_k", 110, 256)),
    (12, tensor_type(12, "q4_k", 144, 256)),
    (13, tensor_type(13, "q5_k", 176, 256)),
    (14, tensor_type(14, "q6_k", 210, 256)),
];

/// ftype is this times the version of the quantisation format, plus the type.
const QUANTISATION_VERSION_FACTOR: i32 = 1_000;

#[derive(Debug)]
struct Header {
    n_vocab: i32,
    n_audio_ctx: i32,
    state: i32,
    n_audio_layer: i32,
    n_text_ctx: i32,
    n_text_layer: i32,
    n_mels: i32,
    weights: TensorType,
}

impl Header {
    fn read<R: Read + Seek>(walk: &mut Walk<R>) -> Result<Header, ModelError> {
        let mut field = |name: &'static str, low: i32, high: i32| {
            let found = walk.i32("the header")?;
            if (low..=high).contains(&found) {
                Ok(found)
            } else {
                Err(header_error(name, found, format!("{low} to {high}")))
            }
        };
        let n_vocab = field("n_vocab", N_VOCAB_MIN, N_VOCAB_MAX)?;
        let n_audio_ctx = field("n_audio_ctx", 50, N_AUDIO_CTX_MAX)?;
        let n_audio_state = field("n_audio_state", 32, STATE_MAX)?;
        let n_audio_head = field("n_audio_head", 1, STATE_MAX)?;
        let n_audio_layer = field("n_audio_layer", 1, LAYERS_MAX)?;
        let n_text_ctx = field("n_text_ctx", 32, N_TEXT_CTX_MAX)?;
        let n_text_state = field("n_text_state", 32, STATE_MAX)?;
        let n_text_head = field("n_text_head", 1, STATE_MAX)?;
        let n_text_layer = field("n_text_layer", 1, LAYERS_MAX)?;
        let n_mels = field("n_mels", 1, N_MELS_MAX)?;
        let ftype = field("ftype", 0, i32::MAX)?;
        if n_text_state != n_audio_state {
            return Err(header_error(
                "n_text_state",
                n_text_state,
                format!("{n_audio_state}, as n_audio_state"),
            ));
        }
        for (name, heads) in [("n_audio_head", n_audio_head), ("n_text_head", n_text_head)] {
            if n_audio_state % heads != 0 {
                return Err(header_error(
                    name,
                    heads,
                    format!("a divisor of n_audio_state, {n_audio_state}"),
                ));
            }
        }
        let weights = WEIGHT_TYPES
            .iter()
            .find(|(code, _)| *code == ftype % QUANTISATION_VERSION_FACTOR)
            .map(|(_, weights)| *weights)
            .ok_or_else(|| header_error("ftype", ftype, "f16 or a quantised type".to_owned()))?;
        if i64::from(n_audio_state) % weights.block_elements.cast_signed() != 0 {
            return Err(header_error(
                "n_audio_state",
                n_audio_state,
                format!(
                    "a multiple of {} for {}",
                    weights.block_elements, weights.name
                ),
            ));
        }
        Ok(Header {
            n_vocab,
            n_audio_ctx,
            state: n_audio_state,
            n_audio_layer,
            n_text_ctx,
            n_text_layer,
            n_mels,
            weights,
        })
    }

    fn describe(&self, bytes: u64) -> ModelInfo {
        let kind = match (self.n_audio_layer, self.state, self.n_text_layer) {
            // However deep: a later training may have more layers.
            (_, MINI_STATE, 2) => "mini",
            (4, 384, 4) => "tiny",
            (6, 512, 6) => "base",
            (12, 768, 12) => "small",
            (24, 1_024, 24) => "medium",
            (32, 1_280, 32) => "large",
            (32, 1_280, 4) => "turbo",
            (_, _, 2) => "distil",
            _ => "custom",
        };
        ModelInfo {
            kind,
            english_only: self.n_vocab < N_VOCAB_MULTILINGUAL,
            weights: self.weights.name,
            quantised: self.weights != F16,
            bytes,
            n_audio_ctx: self.n_audio_ctx,
            n_text_ctx: self.n_text_ctx,
            n_vocab: self.n_vocab,
        }
    }

    /// Every tensor whisper.cpp expects: name, type and dimensions (fastest first).
    fn tensors(&self) -> HashMap<String, (TensorType, Vec<i32>)> {
        let (s, w) = (self.state, self.weights);
        let mut table = HashMap::new();
        let mut put = |name: String, tensor_type: TensorType, shape: &[i32]| {
            table.insert(name, (tensor_type, shape.to_vec()));
        };
        let norm = |put: &mut dyn FnMut(String, TensorType, &[i32]), name: String| {
            put(format!("{name}.weight"), F32, &[s]);
            put(format!("{name}.bias"), F32, &[s]);
        };
        for (number, inputs) in [(1, self.n_mels), (2, s)] {
            put(format!("encoder.conv{number}.weight"), F16, &[3, inputs, s]);
            put(format!("encoder.conv{number}.bias"), F32, &[1, s]);
        }
        put(
            "encoder.positional_embedding".into(),
            F32,
            &[s, self.n_audio_ctx],
        );
        norm(&mut put, "encoder.ln_post".into());
        put(
            "decoder.positional_embedding".into(),
            F32,
            &[s, self.n_text_ctx],
        );
        put(
            "decoder.token_embedding.weight".into(),
            w,
            &[s, self.n_vocab],
        );
        norm(&mut put, "decoder.ln".into());
        let stacks = [
            ("encoder", self.n_audio_layer, &["attn"][..]),
            ("decoder", self.n_text_layer, &["attn", "cross_attn"][..]),
        ];
        for (stack, layers, attentions) in stacks {
            for layer in 0..layers {
                let block = format!("{stack}.blocks.{layer}");
                for attention in attentions {
                    norm(&mut put, format!("{block}.{attention}_ln"));
                    for part in ["query", "key", "value", "out"] {
                        put(format!("{block}.{attention}.{part}.weight"), w, &[s, s]);
                        if part != "key" {
                            put(format!("{block}.{attention}.{part}.bias"), F32, &[s]);
                        }
                    }
                }
                norm(&mut put, format!("{block}.mlp_ln"));
                put(format!("{block}.mlp.0.weight"), w, &[s, 4 * s]);
                put(format!("{block}.mlp.0.bias"), F32, &[4 * s]);
                put(format!("{block}.mlp.2.weight"), w, &[4 * s, s]);
                put(format!("{block}.mlp.2.bias"), F32, &[s]);
            }
        }
        table
    }
}

fn header_error(field: &'static str, found: i32, expected: String) -> ModelError {
    ModelError::Header {
        field,
        found: i64::from(found),
        expected,
    }
}

fn read_filters<R: Read + Seek>(walk: &mut Walk<R>, header: &Header) -> Result<(), ModelError> {
    let within = "the mel filters";
    let bands = walk.i32(within)?;
    if bands != header.n_mels {
        return Err(header_error(
            "filter bands",
            bands,
            header.n_mels.to_string(),
        ));
    }
    let bins = walk.i32(within)?;
    if bins != FFT_BINS {
        return Err(header_error("filter bins", bins, FFT_BINS.to_string()));
    }
    // Both are checked to be small and positive.
    walk.skip(
        u64::from(bands.unsigned_abs() * bins.unsigned_abs()) * 4,
        within,
    )
}

fn read_vocabulary<R: Read + Seek>(walk: &mut Walk<R>, header: &Header) -> Result<(), ModelError> {
    let within = "the vocabulary";
    let count = walk.i32(within)?;
    // A larger count trips an assertion in whisper.cpp; a smaller one is filled up with special tokens.
    if !(1..=header.n_vocab).contains(&count) {
        return Err(ModelError::Vocabulary {
            reason: format!("{count} pieces, expected 1 to {}", header.n_vocab),
        });
    }
    let mut blank = false;
    for id in 0..count {
        let bytes = walk.u32(within)?;
        if bytes > VOCAB_PIECE_BYTES_MAX {
            return Err(ModelError::Vocabulary {
                reason: format!("piece {id} is {bytes} bytes long"),
            });
        }
        if bytes == 1 {
            let mut piece = [0];
            walk.fill(&mut piece, within)?;
            blank |= piece == *b" ";
        } else {
            walk.skip(u64::from(bytes), within)?;
        }
    }
    // whisper.cpp looks this piece up without asking whether it is there; the exception ends the process.
    if !blank {
        return Err(ModelError::Vocabulary {
            reason: "no piece for a single space".to_owned(),
        });
    }
    Ok(())
}

fn read_tensors<R: Read + Seek>(walk: &mut Walk<R>, header: &Header) -> Result<(), ModelError> {
    let mut missing = header.tensors();
    let expected = missing.len();
    while walk.left > 0 {
        let seen = expected - missing.len();
        let within = format!("the head of tensor {} of {expected}", seen + 1);
        let dims = walk.i32(&within)?;
        let name_bytes = walk.i32(&within)?;
        let code = walk.i32(&within)?;
        let nameless = |reason: String| ModelError::Tensor {
            name: format!("{} of {expected}", seen + 1),
            reason,
        };
        if !(1..=3).contains(&dims) {
            return Err(nameless(format!("{dims} dimensions")));
        }
        if !(1..=TENSOR_NAME_BYTES_MAX).contains(&name_bytes) {
            return Err(nameless(format!("a name of {name_bytes} bytes")));
        }
        let mut shape = Vec::with_capacity(3);
        for _ in 0..dims {
            shape.push(walk.i32(&within)?);
        }
        let mut name = vec![0; name_bytes.unsigned_abs() as usize];
        walk.fill(&mut name, &within)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let Some((tensor_type, wanted)) = missing.remove(&name) else {
            return Err(ModelError::Tensor {
                name: name.escape_debug().to_string(),
                reason: "unknown, or there twice".to_owned(),
            });
        };
        if code != tensor_type.code {
            return Err(ModelError::Tensor {
                name,
                reason: format!("type {code}, expected {}", tensor_type.name),
            });
        }
        if shape != wanted {
            return Err(ModelError::Tensor {
                name,
                reason: format!("shape {shape:?}, expected {wanted:?}"),
            });
        }
        // The shape is the wanted one, so this cannot overflow.
        let elements: u64 = wanted.iter().map(|n| u64::from(n.unsigned_abs())).product();
        walk.skip(
            elements / tensor_type.block_elements * tensor_type.block_bytes,
            &format!("the weights of {name}"),
        )?;
    }
    match missing.keys().min() {
        None => Ok(()),
        Some(first) => Err(ModelError::TensorsMissing {
            missing: missing.len(),
            expected,
            first: first.clone(),
        }),
    }
}

#[doc(hidden)]
pub mod fuzz {
    //! Body of the model file fuzz target, a plain function.

    /// Any bytes: a verdict, no panic, and the same verdict again.
    pub fn inspect(data: &[u8]) {
        assert_eq!(super::inspect(data), super::inspect(data));
    }
}

#[cfg(test)]
#[path = "model_file_tests.rs"]
mod tests;
