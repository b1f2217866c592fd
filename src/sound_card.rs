//! Microphone and loudspeaker of this machine, for `offhook talk` (cpal; ALSA on Linux). Sound is mono at the line's 8 kHz on
//! this side, whatever the devices want. Owns devices, their rates and channels, and two bounded stores of sound; not the
//! call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{Device, FromSample, Sample as _, SampleFormat, SizedSample, SupportedStreamConfig};
use media::resample::Resampler;
use tracing::debug;

use crate::test_caller::WIRE_RATE_HZ;

/// Sound that waits on its way, each way: 400 ms. When it is full the oldest is lost, so that a slow device does not make the
/// talk lag behind.
const WAITING_MAX: usize = WIRE_RATE_HZ as usize * 2 / 5;
/// Rates that are asked for, the best first.
const RATES_HZ: [u32; 4] = [48_000, 16_000, 8_000, 44_100];

/// Why there is nobody to talk to.
#[derive(Debug, thiserror::Error)]
pub enum SoundCardError {
    #[error(
        "this machine has no {what} that can be opened: `arecord -l` and `aplay -l` list what there is. A server without sound is called by a phone"
    )]
    None { what: &'static str },
    #[error("the {what} {name} cannot be used: {why}")]
    Unusable {
        what: &'static str,
        name: String,
        why: String,
    },
}

type Waiting = Arc<Mutex<VecDeque<i16>>>;

/// Both devices, running.
pub struct SoundCard {
    said: Waiting,
    heard: Waiting,
    pub microphone: String,
    pub speaker: String,
    // They stop when dropped.
    _streams: (cpal::Stream, cpal::Stream),
}

impl SoundCard {
    /// The system's own choice of devices.
    pub fn open() -> Result<SoundCard, SoundCardError> {
        let host = cpal::default_host();
        let microphone = host.default_input_device();
        let microphone = microphone.ok_or(SoundCardError::None { what: "microphone" })?;
        let speaker = host.default_output_device();
        let speaker = speaker.ok_or(SoundCardError::None {
            what: "loudspeaker",
        })?;
        let (said, heard) = (Waiting::default(), Waiting::default());
        let listening = listen(&microphone, &said)?;
        let speaking = speak(&speaker, &heard)?;
        Ok(SoundCard {
            said,
            heard,
            microphone: name(&microphone),
            speaker: name(&speaker),
            _streams: (listening, speaking),
        })
    }

    /// The next sound of the microphone; silence where it has none yet.
    pub fn said(&self, frame: &mut [i16]) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in frame {
            *sample = said.pop_front().unwrap_or(0);
        }
    }

    /// To the loudspeaker.
    pub fn play(&self, samples: &[i16]) {
        keep(&self.heard, samples);
    }
}

fn keep(waiting: &Waiting, samples: &[i16]) {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.extend(samples);
    let over = waiting.len().saturating_sub(WAITING_MAX);
    waiting.drain(..over);
}

fn name(device: &Device) -> String {
    device.description().map_or_else(
        |_| "without a name".to_owned(),
        |found| found.name().to_owned(),
    )
}

fn unusable(what: &'static str, device: &Device, why: impl ToString) -> SoundCardError {
    SoundCardError::Unusable {
        what,
        name: name(device),
        why: why.to_string(),
    }
}

/// The best of what a device offers, or its own choice.
fn choose(
    offered: impl Iterator<Item = cpal::SupportedStreamConfigRange>,
    own: Option<SupportedStreamConfig>,
) -> Option<SupportedStreamConfig> {
    let is_known = |format| matches!(format, SampleFormat::I16 | SampleFormat::F32);
    let offered: Vec<_> = offered
        .filter(|range| is_known(range.sample_format()) && range.channels() <= 2)
        .collect();
    let at_rate = |rate: &u32| {
        let mut ranges = offered.iter();
        ranges.find_map(|range| range.try_with_sample_rate(*rate))
    };
    let own_fits = |own: &SupportedStreamConfig| {
        is_known(own.sample_format()) && Resampler::supports(own.sample_rate(), WIRE_RATE_HZ)
    };
    RATES_HZ.iter().find_map(at_rate).or(own.filter(own_fits))
}

fn listen(device: &Device, said: &Waiting) -> Result<cpal::Stream, SoundCardError> {
    let what = "microphone";
    let offered = device.supported_input_configs();
    let offered = offered.map_err(|error| unusable(what, device, error))?;
    let chosen = choose(offered, device.default_input_config().ok());
    let chosen = chosen.ok_or_else(|| unusable(what, device, "no rate and format we know"))?;
    let stream = match chosen.sample_format() {
        SampleFormat::I16 => listen_in::<i16>(device, &chosen, said),
        _ => listen_in::<f32>(device, &chosen, said),
    };
    let stream = stream.map_err(|error| unusable(what, device, error))?;
    stream
        .play()
        .map_err(|error| unusable(what, device, error))?;
    Ok(stream)
}

fn listen_in<T>(
    device: &Device,
    chosen: &SupportedStreamConfig,
    said: &Waiting,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    i16: FromSample<T>,
{
    let said = said.clone();
    let channels = usize::from(chosen.channels().max(1));
    let mut line = Resampler::new(chosen.sample_rate(), WIRE_RATE_HZ);
    device.build_input_stream(
        chosen.config(),
        move |data: &[T], _: &cpal::InputCallbackInfo| {
            // The first channel: microphones that have two say the same twice.
            let mono: Vec<i16> = data
                .chunks(channels)
                .filter_map(|frame| frame.first().map(|sample| i16::from_sample(*sample)))
                .collect();
            keep(&said, &line.process(&mono));
        },
        |error| debug!(%error, "microphone"),
        None,
    )
}

fn speak(device: &Device, heard: &Waiting) -> Result<cpal::Stream, SoundCardError> {
    let what = "loudspeaker";
    let offered = device.supported_output_configs();
    let offered = offered.map_err(|error| unusable(what, device, error))?;
    let chosen = choose(offered, device.default_output_config().ok());
    let chosen = chosen.ok_or_else(|| unusable(what, device, "no rate and format we know"))?;
    let stream = match chosen.sample_format() {
        SampleFormat::I16 => speak_in::<i16>(device, &chosen, heard),
        _ => speak_in::<f32>(device, &chosen, heard),
    };
    let stream = stream.map_err(|error| unusable(what, device, error))?;
    stream
        .play()
        .map_err(|error| unusable(what, device, error))?;
    Ok(stream)
}

fn speak_in<T>(
    device: &Device,
    chosen: &SupportedStreamConfig,
    heard: &Waiting,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample + FromSample<i16>,
{
    let heard = heard.clone();
    let channels = usize::from(chosen.channels().max(1));
    let mut line = Resampler::new(WIRE_RATE_HZ, chosen.sample_rate());
    let ready_max = chosen.sample_rate() as usize * 2 / 5;
    // At the device's rate, not yet played.
    let mut ready: VecDeque<i16> = VecDeque::new();
    device.build_output_stream(
        chosen.config(),
        move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
            let samples: Vec<i16> = {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.drain(..).collect()
            };
            ready.extend(line.process(&samples));
            let over = ready.len().saturating_sub(ready_max);
            ready.drain(..over);
            for frame in data.chunks_mut(channels) {
                let sample = T::from_sample(ready.pop_front().unwrap_or(0));
                frame.fill(sample);
            }
        },
        |error| debug!(%error, "loudspeaker"),
        None,
    )
}
