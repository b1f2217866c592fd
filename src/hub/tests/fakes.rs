//! An agent, a network and ears that are fakes.

use super::*;

/// Repeats what it is asked; "slow" takes a while, "fail" does, "timer" and "cancel" use the tools for that.
pub(in crate::hub) struct Echo {
    pub asked: Mutex<Vec<AskRequest>>,
    pub news: Mutex<Vec<mpsc::Sender<String>>>,
}

impl Echo {
    pub(in crate::hub) fn new() -> Arc<Echo> {
        Arc::new(Echo {
            asked: Mutex::default(),
            news: Mutex::default(),
        })
    }
}

impl Gateway for Echo {
    fn describe(&self) -> GatewayInfo {
        FakeGateway::new([]).describe()
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let question = request
            .messages
            .last()
            .map(|last| last.text.clone())
            .unwrap_or_default();
        lock(&self.asked).push(request);
        AskHandle::new(tokio::spawn(async move {
            if question.starts_with("slow") {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let tool = |name: &str, arguments| {
                let call = ToolCall {
                    id: "1".to_owned(),
                    name: name.to_owned(),
                    arguments,
                };
                vec![
                    GatewayEvent::ToolCall(call),
                    GatewayEvent::Done { usage: None },
                ]
            };
            let events_to_send = match question.as_str() {
                "fail" => vec![GatewayEvent::Failed(GatewayError::Cut)],
                "timer" => tool(
                    "set_timer",
                    serde_json::json!({ "seconds": 3_600, "label": "tea" }),
                ),
                "cancel" => tool("cancel_timers", serde_json::json!({})),
                _ => vec![
                    GatewayEvent::Text("You said: ".to_owned()),
                    GatewayEvent::Text(question),
                    GatewayEvent::Done { usage: None },
                ],
            };
            for event in events_to_send {
                let _ = events.send(event).await;
            }
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { Err(GatewayError::Cut) }.boxed()
    }

    fn warm(&self) {}

    fn news(&self, _: &str) -> Option<mpsc::Receiver<String>> {
        let (news, receiver) = mpsc::channel(4);
        lock(&self.news).push(news);
        Some(receiver)
    }
}

/// A fake network: what is written to it is counted, and its first deliveries fail as often as asked.
pub(super) struct FakeChannel {
    pub(super) name: &'static str,
    pub(super) delivered: mpsc::Sender<Outbound>,
    pub(super) arrivals: Mutex<Option<mpsc::Receiver<Arrival>>>,
    pub(super) failures: AtomicU32,
    /// Sounds that fail, before one goes through.
    pub(super) sound_failures: AtomicU32,
    pub(super) withdrawn: mpsc::Sender<Withdrawal>,
}

impl Channel for FakeChannel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        let arrivals = lock(&self.arrivals).take();
        async move {
            let Some(mut arrivals) = arrivals else { return };
            while let Some(arrival) = arrivals.recv().await {
                let _ = inbox.send(arrival).await;
            }
        }
        .boxed()
    }

    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        async move {
            let failures = match message.body {
                OutBody::Voice { .. } => &self.sound_failures,
                _ => &self.failures,
            };
            if failures.load(Ordering::Relaxed) > 0 {
                failures.fetch_sub(1, Ordering::Relaxed);
                return Err(DeliveryError::Passing {
                    why: "fake".to_owned(),
                    retry_after: None,
                });
            }
            let _ = self.delivered.send(message.clone()).await;
            Ok(Some(format!("their-{}", message.id)))
        }
        .boxed()
    }

    fn withdraw<'a>(&'a self, question: &'a Withdrawal) -> BoxFuture<'a, ()> {
        async move { drop(self.withdrawn.send(question.clone()).await) }.boxed()
    }

    fn standing(&self) -> String {
        "a fake".to_owned()
    }
}

/// Hears what stands in the bytes; "noise" cannot be heard.
#[derive(Default)]
pub(super) struct FakeSounds {
    pub(super) said: AtomicU32,
    /// Who heard and who spoke last.
    pub(super) agents: Mutex<[String; 2]>,
}

impl Sounds for FakeSounds {
    fn hear(&self, agent: &str, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        agent.clone_into(&mut lock(&self.agents)[0]);
        let words = String::from_utf8_lossy(&bytes[4..]).into_owned();
        let heard = match words.as_str() {
            "noise" => Err("it is noise".to_owned()),
            _ => Ok(words),
        };
        async move { heard }.boxed()
    }

    fn say<'a>(
        &'a self,
        agent: &str,
        words: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>> {
        agent.clone_into(&mut lock(&self.agents)[1]);
        self.said.fetch_add(1, Ordering::Relaxed);
        async move { Ok((format!("OggS{words}").into_bytes(), 1_000)) }.boxed()
    }
}
