//! What goes wrong in the audio API, as OpenAI's clients expect to be told: an object `error` with `message`, `type`,
//! `param` and `code`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};

use crate::sound_work::SoundError;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    #[error(
        "Send `Authorization: Bearer TOKEN`; the token is in the file audio-token of Offhook's home folder, or what you set as the key `audio`."
    )]
    Unauthorised,
    #[error("{message}")]
    Refused {
        message: String,
        /// The field of the request it is about.
        param: Option<&'static str>,
    },
    #[error("The file is larger than {mib} MiB.")]
    TooLarge { mib: u32 },
    #[error("The request took too long to arrive.")]
    TooSlow,
    #[error("Too much to do; try again in a moment.")]
    Busy,
    #[error("{0}")]
    NotReady(String),
    #[error("{0}")]
    Failed(String),
}

impl ApiError {
    pub fn refused(message: impl Into<String>, param: &'static str) -> ApiError {
        ApiError::Refused {
            message: message.into(),
            param: Some(param),
        }
    }

    /// Status, type and code.
    fn kind(&self) -> (StatusCode, &'static str, Option<&'static str>) {
        let invalid = "invalid_request_error";
        match self {
            ApiError::Unauthorised => (StatusCode::UNAUTHORIZED, invalid, Some("invalid_api_key")),
            ApiError::Refused { .. } => (StatusCode::BAD_REQUEST, invalid, None),
            ApiError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, invalid, None),
            ApiError::TooSlow => (StatusCode::REQUEST_TIMEOUT, invalid, None),
            ApiError::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "requests",
                Some("rate_limit_exceeded"),
            ),
            ApiError::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "server_error", None),
            ApiError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", None),
        }
    }
}

impl From<SoundError> for ApiError {
    fn from(error: SoundError) -> ApiError {
        let message = error.to_string();
        match error {
            SoundError::Busy => ApiError::Busy,
            SoundError::NotReady(_) => ApiError::NotReady(message),
            SoundError::File(_) => ApiError::refused(message, "file"),
            SoundError::TextTooLong { .. } | SoundError::NothingToSay => {
                ApiError::refused(message, "input")
            }
            SoundError::Asr(_) | SoundError::Tts(_) | SoundError::CutOff(_) => {
                ApiError::Failed(message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind, code) = self.kind();
        let param = match &self {
            ApiError::Refused { param, .. } => *param,
            _ => None,
        };
        let body = serde_json::json!({
            "error": { "message": self.to_string(), "type": kind, "param": param, "code": code }
        });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                let challenge = header::HeaderValue::from_static("Bearer realm=\"offhook\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
