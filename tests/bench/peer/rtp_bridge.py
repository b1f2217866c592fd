#!/usr/bin/env python3
"""RTP (PCMU, 20 ms) on one side, Twilio's media-stream messages over a WebSocket on the other.

It stands where the telephone company would: what the agent sends is queued and played at 20 ms a packet; a "clear"
empties the queue. Packets to the caller go on in silence. The first packet tells who the caller is.
"""
import argparse
import asyncio
import base64
import json
import random
import struct
import time

import websockets

FRAME = 160
SILENCE = b"\xff" * FRAME


class Line(asyncio.DatagramProtocol):
    def __init__(self, socket):
        self.socket, self.caller, self.transport = socket, None, None
        self.queue, self.outgoing = bytearray(), asyncio.Queue(maxsize=500)

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if len(data) <= 12 or data[1] & 0x7F:
            return
        self.caller = address
        if not self.outgoing.full():
            self.outgoing.put_nowait(data[12:])

    async def to_agent(self):
        while True:
            payload = base64.b64encode(await self.outgoing.get()).decode()
            await self.socket.send(json.dumps({"event": "media", "streamSid": "bench", "media": {"payload": payload}}))

    async def from_agent(self):
        async for message in self.socket:
            message = json.loads(message)
            if message["event"] == "media":
                self.queue += base64.b64decode(message["media"]["payload"])
            elif message["event"] == "clear":
                self.queue.clear()

    async def play(self):
        sequence, timestamp, source = random.getrandbits(16), random.getrandbits(32), random.getrandbits(32)
        due = time.monotonic()
        while True:
            due = max(due + 0.02, time.monotonic() - 0.1)
            await asyncio.sleep(due - time.monotonic())
            # A sentence's last piece is filled up; while more is on its way, whole packets only.
            payload = bytes(self.queue[:FRAME])
            del self.queue[:FRAME]
            payload += SILENCE[len(payload):]
            sequence, timestamp = (sequence + 1) & 0xFFFF, (timestamp + FRAME) & 0xFFFFFFFF
            if self.caller:
                header = struct.pack("!BBHII", 0x80, 0, sequence, timestamp, source)
                self.transport.sendto(header + payload, self.caller)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rtp-port", type=int, default=18700)
    parser.add_argument("--agent", default="ws://127.0.0.1:18765")
    options = parser.parse_args()
    async with websockets.connect(options.agent, max_queue=None) as socket:
        await socket.send(json.dumps({"event": "connected"}))
        await socket.send(json.dumps({"event": "start", "streamSid": "bench"}))
        loop = asyncio.get_running_loop()
        _, line = await loop.create_datagram_endpoint(
            lambda: Line(socket), local_addr=("127.0.0.1", options.rtp_port)
        )
        await asyncio.gather(line.to_agent(), line.from_agent(), line.play())


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, websockets.ConnectionClosed):
        pass
