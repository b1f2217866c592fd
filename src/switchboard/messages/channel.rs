//! The hub's channel to phones: what it delivers goes to the office, and what the office asks it goes into its inbox. Owns
//! no text: one is delivered when the office has it on disk.

use std::sync::{Arc, Mutex, PoisonError};

use agent_bridge::channels::{Arrival, Channel, DeliveryError, OutBody, Outbound};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::office::{Input, Reply, parts};
use super::receipts::call_id_for;
use super::shelf::Put;

/// The hub's door to phones, and the way of texts to the hub.
#[derive(Clone)]
pub struct TextChannel {
    inputs: mpsc::Sender<Input>,
    inbox: Arc<Mutex<Option<mpsc::Sender<Arrival>>>>,
}

impl TextChannel {
    pub fn new(inputs: mpsc::Sender<Input>) -> TextChannel {
        TextChannel {
            inputs,
            inbox: Arc::default(),
        }
    }

    pub(super) fn inbox(&self) -> Option<mpsc::Sender<Arrival>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.clone()
    }

    fn set_inbox(&self, inbox: Option<mpsc::Sender<Arrival>>) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = inbox;
    }
}

/// The inbox is good for as long as the channel runs.
struct Open(TextChannel);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set_inbox(None);
    }
}

impl Channel for TextChannel {
    fn name(&self) -> &'static str {
        super::CHANNEL
    }

    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        async move {
            self.set_inbox(Some(inbox));
            let _open = Open((*self).clone());
            std::future::pending::<()>().await;
        }
        .boxed()
    }

    /// A text is delivered when it is kept for the phones: they get it when they are there, in order. Its name there is ours.
    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        let words = match &message.body {
            OutBody::Text(text) | OutBody::Ask { text, .. } => text,
            OutBody::Voice { words, .. } => words,
        };
        let number = message
            .reply_to
            .as_deref()
            .and_then(number_in)
            .unwrap_or_default();
        let mut parts = parts(number, words);
        if let Some(last) = parts.last_mut() {
            last.delivery = Some(message.id.clone());
            last.call_id = call_id_for(&message.id, &last.id);
        }
        let user = message.place.clone();
        async move {
            if parts.is_empty() {
                return Ok(None);
            }
            let busy = |why: &str| DeliveryError::Passing {
                why: why.to_owned(),
                retry_after: None,
            };
            let (reply, kept) = oneshot::channel();
            let put = Input::Put {
                name: message.id.clone(),
                for_users: vec![(user, parts)],
                reply: Reply::Channel(reply),
            };
            let closed = |_| busy("signalling has stopped");
            self.inputs.send(put).await.map_err(closed)?;
            match kept.await {
                Ok(Put::Kept | Put::Known) => Ok(Some(message.id.clone())),
                Ok(Put::Full) => Err(busy("too many texts wait for this phone")),
                Err(_) => Err(busy("the disk takes nothing just now")),
            }
        }
        .boxed()
    }

    fn typing<'a>(&'a self, place: &'a str, is_on: bool) -> BoxFuture<'a, ()> {
        // Not worth waiting for.
        let user = place.to_owned();
        let _ = self.inputs.try_send(Input::Typing { user, is_on });
        async {}.boxed()
    }

    fn standing(&self) -> String {
        "texts to and from registered phones".to_owned()
    }
}

/// The number that a text was written to, out of the id under which the hub knows it.
pub fn number_in(id: &str) -> Option<&str> {
    id.split_once('@').map(|(_, number)| number)
}
