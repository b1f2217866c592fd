"""A SIP phone over WebSocket with nothing but the standard library: RFC 6455 by hand, then REGISTER and OPTIONS.

    ws_phone.py ws|wss|tls HOST PORT USER PASSWORD

Prints one word per line: the certificate's fingerprint, the chosen subprotocol, and the status of each answer. `tls` only
shows the certificate."""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import sys

kind, host, port, user, password = sys.argv[1:6]
stream = socket.create_connection((host, int(port)), timeout=20)
if kind != "ws":
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream = context.wrap_socket(stream, server_hostname="localhost")
    digest = hashlib.sha256(stream.getpeercert(binary_form=True)).hexdigest().upper()
    print(":".join(digest[at:at + 2] for at in range(0, len(digest), 2)))
if kind == "tls":
    sys.exit(0)

key = base64.b64encode(os.urandom(16)).decode()
stream.sendall((f"GET /ws/sip HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Origin: https://phone.example\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: sip\r\n\r\n").encode())
received = b""
while b"\r\n\r\n" not in received:
    received += stream.recv(4096)
head, received = received.split(b"\r\n\r\n", 1)
head = head.decode()
accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
assert head.startswith("HTTP/1.1 101") and accept in head, head
print(re.search(r"(?im)^sec-websocket-protocol: *(\S+)", head).group(1))


def read(count):
    global received
    while len(received) < count:
        more = stream.recv(4096)
        assert more, "closed"
        received += more
    taken, received = received[:count], received[count:]
    return taken


def send(payload, opcode=1):
    mask = os.urandom(4)
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack(">H", length)
    stream.sendall(bytes([0x80 | opcode]) + size + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(payload)))


def frame():
    first, second = read(2)
    length = second & 127
    if length == 126:
        length, = struct.unpack(">H", read(2))
    assert first & 0x80 and not second & 0x80, "one whole frame, not masked"
    return first & 15, read(length)


def ask(method, cseq, extra=""):
    uri = f"sip:{host}" if ":" not in host else f"sip:[{host}]"
    own = f"sip:{user}@{uri[4:]}"
    send((f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{kind.upper()} df7jal23ls0d.invalid;branch=z9hG4bK{cseq}{key[:8]}\r\n"
          f"From: <{own}>;tag=ws\r\nTo: <{own}>\r\nCall-ID: {key[:12]}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
          f"Contact: <sip:{user}@df7jal23ls0d.invalid;transport=ws>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"\r\n"
          f"Supported: path, outbound\r\nExpires: 600\r\n{extra}\r\n").encode())
    opcode, answer = frame()
    assert opcode == 1, "scripts in browsers expect text"
    answer = answer.decode()
    print(answer.split(" ", 2)[1])
    return uri, answer


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


uri, challenge = ask("REGISTER", 1)
line = next(line for line in challenge.split("\r\n") if line.startswith("WWW-Authenticate") and "MD5" in line)
realm, nonce = (re.search(name + r'="([^"]*)"', line).group(1) for name in ("realm", "nonce"))
response = md5(f"{md5(f'{user}:{realm}:{password}')}:{nonce}:00000001:c:auth:{md5(f'REGISTER:{uri}')}")
_, accepted = ask("REGISTER", 2, f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
                  f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"\r\n')
print("outbound" if re.search(r"(?im)^require: *outbound", accepted) else "no-outbound")
ask("OPTIONS", 3)
# Keep-alives: of SIP in a frame of its own, and of WebSocket.
send(b"\r\n\r\n")
print("pong" if frame() == (1, b"\r\n") else "no-pong")
send(b"hello", opcode=9)
print("pong" if frame() == (10, b"hello") else "no-pong")
