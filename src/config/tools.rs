//! PURE. `[[tools]]`: what models may do besides talking, each one HTTP address of the owner's. Every default stands here
//! and nowhere else. What a tool is and when one runs is `agent_bridge::tools`' affair.

use std::path::PathBuf;
use std::time::Duration;

use agent_bridge::levels::Level;
use agent_bridge::router::place::Place;

use super::agents::Levels;
use super::agents_keys::levels;
use super::keys::web_address;
use super::reader::{Reader, Section};
use super::sections::{Config, SecretSource};

const TOOLS_MAX: usize = 64;
const DESCRIPTION_CHARS_MAX: usize = 1_000;
const APPROVAL: [(&str, bool); 2] = [("always", true), ("never", false)];
const NAME: &str = "1 to 64 letters, digits, - and _";
const ADDRESS: &str = "an address that starts with http:// or https://";

/// One `[[tools]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolEntry {
    pub name: String,
    /// For the model: what it does, and when to use it.
    pub description: String,
    /// The JSON schema of its arguments, as a text or in a file (a relative path starts at the home folder); neither: it
    /// takes none.
    pub schema: Option<String>,
    pub schema_file: Option<PathBuf>,
    /// Takes the arguments by POST.
    pub url: String,
    /// Sent as a bearer token: `token_file`, `token_env`, or OFFHOOK_TOOLS_1_TOKEN and so on.
    pub token: SecretSource,
    pub timeout: Duration,
    pub needs_approval: bool,
    pub levels: Vec<Level>,
    /// The agents that have it; empty: all. `agent` is that of `[agent]`.
    pub agents: Vec<String>,
    pub waiting_max: usize,
    /// Where it is asked whether accepted work is done, with `{id}` in it.
    pub status_url: Option<String>,
    pub status_every: Duration,
    pub status_longest: Duration,
}

pub(super) fn tool(section: &mut Section<'_, '_>) -> ToolEntry {
    let seconds = |value: u32| Duration::from_secs(u64::from(value));
    let address = |text: &str| web_address(text).filter(|text| text.starts_with("http"));
    let entry = ToolEntry {
        name: section.parsed("name", String::new(), NAME, name, String::clone),
        description: section.text("description", ""),
        schema: section.optional_text("schema"),
        schema_file: section.optional_path("schema_file"),
        url: section.parsed("url", String::new(), ADDRESS, address, String::clone),
        token: section.secret("token", "token_file", "token_env"),
        timeout: seconds(section.integer("timeout_s", 30, 1..=600)),
        needs_approval: section.choice("approval", true, &APPROVAL),
        levels: levels(section, "levels", &Levels::default().agent),
        agents: section.list("agents", &[], "names of agents", agent, String::clone),
        waiting_max: section.integer("waiting_max", 4, 0..=32),
        status_url: section.optional_parsed("status_url", None, ADDRESS, address, String::clone),
        status_every: seconds(section.integer("status_every_s", 5, 1..=600)),
        status_longest: seconds(section.integer("status_longest_s", 6 * 3_600, 60..=7 * 86_400)),
    };
    for key in ["name", "description", "url"] {
        section.require(key, section.has(key), "missing");
    }
    let is_short = entry.description.chars().count() <= DESCRIPTION_CHARS_MAX;
    let most = format!("at most {DESCRIPTION_CHARS_MAX} letters");
    section.require("description", is_short, &most);
    let is_one = entry.schema.is_none() || entry.schema_file.is_none();
    section.require("schema", is_one, "there is `schema_file` too");
    let is_json = entry
        .schema
        .as_ref()
        .is_none_or(|text| serde_json::from_str::<serde_json::Value>(text).is_ok());
    section.require("schema", is_json, "it is not JSON");
    entry
}

/// What the tables say of each other and of other sections.
pub(super) fn agree(reader: &mut Reader<'_>, config: &Config) {
    let is_short = config.tools.len() <= TOOLS_MAX;
    let most = format!("at most {TOOLS_MAX} tables");
    reader.require("tools", "name", is_short, &most);
    for (n, tool) in config.tools.iter().enumerate() {
        let section = format!("tools[{}]", n + 1);
        let is_new = config.tools[..n].iter().all(|one| one.name != tool.name);
        let taken = format!("`{}` is taken", tool.name);
        reader.require(&section, "name", is_new, &taken);
        let is_known =
            |name: &String| name == "agent" || config.agents.iter().any(|a| a.name == *name);
        let all_known = tool.agents.iter().all(is_known);
        reader.require(&section, "agents", all_known, "no such agent");
        let is_let = config.cloud.allow || config.cloud.place(&tool.url) == Place::Local;
        let forbidden = "it is in the cloud, which `allow = false` in [cloud] forbids";
        reader.require(&section, "url", is_let, forbidden);
    }
}

fn name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

fn agent(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let read = Config::parse(text, &[]);
        read.map(|(config, _)| config)
            .map_err(|problems| format!("{problems:?}"))
    }

    const TOOL: &str = "[[tools]]\nname = 'weather'\ndescription = 'Says the weather.'\nurl = 'http://127.0.0.1:9000/w'\n";

    #[test]
    fn a_tool_has_careful_defaults() {
        let config = read(TOOL).expect("a config");
        let [tool] = &config.tools[..] else {
            panic!("{:?}", config.tools);
        };
        assert!(tool.needs_approval);
        assert_eq!(tool.levels, [Level::Owner, Level::Family]);
        assert_eq!(tool.timeout, Duration::from_secs(30));
        assert_eq!(tool.token.default_variable, "OFFHOOK_TOOLS_1_TOKEN");
        let more = "approval = 'never'\ntoken_file = 't'\nlevels = ['owner']\ntimeout_s = 5\nagents = ['agent']\n\
                    schema = '{\"type\": \"object\"}'\nstatus_url = 'http://127.0.0.1:9000/w/{id}'\n";
        let config = read(&format!("{TOOL}{more}")).expect("a config");
        let tool = &config.tools[0];
        assert!(!tool.needs_approval && tool.token.file.is_some());
        assert_eq!(
            tool.status_url.as_deref(),
            Some("http://127.0.0.1:9000/w/{id}")
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (text, wanted) in [
            ("[[tools]]\nname = 'a b'\n", NAME),
            ("[[tools]]\nname = 'a'\n", "missing"),
            (&format!("{TOOL}{TOOL}"), "`weather` is taken"),
            (&format!("{TOOL}agents = ['nobody']"), "no such agent"),
            (&format!("{TOOL}schema = '{{'"), "it is not JSON"),
            (
                &format!("{TOOL}schema = '{{}}'\nschema_file = 'x'"),
                "there is `schema_file` too",
            ),
            (&format!("{TOOL}status_url = 'ws://x/{{id}}'"), ADDRESS),
            (
                &format!(
                    "[cloud]\nallow = false\n{}",
                    TOOL.replace("127.0.0.1", "api.example.com")
                ),
                "forbids",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
