//! baresip with nothing but its signalling: nothing for a microphone or a loudspeaker, its JSON control
//! port for a hand.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::line::{Line, PASSWORD, USER};
use crate::process::{Folder, Process, wait_until};

pub struct Softphone {
    _folder: Folder,
    pub process: Process,
    control: TcpStream,
    pub address: SocketAddr,
}

impl Softphone {
    /// Started, not registered; it answers by itself.
    pub fn start(line: &Line) -> Softphone {
        let folder = Folder::new("endpoint-baresip");
        let sip = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let control = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let (address, control) = (sip.expect("a port"), control.expect("a port"));
        let write = |name: &str, text: String| {
            fs::write(folder.path().join(name), text).expect("a writable folder")
        };
        write("config", config(address, control, folder.path()));
        write(
            "accounts",
            format!(
                "<sip:{USER}@{};transport=udp>;auth_user={USER};auth_pass={PASSWORD};regint=0;answermode=auto\n",
                line.address
            ),
        );
        write("contacts", String::new());
        let mut command = Command::new("baresip");
        command
            .args(["-4", "-s", "-v", "-f"])
            .arg(folder.path())
            .env("HOME", folder.path());
        let mut process = Process::start("baresip", &mut command);
        let mut stream = None;
        wait_until(Duration::from_secs(10), || {
            stream = TcpStream::connect(control).ok();
            stream.is_some() || !process.is_running()
        });
        let control = stream.unwrap_or_else(|| panic!("no control port\n{}", process.tail()));
        control
            .set_read_timeout(Some(Duration::from_millis(10)))
            .expect("a timeout can be set");
        Softphone {
            _folder: folder,
            process,
            control,
            address,
        }
    }

    pub fn command(&mut self, command: &str, parameters: &str) {
        let text =
            format!("{{\"command\":\"{command}\",\"params\":\"{parameters}\",\"token\":\"t\"}}");
        let framed = format!("{}:{text},", text.len());
        self.control
            .write_all(framed.as_bytes())
            .expect("baresip takes commands");
        // What it answers is not needed, but must not fill its pipe.
        let mut answers = [0; 4_096];
        let _ = self.control.read(&mut answers);
    }
}

fn config(sip: SocketAddr, control: SocketAddr, folder: &Path) -> String {
    format!(
        "poll_method epoll\n\
         sip_listen {sip}\n\
         net_interface 127.0.0.1\n\
         call_local_timeout 60\n\
         audio_source aubridge,mouth\n\
         audio_player aubridge,null\n\
         audio_alert aubridge,alert\n\
         ausrc_srate 8000\n\
         ausrc_channels 1\n\
         auplay_srate 8000\n\
         auplay_channels 1\n\
         module_path {modules}\n\
         module g711.so\n\
         module aubridge.so\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         module_app ctrl_tcp.so\n\
         ctrl_tcp_listen {control}\n\
         snd_path {folder}\n",
        modules = modules().display(),
        folder = folder.display(),
    )
}

/// Debian puts the modules into one place, multiarch distributions into another.
fn modules() -> PathBuf {
    let places = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/lib/aarch64-linux-gnu/baresip/modules",
        "/usr/local/lib/baresip/modules",
    ];
    let found = places
        .iter()
        .map(PathBuf::from)
        .find(|place| place.is_dir());
    found.expect("baresip's modules are installed")
}
