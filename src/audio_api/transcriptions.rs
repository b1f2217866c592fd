//! `POST /v1/audio/transcriptions`: a form with a sound file, and its words back. The file's name and declared type are
//! not believed; the fields `model`, `prompt` and `temperature` are taken and change nothing.

use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::captions::Format;
use super::error::ApiError;
use super::{Audio, BODY_TIME_MAX, FORM_BYTES_MAX};

/// Fields of one form.
const FIELDS_MAX: usize = 32;

/// A file, and its place in memory: both go where the file is decoded, and go when that is done.
struct Held {
    file: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.file
    }
}

/// A form as it came.
struct Form {
    file: Vec<u8>,
    format: Format,
    language: Option<String>,
}

pub(super) async fn transcribe(
    State(audio): State<Audio>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiError> {
    // Held while the file is in memory.
    let place = std::sync::Arc::clone(&audio.0.bodies).try_acquire_owned();
    let place = place.map_err(|_| ApiError::Busy)?;
    let form = form.map_err(|rejection| ApiError::Refused {
        message: format!("{}; send multipart/form-data.", rejection.body_text()),
        param: None,
    })?;
    let form = tokio::time::timeout(BODY_TIME_MAX, read(form, audio.0.file_mib_max)).await;
    let form = form.map_err(|_| ApiError::TooSlow)??;
    if let Some(language) = &form.language {
        let engines = audio.0.work.engines().await?;
        check_language(language, &engines.ears.languages)?;
    }
    let held = Held {
        file: form.file,
        _place: place,
    };
    let heard = audio.0.work.transcribe(held).await?;
    let content_type = [(header::CONTENT_TYPE, form.format.content_type())];
    Ok((content_type, form.format.write(&heard)).into_response())
}

async fn read(mut form: Multipart, mib_max: u32) -> Result<Form, ApiError> {
    let broken = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { mib: mib_max },
        _ => ApiError::Refused {
            message: format!("The form cannot be read: {}", error.body_text()),
            param: None,
        },
    };
    let (mut file, mut format, mut language) = (None, Format::Json, None);
    let mut fields = 0;
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(ApiError::Refused {
                message: format!("The form has more than {FIELDS_MAX} fields."),
                param: None,
            });
        }
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            let mut bytes = Vec::new();
            while let Some(chunk) = field.chunk().await.map_err(broken)? {
                bytes.extend_from_slice(&chunk);
            }
            if bytes.len() > mib_max as usize * 1024 * 1024 {
                return Err(ApiError::TooLarge { mib: mib_max });
            }
            file = Some(bytes);
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            if text.len() + chunk.len() > FORM_BYTES_MAX {
                return Err(ApiError::Refused {
                    message: "A field of the form is too long.".to_owned(),
                    param: None,
                });
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        match name.as_str() {
            "response_format" => {
                format = Format::parse(&text).ok_or_else(|| {
                    ApiError::refused(
                        "response_format is one of json, text, verbose_json, srt, vtt.",
                        "response_format",
                    )
                })?;
            }
            "language" if !text.is_empty() => language = Some(text),
            "timestamp_granularities[]" | "timestamp_granularities" if text == "word" => {
                return Err(ApiError::refused(
                    "Times of single words are not known; use segment.",
                    "timestamp_granularities",
                ));
            }
            "stream" if text == "true" => {
                return Err(ApiError::refused("Transcripts are not streamed.", "stream"));
            }
            _ => {}
        }
    }
    let file = file.ok_or_else(|| ApiError::refused("The form has no field `file`.", "file"))?;
    Ok(Form {
        file,
        format,
        language,
    })
}

/// A wish for a language that the model does not know is refused rather than answered in another one.
fn check_language(wanted: &str, known: &[String]) -> Result<(), ApiError> {
    let code = wanted.split(['-', '_']).next().unwrap_or(wanted);
    let code = code.to_ascii_lowercase();
    // Some clients write the name.
    let is_known =
        known.contains(&code) || code == "english" && known.iter().any(|language| language == "en");
    match is_known {
        true => Ok(()),
        false => Err(ApiError::refused(
            format!(
                "The speech model does not hear this language; it knows: {}.",
                known.join(", ")
            ),
            "language",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_code() {
        let english = ["en".to_owned()];
        let two = ["de".to_owned(), "en".to_owned()];
        for (wanted, known, is_taken) in [
            ("en", &english[..], true),
            ("EN-us", &english, true),
            ("english", &english, true),
            ("de", &english, false),
            ("de", &two, true),
            ("xx", &two, false),
        ] {
            assert_eq!(check_language(wanted, known).is_ok(), is_taken, "{wanted}");
        }
    }
}
