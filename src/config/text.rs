//! PURE. `[text]`: messages by channels of text and the page, and what one sender may send.

use super::reader::Section;

/// When an answer is spoken as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceAnswers {
    /// To a voice note.
    ToVoice,
    Never,
}

/// `[text]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Longest message that is answered, in characters.
    pub message_chars_max: usize,
    /// Longest voice note that is heard.
    pub voice_s_max: u32,
    /// Messages that one sender may send within a minute, and at once.
    pub messages_per_minute: u32,
    /// Messages of one conversation that wait for their answers.
    pub waiting_max: usize,
    /// Turns by text at once.
    pub turns_max: usize,
    /// How long a message is tried to be delivered.
    pub deliver_h_max: u32,
    pub voice_answers: VoiceAnswers,
}

impl Default for Text {
    fn default() -> Text {
        Text {
            message_chars_max: 8_000,
            voice_s_max: 600,
            messages_per_minute: 20,
            waiting_max: 20,
            turns_max: 256,
            deliver_h_max: 48,
            voice_answers: VoiceAnswers::ToVoice,
        }
    }
}

pub(super) fn text(section: &mut Section<'_, '_>, d: Text) -> Text {
    let voices = [
        ("to_voice", VoiceAnswers::ToVoice),
        ("never", VoiceAnswers::Never),
    ];
    Text {
        message_chars_max: section.integer("message_chars_max", d.message_chars_max, 100..=30_000),
        voice_s_max: section.integer("voice_s_max", d.voice_s_max, 5..=1_200),
        messages_per_minute: section.integer(
            "messages_per_minute",
            d.messages_per_minute,
            1..=1_000,
        ),
        waiting_max: section.integer("waiting_max", d.waiting_max, 1..=1_000),
        turns_max: section.integer("turns_max", d.turns_max, 1..=4_096),
        deliver_h_max: section.integer("deliver_h_max", d.deliver_h_max, 1..=720),
        voice_answers: section.choice("voice_answers", d.voice_answers, &voices),
    }
}

pub(super) fn channel(text: &str) -> Option<String> {
    let is_name = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    is_name.then(|| text.to_owned())
}

pub(super) fn identity(text: &str) -> Option<String> {
    let (name, id) = text.split_once(':')?;
    let is_id = !id.is_empty() && id.len() <= 255 && !id.contains(char::is_control);
    (is_id && !name.is_empty() && channel(name).is_some()).then(|| text.to_owned())
}
