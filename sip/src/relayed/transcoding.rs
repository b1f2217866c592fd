//! PURE.
//! What each side of a stream speaks where the two have no codec in common: which of their codecs we speak with each, and
//! our own section in the answer. Owns that choice; not whether it is needed (`relayed`). RFC 3264, RFC 3389, RFC 4733.

use super::{RelayLocal, Sections, Transcoding, telephone_events};
use crate::offer_answer::{
    self, AudioCodec, Direction, Format, NegotiatedAudio, NegotiatedSecurity, OfferError,
    OpusParams, known_formats,
};
use crate::sdp::{Attribute, Media};

impl Sections<'_> {
    pub(super) fn transcoding(
        &self,
        (offerer, near): (&offer_answer::Remote, &NegotiatedSecurity),
        (answerer, far): (&offer_answer::Remote, &NegotiatedSecurity),
        direction: Direction,
        to_answerer: &RelayLocal,
    ) -> Result<Transcoding, OfferError> {
        let (theirs, answered) = (self.offer.1, self.answer.1);
        let given = audio_codecs(answered);
        let ours = &to_answerer.extra_codecs;
        let far_codec = given.iter().find(|(_, codec)| ours.contains(codec));
        let no_codec = || OfferError::NoCommonCodec {
            ours: ours
                .iter()
                .map(|codec| codec.encoding())
                .collect::<Vec<_>>()
                .join(", "),
        };
        let far_codec = *far_codec
            .filter(|_| theirs.kind == "audio")
            .ok_or_else(no_codec)?;
        // What it sends has the numbers of our offer, and as many forget that as keep to it.
        let from_answerer = audio_codecs(self.asked)
            .into_iter()
            .chain(given.iter().copied())
            .filter(|(_, codec)| ours.contains(codec))
            .filter(|(_, codec)| given.iter().any(|(_, own)| own == codec))
            .collect();
        let is_wide = |codec: AudioCodec| matches!(codec, AudioCodec::G722 | AudioCodec::Opus);
        let near_codec = audio_codecs(theirs)
            .into_iter()
            .filter(|(_, codec)| ours.contains(codec))
            // Of the same width first: more could not be heard, less would be a pity.
            .min_by_key(|(_, codec)| {
                let place = ours.iter().position(|own| own == codec);
                (is_wide(*codec) != is_wide(far_codec.1), place)
            })
            .ok_or_else(no_codec)?;
        let side = |media: &Media,
                    remote: &offer_answer::Remote,
                    codec: (u8, AudioCodec),
                    security: &NegotiatedSecurity,
                    direction,
                    receive_payload_types: Vec<(u8, AudioCodec)>| {
            let rate = codec.1.clock_rate();
            let event = telephone_events(media);
            let event = event.iter().find(|(_, own)| *own == rate).or(event.first());
            NegotiatedAudio {
                codec: codec.1,
                payload_type: codec.0,
                receive_payload_types,
                telephone_event: event.map(|(number, _)| *number),
                telephone_event_rate: event.map_or(rate, |(_, rate)| *rate),
                comfort_noise: offer_answer::comfort_noise(&known_formats(media), rate),
                opus: OpusParams::of(media, codec.0),
                remote_rtp: remote.rtp,
                remote_rtcp: remote.rtcp,
                rtcp_mux: remote.rtcp_mux,
                security: security.clone(),
                direction,
                ptime_ms: 20,
                mline: self.mline,
            }
        };
        Ok(Transcoding {
            offerer: side(
                theirs,
                offerer,
                near_codec,
                near,
                direction,
                vec![near_codec],
            ),
            answerer: side(
                answered,
                answerer,
                far_codec,
                far,
                direction.mirrored(),
                from_answerer,
            ),
        })
    }
}

/// The codecs of a section that we know, in its order.
fn audio_codecs(media: &Media) -> Vec<(u8, AudioCodec)> {
    known_formats(media)
        .into_iter()
        .filter_map(|(number, format)| match format {
            Format::Audio(codec) => Some((number, codec)),
            _ => None,
        })
        .collect()
}

/// Our own answer's section where we speak for ourselves.
pub(super) fn transcoded_section(theirs: &Media, audio: &NegotiatedAudio) -> Media {
    let mut section = Media {
        formats: vec![audio.payload_type.to_string()],
        bandwidth: Vec::new(),
        attributes: Vec::new(),
        ..theirs.clone()
    };
    let mut attribute = |name: &str, value: String| {
        section.attributes.push(Attribute {
            name: name.to_owned(),
            value: Some(value),
        });
    };
    let number = audio.payload_type;
    attribute("rtpmap", format!("{number} {}", audio.codec.rtpmap()));
    if let Some(parameters) = audio.codec.fmtp() {
        attribute("fmtp", format!("{number} {parameters}"));
    }
    if let Some(number) = audio.comfort_noise {
        attribute(
            "rtpmap",
            format!("{number} CN/{}", audio.codec.clock_rate()),
        );
    }
    if let Some(number) = audio.telephone_event {
        let rate = audio.telephone_event_rate;
        attribute("rtpmap", format!("{number} telephone-event/{rate}"));
        attribute("fmtp", format!("{number} 0-15"));
    }
    attribute("ptime", "20".to_owned());
    let more = audio.comfort_noise.into_iter().chain(audio.telephone_event);
    section
        .formats
        .extend(more.map(|number| number.to_string()));
    section
}
