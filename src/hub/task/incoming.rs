//! What comes in: who it is, whether it is taken, and what it is about. Owns the order of these questions: whoever is unknown
//! costs one line in the log, and nothing is stored for them.

use super::*;

impl Task {
    pub(super) fn conversation(&self, person: &str, agent: &str) -> String {
        let level = self.cx.approvals.level(person);
        self.cx.agents.named(agent).conversation(person, level)
    }

    pub(super) fn receive(&mut self, message: Inbound, reply: Reply) {
        let now = unix_ms();
        let channel = message.from.channel;
        let person = self
            .people
            .person_of(channel, &message.from.id)
            .map(str::to_owned);
        let Some(person) = person else {
            if self.people.is_worth_a_line(now, channel) {
                info!(channel, "somebody unknown wrote: not taken");
            }
            let _ = reply.send(Err(HubError::Stranger));
            return;
        };
        let names = [&message.id, &message.from.id, &message.place, &message.to];
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) || message.id.is_empty() {
            let _ = reply.send(Err(HubError::Wrong(
                "a name in it is too long, or missing".to_owned(),
            )));
            return;
        }
        if !self.people.may_send(now, channel, &message.from.id) {
            if self.people.is_worth_a_line(now, channel) {
                info!(channel, %person, "too many messages: not taken");
            }
            let _ = reply.send(Err(HubError::TooMuch("too many messages: wait a minute")));
            return;
        }
        self.used(now, &message);
        if self.decides(&message, &person) {
            let _ = reply.send(Ok(Received::Done));
            return;
        }
        let level = self.cx.approvals.level(&person);
        let profile = self.cx.agents.named(&message.to);
        let door = match may(
            &Caller::account(level),
            &RULES,
            Wish::Agent(&profile.levels),
        ) {
            Verdict::Yes | Verdict::AfterPin => Door::Agent,
            Verdict::Message => Door::Message,
            Verdict::No(_) => Door::Closed,
        };
        let conversation = profile.conversation(&person, level);
        let Some((matter, file)) = self.matter(now, message.body) else {
            let _ = reply.send(Ok(Received::Done));
            return;
        };
        let text = match &matter {
            Matter::Text(text) if self.cx.recorder.keeps_words() => Some(text.clone()),
            _ => None,
        };
        let kept = text.map(|text| NewMessage {
            message: MessageRow {
                conversation: conversation.clone(),
                role: Role::Caller,
                text,
                heard: None,
                at_unix_ms: now,
                call: None,
                channel: channel.to_owned(),
            },
            voice: None,
        });
        let item = Item {
            person: person.clone(),
            conversation: conversation.clone(),
            agent: message.to,
            channel: channel.to_owned(),
            from: message.from.id,
            place: message.place,
            theirs: message.id,
            taken_at: now,
            door,
            matter,
            is_correction: message.edits.is_some(),
        };
        let waiter = Waiter::Message {
            reply,
            conversation,
            file,
            message: kept.clone(),
            person,
        };
        let ticket = self.ticket(waiter);
        self.step(Input::Arrived {
            ticket,
            item: Box::new(item),
            message: kept,
        });
    }

    pub(super) fn ticket(&mut self, waiter: Waiter) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiters.insert(ticket, waiter);
        ticket
    }

    pub(super) fn used(&mut self, now: UnixMs, message: &Inbound) {
        let (channel, id, place) = (message.from.channel, &message.from.id, &message.place);
        if self.people.used(now, channel, id, place) {
            let change = TextChange::Used {
                channel: channel.to_owned(),
                id: id.clone(),
                place: place.clone(),
                at_unix_ms: now,
            };
            self.cx
                .recorder
                .queue("last use of a channel", move |store| {
                    store.keep_text(&change).map(|_| ())
                });
        }
    }

    /// What is answered, and the file of its sound. `None`: nothing is.
    pub(super) fn matter(&self, now: UnixMs, body: Body) -> Option<(Matter, Option<String>)> {
        let unusable = |why: String| Some((Matter::Unusable(why), None));
        let most = self.cx.text.message_chars_max;
        match body {
            Body::Text(text) if text.len() > TEXT_BYTES_MAX || text.chars().count() > most => {
                unusable(wording::too_long(most))
            }
            Body::Text(text) => {
                let clean: String = text
                    .chars()
                    .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
                    .collect();
                let clean = clean.trim();
                (!clean.is_empty()).then(|| (Matter::Text(clean.to_owned()), None))
            }
            Body::Voice { bytes, .. } if bytes.len() > VOICE_BYTES_MAX => {
                unusable(wording::voice_too_large(VOICE_BYTES_MAX))
            }
            Body::Voice { bytes, mime } => {
                let stem = format!("{now:x}-{:08x}", rand::random::<u32>());
                match self.cx.folder.keep(&stem, &bytes) {
                    Ok(file) => {
                        let mime = mime.chars().take(100).collect();
                        Some((
                            Matter::Voice {
                                file: file.clone(),
                                mime,
                            },
                            Some(file),
                        ))
                    }
                    Err(error) => {
                        error!(%error, "a voice note was not kept");
                        unusable(format!("{}it could not be stored.", wording::NOT_HEARD))
                    }
                }
            }
            Body::Unusable { why } => unusable(why.chars().take(500).collect()),
            // A button that is none of ours.
            Body::Button { .. } => None,
        }
    }
}
