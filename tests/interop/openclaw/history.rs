//! A conversation as OpenClaw itself holds it, read over a link of its own. Owns that question only.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Who spoke, and the words, oldest first; 200 at most.
pub async fn history(port: u16, token: &str, session: &str) -> Vec<(String, String)> {
    let address = format!("ws://127.0.0.1:{}", port);
    let (mut socket, _) = tokio_tungstenite::connect_async(address)
        .await
        .expect("a socket");
    let mut next = 0;
    loop {
        let frame = socket.next().await.expect("open").expect("a frame");
        let Message::Text(text) = frame else { continue };
        let frame: Value = serde_json::from_str(&text).expect("JSON");
        let (method, params) = match (frame["event"].as_str(), frame["id"].as_str()) {
            (Some("connect.challenge"), _) => (
                "connect",
                json!({ "minProtocol": 4, "maxProtocol": 4, "role": "operator",
                    "scopes": ["operator.read"], "auth": { "token": token },
                    "client": { "id": "gateway-client", "version": "0", "platform": "linux", "mode": "backend" } }),
            ),
            (_, Some("1")) => {
                assert_eq!(frame["ok"], true, "{frame}");
                (
                    "chat.history",
                    json!({ "sessionKey": session, "limit": 200 }),
                )
            }
            (_, Some("2")) => {
                let rows = frame["payload"]["messages"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                return rows.iter().map(row).collect();
            }
            _ => continue,
        };
        next += 1;
        let asked =
            json!({ "type": "req", "id": next.to_string(), "method": method, "params": params });
        socket
            .send(Message::text(asked.to_string()))
            .await
            .expect("sent");
    }
}

fn row(message: &Value) -> (String, String) {
    let role = message["role"].as_str().unwrap_or_default().to_owned();
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    };
    (role, text)
}
