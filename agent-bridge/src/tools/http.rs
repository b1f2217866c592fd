//! One request to a tool, and one question whether its work is done. Owns the HTTP client, its bounds and what a failure is
//! called; neither addresses, tokens nor bodies appear in these words, but for what the tool itself has answered.
//!
//! The address is the configured one, always: redirects are refused, and nothing that a model writes is part of it.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;

use super::wording::{RESULT_CHARS_MAX, result};
use super::{JobWatch, Tool, ToolError};
use crate::gateways::openai::exchange::transport_error;
use crate::router::place::Place;

/// Of an answer no more is read; letters may take four bytes.
const BODY_BYTES_MAX: usize = 4 * RESULT_CHARS_MAX + 4;
/// Letters of an error's body that the model is told.
const ERROR_CHARS_MAX: usize = 500;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a question whether work is done.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
const JOB_CHARS_MAX: usize = 64;
const ID: &str = "{id}";
/// Stands in its place where an address is looked at.
const ANY_ID: &str = "any-job-of-a-tool";

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done(String),
    /// It works on (202). `job`: what it calls the work, where it does.
    Accepted {
        job: Option<String>,
        text: String,
    },
    /// In words for the model.
    Failed(String),
}

/// How accepted work stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    AtWork,
    Done(String),
    Failed(String),
    /// It could not be asked; work may go on.
    Unknown,
}

/// Where one tool is.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client,
    url: Url,
    token: Option<HeaderValue>,
    timeout: Duration,
    status_url: Option<String>,
}

impl Endpoint {
    /// A rustls crypto provider must have been installed by the program.
    pub fn new(tool: &Tool) -> Result<Endpoint, ToolError> {
        let url = Url::parse(tool.url.trim()).map_err(|_| ToolError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(ToolError::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ToolError::Credentials);
        }
        if let Some(job) = &tool.job {
            check_status_url(&url, job)?;
        }
        let token = tool.token.as_ref().map(|token| {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            value.map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        let mut builder = Client::builder()
            .user_agent(concat!("offhook/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(tool.timeout));
        // What stays at home takes no way around through somebody else's machine.
        if Place::of_host(url.host_str().unwrap_or_default()) == Place::Local {
            builder = builder.no_proxy();
        }
        Ok(Endpoint {
            client: builder.build().map_err(|_| ToolError::Client)?,
            url,
            token: token.transpose().map_err(|_| ToolError::Token)?,
            timeout: tool.timeout,
            status_url: tool.job.as_ref().map(|job| job.status_url.clone()),
        })
    }

    /// Host and port, for people.
    pub fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Runs it. `key` names this call for ever (`Idempotency-Key`), for tools that care.
    pub async fn call(&self, arguments: &Value, key: &str) -> Answer {
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(self.timeout)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(arguments.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Answer::Failed(self.why(&error)),
        };
        let status = response.status();
        let text = match body(&mut response).await {
            Ok(text) => text,
            Err(error) => return Answer::Failed(self.why(&error)),
        };
        match status {
            StatusCode::ACCEPTED => Answer::Accepted {
                job: job_of(&text),
                text,
            },
            status if status.is_success() => Answer::Done(text),
            status => Answer::Failed(refusal(status, &text)),
        }
    }

    /// Asks whether accepted work is done.
    pub async fn status(&self, job: &str) -> Status {
        let Some(url) = self.status_url.as_ref().map(|url| url.replace(ID, job)) else {
            return Status::Unknown;
        };
        let mut request = self.client.get(url).timeout(STATUS_TIMEOUT);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let Ok(mut response) = request.send().await else {
            return Status::Unknown;
        };
        let status = response.status();
        let Ok(text) = body(&mut response).await else {
            return Status::Unknown;
        };
        match status {
            StatusCode::ACCEPTED => Status::AtWork,
            status if status.is_success() => standing(&text),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Status::Failed(refusal(status, &text))
            }
            _ => Status::Unknown,
        }
    }

    fn why(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() && !error.is_connect() {
            return format!("it gave no answer within {} s", self.timeout.as_secs());
        }
        transport_error(error).to_string()
    }
}

fn check_status_url(url: &Url, job: &JobWatch) -> Result<(), ToolError> {
    // As it will be asked for.
    let asked = job.status_url.replace(ID, ANY_ID);
    let asked = Url::parse(&asked).map_err(|_| ToolError::StatusUrl)?;
    let is_near = asked.origin() == url.origin() && asked.username().is_empty();
    let is_sent =
        asked.path().contains(ANY_ID) || asked.query().is_some_and(|q| q.contains(ANY_ID));
    let has_id = job.status_url.contains(ID) && is_sent;
    match is_near && has_id && asked.password().is_none() {
        true => Ok(()),
        false => Err(ToolError::StatusUrl),
    }
}

fn refusal(status: StatusCode, text: &str) -> String {
    let said: String = result(text).chars().take(ERROR_CHARS_MAX).collect();
    let status = status.as_u16();
    match text.trim() {
        _ if (300..400).contains(&status) => {
            format!("it wants to redirect ({status}), which is not followed")
        }
        "" => format!("it answered with status {status}"),
        _ => format!("it answered with status {status}: {said}"),
    }
}

/// What the tool calls its work: `id` of a JSON object. Only what is plain enough for an address.
pub(super) fn job_of(text: &str) -> Option<String> {
    let body: Value = serde_json::from_str(text).ok()?;
    let id = match &body["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fits = !id.is_empty() && id.len() <= JOB_CHARS_MAX && id.chars().all(is_plain);
    fits.then_some(id)
}

/// `{"status": …, "result": …}`; any other answer is the result itself.
pub(super) fn standing(text: &str) -> Status {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let Some(status) = body["status"].as_str() else {
        return Status::Done(text.to_owned());
    };
    let outcome = [&body["result"], &body["error"], &body["message"]]
        .into_iter()
        .find(|value| !value.is_null());
    let outcome = match outcome {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    match status.to_ascii_lowercase().as_str() {
        "done" | "completed" | "succeeded" | "success" | "finished" | "ok" => Status::Done(outcome),
        "failed" | "error" | "cancelled" | "canceled" => Status::Failed(outcome),
        _ => Status::AtWork,
    }
}

async fn body(response: &mut Response) -> Result<String, reqwest::Error> {
    let mut all = Vec::new();
    while let Some(bytes) = response.chunk().await? {
        let room = BODY_BYTES_MAX - all.len();
        all.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if all.len() >= BODY_BYTES_MAX {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
