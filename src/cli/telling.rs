//! Words of the command line about calls and what they leave: `calls`, `tell`, `messages`, `export`.

use clap::Args;

use crate::commands;
use crate::commands::tell::TellOptions;
use crate::config::Config;
use crate::export::Format;
use crate::home::Home;

#[derive(Args)]
pub struct CallsArgs {
    /// Calls to list, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  offhook tell \"The backup has failed.\"
  offhook tell \"The cellar is wet.\" --to anna --urgent --why \"water sensor 2, 3 cm\"
  offhook tell \"Your parcel is here.\" --text
The phone rings now, or after quiet hours, and again when nobody answers; then it is a message.
Needs a running server on this machine.")]
pub struct TellArgs {
    /// The first words of the call
    text: String,
    /// An account, an extension, or a number from `allowed` in [callbacks]; without it, the owner
    #[arg(long, value_name = "WHOM", default_value = "")]
    to: String,
    /// What the assistant should know when they ask
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// It can't wait
    #[arg(long)]
    urgent: bool,
    /// Leave a message and ring nobody
    #[arg(long = "text")]
    text_only: bool,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct MessagesArgs {
    /// Only those for this account
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Those that were read as well
    #[arg(long)]
    all: bool,
    /// Mark what is shown as read
    #[arg(long)]
    read: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  offhook export anna/agent > anna.md
  offhook export 3f2a --format jsonl
What was said, in which call, who answered each turn and with which tools. No addresses, no secrets.")]
pub struct ExportArgs {
    /// A conversation, a call, or the end of a call's name
    name: String,
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
}

impl TellArgs {
    pub async fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        let options = TellOptions {
            say: self.text,
            to: self.to,
            why: self.why,
            urgent: self.urgent,
            text_only: self.text_only,
            json: self.json,
        };
        commands::tell::tell(home, config, options).await
    }
}

impl MessagesArgs {
    pub fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        let user = self.user.as_deref();
        commands::tell::messages(home, config, user, self.all, self.read)
    }
}

impl ExportArgs {
    pub fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        commands::export::export(home, config, &self.name, self.format)
    }
}
