"""A router between two network namespaces that treats packets as a bad network does, by seed: what tc-netem is for, in a
thread. One TUN device leads into each namespace; IPv4 only."""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class Path:
    """Share lost, mean length of a run of losses (1: independent), mean delay and spread around it in ms."""

    def __init__(self, loss=0.0, run=1.0, delay_ms=20.0, jitter_ms=0.0):
        self.loss, self.run, self.delay_ms, self.jitter_ms = loss, run, delay_ms, jitter_ms


class Direction:
    """The two states of a Gilbert model: in a run of losses the next packet is lost, too, unless the run ends."""

    def __init__(self, path, seed):
        self.path, self.random, self.is_lost = path, random.Random(seed), False

    def delay_s(self):
        """None: lost."""
        path = self.path
        if path.run > 1 and self.is_lost:
            self.is_lost = self.random.random() >= 1 / path.run
        else:
            begins = path.loss / path.run / (1 - path.loss) if path.run > 1 else path.loss
            self.is_lost = self.random.random() < begins
        jitter_ms = self.random.uniform(-path.jitter_ms, path.jitter_ms)
        return None if self.is_lost else max(0.0, path.delay_ms + jitter_ms) / 1000


def tun(name, namespace, own, other):
    """A device in a namespace whose packets are ours to carry."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    inside = ["ip", "-n", namespace]
    for command in (["ip", "link", "set", name, "netns", namespace],
                    [*inside, "link", "set", "lo", "up"],
                    [*inside, "addr", "add", own, "peer", other, "dev", name],
                    [*inside, "link", "set", name, "up"]):
        subprocess.run(command, check=True)
    return device


class Router(threading.Thread):
    """`devices` are two; each (source port, source device) has a Direction of its own, so that one phone's losses don't
    depend on another's. `watch(port, datagram, is_lost)` sees the UDP datagrams that come from the first device."""

    def __init__(self, devices, path, seed, watch):
        super().__init__(daemon=True)
        self.devices, self.path, self.seed, self.watch = devices, path, seed, watch
        self.directions, self.waiting, self.is_over, self.number = {}, [], False, 0
        self.sent = self.lost = 0

    def set(self, path, seed):
        self.path, self.seed, self.directions = path, seed, {}
        self.sent = self.lost = 0

    def run(self):
        while not self.is_over:
            wait = self.waiting[0][0] - time.monotonic() if self.waiting else 0.05
            readable, _, _ = select.select(self.devices, [], [], max(0.0, min(wait, 0.05)))
            for device in readable:
                self.take(self.devices.index(device))
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(self.waiting)
                try:
                    os.write(device, packet)
                except OSError:
                    pass

    def take(self, side):
        try:
            packet = os.read(self.devices[side], 65536)
        except BlockingIOError:
            return
        if packet[0] >> 4 != 4:
            return
        header = 4 * (packet[0] & 15)
        is_udp = packet[9] == 17 and len(packet) >= header + 8
        source, to = struct.unpack("!HH", packet[header:header + 4]) if is_udp else (0, 0)
        # The port on the phone's side names the phone in both directions.
        phone = source if side == 0 else to
        key = (side, phone)
        if key not in self.directions:
            self.directions[key] = Direction(self.path, f"{self.seed} {side} {phone}")
        delay_s = self.directions[key].delay_s()
        self.sent += 1
        self.lost += delay_s is None
        if side == 0 and is_udp:
            self.watch(source, packet[header + 8:], delay_s is None)
        if delay_s is not None:
            self.number += 1
            heapq.heappush(self.waiting, (time.monotonic() + delay_s, self.number, self.devices[1 - side], packet))
