//! PURE.
//! Which codecs there are and how a session description names them: `a=rtpmap`, `a=fmtp`, static numbers. RFC 3551 §6,
//! RFC 7587 (Opus), RFC 3389 (comfort noise), RFC 4733 (telephone-event). Does not own what is chosen among them, nor
//! what the codecs do.

use crate::sdp::Media;
use crate::syntax;

/// Codecs there is a name for. A new one needs a variant and a row in `CODECS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

struct CodecRow {
    codec: AudioCodec,
    encoding: &'static str,
    clock_rate: u32,
    channels: u8,
    /// The number RFC 3551 §6 gives it, or a dynamic one of our choice.
    payload_type: u8,
    is_static: bool,
    fmtp: Option<&'static str>,
}

const CODECS: [CodecRow; 4] = [
    CodecRow {
        codec: AudioCodec::Pcmu,
        encoding: "PCMU",
        clock_rate: 8_000,
        channels: 1,
        payload_type: 0,
        is_static: true,
        fmtp: None,
    },
    CodecRow {
        codec: AudioCodec::Pcma,
        encoding: "PCMA",
        clock_rate: 8_000,
        channels: 1,
        payload_type: 8,
        is_static: true,
        fmtp: None,
    },
    CodecRow {
        codec: AudioCodec::G722,
        encoding: "G722",
        // RFC 3551 §4.5.2: it samples at 16 kHz, but its timestamps count at 8 kHz, by an old mistake.
        clock_rate: 8_000,
        channels: 1,
        payload_type: 9,
        is_static: true,
        fmtp: None,
    },
    CodecRow {
        codec: AudioCodec::Opus,
        encoding: "opus",
        // RFC 7587 §7: always this rate and two channels, whatever is sent.
        clock_rate: 48_000,
        channels: 2,
        payload_type: 96,
        is_static: false,
        // What we hear is taken at 16 kHz and one channel; more would be coded for nobody. A lost packet is mended from
        // the next one.
        fmtp: Some("maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1"),
    },
];

/// What we offer telephone-event as, at 8 kHz. Dynamic, so any number would do; this one is what everybody uses.
pub(super) const TELEPHONE_EVENT_PAYLOAD_TYPE: u8 = 101;
/// The same at 48 kHz, beside Opus.
pub(super) const TELEPHONE_EVENT_48K_PAYLOAD_TYPE: u8 = 97;
/// RFC 3389 §5: the static number, at 8 kHz.
pub(super) const COMFORT_NOISE_PAYLOAD_TYPE: u8 = 13;
/// RFC 7587 §6.1: bits per second.
const OPUS_BITRATE: std::ops::RangeInclusive<u64> = 6_000..=510_000;
/// RFC 7587 §6.1: the default of `maxplaybackrate`.
const OPUS_PLAYBACK_HZ: u32 = 48_000;

impl AudioCodec {
    /// Every one, the best first.
    pub const ALL: [AudioCodec; 4] = [
        AudioCodec::Opus,
        AudioCodec::G722,
        AudioCodec::Pcmu,
        AudioCodec::Pcma,
    ];

    fn row(self) -> &'static CodecRow {
        let row = CODECS.iter().find(|row| row.codec == self);
        row.expect("every codec has its row")
    }

    /// Name in `a=rtpmap`, RFC 3551 §6.
    pub fn encoding(self) -> &'static str {
        self.row().encoding
    }

    /// Hertz of the RTP timestamp.
    pub fn clock_rate(self) -> u32 {
        self.row().clock_rate
    }

    /// The two laws of G.711 sound alike.
    pub(super) fn is_as_good_as(self, other: AudioCodec) -> bool {
        let is_g711 = |codec| matches!(codec, AudioCodec::Pcmu | AudioCodec::Pcma);
        self == other || (is_g711(self) && is_g711(other))
    }

    /// What we offer it as.
    pub fn payload_type(self) -> u8 {
        self.row().payload_type
    }

    /// `opus/48000/2`: the value of `a=rtpmap` behind the number.
    pub fn rtpmap(self) -> String {
        let row = self.row();
        match row.channels {
            1 => format!("{}/{}", row.encoding, row.clock_rate),
            channels => format!("{}/{}/{channels}", row.encoding, row.clock_rate),
        }
    }

    /// The value of `a=fmtp` behind the number: what we want to be sent.
    pub fn fmtp(self) -> Option<&'static str> {
        self.row().fmtp
    }
}

/// What the other side's `a=fmtp` asks of the Opus it is sent, RFC 7587 §6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusParams {
    /// Whether it can use in-band forward error correction.
    pub fec: bool,
    /// Whether it wants no packets during silence.
    pub dtx: bool,
    /// Whether every packet is to be of the same size.
    pub constant_bitrate: bool,
    /// Bits per second at most.
    pub bitrate_max: Option<u32>,
    /// Hertz it plays at most.
    pub playback_hz_max: u32,
}

impl Default for OpusParams {
    fn default() -> OpusParams {
        OpusParams {
            fec: false,
            dtx: false,
            constant_bitrate: false,
            bitrate_max: None,
            playback_hz_max: OPUS_PLAYBACK_HZ,
        }
    }
}

impl OpusParams {
    /// Reads the parameters of one format. What is unknown, or not a number, is as if it were not there.
    pub(crate) fn of(media: &Media, payload_type: u8) -> OpusParams {
        let mut params = OpusParams::default();
        let Some(text) = fmtp(media, payload_type) else {
            return params;
        };
        for (name, value) in text.split(';').filter_map(|one| one.split_once('=')) {
            let value = syntax::trim(value);
            let is_set = value == "1";
            match syntax::trim(name).to_ascii_lowercase().as_str() {
                "useinbandfec" => params.fec = is_set,
                "usedtx" => params.dtx = is_set,
                "cbr" => params.constant_bitrate = is_set,
                "maxaveragebitrate" => {
                    params.bitrate_max = syntax::number(value, u64::from(u32::MAX))
                        .map(|bits| bits.clamp(*OPUS_BITRATE.start(), *OPUS_BITRATE.end()) as u32);
                }
                "maxplaybackrate" => {
                    if let Some(hz @ 8_000..=48_000) = syntax::number(value, 48_000) {
                        params.playback_hz_max = hz as u32;
                    }
                }
                _ => {}
            }
        }
        params
    }
}

/// The value of `a=fmtp` for one number.
pub(super) fn fmtp(media: &Media, payload_type: u8) -> Option<&str> {
    media.attributes_named("fmtp").find_map(|value| {
        let (number, rest) = value.split_once([' ', '\t'])?;
        (syntax::number(number, 127) == Some(u64::from(payload_type))).then(|| syntax::trim(rest))
    })
}

/// The value of `a=rtpmap` for one number.
pub(crate) fn rtpmap(media: &Media, payload_type: u8) -> Option<&str> {
    media.attributes_named("rtpmap").find_map(|value| {
        let (number, encoding) = value.split_once([' ', '\t'])?;
        (syntax::number(number, 127) == Some(u64::from(payload_type)))
            .then(|| syntax::trim(encoding))
    })
}

/// What one number in an `m=` line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Audio(AudioCodec),
    TelephoneEvent { clock_rate: u32 },
    ComfortNoise { clock_rate: u32 },
}

/// The formats we know among those of a section, in its order.
pub(crate) fn known_formats(media: &Media) -> Vec<(u8, Format)> {
    let mut known: Vec<(u8, Format)> = Vec::new();
    for text in &media.formats {
        let Some(number) = syntax::number(text, 127).map(|number| number as u8) else {
            continue;
        };
        if known.iter().any(|(own, _)| *own == number) {
            continue;
        }
        let format = match rtpmap(media, number) {
            Some(encoding) => format_of(encoding),
            // RFC 3551 §6: the static numbers need no rtpmap.
            None if number == COMFORT_NOISE_PAYLOAD_TYPE => {
                Some(Format::ComfortNoise { clock_rate: 8_000 })
            }
            None => CODECS
                .iter()
                .find(|row| row.is_static && row.payload_type == number)
                .map(|row| Format::Audio(row.codec)),
        };
        known.extend(format.map(|format| (number, format)));
    }
    known
}

/// Reads `PCMU/8000` or `opus/48000/2`.
fn format_of(encoding: &str) -> Option<Format> {
    let mut parts = encoding.split('/');
    let name = parts.next()?;
    // RFC 8866 §6.6 wants the rate; some leave it out for the telephone's own.
    let clock_rate = match parts.next() {
        Some(rate) => syntax::number(rate, u64::from(u32::MAX))? as u32,
        None => 8_000,
    };
    let channels = parts.next().unwrap_or("1");
    if name.eq_ignore_ascii_case("telephone-event") {
        return Some(Format::TelephoneEvent { clock_rate });
    }
    if name.eq_ignore_ascii_case("CN") {
        return Some(Format::ComfortNoise { clock_rate });
    }
    let row = CODECS.iter().find(|row| {
        // Opus without its channels, or with one, is wrong and means the same: there is only one Opus.
        let fits = syntax::number(channels, 255)
            .is_some_and(|number| (1..=u64::from(row.channels)).contains(&number));
        row.encoding.eq_ignore_ascii_case(name) && row.clock_rate == clock_rate && fits
    })?;
    Some(Format::Audio(row.codec))
}
