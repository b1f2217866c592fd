//! The owner's tools in the program: made from `[[tools]]`, allowed through the office of approvals, written into the audit
//! log, and told of by a call when work was accepted and is over. What runs and when is `agent_bridge::tools`'.

use std::sync::Arc;

use agent_bridge::approvals::{ApprovalRequest, Decision};
use agent_bridge::gateways::{Secret, ToolSpec};
use agent_bridge::tools::toolbox::Toolbox;
use agent_bridge::tools::{Finished, JobWatch, Owner, Ran, Tool};
use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tracing::warn;

use crate::approvals::Approvals;
use crate::audit::{Event, Kind};
use crate::callbacks::Channel;
use crate::callbacks::desk::{Desk, NewRequest};
use crate::config::{Config, ToolEntry};
use crate::home::Home;
use crate::records::{Recorder, unix_ms};
use crate::secrets::SecretStore;

/// The longest file of a schema.
const SCHEMA_BYTES_MAX: u64 = 64 * 1024;

/// The tools of the config; none where it has none.
pub fn build(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Option<Arc<Toolbox>>> {
    if config.tools.is_empty() {
        return Ok(None);
    }
    let mut tools = Vec::new();
    for entry in &config.tools {
        let tool = tool(entry, secrets, home);
        tools.push(tool.with_context(|| format!("[[tools]] {}", entry.name))?);
    }
    let toolbox = Toolbox::new(tools, rand::random());
    let toolbox = toolbox.map_err(|(name, error)| anyhow::anyhow!("[[tools]] {name}: {error}"))?;
    Ok(Some(Arc::new(toolbox)))
}

fn tool(entry: &ToolEntry, secrets: &SecretStore, home: &Home) -> anyhow::Result<Tool> {
    let key = format!("tools.{}.token", entry.name);
    let token = secrets.resolve(&entry.token, &key, home.root())?;
    Ok(Tool {
        spec: ToolSpec {
            name: entry.name.clone(),
            description: entry.description.clone(),
            parameters: schema(entry, home)?,
        },
        url: entry.url.clone(),
        token: token.map(|token| Secret::new(token.expose())),
        timeout: entry.timeout,
        needs_approval: entry.needs_approval,
        levels: entry.levels.clone(),
        agents: entry.agents.clone(),
        waiting_max: entry.waiting_max,
        job: entry.status_url.as_ref().map(|status_url| JobWatch {
            status_url: status_url.clone(),
            every: entry.status_every,
            longest: entry.status_longest,
        }),
    })
}

fn schema(entry: &ToolEntry, home: &Home) -> anyhow::Result<Value> {
    let text = match (&entry.schema, &entry.schema_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            let path = home.root().join(path);
            let about = || format!("schema_file {}", path.display());
            let length = std::fs::metadata(&path).with_context(about)?.len();
            anyhow::ensure!(length <= SCHEMA_BYTES_MAX, "{}: too long", about());
            std::fs::read_to_string(&path).with_context(about)?
        }
        (None, None) => r#"{"type": "object", "properties": {}}"#.to_owned(),
    };
    serde_json::from_str(&text).context("its schema is not JSON")
}

/// What the program does for its tools.
pub struct OwnersSide {
    pub approvals: Approvals,
    pub recorder: Recorder,
    pub desk: Desk,
}

impl Owner for OwnersSide {
    fn permit(&self, request: ApprovalRequest) -> BoxFuture<'_, Decision> {
        self.approvals.ask(request).boxed()
    }

    fn ran(&self, run: Ran) {
        self.recorder.audit(event_of(run).row(unix_ms()));
    }

    fn finished(&self, work: Finished) {
        let request = telling(&work);
        let desk = self.desk.clone();
        tokio::spawn(async move {
            if let Err(error) = desk.request(request).await {
                warn!(tool = %work.tool, %error, "the end of its work could not be told");
            }
        });
    }
}

fn event_of(run: Ran) -> Event {
    Event {
        channel: channel_of(run.call.as_deref()).to_owned(),
        call: run.call,
        user: run.user,
        level: run.level,
        kind: Kind::ToolRun,
        what: run.tool,
        result: format!("{}, {} ms", run.outcome, run.took.as_millis()),
    }
}

/// The same work is told once, whatever happens: the name of its call is the request's key. What the tool calls the work
/// is no such name, for a tool that was restarted may count from one again.
fn telling(work: &Finished) -> NewRequest {
    NewRequest {
        why: format!("{} is over", work.tool),
        key: Some(format!("tool:{}:{}", work.tool, work.call)),
        ..NewRequest::new(Channel::Call, &work.user, &work.say)
    }
}

/// How the books name the way that a question came.
pub(crate) fn channel_of(call: Option<&str>) -> &'static str {
    match call {
        Some(_) => "phone",
        None => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn a_tool_may_name_its_work_alike_twice() {
        let work = |call: &str| Finished {
            tool: "coding_agent".to_owned(),
            job: "job-1".to_owned(),
            call: call.to_owned(),
            user: "anna".to_owned(),
            say: "The coding agent is done.".to_owned(),
        };
        let key = |call| telling(&work(call)).key;
        assert_ne!(key("00ff-1"), key("00ff-2"));
        assert_eq!(key("00ff-1"), key("00ff-1"));
    }

    #[test]
    fn the_books_say_how_a_question_came() {
        let scratch = Scratch::new("tools-audit");
        let store = crate::store::Store::open(&scratch.path().join("a.db")).expect("a store");
        let (recorder, thread) = Recorder::start(store, false).expect("a thread");
        for call in [Some("call-1".to_owned()), None] {
            let run = Ran {
                tool: "weather".to_owned(),
                call,
                user: "anna".to_owned(),
                level: None,
                outcome: "ok, 2 bytes".to_owned(),
                took: std::time::Duration::from_millis(5),
            };
            recorder.audit(event_of(run).row(unix_ms()));
        }
        recorder.stop();
        thread.join().expect("the store's thread ends");
        let store = crate::store::Store::open(&scratch.path().join("a.db")).expect("a store");
        let rows = store.audit(10).expect("rows");
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {} {}", row.channel, row.what, row.result))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "phone weather ok, 2 bytes, 5 ms",
                "text weather ok, 2 bytes, 5 ms"
            ]
        );
    }

    fn built(tool: &str, files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let scratch = Scratch::new("tools");
        for (name, text) in files {
            std::fs::write(scratch.path().join(name), text).expect("written");
        }
        crate::testing::install_tls();
        let text = format!("[[tools]]\nname = 't'\ndescription = 'd'\n{tool}");
        let (config, _) = Config::parse(&text, &[]).expect("a config");
        let home = Home::at(scratch.path());
        let (secrets, _) =
            SecretStore::open_or_create(&home.secrets_path(), "offhook").expect("a store");
        let built = build(&config, &secrets, &home).map_err(|error| format!("{error:#}"))?;
        let offered = built
            .expect("some")
            .offered("agent", Some(agent_bridge::levels::Level::Owner));
        Ok(offered
            .iter()
            .map(|spec| spec.parameters.to_string())
            .collect())
    }

    #[test]
    fn schemas_come_from_the_config_or_a_file() {
        let url = "url = 'http://127.0.0.1:1/x'\n";
        let none = r#"{"properties":{},"type":"object"}"#.to_owned();
        assert_eq!(built(url, &[]), Ok(vec![none]));
        let object = r#"{"type":"object"}"#.to_owned();
        let inline = format!("{url}schema = '{object}'");
        assert_eq!(built(&inline, &[]), Ok(vec![object.clone()]));
        let file = format!("{url}schema_file = 's.json'");
        assert_eq!(built(&file, &[("s.json", &object)]), Ok(vec![object]));
        for (tool, wanted) in [
            (file.clone(), "[[tools]] t: schema_file "),
            (
                format!("{url}schema = '[]'"),
                "must be a JSON schema of an object",
            ),
            (
                format!("{url}status_url = 'http://h/{{id}}'"),
                "`status_url` must be",
            ),
            (format!("{url}token_file = 'none'"), "[[tools]] t: "),
        ] {
            let error = built(&tool, &[]).expect_err(&tool);
            assert!(error.contains(wanted), "{error}");
        }
    }
}
