//! OpenClaw with its model behind our proxy: its link and its names, for `gateways::through_proxy`. Owns only the joint.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::OpenClaw;
use super::words::{PHONE_NOTE, session_key};
use crate::gateways::through_proxy::{Link, ThroughProxy};
use crate::openclaw::{LinkError, LinkState, RunEvent};
use crate::proxy::Proxy;

/// A message waits for a lost link no longer; the caller hears an answer meanwhile.
const LINK_MAX: Duration = Duration::from_secs(12);

impl Link for OpenClaw {
    fn send<'a>(
        &'a self,
        session_key: &'a str,
        message: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<mpsc::Receiver<RunEvent>, LinkError>> {
        async move {
            let client = self.client()?;
            client.ready(LINK_MAX).await?;
            client.send(session_key, message, run).await
        }
        .boxed()
    }
}

impl OpenClaw {
    /// The same agent, its answers taken from the proxy that it asks its model through. `seed` names the runs.
    pub fn through(self, proxy: Proxy, seed: [u8; 32]) -> ThroughProxy {
        let agent = self.clone();
        let key_of = Arc::new(move |session: &str| agent.known_key(session));
        ThroughProxy::new(
            proxy,
            Arc::new(self.clone()),
            Arc::new(self),
            key_of,
            PHONE_NOTE,
            seed,
        )
    }

    /// The key of one of our conversations, which is remembered so that approvals in it find the call. Before the gateway
    /// has greeted, nobody knows which agent is its default one.
    pub(super) fn known_key(&self, session: &str) -> String {
        let state = self.client().ok().map(|client| client.state());
        let key = state.and_then(|state| match &*state.borrow() {
            LinkState::Ready(hello) => Some(session_key(self.agent(hello), session)),
            _ => None,
        });
        let key = key.unwrap_or_else(|| match self.config.agent.as_str() {
            "" => session_key("main", session),
            agent => session_key(agent, session),
        });
        if !session.is_empty() {
            self.link.know(&key, session);
        }
        key
    }
}
