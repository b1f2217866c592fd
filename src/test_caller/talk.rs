//! `offhook talk`: this machine's own microphone and loudspeaker as one more phone. Owns the talk; the devices are
//! `sound_card`'s, registering and dialling `caller`'s.
//!
//! The loudspeaker may be heard by the microphone: what the assistant says is taken out of the line by the server's echo
//! canceller, as with any phone on a desk. Between people it is not, so headphones are advised.

use anyhow::Context as _;

use super::report::{CallOptions, account, server, transport};
use crate::config::Config;
use crate::home::Home;

/// Calls and talks until either side hangs up.
#[cfg(feature = "talk")]
pub async fn run(home: Home, config: Config, options: CallOptions) -> anyhow::Result<bool> {
    use super::caller::Caller;
    use crate::sound_card::SoundCard;

    let card = SoundCard::open()?;
    let account = account(&home, &config, &options, false)?;
    let mut caller = Caller::open(server(&config, &options), transport(&options)).await?;
    let dialled = caller.dial(&account, &options.number).await?;
    println!(
        "talking with {} by {} and {}; headphones keep your own echo out. Ctrl-C hangs up",
        options.number, card.microphone, card.speaker
    );
    let mut played = 0;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut frame = [0i16; 160];
    while !caller.ended {
        card.said(&mut frame);
        tokio::select! {
            sent = caller.step(&frame) => sent.context("the line")?,
            _ = &mut interrupted => break,
        }
        let heard = caller.heard.samples();
        card.play(heard.get(played..).unwrap_or_default());
        played = heard.len();
    }
    caller.finish(&dialled).await.context("hanging up")?;
    Ok(true)
}

/// Built without sound devices: a server needs none, and their library would have to be there for it to start.
#[cfg(not(feature = "talk"))]
pub async fn run(home: Home, config: Config, options: CallOptions) -> anyhow::Result<bool> {
    // What would be wrong with sound is wrong without.
    let _ = (
        account(&home, &config, &options, false)?,
        server(&config, &options),
        transport(&options),
    );
    Err(anyhow::anyhow!(
        "build it with `cargo build --release --features talk` (needs libasound2-dev)"
    ))
    .context("this program was built without sound devices")
}
