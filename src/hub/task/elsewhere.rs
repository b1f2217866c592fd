//! What happens elsewhere in the program and is followed up by text: calls that end, late results, messages that could not be
//! said, links that the owner made.

use super::*;

impl Task {
    pub(super) async fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Said { id, row } => {
                let persons = self
                    .cx
                    .persons_of(&row.conversation, self.people.accounts());
                let message = NewMessage {
                    message: *row,
                    voice: None,
                };
                self.say(&persons, id, message);
            }
            Happening::Caption {
                conversation,
                call,
                role,
                text,
                is_final,
            } => {
                let persons = self.cx.persons_of(&conversation, self.people.accounts());
                self.cx.live.tell(
                    &persons,
                    &Live::Caption {
                        call,
                        role,
                        text,
                        is_final,
                    },
                );
            }
            Happening::CallUp { conversation } => {
                *self.up.entry(conversation).or_default() += 1;
                self.cx.live.tell_all(&Live::Calls);
            }
            Happening::CallOver { conversation } => {
                self.cx.live.tell_all(&Live::Calls);
                if let Some(count) = self.up.get_mut(&conversation) {
                    *count -= 1;
                }
                self.up.retain(|_, count| *count > 0);
                self.follow(&conversation);
            }
            Happening::Late { conversation, text } => self.late(&conversation, &text),
            Happening::Notice => self.notices().await,
            Happening::Phones => self.cx.live.tell_all(&Live::Phones),
        }
    }

    /// What an agent has to say when nobody asks it just then. In a call it is said there.
    pub(super) fn late(&mut self, conversation: &str, text: &str) {
        if text.trim().is_empty() || self.up.contains_key(conversation) {
            return;
        }
        let persons = self.cx.persons_of(conversation, self.people.accounts());
        for person in persons.into_iter().take(1) {
            let letter = Letter {
                conversation: Some(conversation.to_owned()),
                record_as: Some(Role::Assistant),
                ..Letter::text(&person, text.trim(), "finished after the call")
            };
            self.post(letter, None);
        }
    }

    /// Listens for late results of a conversation.
    pub(super) fn follow(&mut self, conversation: &str) {
        self.following.retain(|(_, handle)| !handle.is_finished());
        let is_followed = self
            .following
            .iter()
            .any(|(known, _)| known == conversation);
        let persons = self.cx.persons_of(conversation, self.people.accounts());
        let is_ours = !persons.is_empty();
        if is_followed || !is_ours {
            return;
        }
        let name = conversation.rsplit_once('/').map_or("", |(_, name)| name);
        let shared = self
            .cx
            .agents
            .all()
            .find(|one| one.session.as_deref() == Some(conversation));
        let profile = shared.or_else(|| self.cx.agents.all().find(|one| one.name == name));
        let Some(mut news) = profile.and_then(|profile| profile.gateway.news(conversation)) else {
            return;
        };
        if self.following.len() >= FOLLOWED_MAX {
            let (_, oldest) = self.following.remove(0);
            oldest.abort();
        }
        let (work, conversation) = (self.work.clone(), conversation.to_owned());
        let named = conversation.clone();
        let task = tokio::spawn(async move {
            let until = tokio::time::Instant::now() + FOLLOW_MAX;
            while let Ok(Some(text)) = tokio::time::timeout_at(until, news.recv()).await {
                let conversation = conversation.clone();
                if work.send(Work::News { conversation, text }).await.is_err() {
                    return;
                }
            }
        });
        self.following.push((named, task.abort_handle()));
    }

    /// Messages that could not be said in a call go out by text, each once.
    pub(super) async fn notices(&mut self) {
        let since = unix_ms().saturating_sub(NOTICE_MS_MAX);
        let read = self
            .cx
            .recorder
            .ask(|store| store.notices(None, true, NOTICES_MAX))
            .await;
        let mut notices = read.unwrap_or_default();
        notices.retain(|notice| notice.at_unix_ms >= since);
        for notice in notices.into_iter().rev() {
            let matter = match notice.is_voice {
                true => OutMatter::Voice {
                    words: notice.text,
                    caption: true,
                },
                false => OutMatter::Text(notice.text),
            };
            let letter = Letter {
                matter,
                key: Some(format!("notice-{}", notice.id)),
                record_as: Some(Role::Assistant),
                or_page: false,
                ..Letter::text(&notice.user, "", &notice.why)
            };
            self.post(letter, None);
        }
    }

    pub(super) async fn poll_people(&mut self) {
        let version = self
            .cx
            .recorder
            .ask(|store| store.changes_of_others())
            .await;
        if let Ok(version) = version
            && version != self.seen
        {
            self.seen = version;
            self.read_people().await;
        }
    }

    pub(super) async fn read_people(&mut self) {
        let Ok((identities, pairings)) = self.cx.recorder.ask(|store| store.people()).await else {
            return;
        };
        let identities = identities.into_iter().map(Identity::from).collect();
        for new in self.people.set_links(identities, pairings) {
            info!(channel = %new.channel, person = %new.person, "linked");
            let letter = Letter {
                key: Some(format!("linked-{}-{:x}", new.channel, new.linked_unix_ms)),
                to: Some((new.channel, new.place)),
                ..Letter::text(&new.person, &wording::linked(&new.person), "linked")
            };
            self.post(letter, None);
        }
    }
}
