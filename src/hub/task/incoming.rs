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
        if let Some(decided) = self.decides(&message, &person) {
            let _ = reply.send(decided);
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
        let item = Item {
            conversation: profile.conversation(&person, level),
            person,
            agent: message.to,
            channel: channel.to_owned(),
            from: message.from.id,
            place: message.place,
            theirs: message.id,
            taken_at: now,
            door,
            matter: Matter::Text(String::new()),
            is_correction: message.edits.is_some(),
        };
        match message.body {
            Body::Voice { bytes, mime } if bytes.len() <= VOICE_BYTES_MAX => {
                self.store(item, bytes, &mime, reply);
            }
            body => match self.matter(body) {
                Some(matter) => self.arrived(Item { matter, ..item }, reply),
                None => drop(reply.send(Ok(Received::Done))),
            },
        }
    }

    /// Writes a voice note to disk, while others are served; it goes on with `Work::Stored`.
    fn store(&mut self, mut item: Item, bytes: Vec<u8>, mime: &str, reply: Reply) {
        if self.storing >= STORING_MAX {
            let _ = reply.send(Err(HubError::Busy("too many voice notes at once")));
            return;
        }
        self.storing += 1;
        let stem = format!("{:x}-{:08x}", item.taken_at, rand::random::<u32>());
        let mime = mime.chars().take(100).collect();
        let (folder, work) = (self.cx.folder.clone(), self.work.clone());
        tokio::spawn(async move {
            item.matter = match folder.keep(&stem, bytes).await {
                Ok(file) => Matter::Voice { file, mime },
                Err(error) => {
                    error!(%error, "a voice note was not kept");
                    Matter::Unusable(format!("{}it could not be stored.", wording::NOT_HEARD))
                }
            };
            let _ = work.send(Work::Stored(Box::new(item), reply)).await;
        });
    }

    pub(super) fn arrived(&mut self, item: Item, reply: Reply) {
        let (text, file) = match &item.matter {
            Matter::Text(text) => (Some(text.clone()), None),
            Matter::Voice { file, .. } => (None, Some(file.clone())),
            Matter::Unusable(_) => (None, None),
        };
        let message = text.map(|text| NewMessage {
            message: MessageRow {
                conversation: item.conversation.clone(),
                role: Role::Caller,
                text,
                heard: None,
                at_unix_ms: item.taken_at,
                call: None,
                channel: item.channel.clone(),
            },
            voice: None,
        });
        let waiter = Waiter::Message {
            reply,
            conversation: item.conversation.clone(),
            file,
            message: message.clone(),
        };
        let ticket = self.ticket(waiter);
        self.step(Input::Arrived {
            ticket,
            item: Box::new(item),
            message,
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
        if let Some(place) = self.people.used(now, channel, id, place) {
            let change = TextChange::Used {
                channel: channel.to_owned(),
                id: id.clone(),
                place,
                at_unix_ms: now,
            };
            self.cx
                .recorder
                .queue("last use of a channel", move |store| {
                    store.keep_text(&change).map(|_| ())
                });
        }
    }

    /// What is answered. `None`: nothing is.
    fn matter(&self, body: Body) -> Option<Matter> {
        let most = self.cx.text.message_chars_max;
        match body {
            Body::Text(text) if text.len() > TEXT_BYTES_MAX || text.chars().count() > most => {
                Some(Matter::Unusable(wording::too_long(most)))
            }
            Body::Text(text) => {
                let clean: String = text
                    .chars()
                    .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
                    .collect();
                let clean = clean.trim();
                (!clean.is_empty()).then(|| Matter::Text(clean.to_owned()))
            }
            Body::Voice { .. } => Some(Matter::Unusable(wording::voice_too_large(VOICE_BYTES_MAX))),
            Body::Unusable { why } => Some(Matter::Unusable(why.chars().take(500).collect())),
            // A button that is none of ours.
            Body::Button { .. } => None,
        }
    }
}
