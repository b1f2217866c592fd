"""Gateways that are of no use: `gateways.py SLOW BUSY` listens on two ports, where the first never answers and the second answers
429. `gateways.py --report NAME CALLS LOG` prints what the calls of a run waited, and what the server's log says of those without
an answer; CALLS holds a call's JSON after each NUL."""
import asyncio
import json
import statistics
import sys


async def slow(reader, writer):
    await reader.read()
    writer.close()


async def busy(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def serve(ports):
    servers = [await asyncio.start_server(what, "127.0.0.1", int(port)) for what, port in zip((slow, busy), ports)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def report(name, path, log):
    waits, id = [], 0
    for text in open(path).read().split("\0")[1:]:
        # A call that failed has written nothing behind its mark, and has no number in the log.
        call = json.loads(text) if "{" in text else None
        id += call is not None
        turn = call["turns"][0] if call and call["turns"] else None
        waits.append(turn and turn["latency_ms"])
        if waits[-1] is None:
            why = "cut in" if turn and turn["cut_in"] else "silence" if turn else "the call failed"
            late = call["own_packets_late_us_max"] // 1000 if call else 0
            print(f"{name:<6} call {len(waits)} had no answer ({why}; the caller's own packets left up to {late} ms late)")
            if call:
                print("".join(line for line in open(log) if f" id={id} " in line), end="")
    answered = [ms for ms in waits if ms is not None]
    if not answered:
        print(f"{name:<6} no answer to {len(waits)} questions")
        return
    print(f"{name:<6} {len(answered)} of {len(waits)} answered, first {waits[0]} ms, p50 {statistics.median(answered):.0f} ms, "
          f"worst {max(answered)} ms")


if sys.argv[1] == "--report":
    report(*sys.argv[2:])
else:
    asyncio.run(serve(sys.argv[1:]))
