//! Any bytes as `ha.cf`, `authkeys` and `haresources`: error lines, never a panic.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use systole::config::draft::Draft;
use systole::config::environment::{Environment, FileText, InterfaceProblem, PathKind};
use systole::config::report::Report;
use systole::config::{authkeys, haresources};
use systole::os::paths::Paths;

/// A host that gives the same answer to everything at once.
struct Host;

impl Environment for Host {
    fn read_file(&self, _: &Path) -> io::Result<FileText> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn host_name(&self) -> String {
        "alpha".to_owned()
    }
    fn effective_uid(&self) -> u32 {
        0
    }
    fn has_interface(&self, name: &str) -> bool {
        name.starts_with("eth")
    }
    fn interface_ipv4(&self, _: &str) -> Result<(), InterfaceProblem> {
        Ok(())
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        host.parse()
            .map(|address| vec![address])
            .map_err(|_| "unknown".to_owned())
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        name.len().is_multiple_of(2).then_some(1)
    }
    fn group_id(&self, name: &str) -> Option<u32> {
        self.user_id(name)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    fn path_kind(&self, _: &Path) -> PathKind {
        PathKind::Missing
    }
    fn is_executable(&self, path: &Path) -> bool {
        path.is_absolute()
    }
    fn udp_service_port(&self, _: &str) -> Option<u16> {
        None
    }
    fn udp_service_name(&self, _: u16) -> Option<String> {
        None
    }
    fn has_stonith_type(&self, _: &str) -> bool {
        false
    }
    fn has_logd(&self) -> bool {
        false
    }
    fn core_pattern(&self) -> String {
        "core".to_owned()
    }
    fn core_uses_pid(&self) -> bool {
        true
    }
}

/// Fails when a rule does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let paths = Paths::default();
    Draft::new(&Host, &paths, "alpha", 0).read(bytes);
    let mut report = Report::default();
    let _ = authkeys::read(
        &mut report,
        "/etc/ha.d/authkeys",
        "/etc/ha.d/authkeys",
        bytes,
    );
    let text = String::from_utf8_lossy(bytes);
    let _ = haresources::groups(&mut report, "/etc/ha.d/haresources", &text);
    for line in report.lines() {
        assert!(!line.to_string().is_empty());
    }
}
