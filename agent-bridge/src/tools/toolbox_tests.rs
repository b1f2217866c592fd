//! Who is offered what, one call at a time, and what is remembered; tools are stand-ins on loopback.

use serde_json::json;

use super::*;
use crate::tools::JobWatch;
use crate::tools::stand_in::{Scripted, StandIn, until};

const SESSION: &str = "anna/agent";

fn call(name: &str, arguments: serde_json::Value) -> ToolCall {
    ToolCall {
        id: "c1".to_owned(),
        name: name.to_owned(),
        arguments,
    }
}

fn prompt(text: &str) -> ToolCall {
    call("coding", json!({ "prompt": text }))
}

fn anna() -> Asker {
    Asker {
        agent: "agent".to_owned(),
        call: Some("call-1".to_owned()),
        user: "anna".to_owned(),
        level: Some(Level::Owner),
    }
}

fn toolbox(tools: Vec<Tool>, owner: &Arc<Scripted>) -> Arc<Toolbox> {
    let toolbox = Toolbox::new(tools, 7).expect("good tools");
    toolbox.serve(owner.clone());
    Arc::new(toolbox)
}

fn round(calls: &[ToolCall]) -> ToolRound {
    ToolRound {
        after: 1,
        said: String::new(),
        calls: calls
            .iter()
            .map(|call| (call.clone(), String::new()))
            .collect(),
    }
}

async fn run(toolbox: &Arc<Toolbox>, calls: &[ToolCall]) -> Vec<String> {
    let offered = toolbox.offered("agent", Some(Level::Owner));
    let name = toolbox.begin(SESSION, "Do it.", &round(calls));
    toolbox.run(&anna(), SESSION, &offered, &name, calls).await
}

#[tokio::test]
async fn tools_are_offered_by_agent_and_level() {
    let server = StandIn::start(&[]).await;
    let mut owners = server.tool("owners");
    owners.levels = vec![Level::Owner];
    let mut other = server.tool("others");
    other.agents = vec!["finance".to_owned()];
    let toolbox = Toolbox::new(vec![owners, other, server.tool("all")], 7).expect("good tools");
    for (agent, level, wanted) in [
        ("agent", Some(Level::Owner), vec!["owners", "all"]),
        ("agent", Some(Level::Guest), vec!["all"]),
        ("agent", None, vec!["all"]),
        ("finance", Some(Level::Family), vec!["others", "all"]),
    ] {
        let offered = toolbox.offered(agent, level);
        let names: Vec<_> = offered.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, wanted, "{agent} {level:?}");
    }
    for (name, schema, wanted) in [
        ("", json!({ "type": "object" }), ToolError::Name),
        ("two words", json!({ "type": "object" }), ToolError::Name),
        ("all", json!({ "type": "object" }), ToolError::Twice),
        ("new", json!({ "type": "string" }), ToolError::Schema),
        ("new", json!("object"), ToolError::Schema),
    ] {
        let mut tool = server.tool(name);
        tool.spec.parameters = schema;
        let error = Toolbox::new(vec![server.tool("all"), tool], 7).err();
        assert_eq!(error, Some((name.to_owned(), wanted)));
    }
}

/// Whatever a model writes: only what is offered runs, at its own address, once, after a yes where one is wanted.
#[tokio::test]
async fn nothing_runs_that_must_not() {
    let server = StandIn::start(&[]).await;
    let mut asked = server.tool("risky");
    asked.needs_approval = true;
    let mut hidden = server.tool("hidden");
    hidden.agents = vec!["finance".to_owned()];
    let tools = vec![server.tool("coding"), asked, hidden];
    let no = Scripted::saying(Decision::Deny);
    let toolbox_no = toolbox(tools.clone(), &no);
    let wrong = "Not run: `prompt` is missing.";
    let url = json!({ "prompt": "x", "url": "http://127.0.0.1:9/", "headers": {} });
    for (call, wanted) in [
        (call("rm -rf", json!({})), wording::UNKNOWN),
        (call("", json!({})), wording::UNKNOWN),
        (call("hidden", json!({ "prompt": "x" })), wording::UNKNOWN),
        (call("coding", json!({})), wrong),
        (
            call("coding", json!(null)),
            "Not run: the arguments must be of type \"object\".",
        ),
        (
            call("risky", json!({ "prompt": "x" })),
            wording::NOT_ALLOWED,
        ),
    ] {
        assert_eq!(run(&toolbox_no, &[call]).await, [wanted]);
    }
    assert_eq!(server.sent(), []);
    let asked = no.asked.lock().expect("no panic").clone();
    assert_eq!(asked.len(), 1, "one question for the one that needs a yes");
    assert_eq!(
        (asked[0].kind, asked[0].session.as_str()),
        (ApprovalKind::Tool, SESSION)
    );
    assert_eq!(asked[0].what, "risky {\"prompt\":\"x\"}");
    let outcomes = ["wrong arguments", "wrong arguments", "not allowed"];
    assert_eq!(no.outcomes(), outcomes.map(|why| format!("not run: {why}")));

    // Without anybody to ask, what needs a yes gets none.
    let alone = Arc::new(Toolbox::new(tools.clone(), 7).expect("good tools"));
    let risky = call("risky", json!({ "prompt": "x" }));
    assert_eq!(
        run(&alone, std::slice::from_ref(&risky)).await,
        [wording::NOT_ALLOWED]
    );
    assert_eq!(server.sent(), []);

    let yes = Scripted::saying(Decision::AllowOnce);
    let toolbox_yes = toolbox(tools, &yes);
    // An address among the arguments is an argument.
    assert_eq!(
        run(&toolbox_yes, &[risky, call("coding", url)]).await,
        ["ok", "ok"]
    );
    let sent = server.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|sent| sent.path == "/prompt"));
    assert_ne!(sent[0].key, sent[1].key);
    assert_eq!(yes.outcomes(), ["ok, 2 bytes", "ok, 2 bytes"]);

    // Ten thousand at once: eight.
    let calls = vec![prompt("x"); 10_000];
    let results = run(&toolbox_yes, &calls).await;
    assert_eq!(server.sent().len(), 2 + CALLS_MAX);
    assert_eq!(
        results[CALLS_MAX..],
        vec![wording::TOO_MANY; 10_000 - CALLS_MAX]
    );
}

#[tokio::test]
async fn one_at_a_time_and_few_wait() {
    let server = StandIn::start_held(&[], true).await;
    let owner = Scripted::saying(Decision::Deny);
    let toolbox = toolbox(vec![server.tool("coding")], &owner);
    let start = || {
        let toolbox = toolbox.clone();
        tokio::spawn(async move { run(&toolbox, &[prompt("x")]).await })
    };
    let first = start();
    server.until_sent(1).await;
    let second = start();
    let waits = || toolbox.tools[0].waiting.load(Ordering::Relaxed);
    until(|| waits() >= 2).await;
    assert_eq!(start().await.expect("no panic"), [wording::BUSY]);
    assert_eq!(server.sent().len(), 1, "the second waits for the first");
    server.gate.add_permits(2);
    assert_eq!(first.await.expect("no panic"), ["ok"]);
    assert_eq!(second.await.expect("no panic"), ["ok"]);
    until(|| waits() == 0).await;
    assert_eq!(server.sent().len(), 2);
}

fn said(role: Role, text: &str) -> Message {
    Message {
        role,
        text: text.to_owned(),
    }
}

/// The caller speaks while a tool works: it goes on, and the next question knows of it.
#[tokio::test]
async fn a_call_that_was_sent_is_seen_to_its_end() {
    let server = StandIn::start_held(&[(200, "Ordered.")], true).await;
    let owner = Scripted::saying(Decision::Deny);
    let toolbox = toolbox(vec![server.tool("coding")], &owner);
    let calls = [prompt("order"), prompt("and more")];
    let running = tokio::spawn({
        let toolbox = toolbox.clone();
        async move { run(&toolbox, &calls).await }
    });
    server.until_sent(1).await;
    running.abort();
    assert!(running.await.is_err());
    let messages = [said(Role::User, "Do it."), said(Role::User, "Hello?")];
    let recalled = toolbox.recall(SESSION, &messages);
    assert_eq!(recalled.len(), 1);
    assert_eq!(
        (recalled[0].after, recalled[0].calls[0].1.as_str()),
        (1, wording::AT_WORK)
    );
    server.gate.add_permits(1);
    let result = || toolbox.recall(SESSION, &messages)[0].calls[0].1.clone();
    until(|| result() != wording::AT_WORK).await;
    assert_eq!(result(), "Ordered.");
    assert_eq!(server.sent().len(), 1, "what still waited is not run");
    assert_eq!(owner.outcomes(), ["ok, 8 bytes"]);
}

#[tokio::test]
async fn earlier_results_stand_behind_their_questions() {
    let server = StandIn::start(&[]).await;
    let owner = Scripted::saying(Decision::Deny);
    let toolbox = toolbox(vec![server.tool("coding")], &owner);
    for question in ["", "One?", "Two?"] {
        let _ = toolbox.begin(SESSION, question, &round(&[prompt(question)]));
    }
    let dialogue = |lines: &[&str]| -> Vec<Message> {
        let line = |(n, text): (usize, &&str)| match n % 2 {
            0 => said(Role::User, text),
            _ => said(Role::Assistant, text),
        };
        lines.iter().enumerate().map(line).collect()
    };
    for (lines, wanted) in [
        (&["One?", "1", "Two?", "2", "Three?"][..], vec![1, 3]),
        // Long ago.
        (&["Two?", "2", "Three?"], vec![1]),
        (&["Three?"], vec![]),
        // The caller went on before anything was heard: one question now.
        (&["One?", "1", "Two? And quickly!"], vec![1, 3]),
        // The same question again is a new one.
        (&["One?", "1", "Two?", "2", "Two?"], vec![1, 3]),
        // Whole words only, and nothing is begun by nothing.
        (&["Two?And", "2", "Onet"], vec![]),
        (&["One", "2", "Twofold"], vec![]),
    ] {
        let recalled = toolbox.recall(SESSION, &dialogue(lines));
        let after: Vec<_> = recalled.iter().map(|round| round.after).collect();
        assert_eq!(after, wanted, "{lines:?}");
    }
    assert!(toolbox.recall("bob/agent", &dialogue(&["One?"])).is_empty());
    for n in 0..KEPT_MAX + 3 {
        let _ = toolbox.begin(SESSION, &format!("Q{n}"), &round(&[]));
    }
    for n in 0..SESSIONS_MAX {
        let _ = toolbox.begin(&format!("s{n}"), "Q", &round(&[]));
    }
    let memory = toolbox.memory();
    assert_eq!(memory.len(), SESSIONS_MAX);
    assert!(memory.iter().all(|one| one.rounds.len() <= KEPT_MAX));
}

/// What was looked up for one question is no answer to the next, however alike they are.
#[tokio::test(start_paused = true)]
async fn results_grow_old_and_answer_no_new_question() {
    let server = StandIn::start(&[]).await;
    let owner = Scripted::saying(Decision::Deny);
    let toolbox = toolbox(vec![server.tool("coding")], &owner);
    const NONE: [usize; 0] = [];
    let (no, weather) = ("No", "Weather?");
    let recalled = |lines: &[&str]| {
        let messages: Vec<Message> = lines.iter().map(|text| said(Role::User, text)).collect();
        let rounds = toolbox.recall(SESSION, &messages);
        rounds.iter().map(|round| round.after).collect::<Vec<_>>()
    };
    let _ = toolbox.begin(SESSION, no, &round(&[prompt("x")]));
    assert_eq!(recalled(&["Now tell me"]), NONE);
    assert_eq!(recalled(&["No, tell me"]), [1]);
    let name = toolbox.begin(SESSION, weather, &round(&[prompt("x")]));
    // Cut before anything was heard: the same words again are the same question.
    assert_eq!(recalled(&[weather]), [1]);
    assert_eq!(recalled(&["Weather? In Rome"]), [1]);
    toolbox.heard(&[name]);
    assert_eq!(recalled(&[weather]), NONE);
    assert_eq!(recalled(&["Weather? In Rome"]), NONE);
    // Behind the one it was, it stays.
    assert_eq!(recalled(&[weather, weather]), [1]);
    tokio::time::advance(KEPT_FOR).await;
    assert_eq!(recalled(&[weather, weather]), NONE);
    // Work that goes on is not forgotten.
    let name = toolbox.begin(SESSION, weather, &round(&[prompt("x")]));
    toolbox.learn(&name, 0, wording::AT_WORK);
    tokio::time::advance(KEPT_FOR).await;
    assert_eq!(recalled(&[weather, "And?"]), [1]);
    toolbox.learn(&name, 0, "sunny");
    assert_eq!(recalled(&[weather, "And?"]), [1]);
}

/// Nobody is asked to allow what then finds no room.
#[tokio::test]
async fn a_tool_without_room_asks_nobody() {
    let server = StandIn::start_held(&[], true).await;
    let mut tool = server.tool("coding");
    tool.needs_approval = true;
    tool.waiting_max = 0;
    let owner = Scripted::saying(Decision::AllowOnce);
    let toolbox = toolbox(vec![tool], &owner);
    let first = tokio::spawn({
        let toolbox = toolbox.clone();
        async move { run(&toolbox, &[prompt("x")]).await }
    });
    server.until_sent(1).await;
    assert_eq!(run(&toolbox, &[prompt("y")]).await, [wording::BUSY]);
    assert_eq!(owner.asked.lock().expect("no panic").len(), 1);
    server.gate.add_permits(1);
    assert_eq!(first.await.expect("no panic"), ["ok"]);
}

/// What becomes of the call while the work goes on.
enum Line {
    Listens,
    HangsUp,
    IsFree,
}

/// The coding agent of docs/tools.md: it takes the work, and the caller is told when it is done.
#[tokio::test(start_paused = true)]
async fn accepted_work_is_told_on_the_line_or_by_a_call() {
    for manner in [Line::Listens, Line::HangsUp, Line::IsFree] {
        let script = [
            (202, "{\"id\": \"job-1\"}"),
            (200, "{\"status\": \"running\"}"),
            (503, ""),
            (
                200,
                "{\"status\": \"done\", \"result\": \"All **tests** pass.\"}",
            ),
        ];
        let server = StandIn::start(&script).await;
        let mut tool = server.tool("coding");
        tool.job = Some(JobWatch {
            status_url: format!("{}/prompt/{{id}}", server.base),
            every: Duration::from_secs(5),
            longest: Duration::from_secs(3_600),
        });
        let owner = Scripted::saying(Decision::Deny);
        let toolbox = toolbox(vec![tool], &owner);
        let (listener, mut news) = mpsc::channel(1);
        toolbox.listen(SESSION, listener);
        let results = run(&toolbox, &[prompt("fix it")]).await;
        assert!(results[0].starts_with("Accepted: "), "{results:?}");
        assert_eq!(owner.outcomes(), ["accepted"]);
        // The same work again is watched once.
        server
            .script
            .lock()
            .expect("no panic")
            .push_front((202, "{\"id\": \"job-1\"}".to_owned()));
        run(&toolbox, &[prompt("fix it")]).await;
        assert_eq!(toolbox.jobs().len(), 1);
        let told = "The coding is done. All tests pass.";
        let finished = || owner.finished.lock().expect("no panic").clone();
        match manner {
            Line::Listens => {
                assert_eq!(news.recv().await.as_deref(), Some(told));
                while !toolbox.jobs().is_empty() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                assert_eq!(finished(), []);
                continue;
            }
            Line::HangsUp => {
                // It lies in the channel when the line ends.
                let full = async {
                    while news.is_empty() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                };
                let full = tokio::time::timeout(Duration::from_secs(3_600), full).await;
                full.expect("it came");
                drop(news);
            }
            Line::IsFree => drop(news),
        }
        let is_told = async {
            while finished().is_empty() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let is_told = tokio::time::timeout(Duration::from_secs(3_600), is_told).await;
        is_told.expect("somebody is called");
        let all = finished();
        assert_eq!(all.len(), 1);
        let sent = server.sent();
        let wanted = Finished {
            tool: "coding".to_owned(),
            job: "job-1".to_owned(),
            call: sent[0].key.clone(),
            user: "anna".to_owned(),
            say: told.to_owned(),
        };
        assert_eq!(all[0], wanted);
        assert!(toolbox.jobs().is_empty());
    }
}
