//! Reports the state of the daemon to the service manager (systemd, `Type=notify`).
//!
//! This is our own code instead of a crate, because nothing here may wait: the message is dropped
//! if the manager does not receive it at once.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Names the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// If set, signs of life are expected; the value is the longest silence, in microseconds.
const WATCHDOG: &str = "WATCHDOG_USEC";

/// The manager's variables. Children never get them: a service that a resource script starts would
/// report in our name.
pub const VARIABLES: [&str; 3] = [SOCKET, WATCHDOG, "WATCHDOG_PID"];

/// Pause between two signs of life.
pub const ALIVE_PAUSE: Duration = Duration::from_secs(1);

/// Reports that the media are open and that this process is the daemon: another process than before
/// if the guardian started it.
pub fn ready() {
    adopt(std::process::id());
}

/// Reports that the daemon is process `pid`, which already ran when the manager wanted to start
/// one.
pub fn adopt(pid: u32) {
    tell(&format!("READY=1\nMAINPID={pid}\n"));
}

/// Whether a manager has started the daemon.
#[must_use]
pub fn has_manager() -> bool {
    std::env::var_os(SOCKET).is_some()
}

/// Whether the manager wants signs of life. When they end, daemon and guardian are gone. Resources
/// may live on in the service's control group, so that the end of the processes alone would not
/// show it.
#[must_use]
pub fn wants_signs_of_life() -> bool {
    std::env::var_os(WATCHDOG).is_some()
}

/// Sends a sign of life.
pub fn alive() {
    tell("WATCHDOG=1\n");
}

/// Reports that a stop has begun.
pub fn stopping() {
    tell("STOPPING=1\n");
}

fn tell(text: &str) {
    // Without a manager there is no receiver.
    if let Some(name) = std::env::var_os(SOCKET) {
        let _ = send(name.as_bytes(), text);
    }
}

/// `name`: a path, or an abstract name after `@`.
fn send(name: &[u8], text: &str) -> io::Result<usize> {
    let address = match name.strip_prefix(b"@") {
        Some(rest) => SocketAddr::from_abstract_name(rest)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 100];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn paths_and_abstract_names_are_reached_without_waiting() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str().as_bytes(), "READY=1\n").unwrap();
        assert_eq!(heard(&manager), "READY=1\n");

        let name = format!("systole-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let abstracted = UnixDatagram::bind_addr(&address).unwrap();
        send(format!("@{name}").as_bytes(), "STOPPING=1\n").unwrap();
        assert_eq!(heard(&abstracted), "STOPPING=1\n");

        // There is no reader: in the end the message is refused, not waited for.
        let full = (0..100_000).any(|_| send(path.as_os_str().as_bytes(), "x").is_err());
        assert!(full);
        assert!(send(b"/nonexistent/socket", "x").is_err());
    }
}
