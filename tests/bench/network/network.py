"""What network.sh runs."""
import argparse
import hashlib
import os
import re
import secrets
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import wave

from router import Path, Router, tun

with warnings.catch_warnings():
    # Python 3.13 takes it away; the package audioop-lts brings it back.
    warnings.simplefilter("ignore")
    import audioop

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER, PHONE, SIP = "10.77.0.1", "10.77.0.2", 5060
# What the embedded model understands of the program's own voice on a clean telephone line.
TEXTS = [
    "What is six times twelve?", "Play some music please.", "What's on my calendar tonight?",
    "What's the weather like in Atlanta?", "Set a timer for a few minutes.", "Is the front door locked?",
    "Quarter past ten.", "What's the status of the stock market?", "Turn off the heating in the hall.",
    "Remind me to pay the rent at half past nine.", "Turn on the lights in the kitchen.", "Set a timer for ten minutes.",
    "What time is it in Berlin?", "Add milk to my shopping list.", "How much time is left on the timer?",
    "Set an alarm for seven o'clock.", "Turn off the radio in the bedroom.", "Cancel the alarm.",
]
# Before the first sentence, and after each: the turn ends, and the short answer is over.
LEAD_S, GAP_S = 4.0, 3.5
PHONES = {
    # name: (user, RTP port, rate of the microphone, channels, lines of the configuration, codecs)
    "PCMU": ("pcmu", 42000, 8000, 1, "module g711.so\n", "pcmu"),
    "Opus with FEC": ("opus", 43000, 48000, 2,
                      "module opus.so\nopus_inbandfec yes\nopus_packet_loss 15\nopus_application voip\n", "opus"),
}
PATHS = [
    ("clean", Path()),
    ("10 % random, 60 ms jitter", Path(0.1, 1.0, 80.0, 60.0)),
    ("10 % in runs of 2, 60 ms jitter", Path(0.1, 2.0, 80.0, 60.0)),
]


def words(text):
    return re.findall(r"[\w']+", text.lower())


def errors(said, heard):
    """Words changed, missing and added."""
    row = list(range(len(heard) + 1))
    for n, word in enumerate(said):
        before, row[0] = row[0], n + 1
        for m, other in enumerate(heard):
            changed = before + (word != other)
            before, row[m + 1] = row[m + 1], min(changed, row[m + 1] + 1, row[m] + 1)
    return row[-1]


def right(said, heard):
    return max(0, len(said) - errors(said, heard))


class Offhook:
    def __init__(self, binary, folder, namespace):
        self.binary, self.home = binary, os.path.join(folder, "home")
        os.makedirs(self.home, mode=0o700)
        self.password = secrets.token_hex(8)
        users = ""
        for user, *_ in PHONES.values():
            ha1 = lambda name: hashlib.new(name, f"{user}:offhook:{self.password}".encode()).hexdigest()
            users += (f'[[users]]\nname = "{user}"\nrealm = "offhook"\nha1_md5 = "{ha1("md5")}"\n'
                      f'ha1_sha256 = "{ha1("sha256")}"\ncreated = "2026-01-01T00:00:00Z"\n')
        secret = (f'version = 1\napi_token = "{secrets.token_hex(32)}"\n[selftest]\nname = "selftest"\n'
                  f'password = "{secrets.token_hex(16)}"\n{users}')
        with open(os.open(os.path.join(self.home, "secrets.toml"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(secret)
        with open(os.path.join(self.home, "offhook.toml"), "w") as file:
            file.write(f'[sip]\nbind = ["{SERVER}"]\nport = {SIP}\n[web]\nport = 8060\n[asr]\nmodel = "embedded"\n'
                       '[models]\nauto_download = false\n[agent]\nkind = "openai"\nurl = "http://127.0.0.1:8190/v1"\n'
                       'model = "short"\ngreeting = ""\nonly_answers = "yes"\n[turn]\nidle_prompt_s = 600\n')
        self.log = open(os.path.join(folder, "offhook.log"), "w")
        inside = ["ip", "netns", "exec", namespace]
        self.agent = subprocess.Popen([*inside, sys.executable, os.path.join(HERE, "short_agent.py")])
        self.child = subprocess.Popen([*inside, binary, "--home", self.home, "run"], stdout=self.log, stderr=self.log,
                                      stdin=subprocess.DEVNULL, env=dict(os.environ, OFFLINE="1", NO_COLOR="1"))
        health = [*inside, "curl", "-sf", "http://127.0.0.1:8060/healthz"]
        for _ in range(150):
            if subprocess.run(health, stdout=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.2)
        sys.exit("the program does not get healthy: " + open(self.log.name).read()[-2000:])

    def stop(self):
        for child in (self.child, self.agent):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()

    def heard(self):
        """How many messages there are, and per user what the callers said after so many."""
        store = sqlite3.connect(f"file:{os.path.join(self.home, 'offhook.db')}?mode=ro", uri=True)
        return store.execute("SELECT m.id, c.user, m.text FROM message m JOIN call c ON m.call = c.id "
                             "WHERE m.role = 'caller' ORDER BY m.id").fetchall()

    def tool(self, *words):
        done = subprocess.run([self.binary, "--home", self.home, *words], capture_output=True, text=True,
                              env=dict(os.environ, OFFLINE="1", NO_COLOR="1"))
        if done.returncode:
            sys.exit(f"{words[0]}: {done.stderr}")
        return done.stdout


def microphones(offhook, folder, texts):
    """The wav of each phone, and where each sentence is in it: (begin, end) in seconds."""
    clips = []
    for number, text in enumerate(texts):
        path = os.path.join(folder, f"said-{number}.wav")
        offhook.tool("speak", text, "-o", path)
        clips.append(path)
    line, places, at = [], [], 0.0
    for number, clip in enumerate(clips):
        before = LEAD_S if number == 0 else GAP_S
        padded = os.path.join(folder, f"padded-{number}.wav")
        # Loud parts at -20 dBFS, and a quiet room, so that nothing is helped by digital silence.
        subprocess.run(["sox", clip, "-r", "48000", "-c", "1", "-b", "16", padded, "gain", "-n", "-3", "pad", str(before), "0"], check=True)
        with wave.open(padded) as sound:
            length = sound.getnframes() / sound.getframerate()
        places.append((at + before, at + length))
        at += length
        line.append(padded)
    whole = os.path.join(folder, "whole.wav")
    subprocess.run(["sox", *line, whole, "pad", "0", "60"], check=True)
    paths = {}
    for name, (user, _, rate, channels, _, _) in PHONES.items():
        paths[name] = os.path.join(folder, f"{user}.wav")
        subprocess.run(["sox", "-R", whole, "-r", str(rate), "-c", str(channels), "-b", "16", paths[name]], check=True)
    return paths, places, at + GAP_S


def phone(name, folder, namespace, microphone, password, seconds):
    user, rtp, rate, channels, lines, codecs = PHONES[name]
    home = tempfile.mkdtemp(prefix=f"{user}-", dir=folder)
    modules = next(place for place in ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules",
                                       "/usr/lib/aarch64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules")
                   if os.path.isdir(place))
    with open(os.path.join(home, "config"), "w") as file:
        file.write(f"poll_method epoll\nsip_listen {PHONE}:{rtp - 1000}\nnet_interface {PHONE}\ncall_local_timeout 60\n"
                   f"audio_source aufile,{microphone}\naudio_player aubridge,null\naudio_alert aubridge,alert\n"
                   f"ausrc_srate {rate}\nausrc_channels {channels}\nauplay_srate {rate}\nauplay_channels {channels}\n"
                   f"audio_txmode thread\nrtp_ports {rtp}-{rtp + 98}\nmodule_path {modules}\nmodule aubridge.so\n"
                   f"module aufile.so\nmodule_tmp account.so\nmodule_app menu.so\n{lines}")
    with open(os.path.join(home, "accounts"), "w") as file:
        file.write(f"<sip:{user}@{SERVER}:{SIP};transport=udp>;auth_user={user};auth_pass={password};regint=0;audio_codecs={codecs}\n")
    open(os.path.join(home, "contacts"), "w").close()
    log = open(os.path.join(home, "log"), "w")
    return subprocess.Popen(["ip", "netns", "exec", namespace, "baresip", "-4", "-f", home, "-e", "/dial 100", "-t", str(int(seconds))],
                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=dict(os.environ, HOME=home))


class Tap:
    """The PCMU packets of one call: those that came through, by their place in time."""

    def __init__(self):
        self.first, self.kept, self.all = None, {}, 0

    def watch(self, port, datagram, is_lost):
        rtp = PHONES["PCMU"][1]
        if not rtp <= port < rtp + 100 or len(datagram) < 13 or datagram[0] >> 6 != 2 or datagram[1] & 0x7F != 0:
            return
        stamp = struct.unpack("!I", datagram[4:8])[0]
        self.first = stamp if self.first is None else self.first
        self.all += 1
        if not is_lost:
            self.kept[(stamp - self.first) & 0xFFFFFFFF] = datagram[12:]

    def clips(self, places, folder):
        """A wav per sentence with silence where packets are missing."""
        end = int(8000 * (places[-1][1] + GAP_S))
        pcm = bytearray(2 * end)
        for at, payload in self.kept.items():
            sound = audioop.ulaw2lin(payload, 2)
            if at + len(payload) <= end:
                pcm[2 * at:2 * at + len(sound)] = sound
        for number, (begin, stop) in enumerate(places):
            path = os.path.join(folder, f"holes-{number}.wav")
            with wave.open(path, "wb") as clip:
                clip.setnchannels(1), clip.setsampwidth(2), clip.setframerate(8000)
                clip.writeframes(bytes(pcm[2 * int(8000 * (begin - 0.3)):2 * int(8000 * (stop + 0.5))]))
            yield path


def main():
    # Whoever stops this stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    parser = argparse.ArgumentParser()
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "..", "target"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=len(TEXTS))
    parser.add_argument("--binary", default=os.path.join(target, "release", "offhook"))
    options = parser.parse_args()
    binary, texts = os.path.abspath(options.binary), TEXTS[:options.sentences]
    if not os.access(binary, os.X_OK):
        sys.exit(f"no {binary}: cargo build --release")
    said = words(" ".join(texts))
    folder, number = tempfile.mkdtemp(prefix="network-"), os.getpid()
    spaces = {"phone": f"offhook-phone-{number}", "server": f"offhook-server-{number}"}
    offhook = None
    try:
        for space in spaces.values():
            subprocess.run(["ip", "netns", "add", space], check=True)
        devices = [tun(f"tp{number}", spaces["phone"], PHONE, SERVER), tun(f"ts{number}", spaces["server"], SERVER, PHONE)]
        tap = Tap()
        router = Router(devices, Path(), 0, lambda *seen: tap.watch(*seen))
        router.start()
        offhook = Offhook(binary, folder, spaces["server"])
        microphone, places, seconds = microphones(offhook, folder, texts)
        sums = {}
        for round_number in range(1, options.rounds + 1):
            for path_name, path in PATHS:
                tap = Tap()
                router.set(path, f"{round_number} {path_name}")
                last = max((row[0] for row in offhook.heard()), default=0)
                phones = [phone(name, folder, spaces["phone"], microphone[name], offhook.password, seconds + 4) for name in PHONES]
                for child in phones:
                    child.wait(seconds + 60)
                time.sleep(2)
                rows = [row for row in offhook.heard() if row[0] > last]
                results = {name: [text for _, user, text in rows if user == PHONES[name][0]] for name in PHONES}
                results["PCMU, holes left silent"] = [offhook.tool("transcribe", clip) for clip in tap.clips(places, folder)]
                print(f"# round {round_number}, {path_name}: {router.lost} of {router.sent} packets lost", file=sys.stderr)
                for name, heard in results.items():
                    score = right(said, words(" ".join(heard)))
                    print(f"# {name}: {score} of {len(said)} words; {heard}", file=sys.stderr)
                    sums.setdefault(name, {}).setdefault(path_name, []).append(score)
        print("| phone | path | words said | right | over clean |\n| --- | --- | --- | --- | --- |")
        for name, paths in sums.items():
            clean = sum(paths["clean"])
            for path_name, scores in paths.items():
                print(f"| {name} | {path_name} | {len(said) * len(scores)} | {sum(scores)} | {100 * sum(scores) / max(1, clean):.1f} % |")
        router.is_over = True
    finally:
        if offhook:
            offhook.stop()
        for space in spaces.values():
            subprocess.run(["ip", "netns", "del", space], check=False)
        if os.environ.get("OFFHOOK_KEEP"):
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


main()
