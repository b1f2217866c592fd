//! The words of `offhook approvals`, `offhook audit` and `offhook user pin`.

use agent_bridge::levels::Level;
use clap::{Args, Subcommand};

use crate::commands;
use crate::commands::user::PasswordFrom;
use crate::config::Config;
use crate::home::Home;

const EXAMPLES: &str = "\
Examples:
  offhook approvals                        what waits, and whether approvals are stopped
  offhook approvals allow 3f2a             once; the name may be cut short
  offhook approvals stop                   nothing risky is done until `offhook approvals lift`
A running server notices within a second. In a call, *0 stops everything.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ApprovalsArgs {
    /// The list as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<ApprovalsCommand>,
}

#[derive(Subcommand)]
enum ApprovalsCommand {
    /// Show what waits
    List,
    /// Show all that one request says
    Show { id: String },
    /// Allow it, this once
    Allow { id: String },
    /// Refuse it
    Deny { id: String },
    /// Refuse everything until it is lifted
    Stop,
    /// Allow approvals again
    Lift,
}

#[derive(Args)]
pub(super) struct AuditArgs {
    /// Entries to list, the newest last
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// As JSON, one entry on each line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct PinArgs {
    /// User name
    name: String,
    /// What the PIN raises a call to: owner or family
    #[arg(long, default_value = "owner", value_parser = pin_level)]
    level: Level,
    /// Ask for the PIN at the terminal, without echo
    #[arg(long, conflicts_with_all = ["pin_stdin", "remove"])]
    prompt: bool,
    /// Read the PIN from the first line of standard input
    #[arg(long, conflicts_with = "remove")]
    pin_stdin: bool,
    /// Take the PIN away
    #[arg(long)]
    remove: bool,
}

impl PinArgs {
    fn from(&self) -> Option<PasswordFrom> {
        match (self.remove, self.prompt, self.pin_stdin) {
            (true, ..) => None,
            (_, true, _) => Some(PasswordFrom::Terminal),
            (_, _, true) => Some(PasswordFrom::Stdin),
            _ => Some(PasswordFrom::Generator),
        }
    }
}

fn pin_level(text: &str) -> Result<Level, String> {
    let level = text.parse().ok().filter(|level| *level != Level::Guest);
    level.ok_or_else(|| "not owner or family".to_owned())
}

impl ApprovalsArgs {
    pub(super) fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        use commands::approvals as run;
        match self.command {
            None | Some(ApprovalsCommand::List) => run::list(home, config, self.json),
            Some(ApprovalsCommand::Show { id }) => run::show(home, config, &id),
            Some(ApprovalsCommand::Allow { id }) => run::decide(home, config, &id, true),
            Some(ApprovalsCommand::Deny { id }) => run::decide(home, config, &id, false),
            Some(ApprovalsCommand::Stop) => run::stop(home, config),
            Some(ApprovalsCommand::Lift) => run::lift(home, config),
        }
    }
}

impl AuditArgs {
    pub(super) fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        commands::audit::list(home, config, usize::from(self.count), self.json)
    }
}

impl PinArgs {
    pub(super) fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        commands::user::pin(home, config, &self.name, self.level, self.from())
    }
}
