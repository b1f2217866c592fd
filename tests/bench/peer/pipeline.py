#!/usr/bin/env python3
"""A Pipecat voice agent with the same ears, voice and agent as ours, to measure beside it.

It speaks Twilio's media-stream protocol over a WebSocket, as Pipecat's telephone bots do; `rtp_bridge.py` stands where
Twilio would. Settings are named below; nothing else is changed from what the package does by itself.
"""
import argparse
import asyncio
import os
import subprocess
import sys
import time
import wave

import numpy as np
import soxr
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.server import (
    SingleClientWebsocketServerParams,
    SingleClientWebsocketServerTransport,
)
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner
from pywhispercpp.model import Model

RATE = 8000
WHISPER_RATE = 16000
# turns: the package's default (Smart Turn v3.2 decides at 0.2 s of silence; up to 3 s if it says "not finished"), or a
# silence alone: the package's default length, and one as short as it can sensibly be made.
# tail_s: silence put behind a segment before it is recognised (the package's default is 0.5).
# chunk: 10 ms pieces per message to the caller (the package's default is 4).
PRESETS = {
    "smart": {"turns": None, "tail_s": 0.5, "chunk": 4},
    "smart-tuned": {"turns": None, "tail_s": 0.1, "chunk": 2},
    "silence": {"turns": 0.6, "tail_s": 0.5, "chunk": 4},
    "silence-tuned": {"turns": 0.3, "tail_s": 0.1, "chunk": 2},
}


class WhisperCpp(SegmentedSTTService):
    """whisper.cpp with the settings our recogniser uses: see asr/src/whisper.rs."""

    def __init__(self, model: str, **kwargs):
        # Longest wait for a transcript after speech; final ones count at once, so this is a net only.
        super().__init__(settings=STTSettings(model=model, language="en"), ttfs_p99_latency=0.4, **kwargs)
        self._whisper = Model(
            model,
            redirect_whispercpp_logs_to=None,
            context_params={"use_gpu": False, "flash_attn": False},
            n_threads=1, language="en", no_timestamps=True, single_segment=True, no_context=True,
            temperature_inc=0.0, suppress_blank=False, print_progress=False, print_realtime=False,
        )
        self._decode(np.zeros(WHISPER_RATE, dtype=np.float32))

    @property
    def wants_wav_segments(self) -> bool:
        return False

    def _decode(self, samples: np.ndarray) -> str:
        lead = np.zeros(WHISPER_RATE // 10, dtype=np.float32)
        samples = np.concatenate([lead, samples])
        missing = WHISPER_RATE - len(samples)
        if missing > 0:
            samples = np.concatenate([samples, np.zeros(missing, dtype=np.float32)])
        context = min(1500, len(samples) * 50 // WHISPER_RATE + 30)
        segments = self._whisper.transcribe(samples, audio_ctx=context)
        return " ".join(segment.text.strip() for segment in segments).strip()

    def _hear(self, audio: bytes) -> str:
        samples = np.frombuffer(audio, dtype=np.int16).astype(np.float32) / 32768.0
        if self.sample_rate != WHISPER_RATE:
            samples = soxr.resample(samples, self.sample_rate, WHISPER_RATE).astype(np.float32)
        return self._decode(samples)

    async def run_stt(self, audio: bytes):
        began = time.monotonic()
        text = await asyncio.to_thread(self._hear, audio)
        logger.info(f"heard {text!r} in {1000 * (time.monotonic() - began):.0f} ms")
        if text:
            yield TranscriptionFrame(text, self._user_id, time_now_iso8601(), "en")


class CachedVoice(TTSService):
    """Our voice's sounds from files made beforehand: speaking costs this side nothing."""

    def __init__(self, sounds: dict, speak, **kwargs):
        super().__init__(
            push_start_frame=True, push_stop_frames=True, sample_rate=RATE,
            settings=TTSSettings(model=None, voice="flite:slt", language=None), **kwargs,
        )
        self._sounds, self._speak = sounds, speak

    async def run_tts(self, text: str, context_id: str):
        sound = self._sounds.get(text.strip())
        if sound is None:
            logger.warning(f"not in the voice's folder: {text!r}")
            sound = await asyncio.to_thread(self._speak, text.strip())
            self._sounds[text.strip()] = sound

        async def pieces():
            for at in range(0, len(sound), RATE // 5 * 2):
                yield sound[at:at + RATE // 5 * 2]

        async for frame in self._stream_audio_frames_from_iterator(
            pieces(), in_sample_rate=RATE, context_id=context_id
        ):
            yield frame


def speaker(offhook: str, folder: str):
    """A function from text to 8 kHz samples by `offhook speak`, with files as its memory."""
    os.makedirs(folder, exist_ok=True)

    def speak(text: str) -> bytes:
        name = "".join(c if c.isalnum() else "_" for c in text)[:150] + ".wav"
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            command = [offhook, "--home", folder, "speak", text, "-o", path, "--voice", "flite:slt"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with wave.open(path) as file:
            rate, data = file.getframerate(), file.readframes(file.getnframes())
        samples = np.frombuffer(data, dtype=np.int16)
        return soxr.resample(samples, rate, RATE).astype(np.int16).tobytes()

    return speak


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=18765)
    parser.add_argument("--agent", required=True, help="base address of the agent, ending in /v1")
    parser.add_argument("--model", required=True, help="ggml model file")
    parser.add_argument("--offhook", required=True, help="the program, for its voice")
    parser.add_argument("--sentences", help="file of sentences to make beforehand, one a line")
    parser.add_argument("--voice-folder", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), ".voice"))
    parser.add_argument("--preset", choices=PRESETS, default="smart")
    options = parser.parse_args()
    preset = PRESETS[options.preset]
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("PEER_LOG", "INFO"))

    speak = speaker(options.offhook, options.voice_folder)
    sounds = {}
    if options.sentences:
        with open(options.sentences) as file:
            sounds = {line.strip(): speak(line.strip()) for line in file if line.strip()}

    transport = SingleClientWebsocketServerTransport(
        host="127.0.0.1",
        port=options.port,
        params=SingleClientWebsocketServerParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=preset["chunk"],
            serializer=TwilioFrameSerializer(
                stream_sid="bench", params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
            ),
        ),
    )
    strategies = None
    if preset["turns"] is not None:
        strategies = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=preset["turns"])])
    context = LLMContext([{"role": "system", "content": "You are on the telephone. Be brief."}])
    aggregators = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(params=VADParams()),
            user_turn_strategies=strategies,
        ),
    )
    llm = OpenAILLMService(
        api_key="none", base_url=options.agent, settings=OpenAILLMService.Settings(model="stub")
    )
    pipeline = Pipeline([
        transport.input(),
        WhisperCpp(options.model, trailing_silence_secs=preset["tail_s"]),
        aggregators.user(),
        llm,
        CachedVoice(sounds, speak),
        transport.output(),
        aggregators.assistant(),
    ])
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        cancel_on_idle_timeout=False,
    )
    runner = WorkerRunner(handle_sigint=True, handle_sigterm=True)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    asyncio.run(main())
