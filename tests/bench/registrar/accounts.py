"""accounts.py FOLDER COUNT PORT [CONFIG]: a home folder of Offhook with so many accounts, and the same accounts for SIPp.

CONFIG is a file of further settings: whole sections that are not written here."""
import hashlib
import os
import secrets
import sys

folder, count, port = sys.argv[1], int(sys.argv[2]), sys.argv[3]
REALM = "bench.test"
home = os.path.join(folder, "home")
os.makedirs(home, mode=0o700)


def ha1(algorithm, name):
    return hashlib.new(algorithm, f"{name}:{REALM}:pw{name}".encode()).hexdigest()


names = [f"u{number:06d}" for number in range(1, count + 1)]
with open(os.open(os.path.join(home, "secrets.toml"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
    file.write(f'version = 1\napi_token = "{secrets.token_hex(32)}"\n')
    file.write(f'[selftest]\nname = "selftest"\npassword = "{secrets.token_hex(16)}"\n')
    for name in names:
        file.write(f'[[users]]\nname = "{name}"\nrealm = "{REALM}"\n')
        file.write(f'ha1_md5 = "{ha1("md5", name)}"\nha1_sha256 = "{ha1("sha256", name)}"\n')
        file.write('created = "2026-01-01T00:00:00Z"\n')
with open(os.path.join(home, "offhook.toml"), "w") as file:
    file.write(f'[sip]\nrealm = "{REALM}"\nbind = ["loopback"]\nport = {port}\n')
    further = open(sys.argv[4]).read() if len(sys.argv) > 4 else "[web]\nenabled = false\n"
    file.write(further)
with open(os.path.join(folder, "accounts.csv"), "w") as file:
    file.write("SEQUENTIAL\n")
    for name in names:
        file.write(f"{name};[authentication username={name} password=pw{name}];\n")
