//! The gateway behind the read-back number: says what was heard, so that a caller can judge the
//! recogniser. Owns one sentence.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, Role,
};

#[derive(Debug, Clone, Copy, Default)]
pub struct ReadBack;

/// The answer to a transcript.
pub fn read_back(heard: &str) -> String {
    let heard = heard.trim();
    match heard {
        "" => "I heard no words.".to_owned(),
        _ if heard.ends_with(['.', '!', '?']) => format!("I heard: {heard}"),
        _ => format!("I heard: {heard}."),
    }
}

impl Gateway for ReadBack {
    fn describe(&self) -> GatewayInfo {
        GatewayInfo {
            name: "read-back".to_owned(),
            model: String::new(),
            address: String::new(),
            demo: false,
        }
    }

    fn only_answers(&self) -> bool {
        true
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let mut callers = request
            .messages
            .iter()
            .rev()
            .filter(|m| m.role == Role::User);
        let text = read_back(callers.next().map_or("", |message| &message.text));
        AskHandle::new(tokio::spawn(async move {
            if events.send(GatewayEvent::Text(text)).await.is_ok() {
                let _ = events.send(GatewayEvent::Done { usage: None }).await;
            }
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        let report = CheckReport {
            took: Duration::ZERO,
            models: Vec::new(),
            model_known: None,
        };
        async move { Ok(report) }.boxed()
    }

    fn warm(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_heard() {
        for (heard, said) in [
            ("What time is it?", "I heard: What time is it?"),
            (" hello world ", "I heard: hello world."),
            ("", "I heard no words."),
        ] {
            assert_eq!(read_back(heard), said);
        }
    }
}
