//! Words of the command line about this machine as a phone: `talk`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::calling::password;
use crate::config::Config;
use crate::home::Home;
use crate::test_caller::report::CallOptions;
use crate::test_caller::talk;

#[derive(Args)]
pub struct TalkArgs {
    /// Number or name to dial
    #[arg(default_value = "100")]
    number: String,
    /// Server to register with; without one, this machine's
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: Option<SocketAddr>,
    /// TCP instead of UDP
    #[arg(long)]
    tcp: bool,
    /// User to log in as, with OFFHOOK_PASSWORD or --password-file; without one, the program's own
    #[arg(long)]
    user: Option<String>,
    /// File that holds the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl TalkArgs {
    pub async fn run(self, home: Home, config: Config) -> anyhow::Result<bool> {
        let password = password(self.user.as_deref(), self.password_file.as_deref())?;
        let options = CallOptions {
            server: self.server,
            tcp: self.tcp,
            user: self.user,
            password,
            number: self.number,
            ..CallOptions::default()
        };
        talk::run(home, config, options).await
    }
}
