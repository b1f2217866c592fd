"""ng_ping.py PORT: waits until rtpengine on this machine answers; fails after ten seconds."""
import socket
import sys

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)
for number in range(50):
    try:
        sock.sendto(b"%d d7:command4:pinge" % number, ("127.0.0.1", int(sys.argv[1])))
        sock.recv(100)
        sys.exit(0)
    except OSError:
        pass
sys.exit(1)
