//! What happens, as server-sent events (WHATWG HTML, section 9.2): an open page reads again what it is told has changed.
//! A browser that is too slow is told to read everything again; one whose session ended is let go.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::{Page, Visitor};
use crate::api::Problem;
use crate::console;
use crate::engines::EngineState;
use crate::hub::Live;

/// Pages open at once; the next one is told to come again.
pub const STREAMS_MAX: usize = 400;
/// Of one person.
pub const STREAMS_PER_PERSON_MAX: usize = 16;
/// How often signalling is asked what has changed while a page is open.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often it is asked whether who listens is still signed in.
const ASK_AGAIN: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Fingerprints of what can change; none before the first look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    pub calls: u64,
    pub phones: u64,
}

/// Looks at signalling while somebody looks at the page. Never ends.
pub async fn watch_house(page: Page) {
    let mut ticks = interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if page.0.house.receiver_count() == 0 {
            continue;
        }
        let Some(snapshot) = console::snapshot(&page.parts().commands).await else {
            continue;
        };
        let mut calls = DefaultHasher::new();
        snapshot.calls_total.hash(&mut calls);
        for call in &snapshot.calls {
            (&call.user, &call.number).hash(&mut calls);
        }
        let mut phones = DefaultHasher::new();
        for phone in &snapshot.registrations {
            (&phone.user, &phone.contact).hash(&mut phones);
        }
        for trunk in &snapshot.trunks {
            (&trunk.name, &trunk.registration, trunk.account).hash(&mut phones);
        }
        let found = Changes {
            calls: calls.finish(),
            phones: phones.finish(),
        };
        page.0
            .house
            .send_if_modified(|known| std::mem::replace(known, found) != found);
    }
}

/// Who has pages open, and how many.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<String, usize>>);

/// One open page's, until it is dropped.
struct Place {
    places: Arc<Places>,
    person: String,
}

impl Places {
    fn enter(self: &Arc<Self>, person: &str) -> Option<Place> {
        let mut counts = self.counts();
        let all: usize = counts.values().sum();
        let own = counts.get(person).copied().unwrap_or(0);
        if all >= STREAMS_MAX || own >= STREAMS_PER_PERSON_MAX {
            return None;
        }
        counts.insert(person.to_owned(), own + 1);
        Some(Place {
            places: self.clone(),
            person: person.to_owned(),
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Nothing in here is left half-done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts();
        if let Some(count) = counts.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.person);
            }
        }
    }
}

/// One open page.
struct Listener {
    page: Page,
    visitor: Visitor,
    headers: HeaderMap,
    from: IpAddr,
    house: watch::Receiver<Changes>,
    known: Changes,
    approvals: watch::Receiver<Arc<crate::approvals::View>>,
    engines: watch::Receiver<EngineState>,
    engines_may_change: bool,
    hub: broadcast::Receiver<Live>,
    again: tokio::time::Interval,
    signed_out: watch::Receiver<()>,
    waiting: Vec<Event>,
    _place: Place,
}

/// `GET /api/web/events`.
pub(super) async fn events(
    State(page): State<Page>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Response {
    let Some(place) = page.0.places.enter(&visitor.person) else {
        let why = "Too many pages are open. Close some, or wait.";
        return Problem::new(StatusCode::TOO_MANY_REQUESTS, why).into_response();
    };
    let house = page.0.house.subscribe();
    let known = *house.borrow();
    let listener = Listener {
        known,
        house,
        approvals: page.parts().approvals.watch(),
        engines: page.parts().engines.clone(),
        engines_may_change: true,
        hub: page.parts().hub.live(&visitor.person),
        again: interval_at(Instant::now() + ASK_AGAIN, ASK_AGAIN),
        signed_out: page.parts().phones.watch_signed_out(),
        waiting: vec![named("hello", "")],
        visitor,
        headers,
        from: from.ip(),
        page,
        _place: place,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

fn named(name: &str, data: &str) -> Event {
    // An event without data is not delivered.
    Event::default()
        .event(name)
        .data(if data.is_empty() { "{}" } else { data })
}

/// By its kind, so that a page listens to what it knows.
fn of_hub(event: &Live) -> Event {
    let value = serde_json::to_value(event).unwrap_or_default();
    let kind = value["kind"].as_str().unwrap_or("again");
    named(kind, &value.to_string())
}

impl Listener {
    async fn is_still_in(&self) -> bool {
        let now = self.page.visitor(&self.headers, self.from).await;
        now.as_ref() == Some(&self.visitor)
    }

    /// None: the page's session is over, or the program is.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            tokio::select! {
                changed = self.house.changed() => {
                    changed.ok()?;
                    let now = *self.house.borrow_and_update();
                    // The first look is no change.
                    let was = std::mem::replace(&mut self.known, now);
                    if was == Changes::default() {
                        continue;
                    }
                    if was.calls != now.calls {
                        self.waiting.push(named("calls", ""));
                    }
                    if was.phones != now.phones {
                        self.waiting.push(named("phones", ""));
                    }
                }
                changed = self.approvals.changed() => {
                    changed.ok()?;
                    self.waiting.push(named("approvals", ""));
                }
                // Their state is told once; then nobody tells any more.
                changed = self.engines.changed(), if self.engines_may_change => {
                    self.engines_may_change = changed.is_ok();
                    self.waiting.push(named("phones", ""));
                }
                told = self.hub.recv() => match told {
                    Ok(event) => return Some(of_hub(&event)),
                    // Too slow: everything is read again.
                    Err(broadcast::error::RecvError::Lagged(_)) => return Some(named("again", "")),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ = self.again.tick() => if !self.is_still_in().await {
                    return None;
                },
                changed = self.signed_out.changed() => {
                    changed.ok()?;
                    if !self.is_still_in().await {
                        return None;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pages_and_no_more() {
        let places = Arc::new(Places::default());
        let of_anna: Vec<_> = (0..=STREAMS_PER_PERSON_MAX)
            .map(|_| places.enter("anna"))
            .collect();
        assert!(
            of_anna[..STREAMS_PER_PERSON_MAX]
                .iter()
                .all(Option::is_some)
        );
        assert!(of_anna[STREAMS_PER_PERSON_MAX].is_none());
        let others: Vec<_> = (0..STREAMS_MAX)
            .filter_map(|n| places.enter(&format!("otto{n}")))
            .collect();
        assert_eq!(others.len(), STREAMS_MAX - STREAMS_PER_PERSON_MAX);
        drop((of_anna, others));
        assert!(places.counts().is_empty());
    }
}
