//! What the proxy hands on to a provider in the cloud, in the same books as a question of a chain: asked before it leaves,
//! written down when it has ended. Owns what is read of an answer for that, which is its last bytes and how many events
//! went by; the answer itself passes untouched.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::budget::{Reached, guess};
use crate::gateways::{Asker, GatewayError, Usage};
use crate::router::books::{Books, CloudAsk, CloudLeave, OpenPage};
use crate::router::choice::{CloudWhy, Outcome};

/// An answer tells its tokens in its last event.
const TAIL_BYTES: usize = 4 * 1024;
const EVENT: &[u8] = b"data:";
/// Letters of a token where an answer does not tell its tokens: an event is about one.
const EVENT_CHARS: usize = 4;
/// Letters of a model's name as a request gives it.
const MODEL_CHARS_MAX: usize = 128;

/// Where requests of the agent gateway are written down.
pub struct CloudBooks {
    pub books: Arc<dyn Books>,
    /// The agent's name there, for requests that belong to no caller's question.
    pub agent: String,
}

/// Whose question a request answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalfOf {
    pub leave: CloudLeave,
    /// It was begun before the caller's turn was over.
    pub is_guess: bool,
}

/// One request on its way; nothing where its provider is at home.
#[derive(Default)]
pub(super) struct Page {
    open: Option<OpenPage>,
    tail: Vec<u8>,
    events: usize,
    is_whole: bool,
    failed: Option<GatewayError>,
}

#[derive(Deserialize)]
struct Named {
    model: Option<String>,
}

impl Page {
    /// An error keeps the request here. `leave` is that of the caller whose question it is; none: it is no caller's.
    pub(super) fn open(
        keeper: &CloudBooks,
        address: String,
        body: &[u8],
        leave: Option<CloudLeave>,
        is_guess: bool,
    ) -> Result<Page, Reached> {
        let leave = leave.unwrap_or_else(|| CloudLeave {
            agent: keeper.agent.clone(),
            asker: Asker::default(),
            why: CloudWhy::Proxy,
        });
        let named = serde_json::from_slice::<Named>(body).ok();
        let model = named.and_then(|named| named.model).unwrap_or_default();
        let ask = CloudAsk {
            agent: leave.agent,
            asker: leave.asker,
            model: model.chars().take(MODEL_CHARS_MAX).collect(),
            address,
            why: leave.why,
            is_guess,
            guess: guess(body.len(), None),
        };
        let mut page = Page::default();
        page.open = Some(OpenPage::open(keeper.books.clone(), ask)?);
        Ok(page)
    }

    pub(super) fn saw(&mut self, bytes: &[u8]) {
        if self.open.is_none() {
            return;
        }
        // One that is cut in two by the network is missed: it is a guess in any case.
        self.events += bytes.windows(EVENT.len()).filter(|at| *at == EVENT).count();
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    /// The provider has said all it had to say.
    pub(super) fn whole(&mut self) {
        self.is_whole = true;
    }

    /// It cannot be had, or not to its end. The first reason stays.
    pub(super) fn failed(&mut self, error: &GatewayError) {
        self.failed.get_or_insert_with(|| error.clone());
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let Some(mut page) = self.open.take() else {
            return;
        };
        page.counted(usage_in(&self.tail), self.events * EVENT_CHARS);
        page.close(match (&self.failed, self.is_whole) {
            (Some(error), _) => Outcome::Failed(error),
            (None, true) => Outcome::Answered,
            (None, false) => Outcome::Unwanted,
        });
    }
}

/// The last count of tokens in the end of an answer; none: it does not tell.
fn usage_in(tail: &[u8]) -> Option<Usage> {
    const KEY: &[u8] = b"\"usage\"";
    let mut places = tail.windows(KEY.len()).enumerate().rev();
    places
        .by_ref()
        .filter(|(_, at)| *at == KEY)
        .find_map(|(at, _)| {
            let rest = tail[at + KEY.len()..]
                .trim_ascii_start()
                .strip_prefix(b":")?;
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
            let usage = values.next()?.ok()?;
            let count = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
            Some(Usage {
                prompt_tokens: count(["prompt_tokens", "input_tokens"])?,
                completion_tokens: count(["completion_tokens", "output_tokens"]).unwrap_or(0),
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Limits;
    use crate::gateways::{GatewayError, Held};
    use crate::proxy::Spoken;
    use crate::proxy::request::tests::body;
    use crate::proxy::shell_tests::{KEY, World};
    use crate::router::books::CloudEnd;
    use crate::router::notebook::Notebook;

    #[test]
    fn tokens_are_read_where_an_answer_tells_them() {
        let usage = |prompt_tokens, completion_tokens| {
            Some(Usage {
                prompt_tokens,
                completion_tokens,
            })
        };
        for (tail, wanted) in [
            ("", None),
            (
                "data: {\"choices\":[],\"usage\":null}\n\ndata: [DONE]\n\n",
                None,
            ),
            (
                "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}",
                usage(7, 3),
            ),
            (
                "data: {\"usage\": {\"input_tokens\":5,\"output_tokens\":2}}\n\ndata: [DONE]",
                usage(5, 2),
            ),
            (
                "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}} \"usage\":{\"prompt_tokens\":9}",
                usage(9, 0),
            ),
            (
                "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}} data: {\"usage\":null}",
                usage(1, 1),
            ),
            ("\"usage\":{\"prompt_tok", None),
            ("\"usage\" says she", None),
        ] {
            assert_eq!(usage_in(tail.as_bytes()), wanted, "{tail}");
        }
    }

    fn line(ask: &CloudAsk, end: &CloudEnd) -> String {
        let early = if ask.is_guess { " early" } else { "" };
        let tokens = end.usage.completion_tokens;
        format!("{}{early}: {tokens} {}", ask.agent, end.how)
    }

    fn keeper(notebook: &Arc<Notebook>) -> CloudBooks {
        CloudBooks {
            books: notebook.clone(),
            agent: "agent".to_owned(),
        }
    }

    #[tokio::test]
    async fn requests_are_written_down_and_held_to_limits() {
        let world = World::familiar().await;
        let limits = Limits {
            requests: Some(2),
            ..Limits::default()
        };
        let notebook = Notebook::new(limits, line);
        world.proxy.keep_books(keeper(&notebook));
        let lines = || notebook.lines();
        let text = body("agent:main:main", &[("user", "By text.")]);
        let post = || {
            let url = format!("{}/v1/chat/completions", world.base);
            world
                .client
                .post(url)
                .bearer_auth("ours")
                .body(text.clone())
                .send()
        };
        let answer = post().await.expect("an answer").bytes().await;
        assert!(answer.expect("all of it").ends_with(b"data: [DONE]\n\n"));
        notebook.until_lines(1).await;
        assert!(lines()[0].starts_with("agent: "), "{:?}", lines());
        assert!(lines()[0].ends_with(" answered"), "{:?}", lines());
        // Foretold, and dropped again.
        let mut reply = world.proxy.begin(KEY, "And now?");
        while matches!(reply.next().await, Spoken::Text(_)) {}
        drop(reply);
        notebook.until_lines(2).await;
        assert!(lines()[1].starts_with("agent early: "), "{:?}", lines());
        // The limit of the day: nothing leaves, and whoever asks is told.
        let asked = world.seen();
        let refused = post().await.expect("an answer");
        assert_eq!(refused.status().as_u16(), 429);
        assert!(refused.text().await.expect("a text").contains("day_limit"));
        let mut reply = world.proxy.begin(KEY, "Still?");
        assert_eq!(reply.next().await, Spoken::Failed);
        assert!(matches!(reply.error(), GatewayError::Held(Held::Spent(_))));
        assert_eq!((world.seen(), lines().len()), (asked, 2));
    }

    #[test]
    fn only_the_end_of_an_answer_is_kept() {
        let mut page = Page::default();
        page.saw(b"data: x");
        assert_eq!(page.events, 0, "nothing is kept of what stays at home");
        let usage = b"\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}";
        let before = b"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1} data: ";
        let filling = vec![b'x'; 3 * TAIL_BYTES];
        for pieces in [1, 7, 1_000, usize::MAX] {
            let notebook = Notebook::new(Limits::default(), line);
            let address = "https://api.example.com".to_owned();
            let mut page =
                Page::open(&keeper(&notebook), address, b"{}", None, false).expect("no limit");
            let answer = [&before[..], &filling, usage].concat();
            for piece in answer.chunks(pieces.min(answer.len())) {
                page.saw(piece);
                assert!(page.tail.len() <= TAIL_BYTES, "{}", page.tail.len());
            }
            assert_eq!(page.tail[..], answer[answer.len() - TAIL_BYTES..]);
            page.whole();
            drop(page);
            assert_eq!(notebook.lines(), ["agent: 3 answered"], "{pieces}");
        }
    }

    #[test]
    fn how_it_ended_is_what_is_written() {
        let cut = GatewayError::Cut;
        let refused = GatewayError::Unauthorized { status: 401 };
        let (failed, first) = (format!("agent: 0 {cut}"), format!("agent: 0 {refused}"));
        type End<'a> = &'a dyn Fn(&mut Page);
        let ends: [(End<'_>, &str); 4] = [
            (&|page| page.whole(), "agent: 0 answered"),
            (&|_| {}, "agent: 0 called off"),
            (&|page| page.failed(&cut), &failed),
            // The body of a refusal may be whole.
            (
                &|page| {
                    page.failed(&refused);
                    page.failed(&cut);
                    page.whole();
                },
                &first,
            ),
        ];
        for (end, wanted) in ends {
            let notebook = Notebook::new(Limits::default(), |ask, end| {
                format!("{} of {}", line(ask, end), ask.model.chars().count())
            });
            let body = format!("{{\"model\":\"{}\"}}", "m".repeat(100_000));
            let page = Page::open(
                &keeper(&notebook),
                String::new(),
                body.as_bytes(),
                None,
                false,
            );
            let mut page = page.expect("no limit");
            end(&mut page);
            drop(page);
            let wanted = format!("{wanted} of {MODEL_CHARS_MAX}");
            assert_eq!(notebook.lines(), [wanted]);
        }
    }
}
