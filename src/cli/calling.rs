//! Words of the command line about test calls: `call`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::test_caller::drill_report::DrillOptions;
use crate::test_caller::report::CallOptions;

#[derive(Args)]
pub struct CallArgs {
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
    /// Sound file to speak; may be given again
    #[arg(long, value_name = "FILE")]
    wav: Vec<PathBuf>,
    /// Text to speak; may be given again
    #[arg(long, value_name = "TEXT")]
    say: Vec<String>,
    /// All of it so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Write what was heard to this WAV file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Longest wait for a reply, in seconds
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    reply_s_max: u32,
    /// Play this drill instead: a file, or standard (35 minutes), quick (5 minutes), turns
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["wav", "say", "repeat"])]
    drill: Option<String>,
    /// The drill's turns ask what the WAV files of this folder say
    #[arg(long, value_name = "FOLDER", requires = "drill")]
    clips: Option<PathBuf>,
    /// The drill in so many calls at once
    #[arg(long, value_name = "N", default_value_t = 1, requires = "drill", value_parser = clap::value_parser!(u32).range(1..=100))]
    calls: u32,
    /// The drill over bare RTP (PCMU) to this address, without any signalling
    #[arg(long, value_name = "ADDRESS:PORT", requires = "drill", conflicts_with_all = ["server", "user", "tcp"])]
    rtp: Option<SocketAddr>,
    /// The drill's voice
    #[arg(
        long,
        value_name = "NAME",
        default_value = "flite:rms",
        requires = "drill"
    )]
    voice: String,
}

/// The password of a user who logs in: from a file, or from OFFHOOK_PASSWORD.
pub fn password(user: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match (user, file) {
        (None, _) => Ok(None),
        (Some(_), None) => Ok(std::env::var("OFFHOOK_PASSWORD").ok()),
        (Some(_), Some(path)) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("password file {}", path.display()))?;
            Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
        }
    }
}

impl CallArgs {
    /// As the test caller takes them; the password comes from its file or the environment.
    pub fn options(self) -> anyhow::Result<CallOptions> {
        let password = password(self.user.as_deref(), self.password_file.as_deref())?;
        Ok(CallOptions {
            server: self.server,
            tcp: self.tcp,
            user: self.user,
            password,
            number: self.number,
            wav: self.wav,
            say: self.say,
            repeat: self.repeat,
            record: self.record,
            json: self.json,
            reply_s_max: self.reply_s_max,
            drill: self.drill.map(|drill| DrillOptions {
                drill,
                clips: self.clips,
                calls: self.calls,
                rtp: self.rtp,
                voice: self.voice,
            }),
        })
    }
}
