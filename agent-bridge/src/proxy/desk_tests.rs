//! Questions of a call and requests of an agent gateway, in the orders in which they may come.

use super::super::pacing::NOTHING_HEARD;
use super::super::recording::tests::{DONE, answer, chunk, text};
use super::super::request::tests::body;
use super::*;

const KEY: &str = "agent:main:voice:anna";
/// The minute of the bodies' stamps.
const UNIX_S: i64 = 1_795_227_277;

struct Table {
    desk: Desk,
    now: Instant,
    /// The conversation as the agent gateway holds it.
    history: Vec<(String, String)>,
}

impl Table {
    fn new() -> Table {
        Table {
            desk: Desk::default(),
            now: Instant::now(),
            history: Vec::new(),
        }
    }

    /// A turn has been had, so that the next one can be foretold.
    fn familiar() -> Table {
        let mut table = Table::new();
        let id = table.begin("Hi.");
        table.desk.commit(id);
        let (verdict, mut pacing) = table.request("Hi.");
        assert_eq!(verdict, Verdict::Record(id, 0));
        table.record(id, 0, &["Hello."]);
        assert_eq!(
            table.spoken(id),
            [Spoken::Text("Hello.".into()), Spoken::Done]
        );
        table.heard(id, "Hello.", true);
        assert_eq!(table.give(id, 0, &mut pacing), "Hello.");
        table.history.push(("assistant".into(), "Hello.".into()));
        table.outputs();
        table
    }

    fn begin(&mut self, words: &str) -> ExchangeId {
        self.desk.begin(self.now, UNIX_S, KEY, words)
    }

    fn real(&self) -> Request {
        let dialogue: Vec<(&str, &str)> = self
            .history
            .iter()
            .map(|(role, text)| (role.as_str(), text.as_str()))
            .collect();
        Request::parse(body(KEY, &dialogue)).expect("a request")
    }

    /// The agent gateway asks, the caller's words being the last ones.
    fn request(&mut self, words: &str) -> (Verdict, Pacing) {
        self.history.push(("user".into(), words.into()));
        let real = self.real();
        (self.desk.arrive(UNIX_S, Some(&real)), Pacing::default())
    }

    fn record(&mut self, id: ExchangeId, track: usize, words: &[&str]) {
        for frame in answer(words) {
            self.desk.push(id, track, frame);
        }
    }

    fn heard(&mut self, id: ExchangeId, heard: &str, is_over: bool) {
        let told = Told {
            is_committed: true,
            heard: heard.to_owned(),
            is_over,
        };
        self.desk.told(id, &told);
    }

    fn spoken(&mut self, id: ExchangeId) -> Vec<Spoken> {
        std::iter::from_fn(|| self.desk.next_spoken(id)).collect()
    }

    /// All the text the agent gateway has by now.
    fn give(&mut self, id: ExchangeId, track: usize, pacing: &mut Pacing) -> String {
        self.desk.give(id, track, pacing);
        pacing.given().to_owned()
    }

    fn outputs(&mut self) -> Vec<DeskOutput> {
        let all = std::iter::from_fn(|| self.desk.poll_output());
        all.filter(|output| !matches!(output, DeskOutput::Changed(_)))
            .collect()
    }
}

fn say(text: &str) -> Spoken {
    Spoken::Text(text.to_owned())
}

#[test]
fn a_right_guess_is_spoken_at_once_and_replayed() {
    let mut table = Table::familiar();
    let id = table.begin("What time is it?");
    let asked = table.outputs();
    assert!(matches!(&asked[..], [DeskOutput::Ask { exchange, track: 0, .. }] if *exchange == id));
    table.record(id, 0, &["It", " is", " ten."]);
    assert_eq!(table.spoken(id), [say("It is ten."), Spoken::Done]);
    table.desk.commit(id);
    let (verdict, mut pacing) = table.request("What time is it?");
    assert_eq!(verdict, Verdict::Replay(id, 0));
    // What was asked early is what was then asked, byte for byte.
    let DeskOutput::Ask { body, .. } = &asked[0] else {
        panic!("asked")
    };
    assert_eq!(body, table.real().body());
    assert_eq!(table.give(id, 0, &mut pacing), "");
    table.heard(id, "It is", false);
    assert_eq!(table.give(id, 0, &mut pacing), "It is");
    assert!(!pacing.is_over());
    table.heard(id, "It is ten.", true);
    assert_eq!(table.give(id, 0, &mut pacing), "It is ten.");
    assert!(pacing.is_over());
    let counts = table.desk.counts();
    assert_eq!((counts.exact, counts.missed, counts.cut), (1, 0, 0));
}

#[test]
fn a_wrong_guess_leaves_nothing() {
    let mut table = Table::familiar();
    let id = table.begin("What time");
    table.desk.push(id, 0, text("It is"));
    table.outputs();
    table.desk.dropped(id);
    let cancel = DeskOutput::Cancel {
        exchange: id,
        track: 0,
    };
    assert_eq!(table.outputs(), [cancel, DeskOutput::Forgotten(id)]);
    assert!(!table.desk.push(id, 0, text(" ten")));
    // Somebody else says the same elsewhere in the session: not ours.
    assert_eq!(table.request("What time").0, Verdict::Pass);
}

#[test]
fn nothing_is_given_out_before_the_commit() {
    let mut table = Table::familiar();
    let id = table.begin("What time is it?");
    table.record(id, 0, &["It is ten."]);
    // The same words from a text channel, while the caller may still go on.
    assert_eq!(table.request("What time is it?").0, Verdict::Pass);
}

#[test]
fn a_reply_ends_at_the_last_heard_word_and_the_next_question_knows_it() {
    for (heard, wanted) in [
        ("It is", "It is"),
        ("", NOTHING_HEARD),
        ("It is ten", "It is ten"),
    ] {
        let mut table = Table::familiar();
        let id = table.begin("What time is it?");
        table.desk.commit(id);
        for frame in [text("It is"), text(" ten o'clock"), text(" now")] {
            table.desk.push(id, 0, frame);
        }
        table.spoken(id);
        let (verdict, mut pacing) = table.request("What time is it?");
        assert_eq!(verdict, Verdict::Replay(id, 0));
        table.outputs();
        table.heard(id, heard, true);
        let cancel = DeskOutput::Cancel {
            exchange: id,
            track: 0,
        };
        assert_eq!(table.outputs(), [cancel], "the model is stopped");
        assert_eq!(table.give(id, 0, &mut pacing), wanted);
        assert!(pacing.is_over());
        assert_eq!(table.desk.counts().cut, 1);
        table.history.push(("assistant".into(), wanted.into()));
        let next = table.begin("No, the date.");
        let asked = table.outputs();
        table.desk.commit(next);
        let (verdict, _) = table.request("No, the date.");
        assert_eq!(verdict, Verdict::Replay(next, 0));
        let body = table.real().body().to_vec();
        assert!(matches!(&asked[..], [DeskOutput::Ask { body: early, .. }] if *early == body));
    }
}

#[test]
fn an_agent_gateway_that_asks_late_gets_what_was_heard() {
    let mut table = Table::familiar();
    let id = table.begin("What time is it?");
    table.record(id, 0, &["It", " is", " ten."]);
    table.desk.commit(id);
    table.spoken(id);
    table.heard(id, "It is", true);
    table.desk.dropped(id);
    let (verdict, mut pacing) = table.request("What time is it?");
    assert_eq!(verdict, Verdict::Replay(id, 0));
    assert_eq!(table.give(id, 0, &mut pacing), "It is");
    assert!(pacing.is_over());
}

#[test]
fn a_tool_waits_for_the_commit_and_then_for_nothing() {
    let call = "{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"calendar\",\"arguments\":\"{}\"}}]}";
    let mut table = Table::familiar();
    let id = table.begin("What is on today?");
    for frame in [
        text("Let me look."),
        chunk(call, None),
        chunk("{}", Some("tool_calls")),
        DONE.to_vec(),
    ] {
        table.desk.push(id, 0, frame);
    }
    let tool = Spoken::Tool("calendar".into());
    assert_eq!(table.spoken(id), [say("Let me look."), tool]);
    table.desk.commit(id);
    let (verdict, mut pacing) = table.request("What is on today?");
    assert_eq!(verdict, Verdict::Replay(id, 0));
    table.give(id, 0, &mut pacing);
    assert!(pacing.is_over(), "given out before a word of it was heard");
    // The tool has run.
    table
        .history
        .push(("assistant".into(), "Let me look.".into()));
    table.history.push(("tool".into(), "Nothing.".into()));
    let real = table.real();
    let mut pacing = Pacing::default();
    assert_eq!(
        table.desk.arrive(UNIX_S, Some(&real)),
        Verdict::Record(id, 1)
    );
    table.record(id, 1, &["Nothing", " today."]);
    assert_eq!(table.spoken(id), [say("\n\nNothing today."), Spoken::Done]);
    table.heard(id, "Let me look. Nothing", false);
    assert_eq!(table.give(id, 1, &mut pacing), "Nothing");
    table.heard(id, "Let me look. Nothing today.", true);
    assert_eq!(table.give(id, 1, &mut pacing), "Nothing today.");
    assert!(pacing.is_over());
}

#[test]
fn a_tool_that_was_begun_is_finished_unheard() {
    let call = "{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"calendar\",\"arguments\":\"{}\"}}]}";
    let mut table = Table::familiar();
    let id = table.begin("Book it.");
    table.desk.commit(id);
    for frame in [
        chunk(call, None),
        chunk("{}", Some("tool_calls")),
        DONE.to_vec(),
    ] {
        table.desk.push(id, 0, frame);
    }
    table.spoken(id);
    table.request("Book it.");
    table.heard(id, "", true);
    table.outputs();
    table.history.push(("assistant".into(), String::new()));
    table.history.push(("tool".into(), "Booked.".into()));
    let real = table.real();
    let mut pacing = Pacing::default();
    assert_eq!(
        table.desk.arrive(UNIX_S, Some(&real)),
        Verdict::Record(id, 1)
    );
    table.desk.push(id, 1, text("Booked"));
    assert_eq!(table.give(id, 1, &mut pacing), "");
    assert!(
        table.outputs().is_empty(),
        "it may be about to use another tool"
    );
    table.record(id, 1, &[" it."]);
    assert_eq!(table.give(id, 1, &mut pacing), NOTHING_HEARD);
}

#[test]
fn what_differs_is_asked_again_unless_it_was_spoken() {
    for is_spoken in [false, true] {
        let mut table = Table::familiar();
        let id = table.begin("What time is it?");
        table.record(id, 0, &["It is ten."]);
        table.outputs();
        table.desk.commit(id);
        if is_spoken {
            table.spoken(id);
        }
        // Somebody has written into the session since.
        table.history.push(("user".into(), "By the way".into()));
        table.history.push(("assistant".into(), "Yes?".into()));
        let (verdict, _) = table.request("What time is it?");
        if is_spoken {
            assert_eq!(verdict, Verdict::Replay(id, 0));
            assert_eq!(table.desk.counts().spoken, 1);
        } else {
            assert_eq!(verdict, Verdict::Record(id, 1));
            table.record(id, 1, &["It is eleven."]);
            assert_eq!(table.spoken(id), [say("It is eleven."), Spoken::Done]);
            assert_eq!(table.desk.counts().missed, 1);
        }
    }
}

#[test]
fn warming_up_costs_nothing_after_an_interruption_either() {
    let mut table = Table::new();
    let noted = "Note: The previous agent run was interrupted. Review it.\n\n.";
    let dialogue = [("user", "."), ("assistant", "ok"), ("user", noted)];
    let warm = Request::parse(body("agent:main:voice:warmup", &dialogue)).expect("a request");
    assert_eq!(table.desk.arrive(UNIX_S, Some(&warm)), Verdict::WarmUp);
}

#[test]
fn a_guess_from_another_session_is_spoken_only_when_it_fits() {
    for has_past in [false, true] {
        let mut table = Table::new();
        let warm = body("agent:main:voice:warmup", &[("user", ".")]);
        let warm = Request::parse(warm).expect("a request");
        assert_eq!(table.desk.arrive(UNIX_S, Some(&warm)), Verdict::WarmUp);
        assert!(table.desk.knows(KEY) && !table.desk.knows("agent:work:voice:anna"));
        let id = table.begin("Hi.");
        table.record(id, 0, &["Hello."]);
        table.desk.commit(id);
        assert!(table.spoken(id).is_empty());
        if has_past {
            table.history.push(("user".into(), "Before".into()));
            table.history.push(("assistant".into(), "Ah".into()));
        }
        let (verdict, _) = table.request("Hi.");
        if has_past {
            assert_eq!(verdict, Verdict::Record(id, 1));
            table.record(id, 1, &["Hello again."]);
            assert_eq!(table.spoken(id), [say("Hello again."), Spoken::Done]);
        } else {
            assert_eq!(verdict, Verdict::Replay(id, 0));
            assert_eq!(table.spoken(id), [say("Hello."), Spoken::Done]);
        }
    }
}

#[test]
fn the_same_words_twice_are_two_questions() {
    let mut table = Table::familiar();
    for _ in 0..3 {
        let id = table.begin("Yes.");
        table.record(id, 0, &["Good."]);
        table.spoken(id);
        table.desk.commit(id);
        let (verdict, mut pacing) = table.request("Yes.");
        assert_eq!(verdict, Verdict::Replay(id, 0));
        table.heard(id, "Good.", true);
        assert_eq!(table.give(id, 0, &mut pacing), "Good.");
        table.history.push(("assistant".into(), "Good.".into()));
        table.desk.dropped(id);
    }
    assert_eq!(table.desk.counts().exact, 3);
}

#[test]
fn failures_are_the_agent_gateways_to_mend_until_something_was_said() {
    for (is_committed, is_spoken, is_over, wanted) in [
        (false, false, false, vec![Spoken::Failed]),
        (false, true, false, vec![Spoken::Failed]),
        (true, false, false, vec![]),
        (true, false, true, vec![Spoken::Failed]),
        (true, true, false, vec![Spoken::Failed]),
    ] {
        let mut table = Table::familiar();
        let id = table.begin("What time is it?");
        if is_spoken {
            table.desk.push(id, 0, text("It is"));
            table.spoken(id);
        }
        if is_committed {
            table.desk.commit(id);
        }
        table.desk.end(id, 0, true);
        if is_over {
            table.desk.run_over(id);
        }
        assert_eq!(
            table.spoken(id),
            wanted,
            "{is_committed} {is_spoken} {is_over}"
        );
    }
}

#[test]
fn questions_are_bounded() {
    let mut table = Table::familiar();
    for n in 0..EXCHANGES_MAX * 2 {
        let id = table.begin(&format!("Question {n}"));
        if n % 3 == 0 {
            table.desk.commit(id);
            table.heard(id, "", true);
        }
        assert!(table.desk.exchanges.len() <= EXCHANGES_MAX);
    }
    table.now += LATE_MAX * 2;
    table.begin("Later");
    assert!(
        table
            .desk
            .exchanges
            .iter()
            .all(|(_, e, since)| !e.is_over() || *since == table.now)
    );
}

#[test]
fn what_is_not_of_a_call_passes() {
    let mut table = Table::familiar();
    let id = table.begin("Hi there.");
    table.desk.commit(id);
    let other = Request::parse(body("agent:main:main", &[("user", "Hi there.")]));
    let whole = String::from_utf8(body(KEY, &[("user", "Hi there.")])).expect("text");
    let whole = Request::parse(
        whole
            .replace("\"stream\":true", "\"stream\":false")
            .into_bytes(),
    );
    for request in [None, other, whole] {
        assert_eq!(table.desk.arrive(UNIX_S, request.as_ref()), Verdict::Pass);
    }
}
