//! The command line: its words, its help, its exit codes.
//!
//! Not here: what the commands do (`commands`, `server`, `doctor`, `test_caller`).

mod approvals;
mod calling;
mod login;
mod people;
mod talk;
mod telling;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use approvals::{ApprovalsArgs, AuditArgs, PinArgs};

use crate::commands::replay::ReplayOptions;
use crate::commands::user::PasswordFrom;
use crate::commands::waterfall::WaterfallOptions;
use crate::config::{Config, ConfigError, Setting};
use crate::home::Home;
use crate::secrets::SecretsError;
use crate::store::{Store, StoreError};
use crate::{commands, config, doctor, log, server, test_caller};

/// Exit codes, as `offhook --help` states them. 2 is clap's own for wrong usage.
const FAILED: u8 = 1;
const NOT_CONFIGURED: u8 = 3;

const ABOUT: &str = "The phone line of your own assistant: register a softphone, dial 100, talk.";

const AFTER_HELP: &str = "\
First steps:
  offhook run                        start; prints what to type into your phone
  offhook call                       place a test call without a phone
  offhook doctor                     check everything

Files (in the home folder: --home, OFFHOOK_HOME, or ~/.local/share/offhook):
  offhook.toml    settings            secrets.toml   who may log in
  offhook.db      calls and talks     models/        speech models
  traces/         turns of calls

Each setting can come from the environment: [sip] port is OFFHOOK_SIP_PORT.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 config or secrets wrong";

#[derive(Parser)]
#[command(name = "offhook", version, about = ABOUT, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    /// Folder of this installation
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Config file, instead of offhook.toml in the home folder
    #[arg(long, global = true, value_name = "FILE", env = "OFFHOOK_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the phone line until Ctrl-C
    #[command(after_help = "\
Makes the home folder, offhook.toml and a first user where they are missing; never overwrites.
Fetches a speech model on the first start (OFFLINE=1 skips that).
Ctrl-C says goodbye in every call and stops; a second one stops at once.")]
    Run(RunArgs),
    /// Print a link that signs a browser in to the page
    Login(login::LoginArgs),
    /// Manage who may register a phone
    #[command(
        subcommand,
        after_help = "\
Examples:
  offhook user add kitchen                    makes up a password and shows it once
  offhook user add kitchen --prompt           asks for one
  pass phone | offhook user passwd kitchen --password-stdin
A running server notices within a second. Passwords are stored as hashes only."
    )]
    User(UserCommand),
    /// List, add and lift bans of addresses
    #[command(after_help = "\
Examples:
  offhook bans                             who is not heard, why, until when
  offhook bans add 192.0.2.7 --for 7d
  offhook bans remove 192.0.2.7
An IPv6 address stands for its /64. A running server notices within a second.")]
    Bans(BansArgs),
    /// Decide what waits for a yes, and stop or allow risky actions
    Approvals(ApprovalsArgs),
    /// Say who writes by Telegram, Matrix and the like
    People(people::PeopleArgs),
    /// Show what was asked, allowed and refused
    Audit(AuditArgs),
    /// Write what is said in a sound file to standard output
    #[command(after_help = "\
Examples:
  offhook transcribe note.ogg
  offhook transcribe --model small.en-q5_1 note.wav
Reads WAV, Ogg/Opus and WebM/Opus (voice notes), MP3, M4A/AAC and FLAC, told by their content. Prints one line; an
empty one when nobody speaks.")]
    Transcribe(TranscribeArgs),
    /// Say a text into a sound file
    #[command(after_help = "\
Examples:
  offhook speak \"The kettle is on.\" -o kettle.wav
  echo \"Good morning\" | offhook speak - -o morning.ogg")]
    Speak(SpeakArgs),
    /// List, fetch and check speech models
    #[command(
        subcommand,
        after_help = "\
Examples:
  offhook models list
  offhook models pull                  the one a first start fetches
  offhook models pull small.en-q5_1    better ears, slower
Broken downloads go on where they stopped. OFFLINE=1 fetches nothing."
    )]
    Models(ModelsCommand),
    /// Check config, network, speech, voice and agent
    Doctor,
    /// Place a test call and measure it
    #[command(after_help = "\
Examples:
  offhook call                                  dials 100 and asks what time it is
  offhook call 101 --wav hello.wav              echo test
  offhook call --say \"roll two dice\" --record call.wav
  OFFHOOK_PASSWORD=… offhook call --server 100.64.0.7:5060 --user kitchen
  offhook call --drill quick                    turns, pauses, interruptions, agreement, echo: a table
  offhook call --drill my.drill --calls 4       steps from a file, four callers at once
A drill's file has a step on each line: turn QUESTION · pause MS FIRST | SECOND ·
barge MS QUESTION | WORDS · backchannel MS QUESTION | WORDS · echo DB MS QUESTION [| WORDS]
Words may also be <cough>, <door>, <laugh> or file:PATH.
Fails unless every utterance was answered.")]
    Call(Box<calling::CallArgs>),
    /// Talk by this machine's microphone and loudspeaker
    Talk(talk::TalkArgs),
    /// List the calls, and what asking early brought in them
    Calls(telling::CallsArgs),
    /// Have somebody called and told something
    Tell(telling::TellArgs),
    /// Read what could not be said in a call
    Messages(telling::MessagesArgs),
    /// Write one conversation to standard output
    Export(telling::ExportArgs),
    /// Draw where the time of a call's turns went
    #[command(after_help = "\
Examples:
  offhook waterfall                       the last call with turns
  offhook waterfall 3f2a --turn 2         the call whose name ends in 3f2a
  offhook waterfall --svg turns.svg
Each bar begins when its stage could begin. 0 is the caller's last voice.")]
    Waterfall(WaterfallArgs),
    /// Play a recorded call again, with the same or with other settings
    #[command(after_help = "\
Examples:
  offhook replay 0199f3a2b7c41d2e3f2a      the trace of this call in traces/
  offhook replay trace.json --set turn.wait_ms_sure=200 --set turn.speculation=false
With its own settings a call must come out the same. With others, a table says what would have changed:
the caller is taken to do what they did, and who answers to answer as they did.")]
    Replay(ReplayArgs),
    /// Show and check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Args)]
struct RunArgs {
    /// If the database is damaged, rename it and start an empty one
    #[arg(long)]
    set_aside_database: bool,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Let a new user register
    Add(PasswordArgs),
    /// Show all users
    List,
    /// Lock a user out
    Remove {
        /// User name
        name: String,
    },
    /// Give a user a new password
    Passwd(PasswordArgs),
    /// Give a user a PIN, which raises what a call may do
    Pin(PinArgs),
}

#[derive(Args)]
struct BansArgs {
    /// The list as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<BansCommand>,
}

#[derive(Subcommand)]
enum BansCommand {
    /// Show all bans
    List,
    /// Hear nothing of an address for a while
    Add {
        address: sip::Block,
        /// How long: 30m, 12h, 7d
        #[arg(long = "for", value_name = "TIME", default_value = "1d",
              value_parser = commands::bans::lasting)]
        lasting: std::time::Duration,
    },
    /// Hear an address again
    Remove { address: sip::Block },
}

#[derive(Args)]
struct PasswordArgs {
    /// User name: small letters, digits and . _ - +
    name: String,
    /// Ask for the password at the terminal, without echo
    #[arg(long, conflicts_with = "password_stdin")]
    prompt: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    fn from(&self) -> PasswordFrom {
        match (self.prompt, self.password_stdin) {
            (true, _) => PasswordFrom::Terminal,
            (_, true) => PasswordFrom::Stdin,
            _ => PasswordFrom::Generator,
        }
    }
}

#[derive(Args)]
struct TranscribeArgs {
    /// WAV, Ogg/Opus, WebM/Opus, MP3, M4A/MP4, AAC or FLAC file, told by its content; - is standard input
    file: PathBuf,
    /// Model name or file, instead of [asr] model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Language, instead of [asr] language
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
}

#[derive(Args)]
struct SpeakArgs {
    /// What to say; - is standard input
    text: String,
    /// WAV or Ogg/Opus file, by its ending; - writes WAV to standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Voice, instead of [tts] voice
    #[arg(long, value_name = "NAME")]
    voice: Option<String>,
    /// Speaking rate, instead of [tts] rate
    #[arg(long, value_name = "0.5…2", value_parser = commands::speak::rate)]
    rate: Option<f32>,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// Show known and installed models
    List,
    /// Fetch a model and check it
    Pull {
        /// Model name; without one, [models] preferred
        name: Option<String>,
    },
    /// Check installed models against their checksums
    Verify {
        /// Model names; without any, all that are installed
        names: Vec<String>,
    },
}

#[derive(Args)]
struct WaterfallArgs {
    /// Name of a call, or the end of it; without one, the last call with turns
    call: Option<String>,
    /// Only this turn, from 1
    #[arg(long, value_name = "N")]
    turn: Option<u32>,
    /// Write a picture; - is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Args)]
struct ReplayArgs {
    /// Trace file, or name of a call whose trace is kept
    file: PathBuf,
    /// A setting of [turn] instead of the recorded one; may be given again
    #[arg(long, value_name = "turn.KEY=VALUE")]
    set: Vec<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check the config file; every mistake with its line
    Check,
    /// Print every key with its value and where that comes from
    Show,
    /// Print where the config file is
    Path,
}

/// Runs the program.
pub fn main() -> ExitCode {
    // SAFETY: nothing else runs yet, so nobody reads the environment meanwhile.
    unsafe {
        // A failed assertion of the model library would otherwise start a debugger.
        std::env::set_var("GGML_NO_BACKTRACE", "1");
    }
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(std::env::args_os()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("offhook: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let is_config = error.chain().any(|cause| {
        let secrets = cause.downcast_ref::<SecretsError>();
        cause.is::<ConfigError>()
            || matches!(
                secrets,
                Some(SecretsError::TooOpen { .. } | SecretsError::Corrupt { .. })
            )
    });
    if is_config { NOT_CONFIGURED } else { FAILED }
}

/// Whether what was asked for went well.
fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<bool> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let home = Home::locate(cli.home.as_deref())?;
    let config_path = cli.config.unwrap_or_else(|| home.config_path());
    if let Command::Config(command) = &cli.command {
        match command {
            ConfigCommand::Check => commands::config::check(&home, &config_path)?,
            ConfigCommand::Show => commands::config::show(&config_path)?,
            ConfigCommand::Path => commands::print(&format!("{}\n", config_path.display()))?,
        }
        return Ok(true);
    }
    if let Command::Run(_) = &cli.command {
        home.create()?;
        let wrote = config::write_template(&config_path);
        if wrote.with_context(|| format!("writing {}", config_path.display()))? {
            eprintln!(
                "offhook: wrote {} (settings, all at their defaults)",
                config_path.display()
            );
        }
    }
    let (mut config, _) = load_config(&config_path)?;
    config.anchor(home.root());
    let is_server = matches!(cli.command, Command::Run(_));
    if !is_server && config.log.level == config::Log::default().level {
        // A command's own words are on standard output; lines of the inside would be in the way.
        config.log.level = "warn".to_owned();
    }
    let _log = log::start(&config.log).context("log")?;
    match cli.command {
        Command::Run(args) => {
            if args.set_aside_database {
                set_aside_database(&home, &config)?;
            }
            wait(server::run(home, config))?;
        }
        Command::User(command) => match command {
            UserCommand::Add(args) => commands::user::add(&home, &config, &args.name, args.from())?,
            UserCommand::Passwd(args) => {
                commands::user::passwd(&home, &config, &args.name, args.from())?
            }
            UserCommand::Pin(args) => args.run(&home, &config)?,
            UserCommand::Remove { name } => commands::user::remove(&home, &config, &name)?,
            UserCommand::List => commands::user::list(&home, &config)?,
        },
        Command::Login(args) => args.run(&home, &config)?,
        Command::Approvals(args) => args.run(&home, &config)?,
        Command::People(args) => args.run(&home, &config)?,
        Command::Audit(args) => args.run(&home, &config)?,
        Command::Bans(args) => match args.command {
            None | Some(BansCommand::List) => commands::bans::list(&home, &config, args.json)?,
            Some(BansCommand::Add { address, lasting }) => {
                commands::bans::add(&home, &config, address, lasting)?;
            }
            Some(BansCommand::Remove { address }) => {
                commands::bans::remove(&home, &config, address)?;
            }
        },
        Command::Tell(args) => wait(args.run(&home, &config))?,
        Command::Messages(args) => args.run(&home, &config)?,
        Command::Export(args) => args.run(&home, &config)?,
        Command::Transcribe(args) => {
            if let Some(model) = args.model {
                config.asr.model = model;
            }
            if let Some(language) = args.language {
                config.asr.language = language;
            }
            commands::transcribe::transcribe(&home, &config, &args.file)?;
        }
        Command::Speak(args) => {
            if let Some(voice) = args.voice {
                config.tts.voice = voice;
            }
            if let Some(rate) = args.rate {
                config.tts.rate = rate;
            }
            commands::speak::speak(&config, &args.text, &args.output)?;
        }
        Command::Models(command) => match command {
            ModelsCommand::List => commands::models::list(&home, &config)?,
            ModelsCommand::Pull { name } => {
                wait(commands::models::pull(&home, &config, name.as_deref()))?
            }
            ModelsCommand::Verify { names } => {
                wait(commands::models::verify(&home, &config, &names))?
            }
        },
        Command::Doctor => return wait(doctor::run(home, config)),
        Command::Call(args) => {
            let options = args.options()?;
            return wait(test_caller::report::run(home, config, options));
        }
        Command::Talk(args) => return wait(args.run(home, config)),
        Command::Calls(args) => {
            commands::calls::list(&home, &config, usize::from(args.count), args.json)?;
        }
        Command::Waterfall(args) => {
            let options = WaterfallOptions {
                call: args.call,
                turn: args.turn,
                svg: args.svg,
            };
            commands::waterfall::draw(&home, &config, &options)?;
        }
        Command::Replay(args) => {
            let options = ReplayOptions {
                file: args.file,
                set: args.set,
                json: args.json,
            };
            return commands::replay::replay(&home, &options);
        }
        Command::Config(_) => {}
    }
    Ok(true)
}

/// Reads the config file; a missing one is an empty one, so that every command works before the first
/// start.
pub(crate) fn load_config(path: &Path) -> Result<(Config, Vec<Setting>), ConfigError> {
    match Config::load_with_settings(path) {
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Config::from_environment(path)
        }
        loaded => loaded,
    }
}

fn set_aside_database(home: &Home, config: &Config) -> anyhow::Result<()> {
    let path = config
        .store
        .path
        .as_ref()
        .map_or_else(|| home.database_path(), |path| home.root().join(path));
    if let Err(StoreError::Corrupt { why, .. }) = Store::open(&path) {
        let now_s = jiff::Timestamp::now().as_second().unsigned_abs();
        let aside = Store::set_aside(&path, now_s).context("setting the database aside")?;
        eprintln!(
            "offhook: the database was damaged ({why}); it is {} now",
            aside.display()
        );
    }
    Ok(())
}

fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("runtime")?;
    let done = runtime.block_on(work);
    // A blocked engine thread must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
