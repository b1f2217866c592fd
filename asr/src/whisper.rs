//! Whisper models through whisper.cpp: opening, and one decode as this program wants it. Owns all the foreign code of the
//! crate and every setting that keeps whisper.cpp honest on short telephone utterances; the inspection of files is
//! `model_file`'s, the cutting of long audio `window`'s, the doubting of texts `plausibility`'s.
//!
//! Why each setting is what it is:
//! - Flash attention off. With an `audio_ctx` that is no multiple of 256 it also attends to what an earlier, longer clip
//!   left behind, and words appear in silence.
//! - `audio_ctx` follows the length of the clip (50 units a second and 30 more), so work is proportional to it.
//! - `suppress_blank` off for models that may answer nothing (our own); on, it forces a first word out of silence.
//! - whisper.cpp's no-speech probability is not used: after a prompt of more than one token it is read from the wrong
//!   row. Silence is found before decoding, by `vad`, and inventions after it, by `plausibility`.
//! - No temperature fallback, one greedy decoder, one segment, no context from the clip before, no timestamps.
//! - The language is set once per engine, because every call of that setter leaks its string.
//! - Never under a second of samples: whisper.cpp mirrors the first 200 unchecked and drops clips under 100 ms.
//! - `GGML_NO_BACKTRACE=1` belongs into the environment of the program: without it a failed assertion starts a debugger.

use std::ffi::c_void;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState,
};

use crate::engine::{Engine, EngineInfo, Kind, Options, Transcript};
use crate::error::AsrError;
use crate::model_file::{self, ModelInfo};
use crate::pieces::{Decoded, Pieces, Sound};
use crate::{SAMPLE_RATE_HZ, cpu, ms_to_samples, plausibility, samples_to_ms, vad, window};

/// whisper.cpp's units of audio context per second.
const AUDIO_CTX_PER_S: usize = 50;
/// Context beyond the end of the clip, so that the model sees that it ended: 0.6 s.
const AUDIO_CTX_TAIL: usize = 30;
/// Shortest clip handed to whisper.cpp; shorter ones are filled up with silence.
const CLIP_MS_MIN: u32 = 1_000;
/// Silence put before the clip: our own model expects 0.1 s and more.
const LEAD_MS: u32 = 100;
/// The longest window of any Whisper model is 30 s, less the lead and a margin for the tail.
const WINDOW_MS_MAX: u32 = 28_000;
/// Our own small model was trained on clips of up to this length.
const MINI_WINDOW_MS_MAX: u32 = 8_000;
/// It knows single sentences. A pause inside one costs it words, and cutting there costs it more; several sentences in one
/// piece cost it most. So nothing is cut up to a length that one sentence with a pause may have,
const MINI_WHOLE_MS_MAX: u32 = 8_000;
/// and more is cut at pauses this far from the start of a piece or further.
const MINI_PAUSE_FROM_MS: u32 = 1_500;
/// A pause long enough to be between sentences.
const MINI_PAUSE_MS: u32 = 400;
/// OpenAI's models like context, and a shortened decode of theirs has 10 s of it (`OPENAI_AUDIO_CTX_MIN`), which costs
/// the same however much of it is sound. So nothing is gained by cutting sooner, and what is cut has context enough.
const OPENAI_PAUSE_FROM_MS: u32 = 10_000;
/// The pause they are cut at: most of what `utterance` leaves of a long one.
const OPENAI_PAUSE_MS: u32 = 500;
/// Memory for sound heard before, shared by the engines of one model: some eight minutes of it.
const PIECES_BYTES_MAX: usize = 16 << 20;
/// Audio context floor for models trained on 30 s windows only. Not measured by this project, for want of such a model
/// at hand; 10 s of context is what streaming users of whisper.cpp have found safe.
const OPENAI_AUDIO_CTX_MIN: u32 = 512;
/// Tokens a fast talker fills a second with, and some to spare. A decoder in a loop stops there.
const TOKENS_PER_S_MAX: usize = 12;
const TOKENS_SPARE: usize = 16;
/// More threads than this make short clips slower, not faster.
const THREADS_MAX: usize = 4;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The small English model carried by the program.
    Embedded,
    /// A ggml file.
    File(PathBuf),
    /// A ggml file in memory, and a name for it.
    Bytes(String, Arc<[u8]>),
}

/// How much audio context a decode gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AudioContext {
    /// By the length of the clip; models trained on full windows only get a floor of about 10 s.
    #[default]
    Auto,
    /// By the length of the clip, but at least this many units of 20 ms.
    AtLeast(u32),
    /// Always all the model has.
    Full,
}

/// Settings of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhisperConfig {
    /// Threads per decode. 0 takes one for our own small model, and else one less than the processor has, at most 4:
    /// ggml's threads wait for each other by spinning, so where one of them is not given a core, all of them burn theirs.
    pub threads: usize,
    /// Language code, or `auto` to have multilingual models guess. English-only models know `en` and take `auto` for it.
    pub language: String,
    /// Audio context policy.
    pub audio_context: AudioContext,
    /// Words to expect (names, jargon), put before each decode. Keep it to a few: every token costs time.
    pub initial_prompt: String,
}

impl Default for WhisperConfig {
    fn default() -> WhisperConfig {
        WhisperConfig {
            threads: 0,
            language: "en".to_owned(),
            audio_context: AudioContext::Auto,
            initial_prompt: String::new(),
        }
    }
}

/// A Whisper model and one decoding state. Further engines over the same weights come from [`WhisperEngine::fork`].
pub struct WhisperEngine {
    context: Arc<WhisperContext>,
    state: Option<WhisperState>,
    params: FullParams<'static, 'static>,
    model: ModelInfo,
    info: EngineInfo,
    audio_context: AudioContext,
    /// What was heard before, by this engine and its forks: they decode alike.
    pieces: Arc<Mutex<Pieces>>,
    /// Scratch for the samples as whisper.cpp wants them.
    samples: Vec<f32>,
}

impl std::fmt::Debug for WhisperEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WhisperEngine")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl WhisperEngine {
    /// Inspects and loads a model. Blocks for as long as reading the file takes.
    ///
    /// Errors: [`AsrError::CpuUnsupported`], [`AsrError::ModelUnreadable`], [`AsrError::ModelCorrupt`],
    /// [`AsrError::ModelRefused`], [`AsrError::LanguageUnknown`].
    pub fn open(source: &ModelSource, config: &WhisperConfig) -> Result<WhisperEngine, AsrError> {
        cpu::check()?;
        whisper_rs::install_logging_hooks();
        let name = source_name(source);
        let model = inspect(source, &name)?;
        let languages = languages(&model, &config.language, &name)?;
        let mut context_params = WhisperContextParameters::default();
        context_params.use_gpu(false).flash_attn(false);
        let context = match source {
            ModelSource::Embedded => {
                WhisperContext::new_from_buffer_with_params(model_file::embedded(), context_params)
            }
            ModelSource::File(path) => WhisperContext::new_with_params(path, context_params),
            ModelSource::Bytes(_, bytes) => {
                WhisperContext::new_from_buffer_with_params(bytes, context_params)
            }
        }
        .map_err(|error| AsrError::ModelRefused {
            model: name.clone(),
            reason: error.to_string(),
        })?;
        let window_ms_max = if model.is_mini() {
            MINI_WINDOW_MS_MAX
        } else {
            // The context of 20 ms units must hold lead, clip and tail.
            let units = model.n_audio_ctx.unsigned_abs() - AUDIO_CTX_TAIL as u32;
            (units * 20)
                .saturating_sub(LEAD_MS)
                .clamp(400, WINDOW_MS_MAX)
        };
        let info = EngineInfo {
            model: name,
            languages,
            embedded: *source == ModelSource::Embedded,
            window_ms_max,
            cut: limits(&model, window_ms_max),
        };
        Ok(WhisperEngine {
            state: None,
            params: params(&model, config),
            audio_context: config.audio_context,
            pieces: Arc::new(Mutex::new(Pieces::new(PIECES_BYTES_MAX))),
            samples: Vec::new(),
            context: Arc::new(context),
            model,
            info,
        })
    }

    /// Another engine over the same weights, with a state of its own, for another thread. Sound that one of them has
    /// decoded is known to all.
    pub fn fork(&self) -> WhisperEngine {
        WhisperEngine {
            context: Arc::clone(&self.context),
            state: None,
            params: self.params.clone(),
            model: self.model.clone(),
            info: self.info.clone(),
            audio_context: self.audio_context,
            pieces: Arc::clone(&self.pieces),
            samples: Vec::new(),
        }
    }

    /// The same weights for another language or another prompt.
    ///
    /// Errors: [`AsrError::LanguageUnknown`].
    pub fn fork_with(&self, config: &WhisperConfig) -> Result<WhisperEngine, AsrError> {
        let languages = languages(&self.model, &config.language, &self.info.model)?;
        Ok(WhisperEngine {
            params: params(&self.model, config),
            audio_context: config.audio_context,
            // What was heard in another language is no help in this one.
            pieces: Arc::new(Mutex::new(Pieces::new(PIECES_BYTES_MAX))),
            info: EngineInfo {
                languages,
                ..self.info.clone()
            },
            ..self.fork()
        })
    }

    /// What the model file holds.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// Audio context for a clip of `samples`, of which the model has at most `n_audio_ctx`.
    fn audio_ctx(&self, samples: usize) -> i32 {
        let matched = samples.div_ceil(SAMPLE_RATE_HZ as usize / AUDIO_CTX_PER_S) + AUDIO_CTX_TAIL;
        let floor = match self.audio_context {
            AudioContext::Full => return self.model.n_audio_ctx,
            AudioContext::AtLeast(floor) => floor,
            AudioContext::Auto if self.model.is_mini() => 0,
            AudioContext::Auto => OPENAI_AUDIO_CTX_MIN,
        };
        let matched = i32::try_from(matched).unwrap_or(i32::MAX);
        matched
            .max(i32::try_from(floor).unwrap_or(i32::MAX))
            .min(self.model.n_audio_ctx)
    }

    /// Forgets what was heard before, so that the next decodes are real ones.
    pub fn forget(&self) {
        self.pieces().clear();
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        // Nothing panics while holding the lock, and what a poisoned one holds is consistent.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of `sound` is voice, in milliseconds.
    fn voiced_ms(&self, sound: &Sound<'_>) -> u32 {
        if let Some(known) = self.pieces().voiced_ms(sound) {
            return known;
        }
        let voiced_ms = vad::voiced_ms(sound.pcm());
        self.pieces().keep_voiced_ms(sound, voiced_ms);
        voiced_ms
    }

    /// The words of one window, and once more with all context when a shortened one made it loop.
    fn hear(&mut self, sound: &Sound<'_>, options: &Options) -> Result<Decoded, AsrError> {
        let length = (sound.pcm().len() + ms_to_samples(LEAD_MS)).max(ms_to_samples(CLIP_MS_MIN));
        let audio_ctx = self.audio_ctx(length);
        let decoded = self.hear_with(sound, audio_ctx, options)?;
        let shortened = audio_ctx < self.model.n_audio_ctx;
        if shortened
            && matches!(options.kind, Kind::Final | Kind::Note)
            && !self.model.is_mini()
            && plausibility::is_loop(&decoded.text)
        {
            return self.hear_with(sound, self.model.n_audio_ctx, options);
        }
        Ok(decoded)
    }

    /// What was heard in this window before, or else what is heard now. Only a decode that came to its end is kept.
    fn hear_with(
        &mut self,
        sound: &Sound<'_>,
        audio_ctx: i32,
        options: &Options,
    ) -> Result<Decoded, AsrError> {
        if let Some(known) = self.pieces().decoded(sound, audio_ctx) {
            return Ok(known);
        }
        let decoded = self.decode_window(sound.pcm(), audio_ctx, options)?;
        self.pieces()
            .keep_decoded(sound, audio_ctx, decoded.clone());
        Ok(decoded)
    }

    /// One window, filled up and decoded.
    fn decode_window(
        &mut self,
        pcm: &[i16],
        audio_ctx: i32,
        options: &Options,
    ) -> Result<Decoded, AsrError> {
        self.samples.clear();
        self.samples.resize(ms_to_samples(LEAD_MS), 0.0);
        self.samples
            .extend(pcm.iter().map(|sample| f32::from(*sample) / 32_768.0));
        let filled = self.samples.len().max(ms_to_samples(CLIP_MS_MIN));
        self.samples.resize(filled, 0.0);
        self.decode(audio_ctx, options)
    }

    fn decode(&mut self, audio_ctx: i32, options: &Options) -> Result<Decoded, AsrError> {
        let mut params = self.params.clone();
        params.set_audio_ctx(audio_ctx);
        let tokens_max =
            self.samples.len() / SAMPLE_RATE_HZ as usize * TOKENS_PER_S_MAX + TOKENS_SPARE;
        params.set_max_tokens(i32::try_from(tokens_max).unwrap_or(i32::MAX));
        // SAFETY: `should_stop` neither unwinds nor keeps the pointer, which is to `options`; that outlives `full`, the
        // only function that calls back, and whisper.cpp keeps the pointer in `params` only, which `full` consumes.
        // (The crate's own safe setter stores a pointer to the wrong type.)
        unsafe {
            params.set_abort_callback(Some(should_stop));
            params.set_abort_callback_user_data(std::ptr::from_ref(options).cast_mut().cast());
        }
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(new_state(&self.context, &self.info.model)?),
        };
        let outcome = state.full(params, &self.samples);
        if let Some(reason) = options.stop_reason() {
            return Err(reason);
        }
        outcome.map_err(|error| failed(&error.to_string()))?;
        Ok(read_result(state, tokens_max, self.context.token_eot()))
    }
}

impl Engine for WhisperEngine {
    fn name(&self) -> &str {
        "whisper"
    }

    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn warm(&mut self) -> Result<(), AsrError> {
        self.state = None;
        // One decode of nothing touches all the weights, so that the first caller does not wait for the disk.
        let audio_ctx = self.audio_ctx(ms_to_samples(CLIP_MS_MIN));
        self.decode_window(&[], audio_ctx, &Options::default())
            .map(drop)
    }

    fn transcribe(&mut self, pcm: &[i16], options: &Options) -> Result<Transcript, AsrError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "an engine reports how long it worked"
        )]
        let started = Instant::now();
        if let Some(reason) = options.stop_reason() {
            return Err(reason);
        }
        let mut voiced_ms = 0;
        let mut decoded = Vec::new();
        for piece in window::cut(pcm, &self.info.cut) {
            let sound = Sound::new(&pcm[piece.range.clone()]);
            let voiced_here_ms = self.voiced_ms(&sound);
            if voiced_here_ms > 0 {
                voiced_ms += voiced_here_ms;
                let part = self.hear(&sound, options)?;
                decoded.push((piece, part));
            }
        }
        let tokens: u32 = decoded.iter().map(|(_, part)| part.tokens).sum();
        let logprob: f32 = decoded.iter().map(|(_, part)| part.logprob_sum).sum();
        let truncated = decoded.iter().any(|(_, part)| part.truncated);
        let text = window::join(
            decoded
                .iter()
                .map(|(piece, part)| (part.text.as_str(), piece.overlaps_previous)),
        );
        let mut text = plausibility::strip_noise_names(&text);
        if !plausibility::fits_voice(&text, voiced_ms) {
            text.clear();
        }
        let avg_logprob = if tokens == 0 || text.is_empty() {
            0.0
        } else {
            logprob / tokens as f32
        };
        let trusted = if self.model.is_mini() {
            plausibility::TRUSTED_LOGPROB_MINI
        } else {
            plausibility::TRUSTED_LOGPROB
        };
        Ok(Transcript {
            no_speech: text.is_empty(),
            avg_logprob,
            certainty: plausibility::certainty(&text, avg_logprob, voiced_ms, trusted),
            text,
            decode_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
            audio_ms: samples_to_ms(pcm.len()),
            truncated,
        })
    }
}

/// whisper.cpp asks this after the encoder and after each token.
unsafe extern "C" fn should_stop(options: *mut c_void) -> bool {
    // SAFETY: `decode` passes a pointer to `Options` that is alive for as long as whisper.cpp runs.
    let options = unsafe { &*options.cast_const().cast::<Options>() };
    options.stop_reason().is_some()
}

/// How audio is cut for a model.
fn limits(model: &ModelInfo, window_ms_max: u32) -> window::Limits {
    let (whole_ms, pause_from_ms, pause_ms) = if model.is_mini() {
        (MINI_WHOLE_MS_MAX, MINI_PAUSE_FROM_MS, MINI_PAUSE_MS)
    } else {
        (0, OPENAI_PAUSE_FROM_MS, OPENAI_PAUSE_MS)
    };
    window::Limits {
        samples_max: ms_to_samples(window_ms_max),
        whole_max: ms_to_samples(whole_ms),
        pause_from: ms_to_samples(pause_from_ms),
        pause_samples: ms_to_samples(pause_ms),
    }
}

fn new_state(context: &WhisperContext, model: &str) -> Result<WhisperState, AsrError> {
    context
        .create_state()
        .map_err(|error| AsrError::ModelRefused {
            model: model.to_owned(),
            reason: error.to_string(),
        })
}

fn failed(reason: &str) -> AsrError {
    AsrError::EngineFailed {
        reason: reason.to_owned(),
    }
}

fn read_result(state: &WhisperState, tokens_max: usize, token_eot: i32) -> Decoded {
    let mut decoded = Decoded {
        text: String::new(),
        tokens: 0,
        logprob_sum: 0.0,
        truncated: false,
    };
    for segment in state.as_iter() {
        // Byte-level tokens can be cut inside a character; what is broken shows as a replacement character.
        if let Ok(text) = segment.to_str_lossy() {
            decoded.text.push_str(&text);
        }
        for token in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(token) else {
                break;
            };
            if token.token_id() < token_eot {
                decoded.tokens += 1;
                decoded.logprob_sum += token.token_data().plog;
            }
        }
    }
    decoded.truncated = decoded.tokens as usize >= tokens_max;
    decoded.text = decoded.text.trim().to_owned();
    decoded
}

fn source_name(source: &ModelSource) -> String {
    match source {
        ModelSource::Embedded => model_file::EMBEDDED_NAME.to_owned(),
        ModelSource::File(path) => path.display().to_string(),
        ModelSource::Bytes(name, _) => name.clone(),
    }
}

fn inspect(source: &ModelSource, name: &str) -> Result<ModelInfo, AsrError> {
    let verdict = match source {
        ModelSource::Embedded => model_file::inspect(model_file::embedded()),
        ModelSource::Bytes(_, bytes) => model_file::inspect(bytes),
        ModelSource::File(path) => {
            let unreadable = |error: std::io::Error| AsrError::ModelUnreadable {
                path: path.clone(),
                reason: error.to_string(),
            };
            let file = File::open(path).map_err(unreadable)?;
            let metadata = file.metadata().map_err(unreadable)?;
            if !metadata.is_file() {
                return Err(AsrError::ModelUnreadable {
                    path: path.clone(),
                    reason: "not a file".to_owned(),
                });
            }
            model_file::inspect_reader(BufReader::with_capacity(1 << 16, file), metadata.len())
        }
    };
    verdict.map_err(|error| AsrError::ModelCorrupt {
        model: name.to_owned(),
        reason: error.to_string(),
    })
}

/// The languages the engine will hear. Errors: [`AsrError::LanguageUnknown`].
fn languages(model: &ModelInfo, language: &str, name: &str) -> Result<Vec<String>, AsrError> {
    let unknown = || AsrError::LanguageUnknown {
        model: name.to_owned(),
        language: language.escape_debug().to_string(),
    };
    match (model.english_only, language) {
        (true, "en" | "auto") => Ok(vec!["en".to_owned()]),
        (true, _) => Err(unknown()),
        (false, "auto") => Ok((0..=whisper_rs::get_lang_max_id())
            .filter_map(whisper_rs::get_lang_str)
            .map(str::to_owned)
            .collect()),
        // Only short codes are looked up: a null byte would panic in the crate.
        (false, code) => (0..=whisper_rs::get_lang_max_id())
            .filter_map(whisper_rs::get_lang_str)
            .find(|known| *known == code)
            .map(|known| vec![known.to_owned()])
            .ok_or_else(unknown),
    }
}

/// The settings that are the same for every decode. Called once per model: the two string setters leak.
fn params(model: &ModelInfo, config: &WhisperConfig) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    let threads = match config.threads {
        0 if model.is_mini() => 1,
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1),
        asked => asked,
    };
    params.set_n_threads(i32::try_from(threads.clamp(1, THREADS_MAX)).unwrap_or(1));
    params.set_no_context(true);
    params.set_no_timestamps(true);
    params.set_single_segment(true);
    params.set_temperature_inc(0.0);
    params.set_suppress_blank(!model.is_mini());
    params.set_print_special(false);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    // "en" is what whisper.cpp assumes anyway.
    if !model.english_only && config.language != "en" {
        // `languages` has refused what is not among whisper.cpp's own names.
        let known = whisper_rs::get_lang_id(&config.language).and_then(whisper_rs::get_lang_str);
        params.set_language(Some(known.unwrap_or("auto")));
    }
    let prompt = config.initial_prompt.replace('\0', " ");
    if !prompt.trim().is_empty() {
        params.set_initial_prompt(prompt.trim());
    }
    params
}

#[cfg(test)]
#[path = "whisper_tests.rs"]
mod tests;
