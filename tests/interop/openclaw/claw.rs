//! The real OpenClaw as a process: a folder and a home of its own, a model of ours behind it, ended with all it started.
//! Owns its config and its links; what is asked of it is the tests'.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use agent_bridge::gateways::Secret;
use agent_bridge::gateways::openclaw::{OpenClaw, OpenClawConfig};
use agent_bridge::openclaw::{ClientConfig, KeyFile};
use serde_json::{Value, json};

use super::history::{history, request};
use super::launch;
use super::model::Model;
use crate::offhook::free_port;
use crate::process::{Folder, Process};

/// On a busy machine; otherwise it takes twenty seconds.
const START_LIMIT: Duration = Duration::from_secs(180);
/// Its command line loads for long.
const SAYS_LIMIT: Duration = Duration::from_secs(180);
pub const TOKEN: &str = "a-token-for-this-test-only";

/// A gateway with a home of its own.
pub struct Claw {
    installed: PathBuf,
    folder: Folder,
    pub port: u16,
    process: Option<Process>,
}

impl Claw {
    /// Asks `provider` for its model, a base address and a key. `more` are sections of its config beyond the usual ones.
    pub fn start(installed: PathBuf, provider: (&str, &str), more: Value) -> Claw {
        let folder = Folder::new("openclaw");
        let workspace = folder.path().join("workspace");
        std::fs::create_dir(&workspace).expect("own folder");
        let port = free_port();
        let mut config = launch::config(port, TOKEN, &workspace, provider);
        config["tools"] = json!({"exec": {"mode": "ask"}});
        for (section, value) in more.as_object().into_iter().flatten() {
            config[section] = value.clone();
        }
        std::fs::write(folder.path().join("openclaw.json"), config.to_string())
            .expect("own folder");
        let mut claw = Claw {
            installed,
            folder,
            port,
            process: None,
        };
        claw.run();
        claw
    }

    /// With this model behind it.
    pub fn with(installed: PathBuf, model: &Model) -> Claw {
        let address = format!("http://{}/v1", model.address);
        Claw::start(installed, (&address, "none"), json!({}))
    }

    /// It loads for twenty seconds, beside which other tests make calls: those go first.
    fn command(&self, arguments: &[&str]) -> Command {
        let home = self.folder.path();
        let bare = launch::command(&self.installed, home, arguments);
        let mut command = Command::new("nice");
        command
            .args(["-n", "5"])
            .arg(bare.get_program())
            .args(bare.get_args());
        for (name, value) in bare.get_envs() {
            command.env(name, value.expect("it takes nothing away"));
        }
        command.current_dir(home).process_group(0);
        command
    }

    /// One of its own commands: whether it went well, and what it wrote.
    pub fn says(&self, arguments: &[&str]) -> (bool, String) {
        let mut process = Process::start("openclaw's command", &mut self.command(arguments));
        let status = process.wait_for_end(SAYS_LIMIT);
        if status.is_none() {
            process.kill_group();
        }
        let is_good = status.is_some_and(|status| status.success());
        (is_good, process.tail())
    }

    pub fn run(&mut self) {
        let mut process = Process::start("openclaw", &mut self.command(&["gateway", "run"]));
        process.expect_output("http server listening", START_LIMIT);
        self.process = Some(process);
    }

    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill_group();
        process
            .wait_for_end(Duration::from_secs(10))
            .expect("nobody survives SIGKILL");
    }

    pub fn made(&self, file: &str) -> bool {
        self.folder.path().join("workspace").join(file).exists()
    }

    pub fn gateway(&self, token: &str, name: &str) -> OpenClaw {
        let key_file = self.folder.path().join(format!("{name}.json"));
        let mut seed = [0; 32];
        seed[..name.len()].copy_from_slice(name.as_bytes());
        let client = ClientConfig {
            url: format!("ws://127.0.0.1:{}", self.port),
            token: Some(Secret::new(token)),
            name: "Offhook".to_owned(),
            key_file: KeyFile::open_or_create(&key_file, seed).expect("a new key"),
            seed,
        };
        let config = OpenClawConfig {
            connect_timeout_ms: 60_000,
            first_token_timeout_ms: 90_000,
            idle_timeout_ms: 60_000,
            ..OpenClawConfig::default()
        };
        OpenClaw::new(client, config, seed).expect("a good address")
    }

    /// The last lines it wrote.
    pub fn tail(&self) -> String {
        self.process.as_ref().map(Process::tail).unwrap_or_default()
    }

    /// Its answer to one request.
    pub fn answers(&self, method: &str, params: Value) -> Value {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(request(self.port, TOKEN, method, params))
    }

    /// A conversation as it holds it: who spoke, and the words.
    pub fn history(&self, session_key: &str) -> Vec<(String, String)> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(history(self.port, TOKEN, session_key))
    }
}

impl Drop for Claw {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            process.kill_group();
        }
    }
}
