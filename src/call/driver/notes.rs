//! What was noted in a call, as lines of the log. Owns their words and levels, and nothing else.

use super::*;

pub(super) fn log_note(note: &Note) {
    match note {
        Note::FirstPacket { from } => debug!(%from, "first audio packet"),
        Note::Latched { from, expected } => {
            info!(%from, expected = %or_none(*expected), "audio comes from another address than announced: following it");
        }
        Note::Stranger { from } => warn!(%from, "audio packets from a stranger are ignored"),
        Note::NoAudio {
            for_s,
            expected,
            seen,
        } => warn!(
            for_s,
            expected = %or_none(*expected),
            seen = %or_none(*seen),
            "one-way audio: nothing arrives from the phone. Check its microphone, and firewalls for the UDP ports in [media]"
        ),
        Note::AudioResumed => info!("audio arrives again"),
        Note::Held => info!("the phone holds the call"),
        Note::Resumed => info!("the phone is back"),
        Note::PeerRtcpBye => debug!("RTCP BYE"),
        Note::Secured => debug!("media is encrypted"),
        Note::NotSecured { why } => warn!(why, "no keys for encrypted media: no sound will pass"),
        Note::Digit { .. } => debug!("digit"),
        Note::TranscriptFailed { why } => warn!(why, "not transcribed"),
        Note::VoiceFailed { why } => warn!(why, "not spoken"),
        Note::UnknownTool { name } => {
            warn!(name, "the agent called a tool that this call does not have")
        }
        Note::AlarmEnded => debug!("timer ended"),
    }
}

fn or_none(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| address.to_string())
}
