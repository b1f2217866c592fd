//! The gateway behind a message box: listens, says nothing while the caller speaks, and says goodbye after a silence. Owns
//! the wait; not the words that are kept (the call records them), nor whom they are for.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, ToolCall,
};

#[derive(Debug, Clone)]
pub struct MessageTaker {
    /// Silence after which the message is over.
    pub silence: Duration,
    /// Said then.
    pub thanks: String,
}

impl Gateway for MessageTaker {
    fn describe(&self) -> GatewayInfo {
        GatewayInfo {
            name: "message".to_owned(),
            model: String::new(),
            address: String::new(),
            demo: false,
        }
    }

    /// Asked early it would hang up early.
    fn only_answers(&self) -> bool {
        false
    }

    /// Whoever speaks again takes the question back, and with it the goodbye.
    fn ask(&self, _request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let MessageTaker { silence, thanks } = self.clone();
        AskHandle::new(tokio::spawn(async move {
            tokio::time::sleep(silence).await;
            let hang_up = ToolCall {
                id: "end".to_owned(),
                name: "hang_up".to_owned(),
                arguments: serde_json::json!({}),
            };
            for event in [
                GatewayEvent::ToolCall(hang_up),
                GatewayEvent::Text(thanks),
                GatewayEvent::Done { usage: None },
            ] {
                if events.send(event).await.is_err() {
                    return;
                }
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

    #[tokio::test(start_paused = true)]
    async fn it_says_goodbye_after_a_silence_and_not_before() {
        let taker = MessageTaker {
            silence: Duration::from_secs(5),
            thanks: "Thank you.".to_owned(),
        };
        let request = AskRequest {
            reply: crate::turn::ReplyId(1),
            session: String::new(),
            system: String::new(),
            messages: Vec::new(),
            speculative: false,
            tools: Vec::new(),
            rounds: Vec::new(),
        };
        let (events, mut told) = mpsc::channel(8);
        let asked = taker.ask(request.clone(), events.clone());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(told.try_recv().is_err());
        // The caller goes on: the question is taken back.
        drop(asked);
        let _again = taker.ask(request, events);
        let first = told.recv().await;
        assert!(matches!(first, Some(GatewayEvent::ToolCall(call)) if call.name == "hang_up"));
        let second = told.recv().await;
        assert!(matches!(second, Some(GatewayEvent::Text(text)) if text == "Thank you."));
    }
}
