//! The words of `offhook people`.

use clap::{Args, Subcommand};

use crate::commands::people as run;
use crate::config::Config;
use crate::home::Home;

#[derive(Args)]
#[command(after_help = "\
Examples:
  offhook people                            who is who, and who waits with a code
  offhook people link ABCD2345 anna         whoever was given this code is anna from now on
  offhook people unlink telegram 12345
A running server notices within a second.")]
pub(super) struct PeopleArgs {
    /// The list as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<PeopleCommand>,
}

#[derive(Subcommand)]
enum PeopleCommand {
    /// Show links and codes
    List,
    /// Let somebody in who was given a code
    Link { code: String, person: String },
    /// Forget a link
    Unlink { channel: String, id: String },
}

impl PeopleArgs {
    pub(super) fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        match self.command {
            None | Some(PeopleCommand::List) => run::list(home, config, self.json),
            Some(PeopleCommand::Link { code, person }) => run::link(home, config, &code, &person),
            Some(PeopleCommand::Unlink { channel, id }) => run::unlink(home, config, &channel, &id),
        }
    }
}
