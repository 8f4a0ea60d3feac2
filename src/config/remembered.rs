//! The answers of the machine during the check of the configuration, kept in memory (`/run`) for a
//! daemon that is started again after a sudden death: it continues with the files of the dead
//! daemon. A file that has become bad since, a disk that hangs or a resolver that does not answer
//! must not keep it from sending heartbeats: the other nodes wait no longer than usual.
//!
//! A question that was not asked then (by an earlier version of the program) is put to the machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::environment::{Environment, FileText, InterfaceProblem, Machine, PathKind};

/// Question and answer, both as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers(BTreeMap<String, String>);

impl Answers {
    /// Replaces the answers to questions that were asked again.
    pub fn update(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// Whether a file was read, or found missing.
    #[must_use]
    pub fn has_file(&self, path: &Path) -> bool {
        self.0.contains_key(&about_path("file", path))
    }

    fn get<T: DeserializeOwned>(&self, question: &str) -> Option<T> {
        serde_json::from_str(self.0.get(question)?).ok()
    }

    fn put<T: Serialize>(&mut self, question: String, answer: &T) {
        if let Ok(text) = serde_json::to_string(answer) {
            self.0.insert(question, text);
        }
    }
}

/// The stored form of a file.
#[derive(Serialize, Deserialize)]
enum KeptFile {
    Text(String, u32, u32),
    Bytes(Vec<u8>, u32, u32),
    /// The number of the error.
    Failed(i32),
}

impl KeptFile {
    /// `None`: an error without a number.
    fn of(read: &io::Result<FileText>) -> Option<Self> {
        match read {
            Ok(file) => Some(match String::from_utf8(file.bytes.clone()) {
                Ok(text) => Self::Text(text, file.mode, file.owner),
                Err(error) => Self::Bytes(error.into_bytes(), file.mode, file.owner),
            }),
            Err(error) => error.raw_os_error().map(Self::Failed),
        }
    }

    fn into_read(self) -> io::Result<FileText> {
        let (bytes, mode, owner) = match self {
            Self::Text(text, mode, owner) => (text.into_bytes(), mode, owner),
            Self::Bytes(bytes, mode, owner) => (bytes, mode, owner),
            Self::Failed(number) => return Err(io::Error::from_raw_os_error(number)),
        };
        Ok(FileText { bytes, mode, owner })
    }
}

const INTERFACE_OK: u8 = 0;
const INTERFACE_MISSING: u8 = 1;
const INTERFACE_BARE: u8 = 2;

const PATH_MISSING: u8 = 0;
const PATH_DEVICE: u8 = 1;
const PATH_OTHER: u8 = 2;

/// The real machine; its answers are recorded.
#[derive(Debug, Default)]
pub struct Recorder(RefCell<Answers>);

impl Recorder {
    /// The recorded answers.
    #[must_use]
    pub fn into_answers(self) -> Answers {
        self.0.into_inner()
    }

    fn note<T: Serialize>(&self, question: String, answer: T) -> T {
        self.0.borrow_mut().put(question, &answer);
        answer
    }
}

/// A machine that gives the recorded answers.
#[derive(Debug)]
pub struct Remembered<'a>(pub &'a Answers);

/// A question about a path.
fn about_path(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}

impl Environment for Recorder {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        let read = Machine.read_file(path);
        if let Some(kept) = KeptFile::of(&read) {
            self.0.borrow_mut().put(about_path("file", path), &kept);
        }
        read
    }

    fn host_name(&self) -> String {
        self.note("host name".to_owned(), Machine.host_name())
    }

    fn effective_uid(&self) -> u32 {
        Machine.effective_uid()
    }

    fn has_interface(&self, name: &str) -> bool {
        self.note(format!("interface {name}"), Machine.has_interface(name))
    }

    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        let answer = Machine.interface_ipv4(name);
        let number = match answer {
            Ok(()) => INTERFACE_OK,
            Err(InterfaceProblem::Missing) => INTERFACE_MISSING,
            Err(InterfaceProblem::NoAddress) => INTERFACE_BARE,
        };
        self.note(format!("address of {name}"), number);
        answer
    }

    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.note(format!("resolve {host}"), Machine.resolve(host))
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        self.note(format!("user {name}"), Machine.user_id(name))
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        self.note(format!("group {name}"), Machine.group_id(name))
    }

    fn path_kind(&self, path: &Path) -> PathKind {
        let answer = Machine.path_kind(path);
        let number = match answer {
            PathKind::Missing => PATH_MISSING,
            PathKind::CharDevice => PATH_DEVICE,
            PathKind::Other => PATH_OTHER,
        };
        self.note(about_path("kind", path), number);
        answer
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        self.note(about_path("real", path), Machine.real_path(path))
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.note(about_path("executable", path), Machine.is_executable(path))
    }

    fn udp_service_port(&self, name: &str) -> Option<u16> {
        self.note(format!("port {name}"), Machine.udp_service_port(name))
    }

    fn udp_service_name(&self, port: u16) -> Option<String> {
        self.note(format!("service {port}"), Machine.udp_service_name(port))
    }

    fn has_stonith_type(&self, kind: &str) -> bool {
        self.note(format!("stonith {kind}"), Machine.has_stonith_type(kind))
    }

    fn has_logd(&self) -> bool {
        self.note("logd".to_owned(), Machine.has_logd())
    }

    fn core_pattern(&self) -> String {
        self.note("core pattern".to_owned(), Machine.core_pattern())
    }

    fn core_uses_pid(&self) -> bool {
        self.note("core uses pid".to_owned(), Machine.core_uses_pid())
    }
}

impl Remembered<'_> {
    fn get<T: DeserializeOwned>(&self, question: &str, machine: impl FnOnce() -> T) -> T {
        self.0.get(question).unwrap_or_else(machine)
    }
}

impl Environment for Remembered<'_> {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        match self.0.get::<KeptFile>(&about_path("file", path)) {
            Some(kept) => kept.into_read(),
            None => Machine.read_file(path),
        }
    }

    fn host_name(&self) -> String {
        self.get("host name", || Machine.host_name())
    }

    fn effective_uid(&self) -> u32 {
        Machine.effective_uid()
    }

    fn has_interface(&self, name: &str) -> bool {
        self.get(&format!("interface {name}"), || Machine.has_interface(name))
    }

    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        match self.0.get::<u8>(&format!("address of {name}")) {
            Some(INTERFACE_OK) => Ok(()),
            Some(INTERFACE_MISSING) => Err(InterfaceProblem::Missing),
            Some(INTERFACE_BARE) => Err(InterfaceProblem::NoAddress),
            _ => Machine.interface_ipv4(name),
        }
    }

    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.get(&format!("resolve {host}"), || Machine.resolve(host))
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        self.get(&format!("user {name}"), || Machine.user_id(name))
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        self.get(&format!("group {name}"), || Machine.group_id(name))
    }

    fn path_kind(&self, path: &Path) -> PathKind {
        match self.0.get::<u8>(&about_path("kind", path)) {
            Some(PATH_MISSING) => PathKind::Missing,
            Some(PATH_DEVICE) => PathKind::CharDevice,
            Some(PATH_OTHER) => PathKind::Other,
            _ => Machine.path_kind(path),
        }
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        self.get(&about_path("real", path), || Machine.real_path(path))
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.get(&about_path("executable", path), || {
            Machine.is_executable(path)
        })
    }

    fn udp_service_port(&self, name: &str) -> Option<u16> {
        self.get(&format!("port {name}"), || Machine.udp_service_port(name))
    }

    fn udp_service_name(&self, port: u16) -> Option<String> {
        self.get(&format!("service {port}"), || {
            Machine.udp_service_name(port)
        })
    }

    fn has_stonith_type(&self, kind: &str) -> bool {
        self.get(&format!("stonith {kind}"), || {
            Machine.has_stonith_type(kind)
        })
    }

    fn has_logd(&self) -> bool {
        self.get("logd", || Machine.has_logd())
    }

    fn core_pattern(&self) -> String {
        self.get("core pattern", || Machine.core_pattern())
    }

    fn core_uses_pid(&self) -> bool {
        self.get("core uses pid", || Machine.core_uses_pid())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::process::files::{keep, recall};

    #[test]
    fn recorded_answers_are_given_again_whatever_has_changed() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("ha.cf");
        fs::write(&file, "node alpha\n").unwrap();
        let binary = place.path().join("binary");
        fs::write(&binary, [0xff, 0, 0x80]).unwrap();
        let missing = place.path().join("missing");
        let recorder = Recorder::default();
        for path in [&file, &binary, &missing] {
            let _ = recorder.read_file(path);
        }
        assert!(recorder.has_interface("lo"));
        let resolved = recorder.resolve("localhost");
        assert!(recorder.interface_ipv4("nosuch0").is_err());
        assert_eq!(recorder.path_kind(&file), PathKind::Other);
        let kept = place.path().join("kept");
        keep(&kept, &recorder.into_answers()).unwrap();

        fs::write(&file, "broken").unwrap();
        fs::write(&missing, "by now").unwrap();
        let answers: Answers = recall(&kept).unwrap();
        let machine = Remembered(&answers);
        assert_eq!(machine.read_file(&file).unwrap().bytes, b"node alpha\n");
        assert_eq!(machine.read_file(&binary).unwrap().bytes, [0xff, 0, 0x80]);
        let error = machine.read_file(&missing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(machine.resolve("localhost"), resolved);
        let problem = machine.interface_ipv4("nosuch0");
        assert_eq!(problem, Err(InterfaceProblem::Missing));
        fs::remove_file(&file).unwrap();
        assert_eq!(machine.path_kind(&file), PathKind::Other);
        // This question was not asked before.
        assert_eq!(machine.path_kind(place.path()), PathKind::Other);
        assert_eq!(machine.user_id("root"), Some(0));
    }
}
