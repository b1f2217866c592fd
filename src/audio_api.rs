//! `/v1/audio` and `/v1/models`, as OpenAI has them: other programs on this machine hear and speak with our engines.
//! Owns the routes, their token and their bounds. Not the work itself (`sound_work`), nor the listener (`console`).
//!
//! The token is one of its own, never the one that opens the phone system: it stands in the config of other programs.
//!
//! Full: as many requests as there are places for work are read at once, the next one is told 429.

mod captions;
mod error;
mod speech;
mod transcriptions;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

pub use error::ApiError;

use crate::config::{AudioApi as Wish, Config};
use crate::console::is_authorised;
use crate::home::Home;
use crate::redact::Secret;
use crate::secrets::SecretStore;
use crate::sound_work::{SoundLimits, SoundWork};

/// The token that the program has made for itself, in its home folder.
pub const TOKEN_FILE: &str = "audio-token";
/// Beside the file itself, a form holds some short fields.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// How long a request's body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// What the routes share.
#[derive(Clone)]
struct Audio(Arc<Inner>);

struct Inner {
    work: SoundWork,
    token: Secret,
    file_mib_max: u32,
    /// Requests that may be in memory at once.
    bodies: Arc<Semaphore>,
}

/// What the configuration allows.
pub fn limits(wish: &Wish) -> SoundLimits {
    SoundLimits {
        duration_s_max: wish.duration_s_max,
        text_chars_max: wish.text_chars_max,
        at_once: wish.at_once,
        waiting_max: wish.waiting_max,
    }
}

/// The token callers must show: the owner's, or one made at the first start.
pub fn token(config: &Config, secrets: &SecretStore, home: &Home) -> anyhow::Result<Secret> {
    match secrets.resolve(&config.audio.token, "audio", home.root())? {
        Some(token) => Ok(token),
        None => Ok(Secret::new(
            crate::proxy::own_token(home.root().join(TOKEN_FILE))?.expose(),
        )),
    }
}

/// The routes; none where `[audio]` is off.
pub fn routes<S: Clone + Send + Sync + 'static>(
    work: SoundWork,
    wish: &Wish,
    token: Secret,
) -> Router<S> {
    if !wish.enabled {
        return Router::new();
    }
    let audio = Audio(Arc::new(Inner {
        work,
        token,
        file_mib_max: wish.file_mib_max,
        bodies: Arc::new(Semaphore::new(wish.at_once + wish.waiting_max)),
    }));
    let file_bytes_max = wish.file_mib_max as usize * 1024 * 1024;
    let hear = post(transcriptions::transcribe)
        .layer(DefaultBodyLimit::max(file_bytes_max + FORM_BYTES_MAX));
    // JSON of a text may escape every character.
    let text_bytes_max = wish.text_chars_max * 12 + FORM_BYTES_MAX;
    let speak = post(speech::speak).layer(DefaultBodyLimit::max(text_bytes_max));
    Router::new()
        .route("/v1/audio/transcriptions", hear)
        .route("/v1/audio/speech", speak)
        .route("/v1/models", get(models))
        .route_layer(middleware::from_fn_with_state(audio.clone(), require_token))
        .with_state(audio)
}

async fn require_token(State(audio): State<Audio>, request: Request, next: Next) -> Response {
    match is_authorised(request.headers(), &audio.0.token) {
        true => next.run(request).await,
        false => ApiError::Unauthorised.into_response(),
    }
}

/// The names that OpenAI's clients ask for, and the names of what really works. Any name is taken in a request.
async fn models(State(audio): State<Audio>) -> Result<Response, ApiError> {
    let engines = audio.0.work.engines().await?;
    let ears = engines.ears.model.rsplit('/').next().unwrap_or_default();
    let names = ["whisper-1", ears, "tts-1", &engines.voice.name];
    let data: Vec<serde_json::Value> = names
        .iter()
        .map(|id| {
            serde_json::json!({ "id": id, "object": "model", "created": 0, "owned_by": "offhook" })
        })
        .collect();
    Ok(Json(serde_json::json!({ "object": "list", "data": data })).into_response())
}

#[cfg(test)]
mod tests;
