//! Who is offered what, one call at a time, and what is remembered; tools are stand-ins on loopback.

use serde_json::json;

use super::*;
use crate::tools::JobWatch;
use crate::tools::stand_in::{Scripted, StandIn};

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
    while waits() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(start().await.expect("no panic"), [wording::BUSY]);
    assert_eq!(server.sent().len(), 1, "the second waits for the first");
    server.gate.add_permits(2);
    assert_eq!(first.await.expect("no panic"), ["ok"]);
    assert_eq!(second.await.expect("no panic"), ["ok"]);
    while waits() > 0 {
        tokio::task::yield_now().await;
    }
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
    while result() == wording::AT_WORK {
        tokio::task::yield_now().await;
    }
    assert_eq!(result(), "Ordered.");
    assert_eq!(server.sent().len(), 1, "what still waited is not run");
    assert_eq!(owner.outcomes(), ["ok, 8 bytes"]);
}

#[tokio::test]
async fn earlier_results_stand_behind_their_questions() {
    let server = StandIn::start(&[]).await;
    let owner = Scripted::saying(Decision::Deny);
    let toolbox = toolbox(vec![server.tool("coding")], &owner);
    for question in ["One?", "Two?"] {
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

/// The coding agent of docs/tools.md: it takes the work, and the caller is told when it is done.
#[tokio::test(start_paused = true)]
async fn accepted_work_is_told_on_the_line_or_by_a_call() {
    for is_on_the_line in [true, false] {
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
        let mut news = toolbox.news(SESSION);
        let results = run(&toolbox, &[prompt("fix it")]).await;
        assert!(results[0].starts_with("Accepted: "), "{results:?}");
        assert_eq!(owner.outcomes(), ["accepted"]);
        let told = "The coding is done. All tests pass.";
        if is_on_the_line {
            assert_eq!(news.recv().await.as_deref(), Some(told));
            assert_eq!(*owner.finished.lock().expect("no panic"), []);
        } else {
            drop(news);
            let finished = || owner.finished.lock().expect("no panic").clone();
            while finished().is_empty() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let wanted = Finished {
                tool: "coding".to_owned(),
                job: "job-1".to_owned(),
                user: "anna".to_owned(),
                say: told.to_owned(),
            };
            assert_eq!(finished(), [wanted]);
        }
        assert_eq!(toolbox.jobs.load(Ordering::Relaxed), 0);
    }
}
