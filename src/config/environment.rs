//! Questions to the machine during the check of the configuration.

use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Group, User};

use super::fencing::AGENT_PREFIX;

/// Largest configuration file, in bytes: far above any real one, so that a device or a log file put
/// there by mistake cannot fill the memory.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A file as read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileText {
    /// Content.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// User number of the owner.
    pub owner: u32,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing.
    Missing,
    /// A character device.
    CharDevice,
    /// Something else.
    Other,
}

/// Why an interface has no IPv4 address to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceProblem {
    /// No interface of that name.
    #[error("No such device")]
    Missing,
    /// It has no IPv4 address.
    #[error("Cannot assign requested address")]
    NoAddress,
}

/// The machine, as far as the configuration is checked against it.
pub trait Environment {
    /// Reads a whole file.
    ///
    /// # Errors
    /// The error of the file system; `IsADirectory` for a directory.
    fn read_file(&self, path: &Path) -> io::Result<FileText>;
    /// The kernel's host name, unchanged.
    fn host_name(&self) -> String;
    /// Number of the user we run as.
    fn effective_uid(&self) -> u32;
    /// Whether there is an interface of that name.
    fn has_interface(&self, name: &str) -> bool;
    /// Whether the interface has an IPv4 address and so a broadcast address.
    ///
    /// # Errors
    /// [`InterfaceProblem`] when not.
    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem>;
    /// All addresses of a host.
    ///
    /// # Errors
    /// The reason of the resolver.
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String>;
    /// Number of a user.
    fn user_id(&self, name: &str) -> Option<u32>;
    /// Number of a group.
    fn group_id(&self, name: &str) -> Option<u32>;
    /// What a path leads to, links followed.
    fn path_kind(&self, path: &Path) -> PathKind;
    /// Where a path leads to, links followed; the path itself where that is not known.
    fn real_path(&self, path: &Path) -> PathBuf;
    /// Whether a path names a program that we may run.
    fn is_executable(&self, path: &Path) -> bool;
    /// UDP port of a service name.
    fn udp_service_port(&self, name: &str) -> Option<u16>;
    /// Service name of a UDP port.
    fn udp_service_name(&self, port: u16) -> Option<String>;
    /// Whether a STONITH plugin or a fence agent of that type is installed.
    fn has_stonith_type(&self, kind: &str) -> bool;
    /// Whether the logging daemon answers.
    fn has_logd(&self) -> bool;
    /// `kernel.core_pattern`.
    fn core_pattern(&self) -> String;
    /// `kernel.core_uses_pid`.
    fn core_uses_pid(&self) -> bool;
}

/// The real machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

/// Directories of STONITH plugins, by distribution.
const STONITH_PLUGIN_DIRS: [&str; 3] = [
    "/usr/lib/stonith/plugins",
    "/usr/lib64/stonith/plugins",
    "/usr/lib/heartbeat/stonith/plugins",
];

/// Directory of the programs of the fence-agents family.
pub const FENCE_AGENTS: &str = "/usr/sbin";

/// Socket of the logging daemon. Spec: docs/protocol/client-api.md, 9.
pub const LOGD_SOCKET: &str = "/var/lib/heartbeat/log_daemon";

impl Environment for Machine {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(FileText {
            bytes,
            mode: metadata.permissions().mode() & 0o7777,
            owner: metadata.uid(),
        })
    }

    fn host_name(&self) -> String {
        nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn effective_uid(&self) -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn has_interface(&self, name: &str) -> bool {
        // An alias such as eth0:1 belongs to eth0.
        let device = name.split(':').next().unwrap_or(name);
        nix::net::if_::if_nametoindex(device).is_ok()
    }

    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        if !self.has_interface(name) {
            return Err(InterfaceProblem::Missing);
        }
        let found = nix::ifaddrs::getifaddrs().is_ok_and(|addresses| {
            addresses.into_iter().any(|entry| {
                entry.interface_name == name
                    && entry
                        .address
                        .is_some_and(|address| address.as_sockaddr_in().is_some())
            })
        });
        if found {
            Ok(())
        } else {
            Err(InterfaceProblem::NoAddress)
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "names are resolved here, at start, before anything beats"
    )]
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found: Vec<IpAddr> = (host, 0)
            .to_socket_addrs()
            .map_err(|error| error.to_string())?
            .map(|address| address.ip())
            .collect();
        if found.is_empty() {
            return Err("no address".to_owned());
        }
        Ok(found)
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        let user = User::from_name(name).ok().flatten()?;
        Some(user.uid.as_raw())
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        let group = Group::from_name(name).ok().flatten()?;
        Some(group.gid.as_raw())
    }

    fn path_kind(&self, path: &Path) -> PathKind {
        match std::fs::metadata(path) {
            Err(_) => PathKind::Missing,
            Ok(metadata) if metadata.file_type().is_char_device() => PathKind::CharDevice,
            Ok(_) => PathKind::Other,
        }
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }

    fn is_executable(&self, path: &Path) -> bool {
        path.is_file() && nix::unistd::access(path, AccessFlags::X_OK).is_ok()
    }

    fn udp_service_port(&self, name: &str) -> Option<u16> {
        udp_port_in(&services(), name)
    }

    fn udp_service_name(&self, port: u16) -> Option<String> {
        udp_name_in(&services(), port)
    }

    fn has_stonith_type(&self, kind: &str) -> bool {
        if kind.starts_with(AGENT_PREFIX) {
            return !kind.contains('/') && self.is_executable(&Path::new(FENCE_AGENTS).join(kind));
        }
        let relative = match kind.split_once('/') {
            Some(("external", script)) if !script.contains('/') => format!("external/{script}"),
            Some(_) => return false,
            None => format!("stonith2/{kind}.so"),
        };
        STONITH_PLUGIN_DIRS
            .iter()
            .any(|dir| Path::new(dir).join(&relative).is_file())
    }

    fn has_logd(&self) -> bool {
        UnixStream::connect(LOGD_SOCKET).is_ok()
    }

    fn core_pattern(&self) -> String {
        kernel_setting("core_pattern")
    }

    fn core_uses_pid(&self) -> bool {
        kernel_setting("core_uses_pid") != "0"
    }
}

fn kernel_setting(name: &str) -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// One UDP line of the services database.
struct Service {
    /// Name, then aliases.
    names: Vec<String>,
    port: u16,
}

fn services() -> String {
    std::fs::read_to_string("/etc/services").unwrap_or_default()
}

/// UDP port of a service name in the text of a services file.
#[must_use]
pub fn udp_port_in(services: &str, name: &str) -> Option<u16> {
    let mut services = services.lines().filter_map(udp_service);
    let service = services.find(|service| service.names.iter().any(|it| it == name))?;
    Some(service.port)
}

/// Service name of a UDP port in the text of a services file.
#[must_use]
pub fn udp_name_in(services: &str, port: u16) -> Option<String> {
    let mut services = services.lines().filter_map(udp_service);
    let service = services.find(|service| service.port == port)?;
    service.names.into_iter().next()
}

fn udp_service(line: &str) -> Option<Service> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let name = words.next()?;
    let port = words.next()?.strip_suffix("/udp")?.parse().ok()?;
    let names = std::iter::once(name)
        .chain(words)
        .map(str::to_owned)
        .collect();
    Some(Service { names, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_names_aliases_and_a_port() {
        let service = udp_service("ha-cluster\t694/udp  heartbeat # Linux-HA").expect("a service");
        assert_eq!(service.names, ["ha-cluster", "heartbeat"]);
        assert_eq!(service.port, 694);
        assert!(udp_service("domain 53/tcp").is_none());
        assert!(udp_service("# nothing").is_none());
    }

    #[test]
    fn this_machine_has_a_loopback_and_a_root() {
        assert!(Machine.has_interface("lo"));
        assert!(!Machine.has_interface("nosuch0"));
        assert_eq!(
            Machine.interface_ipv4("nosuch0"),
            Err(InterfaceProblem::Missing)
        );
        assert_eq!(Machine.user_id("root"), Some(0));
        assert_eq!(
            Machine.resolve("fd99::2"),
            Ok(vec!["fd99::2".parse().expect("address")])
        );
        assert_eq!(
            Machine.path_kind(Path::new("/dev/null")),
            PathKind::CharDevice
        );
        assert!(Machine.is_executable(Path::new("/bin/sh")));
        assert!(!Machine.is_executable(Path::new("/etc/passwd")));
        let error = Machine.read_file(Path::new("/")).expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
