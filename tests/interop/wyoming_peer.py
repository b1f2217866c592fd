"""The other side of tests/interop/wyoming.rs: the `wyoming` package as Home Assistant uses it.

usage: wyoming_peer.py PORT TEXT    prints what the ears made of what the voice said
"""

import asyncio
import sys

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
)


async def sound(client, last):
    """Chunks up to the event that ends them."""
    chunks = []
    while True:
        event = await asyncio.wait_for(client.read_event(), 60)
        assert event is not None, "the connection was closed"
        if AudioChunk.is_type(event.type):
            chunks.append(AudioChunk.from_event(event))
        elif event.type == last:
            return chunks
        else:
            assert AudioStart.is_type(event.type) or AudioStop.is_type(event.type), event.type


async def main(port, text):
    uri = f"tcp://127.0.0.1:{port}"
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        info = Info.from_event(await asyncio.wait_for(client.read_event(), 60))
        model, voice = info.asr[0].models[0], info.tts[0].voices[0]
        assert model.languages == ["en"], model
        assert info.tts[0].supports_synthesize_streaming
        print(f"ears {model.name}, voice {voice.name}")
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Synthesize(text=text).event())
        spoken = await sound(client, "audio-stop")
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(SynthesizeStart().event())
        for word in text.split():
            await client.write_event(SynthesizeChunk(text=word + " ").event())
        await client.write_event(Synthesize(text=text).event())
        await client.write_event(SynthesizeStop().event())
        streamed = await sound(client, "synthesize-stopped")
    for chunks in (spoken, streamed):
        first = chunks[0]
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Transcribe(language="en").event())
            start = AudioStart(rate=first.rate, width=first.width, channels=first.channels)
            await client.write_event(start.event())
            for chunk in chunks:
                await client.write_event(chunk.event())
            await client.write_event(AudioStop().event())
            event = await asyncio.wait_for(client.read_event(), 60)
            print("heard", Transcript.from_event(event).text)


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
