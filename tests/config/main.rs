//! Reads configuration files as the daemon does, and compares with what legacy says.
//!
//! Spec: docs/protocol/config.md.

mod fencing;
mod field;
mod lines;
mod observed;
mod recorded;
mod settings;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use systole::config::Config;
use systole::config::environment::{Environment, FileText, InterfaceProblem, PathKind};
use systole::config::load::{ConfigFailure, LoadOptions, Loaded, Purpose};
use systole::config::print;
use systole::config::types::MediumConfig;
use systole::inspect::{Finding, HostView, Network, load};
use systole::notice::Notice;
use systole::os::paths::Paths;

/// The machine that the cases were recorded on.
pub(crate) struct Recorded {
    files: BTreeMap<PathBuf, Result<FileText, io::ErrorKind>>,
    host_name: String,
    uid: u32,
}

impl Environment for Recorded {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        match self.files.get(path) {
            Some(Ok(file)) => Ok(file.clone()),
            Some(Err(kind)) => Err((*kind).into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn host_name(&self) -> String {
        self.host_name.clone()
    }
    fn effective_uid(&self) -> u32 {
        self.uid
    }
    fn has_interface(&self, name: &str) -> bool {
        matches!(name, "lo" | "eth0" | "eth1")
    }
    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        match name {
            "lo" | "eth0" => Ok(()),
            "eth1" => Err(InterfaceProblem::NoAddress),
            _ => Err(InterfaceProblem::Missing),
        }
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let number = host.split_once('%').map_or(host, |(number, _)| number);
        number
            .parse()
            .map(|address| vec![address])
            .map_err(|_| "Resource temporarily unavailable".to_owned())
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "hacluster" => Some(102),
            _ => None,
        }
    }
    fn group_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "haclient" => Some(105),
            _ => None,
        }
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        match path.to_str() {
            Some("/dev/serial/by-id/nine") => "/dev/ttyS9".into(),
            _ => path.to_owned(),
        }
    }
    fn path_kind(&self, path: &Path) -> PathKind {
        match path.to_str() {
            Some("/dev/ttyS9" | "/dev/serial/by-id/nine" | "/dev/null") => PathKind::CharDevice,
            Some("/etc/passwd") => PathKind::Other,
            _ => PathKind::Missing,
        }
    }
    fn is_executable(&self, path: &Path) -> bool {
        path.starts_with("/bin")
            || path.starts_with("/usr/libexec/heartbeat") && !path.ends_with("cib")
    }
    fn udp_service_port(&self, _: &str) -> Option<u16> {
        None
    }
    fn udp_service_name(&self, port: u16) -> Option<String> {
        (port == 53).then(|| "domain".to_owned())
    }
    fn has_stonith_type(&self, kind: &str) -> bool {
        matches!(kind, "meatware" | "null" | "external/ssh" | "fence_x")
    }
    fn has_logd(&self) -> bool {
        false
    }
    fn core_pattern(&self) -> String {
        "core".to_owned()
    }
    fn core_uses_pid(&self) -> bool {
        false
    }
}

impl HostView for Recorded {
    fn network(&self, _: &[IpAddr]) -> Option<Network> {
        None
    }
    fn primary_group(&self, _: &str) -> Option<u32> {
        None
    }
    fn started_at_boot(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn own_addresses(&self, _: &Paths, _: &Config, _: &str) -> (Vec<Finding>, Vec<Finding>) {
        Default::default()
    }
}

pub(crate) fn cases() -> BTreeMap<String, Value> {
    let mut cases = BTreeMap::new();
    for line in include_str!("../vectors/config/cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let name = text(&case, "name").expect("a case has a name").to_owned();
        assert!(cases.insert(name.clone(), case).is_none(), "{name} twice");
    }
    cases
}

pub(crate) fn text<'a>(case: &'a Value, key: &str) -> Option<&'a str> {
    case.get(key)?.as_str()
}

pub(crate) const GOOD_AUTHKEYS: &str = "auth 1\n1 sha1 labkey\n";
pub(crate) const GOOD_HARESOURCES: &str = "node1 10.9.0.100\n";

pub(crate) fn surroundings(case: &Value) -> Recorded {
    let paths = Paths::default();
    let mode = text(case, "authkeys_mode")
        .and_then(|mode| u32::from_str_radix(mode, 8).ok())
        .unwrap_or(0o600);
    let mut files = BTreeMap::new();
    let mut put = |key: &str, path: PathBuf, default: Option<&str>, mode: u32| {
        let content = match case.get(key) {
            None => default,
            Some(value) => value.as_str(),
        };
        if let Some(content) = content {
            let bytes = content.as_bytes().to_vec();
            files.insert(
                path,
                Ok(FileText {
                    bytes,
                    mode,
                    owner: 0,
                }),
            );
        }
    };
    put("ha.cf", paths.ha_cf(), None, 0o644);
    put("authkeys", paths.authkeys(), Some(GOOD_AUTHKEYS), mode);
    put(
        "haresources",
        paths.haresources(),
        Some(GOOD_HARESOURCES),
        0o644,
    );
    put("nodeinfo", paths.ha_dir.join("nodeinfo"), None, 0o644);
    let mut uid = 0;
    match text(case, "name") {
        Some("unreadable-hacf") => {
            files.insert(paths.ha_cf(), Err(io::ErrorKind::IsADirectory));
        }
        Some("authkeys-dir") => {
            files.insert(paths.authkeys(), Err(io::ErrorKind::IsADirectory));
        }
        Some("not-root") => {
            uid = 102;
            files.insert(paths.authkeys(), Err(io::ErrorKind::PermissionDenied));
        }
        Some("authkeys-owner-hacluster") => {
            if let Some(Ok(file)) = files.get_mut(&paths.authkeys()) {
                file.owner = 102;
            }
        }
        _ => {}
    }
    Recorded {
        files,
        host_name: text(case, "hostname").unwrap_or("node1").to_owned(),
        uid,
    }
}

pub(crate) fn run(case: &Value) -> Result<Loaded, Box<ConfigFailure>> {
    run_on(case, &surroundings(case))
}

pub(crate) fn run_on(case: &Value, env: &Recorded) -> Result<Loaded, Box<ConfigFailure>> {
    let words: Vec<&str> = text(case, "command").unwrap_or("").split(' ').collect();
    let options = LoadOptions {
        manage_resources: !words.contains(&"-M"),
        realtime: !words.contains(&"-l"),
        debug: u8::try_from(words.iter().filter(|word| **word == "-d").count()).unwrap_or(0),
        ..LoadOptions::default()
    };
    load(&Paths::default(), env, &options)
}

pub(crate) fn shown(lines: &[Notice]) -> Vec<String> {
    lines
        .iter()
        .map(|line| format!("{}: {line}", line.severity().word()))
        .collect()
}

pub(crate) fn with_ha_cf(lines: &str) -> Result<Loaded, Box<ConfigFailure>> {
    let case = serde_json::json!({ "name": "made here", "ha.cf": lines });
    run(&case)
}

pub(crate) const GOOD: &str =
    "logfile /var/log/ha-log\nkeepalive 1\ndeadtime 10\nnode node1 node2\nauto_failback on\n";
