//! What goes out: letters find their channel, parcels their network, and words their sound.

use super::channels::Walled;
use super::*;
use crate::hub::sounds::length_ms;

/// Attempts after which a delivery that fails by a panic is given up.
const PANICS_MAX: u32 = 3;

/// A letter on its way.
pub(super) struct Posted {
    /// Of the delivery.
    pub id: String,
    pub channel: String,
    pub place: String,
}

impl Task {
    /// `None`: there is no way to its person.
    pub(super) fn post(
        &mut self,
        letter: Letter,
        reply: Option<oneshot::Sender<Result<DeliveryId, HubError>>>,
    ) -> Option<Posted> {
        let refuse = |reply: Option<oneshot::Sender<_>>, error: HubError| {
            if let Some(reply) = reply {
                let _ = reply.send(Err(error));
            }
            None
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
            OutMatter::Text(text) | OutMatter::Later { text, .. } | OutMatter::Ask { text, .. } => {
                text.clone()
            }
            OutMatter::Voice { words, .. } => words.clone(),
        };
        let record_as = match channel.as_str() {
            // There it is nowhere else.
            "web" => Some(letter.record_as.unwrap_or(Role::Program)),
            _ => letter.record_as,
        };
        let due = letter.due_unix_ms.unwrap_or(now);
        // What is due later is written down when it goes out, and by the program: nobody said it before.
        let (matter, message) = match (record_as, letter.matter) {
            (Some(_), OutMatter::Text(text)) if due > now => {
                (OutMatter::Later { text, conversation }, None)
            }
            (Some(role), matter) => {
                let message = NewMessage {
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
                };
                (matter, Some(message))
            }
            (None, matter) => (matter, None),
        };
        let id = match &letter.key {
            Some(key) => letter_id(key),
            None => format!("l-{now:x}-{:016x}", rand::random::<u64>()),
        };
        info!(delivery = %id, person = %letter.person, %channel, "to be written: {}", letter.why);
        let posted = Posted {
            id: id.clone(),
            channel: channel.clone(),
            place: place.clone(),
        };
        let parcel = Parcel {
            id: id.clone(),
            channel,
            place,
            person: letter.person.clone(),
            at: now,
            due,
            until: due.max(now) + u64::from(self.cx.text.deliver_h_max) * 3_600_000,
            attempts: 0,
            matter,
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
        };
        let ticket = self.ticket(waiter);
        self.step(Input::Letter {
            ticket,
            parcel: Box::new(parcel),
            message,
        });
        Some(posted)
    }

    pub(super) fn deliver(&self, parcel: Parcel) {
        let (cx, work) = (self.cx.clone(), self.work.clone());
        tokio::spawn(async move {
            let (id, attempts) = (parcel.id.clone(), parcel.attempts);
            let delivery = async move { delivered(&cx, parcel).await };
            let outcome = behind_wall(attempts, DELIVERY_MAX, delivery).await;
            let _ = work.send(Work::Delivered(id, outcome)).await;
        });
    }
}

/// A delivery that fails by a panic holds up its lane for a while and no longer, and one that hangs neither.
async fn behind_wall(
    attempts: u32,
    longest: Duration,
    delivery: impl Future<Output = Outcome> + Send + 'static,
) -> Outcome {
    let mut running = Walled(tokio::spawn(delivery));
    let passing = |why: &str| Outcome::Passing {
        why: why.to_owned(),
        retry_ms: None,
    };
    match tokio::time::timeout(longest, &mut running.0).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            error!(%error, attempts, "a delivery failed");
            match attempts >= PANICS_MAX {
                true => Outcome::Final {
                    why: "the program fails over it".to_owned(),
                },
                false => passing("the program failed over it"),
            }
        }
        Err(_) => passing("it took too long"),
    }
}

async fn delivered(cx: &Context, parcel: Parcel) -> Outcome {
    let body = match parcel.matter {
        OutMatter::Text(text) | OutMatter::Later { text, .. } => OutBody::Text(text),
        OutMatter::Ask { text, buttons } => OutBody::Ask { text, buttons },
        OutMatter::Voice {
            words,
            caption,
            agent,
        } => {
            match voiced(cx, &parcel.id, parcel.message, (&agent, &words)).await {
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

/// The sound of a message, made once: another attempt finds it in the folder.
async fn voiced(
    cx: &Context,
    id: &str,
    message: Option<i64>,
    (agent, words): (&str, &str),
) -> Result<(Vec<u8>, u32), String> {
    let message = message.filter(|_| cx.recorder.keeps_words());
    let name = format!("{id}.ogg");
    if message.is_some()
        && let Ok(sound) = cx.folder.read(&name).await
    {
        named(cx, message, name).await;
        let duration_ms = length_ms(&sound);
        return Ok((sound, duration_ms));
    }
    let (sound, duration_ms) = cx.sounds.say(agent, words).await?;
    if message.is_some() {
        match cx.folder.keep(id, sound.clone()).await {
            Ok(voice) => named(cx, message, voice).await,
            Err(error) => warn!(%error, "the sound of an answer was not kept"),
        }
    }
    Ok((sound, duration_ms))
}

/// Writes down that this is the sound of a message, and shows it, unless that is known.
async fn named(cx: &Context, message: Option<i64>, voice: String) {
    let Some(message) = message else { return };
    let kept = cx.recorder.ask(move |store| {
        let before = store.message(message)?;
        if before.is_none_or(|row| row.voice.is_some()) {
            return Ok(None);
        }
        store.keep_text(&TextChange::Voiced { message, voice })?;
        store.message(message)
    });
    if let Ok(Some(row)) = kept.await {
        let conversation = row.message.conversation.clone();
        cx.tell(&conversation, &Live::Said(Shown::from(row)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delivery_that_fails_is_given_up_after_a_few_attempts() {
        async fn panics() -> Outcome {
            panic!("as a test")
        }
        for (attempts, is_final) in [(1, false), (2, false), (3, true), (4, true)] {
            let outcome = behind_wall(attempts, DELIVERY_MAX, panics()).await;
            let found = matches!(outcome, Outcome::Final { .. });
            assert_eq!(found, is_final, "{attempts}: {outcome:?}");
        }
        let outcome = behind_wall(9, Duration::ZERO, std::future::pending()).await;
        assert!(matches!(outcome, Outcome::Passing { .. }), "{outcome:?}");
        let sent = Outcome::Sent(None);
        let outcome = behind_wall(1, DELIVERY_MAX, std::future::ready(sent.clone())).await;
        assert_eq!(outcome, sent);
    }
}
