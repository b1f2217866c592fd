//! What goes out: letters find their channel, parcels their network, and words their sound.

use super::*;

impl Task {
    /// Whether there is a way to its person.
    pub(super) fn post(
        &mut self,
        letter: Letter,
        reply: Option<oneshot::Sender<Result<DeliveryId, HubError>>>,
    ) -> bool {
        let refuse = |reply: Option<oneshot::Sender<_>>, error: HubError| {
            if let Some(reply) = reply {
                let _ = reply.send(Err(error));
            }
            false
        };
        if !self.people.has(&letter.person) {
            return refuse(reply, HubError::Stranger);
        }
        let now = unix_ms();
        let channels = lock(&self.cx.channels);
        let reached = letter.to.clone().or_else(|| {
            self.people
                .reach(&letter.person, |name| channels.contains_key(name))
        });
        drop(channels);
        let keeps_words = self.cx.recorder.keeps_words();
        let (channel, place) = match reached {
            Some(place) => place,
            None if letter.or_page && keeps_words => ("web".to_owned(), letter.person.clone()),
            None => return refuse(reply, HubError::NoChannel),
        };
        let conversation = letter.conversation.clone();
        let conversation = conversation.unwrap_or_else(|| self.conversation(&letter.person, ""));
        let words = match &letter.matter {
            OutMatter::Text(text) | OutMatter::Ask { text, .. } => text.clone(),
            OutMatter::Voice { words, .. } => words.clone(),
        };
        let record_as = match channel.as_str() {
            // There it is nowhere else.
            "web" => Some(letter.record_as.unwrap_or(Role::Program)),
            _ => letter.record_as,
        };
        let message = record_as.filter(|_| keeps_words).map(|role| NewMessage {
            message: MessageRow {
                conversation,
                role,
                text: words,
                heard: None,
                at_unix_ms: now,
                call: None,
                channel: channel.clone(),
            },
            voice: None,
        });
        let id = match &letter.key {
            Some(key) => letter_id(key),
            None => format!("l-{now:x}-{:016x}", rand::random::<u64>()),
        };
        info!(delivery = %id, person = %letter.person, %channel, "to be written: {}", letter.why);
        let due = letter.due_unix_ms.unwrap_or(now);
        let parcel = Parcel {
            id: id.clone(),
            channel,
            place,
            person: letter.person.clone(),
            at: now,
            due,
            until: due.max(now) + u64::from(self.cx.text.deliver_h_max) * 3_600_000,
            attempts: 0,
            matter: letter.matter,
            reply_to: None,
            message: None,
        };
        let (reply, _unheard) = match reply {
            Some(reply) => (reply, None),
            None => {
                let (reply, unheard) = oneshot::channel();
                (reply, Some(unheard))
            }
        };
        let waiter = Waiter::Letter {
            reply,
            id,
            message: message.clone(),
            person: letter.person,
        };
        let ticket = self.ticket(waiter);
        self.step(Input::Letter {
            ticket,
            parcel: Box::new(parcel),
            message,
        });
        true
    }

    pub(super) fn deliver(&self, parcel: Parcel) {
        let (cx, work) = (self.cx.clone(), self.work.clone());
        tokio::spawn(async move {
            let id = parcel.id.clone();
            let outcome = tokio::time::timeout(DELIVERY_MAX, delivered(&cx, parcel)).await;
            let outcome = outcome.unwrap_or_else(|_| Outcome::Passing {
                why: "it took too long".to_owned(),
                retry_ms: None,
            });
            let _ = work.send(Work::Delivered(id, outcome)).await;
        });
    }
}

async fn delivered(cx: &Context, parcel: Parcel) -> Outcome {
    let body = match parcel.matter {
        OutMatter::Text(text) => OutBody::Text(text),
        OutMatter::Ask { text, buttons } => OutBody::Ask { text, buttons },
        OutMatter::Voice { words, caption } => {
            match voiced(cx, &parcel.id, parcel.message, &words).await {
                Ok((ogg_opus, duration_ms)) => OutBody::Voice {
                    ogg_opus,
                    duration_ms,
                    words: if caption { words } else { String::new() },
                },
                // The words themselves are better than nothing; where they were sent, there is nothing to add.
                Err(why) if caption => {
                    warn!(delivery = %parcel.id, "not spoken: {why}");
                    OutBody::Text(words)
                }
                Err(why) => return Outcome::Final { why },
            }
        }
    };
    // There is nothing to send: the page shows the conversation.
    if parcel.channel == "web" {
        return Outcome::Sent(None);
    }
    let Some(channel) = cx.channel(&parcel.channel) else {
        return Outcome::Passing {
            why: "its channel is not there".to_owned(),
            retry_ms: None,
        };
    };
    let message = Outbound {
        id: parcel.id,
        place: parcel.place,
        body,
        reply_to: parcel.reply_to,
        is_repeat: parcel.attempts > 1,
    };
    match channel.deliver(&message).await {
        Ok(theirs) => Outcome::Sent(theirs),
        Err(DeliveryError::Final { why }) => Outcome::Final { why },
        Err(DeliveryError::Passing { why, retry_after }) => Outcome::Passing {
            why,
            retry_ms: retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        },
    }
}

/// The sound of a message, made once.
async fn voiced(
    cx: &Context,
    id: &str,
    message: Option<i64>,
    words: &str,
) -> Result<(Vec<u8>, u32), String> {
    let (sound, duration_ms) = cx.sounds.say(words).await?;
    if let Some(message) = message.filter(|_| cx.recorder.keeps_words()) {
        match cx.folder.keep(id, &sound) {
            Ok(voice) => {
                let change = TextChange::Voiced { message, voice };
                let kept = cx.recorder.ask(move |store| {
                    store.keep_text(&change)?;
                    store.message(message)
                });
                if let Ok(Some(row)) = kept.await {
                    let person = row
                        .message
                        .conversation
                        .split('/')
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                    cx.live.tell([&person], &Live::Said(Shown::from(row)));
                }
            }
            Err(error) => warn!(%error, "the sound of an answer was not kept"),
        }
    }
    Ok((sound, duration_ms))
}
