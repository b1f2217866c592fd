//! The real OpenClaw has a phone rung: its agent, moved by a scripted model, calls our MCP tool, and a real softphone rings
//! and hears why. Skipped by name where OpenClaw is not installed.

use std::time::Duration;

use agent_bridge::gateways::Gateway as _;
use serde_json::json;

use crate::baresip::{Phone, Setup, Transport};
use crate::callback::{AT_ANY_HOUR, expect_state, object};
use crate::offhook::Offhook;
use crate::openclaw::claw::{Claw, TOKEN};
use crate::openclaw::installed::installed;
use crate::openclaw::model::Model;
use crate::openclaw::{DONE, ask, whole};
use crate::peers::{BARESIP, take_floor};

/// Of the kind that the embedded ears know.
const NEWS: &str = "Set a timer for a few minutes.";

#[test]
fn an_agent_of_openclaw_has_a_phone_rung() {
    let test = "an_agent_of_openclaw_has_a_phone_rung";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start_with("openclaw", AT_ANY_HOUR);
    let account = offhook.first_phone();
    let setup = Setup::silent(&account, Transport::Udp, false);
    let mut phone = Phone::answering(&offhook, &setup);
    let model = Model::start();
    let voice = json!({
        "url": format!("http://{}/mcp", offhook.web),
        "transport": "streamable-http",
        "headers": { "Authorization": format!("Bearer {}", offhook.api_token()) },
    });
    let more =
        json!({ "tools": { "toolSearch": false }, "mcp": { "servers": { "voice": voice } } });
    let provider = format!("http://{}/v1", model.address);
    let claw = Claw::start(installed, (&provider, "none"), more);
    let (is_well, said) = claw.says(&["mcp", "doctor", "voice", "--probe"]);
    assert!(is_well, "{said}");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let gateway = claw.gateway(TOKEN, "device");
        gateway.check().await.expect("a link");
        let (_asked, mut told) = ask(
            &gateway,
            "phone1",
            &[&format!("Tell me by telephone: {NEWS}")],
        );
        let reply = whole(&mut told).await;
        assert_eq!(
            (reply.text.as_str(), reply.end),
            ("It is done.", DONE),
            "{}",
            claw.tail()
        );
    });
    let (_, listed) = offhook.http("GET", "/api/calls", "");
    let listed = object(&listed);
    let id = listed["requests"][0]["id"].as_str().map(str::to_owned);
    let id = id.unwrap_or_else(|| panic!("nobody was called: {listed:#}"));
    // What our tool said is what the model was told.
    let seen = model.seen();
    let told = seen
        .iter()
        .any(|seen| seen.request.to_string().contains(&id));
    assert!(told, "{id} in none of {} requests", seen.len());
    phone.expect_established(&offhook);
    phone.stay(Duration::from_secs(6));
    phone.hang_up();
    let value = expect_state(&offhook, &id, "heard");
    assert_eq!(object(&value.to_string())["say"], NEWS);
    let recording = phone.recording();
    offhook.expect_spoken(NEWS, &recording, &phone.tail());
}
