//! Words of the command line about signing in to the page: `login`.

use clap::Args;

use crate::commands;
use crate::config::Config;
use crate::home::Home;

#[derive(Args)]
#[command(after_help = "\
Examples:
  offhook login                 for the owner
  offhook login anna            for somebody else who has an account
  offhook login --sign-out      signs out every browser of theirs
The link works once, for ten minutes.")]
pub struct LoginArgs {
    /// Account; without one, the owner's
    name: Option<String>,
    /// Sign out every browser of this account instead
    #[arg(long)]
    sign_out: bool,
}

impl LoginArgs {
    pub fn run(self, home: &Home, config: &Config) -> anyhow::Result<()> {
        match self.sign_out {
            true => commands::login::sign_out(home, config, self.name.as_deref()),
            false => commands::login::link(home, config, self.name.as_deref()),
        }
    }
}
