//! How the real OpenClaw is started, for every test and bench that does so: the config it needs and its command line, with
//! nothing of the home or the group of whoever runs the tests.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// A gateway on loopback that asks `provider`, a base address and a key, for its model.
pub fn config(port: u16, token: &str, workspace: &Path, provider: (&str, &str)) -> Value {
    let (address, key) = provider;
    let provider = json!({
        "baseUrl": address, "apiKey": key, "api": "openai-completions",
        "models": [{
            "id": "stub-1", "name": "Stub", "reasoning": false, "input": ["text"], "contextWindow": 128_000,
            "maxTokens": 4_096, "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        }],
    });
    // Its heartbeat is a request nobody made, at a moment of its own.
    json!({
        "gateway": {"mode": "local", "port": port, "bind": "loopback", "auth": {"mode": "token", "token": token}},
        "models": {"mode": "replace", "providers": {"stub": provider}},
        "agents": {"defaults": {
            "model": {"primary": "stub/stub-1"}, "workspace": workspace, "skipBootstrap": true,
            "heartbeat": {"every": "0m"},
        }},
    })
}

/// `home` holds `openclaw.json`; the state goes there as well. It leads a group of its own.
pub fn command(installed: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(installed.join("node"));
    command
        .arg(installed.join("node_modules/openclaw/openclaw.mjs"))
        .args(arguments)
        .env("HOME", home)
        .env("OPENCLAW_STATE_DIR", home.join("state"))
        .env("OPENCLAW_CONFIG_PATH", home.join("openclaw.json"))
        .current_dir(home)
        .process_group(0);
    command
}
