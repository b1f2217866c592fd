//! One tool's requests, against a stand-in on loopback.

use serde_json::json;

use super::*;
use crate::gateways::Secret;
use crate::tools::stand_in::StandIn;

fn done(text: &str) -> Answer {
    Answer::Done(text.to_owned())
}

fn failed(why: &str) -> Answer {
    Answer::Failed(why.to_owned())
}

fn accepted(job: Option<&str>, text: &str) -> Answer {
    Answer::Accepted {
        job: job.map(str::to_owned),
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn what_a_tool_answers_is_told_apart() {
    let long_id = format!("{{\"id\": \"{}\"}}", "a".repeat(JOB_CHARS_MAX + 1));
    for (status, body, wanted) in [
        (200, "Sunny.", done("Sunny.")),
        (204, "", done("")),
        (
            202,
            "{\"id\": \"job-1\"}",
            accepted(Some("job-1"), "{\"id\": \"job-1\"}"),
        ),
        (202, "{\"id\": 7}", accepted(Some("7"), "{\"id\": 7}")),
        (202, "soon", accepted(None, "soon")),
        // No part of an address.
        (
            202,
            "{\"id\": \"../x\"}",
            accepted(None, "{\"id\": \"../x\"}"),
        ),
        (
            202,
            "{\"id\": \"a?b\"}",
            accepted(None, "{\"id\": \"a?b\"}"),
        ),
        (202, "{\"id\": \"\"}", accepted(None, "{\"id\": \"\"}")),
        (202, &long_id, accepted(None, &long_id)),
        (
            302,
            "",
            failed("it wants to redirect (302), which is not followed"),
        ),
        (
            400,
            "no \u{1b}[1mcity",
            failed("it answered with status 400: no [1mcity"),
        ),
        (500, "", failed("it answered with status 500")),
    ] {
        let server = StandIn::start(&[(status, body)]).await;
        let endpoint = Endpoint::new(&server.tool("t")).expect("a tool");
        let answer = endpoint.call(&json!({ "prompt": "x" }), "k1").await;
        assert_eq!(answer, wanted, "{status} {body}");
        let sent = server.sent();
        assert_eq!(sent.len(), 1, "one request, whatever comes");
        assert_eq!(
            (sent[0].method.as_str(), sent[0].path.as_str()),
            ("POST", "/prompt")
        );
        assert_eq!(
            (sent[0].token.as_str(), sent[0].key.as_str()),
            ("Bearer sesame", "k1")
        );
        assert_eq!(sent[0].body, json!({ "prompt": "x" }));
    }
}

#[tokio::test]
async fn an_endless_answer_and_none_at_all_end() {
    let long = "x".repeat(BODY_BYTES_MAX * 3);
    let server = StandIn::start(&[(200, &long)]).await;
    let endpoint = Endpoint::new(&server.tool("t")).expect("a tool");
    let Answer::Done(text) = endpoint.call(&json!({}), "k").await else {
        panic!("no answer");
    };
    assert_eq!(text.len(), BODY_BYTES_MAX);

    let server = StandIn::start_held(&[], true).await;
    let mut tool = server.tool("t");
    tool.timeout = Duration::from_millis(50);
    let endpoint = Endpoint::new(&tool).expect("a tool");
    assert!(matches!(
        endpoint.call(&json!({}), "k").await,
        Answer::Failed(_)
    ));

    let mut tool = server.tool("t");
    tool.url = "http://127.0.0.1:1/".into();
    let endpoint = Endpoint::new(&tool).expect("a tool");
    let nobody = failed("nobody answers there: connection refused");
    assert_eq!(endpoint.call(&json!({}), "k").await, nobody);
}

#[tokio::test]
async fn how_work_stands_is_read_from_status_or_document() {
    for (status, body, wanted) in [
        (202, "", Status::AtWork),
        (200, "{\"status\":\"running\"}", Status::AtWork),
        (
            200,
            "{\"status\":\"Done\",\"result\":\"Good.\"}",
            Status::Done("Good.".into()),
        ),
        (
            200,
            "{\"status\":\"done\",\"result\":{\"n\":1}}",
            Status::Done("{\"n\":1}".into()),
        ),
        (
            200,
            "{\"status\":\"failed\",\"error\":\"Bad.\"}",
            Status::Failed("Bad.".into()),
        ),
        (200, "All done.", Status::Done("All done.".into())),
        (
            404,
            "",
            Status::Failed("it answered with status 404".into()),
        ),
        (429, "", Status::Unknown),
        (503, "", Status::Unknown),
    ] {
        let server = StandIn::start(&[(status, body)]).await;
        let mut tool = server.tool("t");
        tool.job = Some(JobWatch {
            status_url: format!("{}/prompt/{{id}}", server.base),
            every: Duration::from_secs(1),
            longest: Duration::from_secs(9),
        });
        let endpoint = Endpoint::new(&tool).expect("a tool");
        assert_eq!(endpoint.status("job-1").await, wanted, "{status} {body}");
        let sent = server.sent();
        assert_eq!(
            (sent[0].method.as_str(), sent[0].path.as_str()),
            ("GET", "/prompt/job-1")
        );
        assert_eq!(sent[0].token, "Bearer sesame");
    }
}

#[tokio::test]
async fn addresses_and_tokens_are_checked() {
    let server = StandIn::start(&[]).await;
    for (url, wanted) in [
        ("", ToolError::Url),
        ("127.0.0.1:9000/prompt", ToolError::Url),
        ("ftp://h/prompt", ToolError::Url),
        ("http://me:word@h/prompt", ToolError::Credentials),
    ] {
        let mut tool = server.tool("t");
        tool.url = url.to_owned();
        assert_eq!(Endpoint::new(&tool).err(), Some(wanted), "{url}");
    }
    for status_url in [
        "http://elsewhere/{id}",
        "http://127.0.0.1:1/{id}",
        "https://h/{id}",
        "http://h/",
        "http://{id}/",
        // Nothing that is sent holds it, though its letters do occur there.
        "http://h/text#{id}",
        "",
    ] {
        let mut tool = server.tool("t");
        tool.url = "http://h/prompt".into();
        tool.job = Some(JobWatch {
            status_url: status_url.to_owned(),
            every: Duration::from_secs(1),
            longest: Duration::from_secs(9),
        });
        assert_eq!(
            Endpoint::new(&tool).err(),
            Some(ToolError::StatusUrl),
            "{status_url}"
        );
    }
    let mut tool = server.tool("t");
    tool.token = Some(Secret::new("line\nbreak"));
    assert_eq!(Endpoint::new(&tool).err(), Some(ToolError::Token));
    assert!(!format!("{:?}", Endpoint::new(&server.tool("t"))).contains("sesame"));
}
