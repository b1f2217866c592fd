#!/usr/bin/env bash
# `install-service.sh` puts the built program and its systemd unit in place and starts it; `install-service.sh remove`
# takes both away again and leaves the state in /var/lib/offhook.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "offhook: this needs root, and there is no sudo here." >&2
    exit 1
fi
root() { "${as_root[@]}" "$@"; }

if [ ! -d /run/systemd/system ]; then
    echo "offhook: systemd does not run on this machine; start the program with 'make run' instead." >&2
    exit 1
fi

if [ "${1:-}" = remove ]; then
    root systemctl disable --now offhook.service || true
    root rm -f /etc/systemd/system/offhook.service /usr/local/bin/offhook /usr/local/share/doc/offhook/README.md
    root systemctl daemon-reload
    echo "Removed. Users, calls and models are still in /var/lib/offhook."
    exit 0
fi

if ! getent passwd offhook >/dev/null; then
    root useradd --system --user-group --home-dir /var/lib/offhook --no-create-home --shell /usr/sbin/nologin offhook
fi
root install -D -m 0755 "${BINARY:-target/release/offhook}" /usr/local/bin/offhook
root install -D -m 0644 README.md /usr/local/share/doc/offhook/README.md
root install -D -m 0644 deploy/offhook.service /etc/systemd/system/offhook.service
root systemctl daemon-reload
root systemctl enable offhook.service
root systemctl restart offhook.service
cat <<'TEXT'
Offhook runs as a service, with its own user and its state in /var/lib/offhook.

  What it printed on its first start, with the password of the first phone:
      sudo journalctl -u offhook -n 60
  Settings (then: sudo systemctl restart offhook):
      sudoedit /var/lib/offhook/offhook.toml
  One more phone:
      sudo -u offhook offhook --home /var/lib/offhook user add kitchen
TEXT
