"""What soak.sh runs: starts the program, plays its phones, watches what it holds, and judges what is left."""
import argparse
import array
import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(HERE, "..", "bench")
SPEECH = os.path.join(HERE, "..", "golden", "speech", "seen_00.wav")
SIP, WEB = 5116, 8116
PORTS = range(30000, 60000)
USERS = 200
# Half of what the table of transactions holds: 16,384, of which a call leaves about a hundred for a second each.
RATE_MAX = 75
# One that vanished is asked after a minute of silence, and given up half a minute later.
DRAIN_S = 150
GROWTH_MIB = 8


class Program:
    def __init__(self, binary, folder):
        further = os.path.join(folder, "further.toml")
        with open(further, "w") as file:
            file.write(f"[media]\nport_min = {PORTS.start}\nport_max = {PORTS.stop - 1}\n")
            file.write("[calls]\nmax = 1000\nper_user_max = 1000\n")
            file.write(f"[web]\nport = {WEB}\n[asr]\nmodel = \"embedded\"\n[models]\nauto_download = false\n")
        accounts = os.path.join(BENCH, "registrar", "accounts.py")
        subprocess.run([sys.executable, accounts, folder, str(USERS), str(SIP), further], check=True)
        home = os.path.join(folder, "home")
        with open(os.path.join(home, "secrets.toml")) as file:
            self.token = re.search(r'api_token = "(\w+)"', file.read()).group(1)
        self.log = open(os.path.join(folder, "offhook.log"), "w")
        self.child = subprocess.Popen(
            [binary, "--home", home, "run"], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            env=dict(os.environ, OFFLINE="1", NO_COLOR="1"))
        subprocess.run([sys.executable, os.path.join(BENCH, "registrar", "ping.py"), str(SIP)], check=True)

    def wait_until_well(self):
        for _ in range(300):
            if self.child.poll() is not None:
                sys.exit(f"the program ended with {self.child.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{WEB}/healthz", timeout=2).read()
                return
            except OSError:
                time.sleep(0.2)
        sys.exit("the program is not well after a minute: OFFHOOK_KEEP=1 keeps its log")

    def metrics(self):
        request = urllib.request.Request(f"http://127.0.0.1:{WEB}/metrics")
        request.add_header("Authorization", f"Bearer {self.token}")
        text = urllib.request.urlopen(request, timeout=10).read().decode()
        rows = (line.split(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix("offhook_"): float(value) for name, value in rows}

    def cpu_s(self):
        with open(f"/proc/{self.child.pid}/stat") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def sample(self):
        """What it holds now: by its own count, and by the kernel's."""
        row = self.metrics()
        with open(f"/proc/{self.child.pid}/status") as file:
            row["rss_mib"] = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024
        files = f"/proc/{self.child.pid}/fd"
        own = set()
        for name in os.listdir(files):
            try:
                own.add(os.readlink(os.path.join(files, name)))
            except OSError:
                pass
        row["files"] = len(own)
        with open("/proc/net/udp") as file:
            rows = [line.split() for line in list(file)[1:]]
        row["ports"] = sum(int(cells[1].split(":")[1], 16) in PORTS and f"socket:[{cells[9]}]" in own for cells in rows)
        return row


class Players:
    """The SIPp processes."""

    def __init__(self, folder):
        self.folder, self.port, self.all = folder, 5200, []
        self.asked = {}

    def start(self, name, scenario, more, server=True, source="127.0.0.1"):
        if "-m" in more:
            self.asked[name] = self.asked.get(name, 0) + int(more[more.index("-m") + 1])
        self.port += 2
        number = len(self.all)
        stats = os.path.join(self.folder, f"{name}-{number}.csv")
        command = ["sipp"] + ([f"127.0.0.1:{SIP}"] if server else [])
        command += ["-sf", scenario, "-i", source, "-mi", "127.0.0.1", "-nostdin", "-t", "u1", "-trace_stat", "-stf", stats,
                    "-fd", "5", "-buff_size", "4194304", "-deadcall_wait", "0", "-trace_err", "-error_file", stats + ".err"]
        if "-p" not in more:
            command += ["-p", str(self.port)]
        log = open(stats + ".log", "w")
        child = subprocess.Popen(command + more, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)
        self.all.append((name, child, stats))
        return child

    def totals(self):
        """name: (successful, failed, current)."""
        sums = {}
        for name, _, stats in self.all:
            try:
                with open(stats) as file:
                    last = list(csv.DictReader(file, delimiter=";"))[-1]
            except (OSError, IndexError):
                continue
            cells = [int(last[cell]) for cell in ("SuccessfulCall(C)", "FailedCall(C)", "CurrentCall")]
            before = sums.get(name, (0, 0, 0))
            sums[name] = tuple(a + b for a, b in zip(before, cells))
        return sums

    def stop(self):
        for _, child, _ in self.all:
            if child.poll() is None:
                child.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 20
        for _, child, _ in self.all:
            try:
                child.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def sound(folder):
    """The same words for the assistant, with a pause behind, and for phones."""
    with wave.open(SPEECH) as clip:
        samples, rate = array.array("h", clip.readframes(clip.getnframes())), clip.getframerate()
    if sys.byteorder == "big":
        samples.byteswap()
    if rate % 8000:
        sys.exit(f"{SPEECH} has {rate} Hz, no multiple of 8,000")
    step = rate // 8000
    # The mean of neighbours keeps most of what 8 kHz cannot hold from folding down.
    words = bytes(ulaw(sum(samples[at:at + step]) // step) for at in range(0, len(samples) - step + 1, step))
    for name, silence_s in (("sound.ul", 0), ("question.ul", 7)):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(words + bytes([ulaw(0)]) * (8000 * silence_s))


def ulaw(sample):
    """One octet of G.711, for a sample of 16 bits."""
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


def accounts(folder):
    lines = {}
    for number in range(1, USERS + 1):
        name = f"u{number:06d}"
        lines[name] = f"{name};[authentication username={name} password=pw{name}];\n"
    files = {
        "callers.csv": [line for name, line in lines.items() if name > "u000020"],
        "wrong.csv": [f"{name};[authentication username={name} password=guess];\n" for name in lines],
        **{f"{name}.csv": [lines[name]] for name in ("u000001", "u000002", "u000003")},
    }
    for name, rows in files.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write("SEQUENTIAL\n" + "".join(rows))


def scenario(name):
    for folder in (HERE, os.path.join(BENCH, "calls"), os.path.join(BENCH, "registrar")):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(name)


def dial(players, name, file, number, calls, rate, most, more=()):
    per_ms = 1000
    while rate < 1:
        rate, per_ms = rate * 10, per_ms * 10
    return players.start(name, scenario(file), [
        "-inf", "callers.csv", "-s", number, "-auth_uri", f"{number}@bench.test", "-m", str(calls),
        "-r", str(round(rate)), "-rp", str(per_ms), "-l", str(most), "-recv_timeout", "15000", *more])


def slope(points):
    """MiB per hour of (seconds, MiB), least squares."""
    n = len(points)
    if n < 2:
        return 0.0
    mean_t, mean_m = sum(t for t, _ in points) / n, sum(m for _, m in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return 3600 * sum((t - mean_t) * (m - mean_m) for t, m in points) / spread if spread else 0.0


COLUMNS = ["rss_mib", "files", "ports", "calls", "sip_dialogs", "sip_server_transactions", "sip_client_transactions",
           "registrations", "calls_total"]


def show(minute, row, cpu):
    print(f"| {minute} | " + " | ".join(f"{row[name]:.1f}" if name == "rss_mib" else f"{row[name]:.0f}" for name in COLUMNS)
          + f" | {cpu:.0f} % |", flush=True)


def soak(options, folder):
    program, players = Program(options.binary, folder), Players(folder)
    try:
        program.wait_until_well()
        return play(options, folder, program, players)
    finally:
        players.stop()
        program.child.terminate()
        try:
            program.child.wait(30)
        except subprocess.TimeoutExpired:
            program.child.kill()


def play(options, folder, program, players):
    sound(folder)
    accounts(folder)
    for number, (user, file) in enumerate(
            [("u000001", "callee.xml"), ("u000002", "callee_leaves.xml"), ("u000003", "callee_rings.xml")]):
        port = 5190 + 2 * number
        # From the port where it answers: a phone is called where it registered from.
        register = ["-inf", f"{user}.csv", "-key", "contact_port", str(port), "-p", str(port), "-m", "1"]
        if players.start("phones", scenario("register.xml"), register).wait(30):
            sys.exit(f"{user} does not register")
        # -aa: they are asked now and then whether a call still stands.
        players.start("answering", scenario(file), ["-p", str(port), "-mp", str(18000 + 10 * number), "-rtp_echo", "-aa"], server=False)
    time.sleep(2)

    start = program.sample()
    rate = options.rate
    if rate == "auto":
        before, calls = program.cpu_s(), 300
        child = dial(players, "short", "caller.xml", "u000001", calls, 20, 200, ["-d", "200"])
        child.wait()
        each = (program.cpu_s() - before) / calls
        rate = max(1.0, min(RATE_MAX, 0.5 / each))
        print(f"a short call costs {1000 * each:.1f} ms of CPU: half of a core is {0.5 / each:.0f} a second, half of the transactions {RATE_MAX}")
    rate = float(rate)
    print(f"{rate:.0f} short calls a second, {options.talking} with sound at once, for {options.minutes} minutes")
    print("| minute | " + " | ".join(COLUMNS) + " | CPU |\n|" + " --- |" * (len(COLUMNS) + 2))
    show(0, start, 0)

    seconds = options.minutes * 60
    begun = time.monotonic()
    count = lambda per_s: max(1, int(per_s * seconds))
    dial(players, "short", "caller.xml", "u000001", count(rate), rate, int(rate * 20), ["-d", "200"])
    talking = options.talking / 14
    dial(players, "talk", "talk.xml", "u000001", count(talking), talking, options.talking * 2,
         ["-d", "12000", "-mp", "20000"])
    dial(players, "assistant", "assistant.xml", "100", count(0.1), 0.1, 4,
         ["-d", "18000", "-mp", "25000"])
    dial(players, "hand on", "hand_on.xml", "u000001", count(rate / 20), rate / 20, 100, ["-key", "target", "u000002"])
    dial(players, "give up", "give_up.xml", "u000003", count(rate / 20), rate / 20, 100)
    players.start("register", scenario("register.xml"), [
        "-inf", "callers.csv", "-key", "contact_port", "5190", "-m", str(count(rate / 2)), "-r", str(max(1, round(rate / 2))), "-l", "200"])
    # From an address of its own, which gets itself banned.
    players.start("wrong password", scenario("register.xml"), [
        "-inf", "wrong.csv", "-key", "contact_port", "5190", "-m", str(count(0.5)), "-r", "1", "-rp", "2000", "-l", "20",
        "-recv_timeout", "3000"], source="127.0.0.66")
    vanishing = dial(players, "vanish", "talk.xml", "u000001", 10, 10, 10,
                     ["-d", "600000", "-mp", "27000"])

    memory, cpu = [], program.cpu_s()
    for minute in range(1, options.minutes + 1):
        while time.monotonic() < begun + 60 * minute:
            time.sleep(5)
            memory.append((time.monotonic() - begun, program.sample()["rss_mib"]))
            if program.child.poll() is not None:
                return [f"the program ended with {program.child.returncode}"]
        if minute == 1:
            vanishing.kill()
        spent = program.cpu_s()
        show(minute, program.sample(), 100 * (spent - cpu) / 60)
        cpu = spent

    for name, child, _ in players.all:
        if name not in ("answering", "vanish"):
            try:
                child.wait(90)
            except subprocess.TimeoutExpired:
                pass
    end = time.monotonic() + DRAIN_S
    kept = ["calls", "sip_dialogs", "sip_server_transactions", "sip_client_transactions", "ports"]
    while any(program.sample()[name] > start[name] for name in kept) and time.monotonic() < end:
        time.sleep(2)
    time.sleep(6)
    return judge(start, program.sample(), memory, players, kept)


def judge(start, last, memory, players, kept):
    show("end", last, 0)
    wrong = [f"{name}: {last[name]:.0f} left, {start[name]:.0f} at the start" for name in kept if last[name] > start[name]]
    if last["files"] > start["files"] + 8:
        wrong.append(f"open files: {last['files']}, {start['files']} at the start")
    # The first third fills caches and pools.
    settled = memory[len(memory) // 3:]
    half = len(settled) // 2
    mean = lambda points: sum(m for _, m in points) / max(1, len(points))
    growth = mean(settled[half:]) - mean(settled[:half])
    print(f"memory after the first third: {slope(settled):+.1f} MiB an hour; second half over first {growth:+.1f} MiB")
    if growth > GROWTH_MIB:
        wrong.append(f"memory grew by {growth:.1f} MiB")
    totals = players.totals()
    for name in sorted({name for name, _, _ in players.all} - set(totals)):
        wrong.append(f"{name}: played nothing; see its log (OFFHOOK_KEEP=1)")
    for name, (good, bad, current) in totals.items():
        asked = players.asked.get(name)
        # Those that answer play until they are stopped; the one that vanishes is stopped on purpose.
        if name != "vanish" and asked and good + bad < asked:
            wrong.append(f"{name}: {good + bad} of {asked} were played")
        if name not in ("wrong password", "vanish") and not good:
            wrong.append(f"{name}: none went as wanted")
        print(f"{name}: {good} as wanted, {bad} not{f', {current} still there' if current else ''}")
        if name == "answering" and current:
            wrong.append(f"{current} calls stand at the phones that were called")
        if name not in ("wrong password", "vanish") and bad * 200 > good + bad:
            wrong.append(f"{name}: {bad} of {good + bad} failed")
        if name == "wrong password" and good:
            wrong.append(f"{good} registrations with a wrong password")
    return wrong


def main():
    # Whoever stops this stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    parser = argparse.ArgumentParser()
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target"))
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", default="auto")
    parser.add_argument("--talking", type=int, default=50)
    parser.add_argument("--binary", default=os.path.join(target, "release", "offhook"))
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"no {options.binary}: cargo build --release")
    keep = os.environ.get("OFFHOOK_KEEP")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        folder = tempfile.mkdtemp(prefix="soak-") if keep else folder
        wrong = soak(options, folder)
        if keep:
            print(f"kept: {folder}")
    print("\n".join(f"WRONG {line}" for line in wrong) or "nothing left, nothing grown")
    sys.exit(1 if wrong else 0)


main()
