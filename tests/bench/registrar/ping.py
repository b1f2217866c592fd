"""ping.py PORT: waits until a SIP server on this machine answers OPTIONS; fails after two minutes."""
import socket
import sys
import time

port = int(sys.argv[1])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.settimeout(0.1)
here = sock.getsockname()[1]
until = time.monotonic() + 120
number = 0
while time.monotonic() < until:
    number += 1
    lines = [
        f"OPTIONS sip:127.0.0.1:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bKping{number};rport",
        "Max-Forwards: 70",
        f"From: <sip:ping@127.0.0.1>;tag={number}",
        f"To: <sip:127.0.0.1:{port}>",
        f"Call-ID: ping{number}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    ]
    try:
        sock.sendto("\r\n".join(lines).encode(), ("127.0.0.1", port))
        sock.recv(4096)
        sys.exit(0)
    except OSError:
        time.sleep(0.02)
sys.exit(1)
