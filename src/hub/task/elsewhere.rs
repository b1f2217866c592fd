//! What happens elsewhere in the program and is followed up by text: calls that end, late results, messages that could not be
//! said, links that the owner made.

use super::*;

impl Task {
    pub(super) async fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Said { id, row } => {
                let message = NewMessage {
                    message: *row,
                    voice: None,
                };
                self.cx.say(id, message);
            }
            Happening::Caption {
                conversation,
                call,
                role,
                text,
                is_final,
            } => {
                let caption = Live::Caption {
                    call,
                    role,
                    text,
                    is_final,
                };
                self.cx.tell(&conversation, &caption);
            }
            Happening::CallUp { conversation } => {
                // What comes from now on is the call's, and where it does not listen yet nobody may take it for told. What
                // was taken before is on its way to us, and is written all the same.
                self.following.retain(|(known, _)| *known != conversation);
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

    /// Some happenings were missed, the ends of calls maybe: none counts as up, and all are followed. What is told both in a
    /// call and in writing is better than what is told nowhere.
    pub(super) fn calls_unknown(&mut self) {
        for conversation in std::mem::take(&mut self.up).into_keys() {
            self.follow(&conversation);
        }
    }

    /// What an agent has to say when nobody asks it just then: to everybody whose conversation it is, written down once.
    pub(super) fn late(&mut self, conversation: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        for (n, person) in self.cx.persons_of(conversation).into_iter().enumerate() {
            let letter = Letter {
                conversation: Some(conversation.to_owned()),
                record_as: (n == 0).then_some(Role::Assistant),
                // It stands on the page because of the first.
                or_page: n == 0,
                ..Letter::text(&person, text.trim(), "finished after the call")
            };
            self.post(letter, None);
        }
    }

    /// Listens for late results of a conversation.
    pub(super) fn follow(&mut self, conversation: &str) {
        self.following.retain(|(_, stop)| !stop.is_closed());
        let is_followed = self
            .following
            .iter()
            .any(|(known, _)| known == conversation);
        let is_ours = !self.cx.persons_of(conversation).is_empty();
        // A call listens for itself, and whoever listens last may be the only one who hears.
        if is_followed || !is_ours || self.up.contains_key(conversation) {
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
            self.following.remove(0);
        }
        let (work, conversation) = (self.work.clone(), conversation.to_owned());
        let (stop, stopped) = oneshot::channel::<()>();
        self.following.push((conversation.clone(), stop));
        tokio::spawn(async move {
            let over = tokio::time::timeout(FOLLOW_MAX, stopped);
            tokio::pin!(over);
            let mut is_over = false;
            loop {
                let text = tokio::select! {
                    biased;
                    _ = &mut over, if !is_over => {
                        // What was taken before still counts.
                        is_over = true;
                        news.close();
                        continue;
                    }
                    text = news.recv() => text,
                };
                let (Some(text), conversation) = (text, conversation.clone()) else {
                    return;
                };
                if work.send(Work::News { conversation, text }).await.is_err() {
                    return;
                }
            }
        });
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
        self.posted
            .retain(|id| notices.iter().any(|notice| notice.id == *id));
        notices.retain(|notice| !self.posted.contains(&notice.id));
        for notice in notices.into_iter().rev() {
            let matter = match notice.is_voice {
                true => OutMatter::Voice {
                    words: notice.text,
                    caption: true,
                    agent: String::new(),
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
            if self.post(letter, None).is_some() {
                self.posted.insert(notice.id);
            }
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
        let linked = self.people.set_links(identities, pairings);
        let is_new = !linked.is_empty();
        for new in linked {
            info!(channel = %new.channel, person = %new.person, "linked");
            let letter = Letter {
                key: Some(format!("linked-{}-{:x}", new.channel, new.linked_unix_ms)),
                to: Some((new.channel, new.place)),
                ..Letter::text(&new.person, &wording::linked(&new.person), "linked")
            };
            self.post(letter, None);
        }
        // What waited for a way to them.
        if is_new {
            self.notices().await;
            self.approvals();
        }
    }
}
