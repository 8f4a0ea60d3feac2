//! Records in memory (`/run`) which addresses our runs have put on this host. A process that starts
//! after a crash distinguishes them by it from the host's own addresses.
//!
//! `/run/heartbeat.addresses` has one file per address, named after it, so the daemon, its guardian
//! and the helper programs need no lock. The file contains the boot and the mark. Addresses do not
//! survive a reboot, so a file of another boot means nothing (a container may keep its `/run`), and
//! no sync is needed: a killed process loses no write. A disk would be in the way: a successor
//! after a sudden death and a release read the record before they do anything else. The file
//! `kept_by` names the last daemon that kept the record.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::net::own_address::Mark;

/// How long a disk may take before an address goes up without its record: the service is more
/// important.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most entries read: more addresses than any node serves.
const MAX_ENTRIES: usize = 16_384;

/// Bytes read of an entry: a real one has some forty.
const MAX_ENTRY_BYTES: u64 = 256;

/// Names the daemon that keeps the record.
const KEPT_BY: &str = "kept_by";

const OURS: &str = "ours";
const UNKNOWN: &str = "unknown";

/// The record of one node.
#[derive(Debug)]
pub struct AddressRecord {
    directory: PathBuf,
    /// Identifies this boot.
    boot: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    marks: BTreeMap<IpAddr, Mark>,
    /// A write failed, and a line about it was logged.
    complained: bool,
}

impl AddressRecord {
    /// Reads the record in `directory`, see
    /// [`Paths::addresses`](crate::os::paths::Paths::addresses).
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self::read_of_boot(directory, boot.trim())
    }

    fn read_of_boot(directory: &Path, boot: &str) -> Self {
        let marks = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .take(MAX_ENTRIES)
            .filter_map(|entry| {
                let address = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let mark = read_mark(&place(directory, address), boot)?;
                Some((address, mark))
            })
            .collect();
        Self {
            directory: directory.to_owned(),
            boot: boot.to_owned(),
            state: Mutex::new(State {
                marks,
                complained: false,
            }),
        }
    }

    /// Whether the process `pid`, of this boot, kept the record.
    #[must_use]
    pub fn was_kept_by(&self, pid: i32) -> bool {
        read_small(&self.directory.join(KEPT_BY)).is_ok_and(|text| text == self.keeper(pid))
    }

    /// Notes that the process `pid` keeps the record from now on. Blocks.
    pub fn keep(&self, pid: i32) {
        let text = self.keeper(pid);
        let written = write(&self.directory, &self.directory.join(KEPT_BY), &text);
        self.complain(written);
    }

    fn keeper(&self, pid: i32) -> String {
        format!("{} {pid}\n", self.boot)
    }

    /// The mark of an address.
    #[must_use]
    pub fn mark(&self, address: IpAddr) -> Option<Mark> {
        self.state().marks.get(&address).copied()
    }

    /// Drops the entries of addresses that are not here any more, and those of other boots. Blocks.
    pub fn retain(&self, is_here: impl Fn(IpAddr) -> bool) {
        self.state().marks.retain(|address, _| is_here(*address));
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        for entry in entries.take(MAX_ENTRIES).filter_map(Result::ok) {
            let name = entry.file_name();
            let address = name.to_str().and_then(|name| name.parse().ok());
            let kept = address.is_some_and(|address| self.mark(address).is_some());
            if !kept && name != KEPT_BY {
                // Files left by an interrupted write are removed too.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Marks addresses. Blocks.
    pub fn set(&self, addresses: impl IntoIterator<Item = IpAddr>, mark: Mark) {
        for address in addresses {
            self.state().marks.insert(address, mark);
            self.put_on_disk(address);
        }
    }

    /// Marks addresses as ours before they go up; returns when they are written, or when the disk
    /// takes too long.
    pub async fn add(self: &Arc<Self>, addresses: Vec<IpAddr>) {
        let mut new = addresses;
        {
            let mut state = self.state();
            new.retain(|address| state.marks.insert(*address, Mark::Ours) != Some(Mark::Ours));
        }
        if new.is_empty() {
            return;
        }
        let record = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            for address in new {
                record.put_on_disk(address);
            }
        });
        if timeout(PATIENCE, work).await.is_err() {
            self.complain(Err(io::Error::from(io::ErrorKind::TimedOut)));
        }
    }

    /// Forgets an address that is gone; the file is removed later.
    pub fn forget(self: &Arc<Self>, address: IpAddr) {
        if self.state().marks.remove(&address).is_some() {
            let record = Arc::clone(self);
            tokio::task::spawn_blocking(move || record.put_on_disk(address));
        }
    }

    /// Writes the present mark of an address to its file, whichever of two orders reaches the disk
    /// first.
    fn put_on_disk(&self, address: IpAddr) {
        let path = place(&self.directory, address);
        // A disk that hangs would hold the lock, so the lock is not held during the write: the mark
        // is looked up again afterwards.
        loop {
            let wanted = self.mark(address);
            let done = match wanted {
                Some(mark) => {
                    let word = match mark {
                        Mark::Ours => OURS,
                        Mark::Unknown => UNKNOWN,
                    };
                    write(&self.directory, &path, &format!("{} {word}\n", self.boot))
                }
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            let failed = done.is_err();
            self.complain(done);
            if failed || self.mark(address) == wanted {
                return;
            }
        }
    }

    fn complain(&self, done: io::Result<()>) {
        let mut state = self.state();
        match done {
            Ok(()) => state.complained = false,
            Err(error) => {
                if !std::mem::replace(&mut state.complained, true) {
                    warn!(
                        directory = %self.directory.display(), %error,
                        "service addresses are not recorded: after a crash one that is alone in its network \
                         would be taken for this host's own"
                    );
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(directory: &Path, address: IpAddr) -> PathBuf {
    directory.join(address.to_string())
}

fn read_mark(path: &Path, boot: &str) -> Option<Mark> {
    let text = read_small(path).ok()?;
    let word = text.strip_prefix(boot)?.trim();
    match word {
        OURS => Some(Mark::Ours),
        UNKNOWN => Some(Mark::Unknown),
        _ => None,
    }
}

fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // A pipe in its place must not block us.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    file.take(MAX_ENTRY_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file whole or not at all. Two processes never write the same new file.
fn write(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(
        ".{}.{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let new = PathBuf::from(name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn files(root: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(root.join("addresses"))
            .map(|entries| {
                entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_record_is_known_to_the_next_process_of_the_same_boot() {
        let root = tempfile::tempdir().unwrap();
        let read = |boot: &str| {
            Arc::new(AddressRecord::read_of_boot(
                &root.path().join("addresses"),
                boot,
            ))
        };
        let record = read("boot-1");
        let (one, six) = (address("10.0.0.1"), address("fd77::64"));
        record.add(vec![one, six]).await;
        record.set([address("10.0.0.3")], Mark::Unknown);
        assert_eq!(files(root.path()), ["10.0.0.1", "10.0.0.3", "fd77::64"]);
        let next = read("boot-1");
        assert_eq!(next.mark(one), Some(Mark::Ours));
        assert_eq!(next.mark(six), Some(Mark::Ours));
        assert_eq!(next.mark(address("10.0.0.3")), Some(Mark::Unknown));
        assert_eq!(next.mark(address("10.0.0.2")), None);
        assert_eq!(read("boot-2").mark(one), None, "no address outlives a boot");
    }

    #[tokio::test]
    async fn a_removed_address_is_forgotten_and_the_last_mark_counts() {
        let root = tempfile::tempdir().unwrap();
        let record = Arc::new(AddressRecord::read_of_boot(
            &root.path().join("addresses"),
            "boot",
        ));
        let one = address("10.0.0.1");
        for _ in 0..20 {
            record.add(vec![one]).await;
            record.forget(one);
        }
        record.add(vec![one]).await;
        // The removals that are still under way find that the entry is wanted again.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(files(root.path()), ["10.0.0.1"]);
        record.forget(one);
        for _ in 0..500 {
            if files(root.path()).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the file stays");
    }

    #[test]
    fn only_what_is_still_here_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let old = AddressRecord::read_of_boot(&root.path().join("addresses"), "boot-1");
        old.set([address("10.0.0.9")], Mark::Ours);
        let record = AddressRecord::read_of_boot(&root.path().join("addresses"), "boot-2");
        record.set([address("10.0.0.1"), address("10.0.0.2")], Mark::Ours);
        record.keep(7);
        fs::write(root.path().join("addresses/10.0.0.1.123.x"), "half").unwrap();
        record.retain(|it| it == address("10.0.0.1"));
        assert_eq!(files(root.path()), ["10.0.0.1", "kept_by"]);
        assert_eq!(record.mark(address("10.0.0.2")), None);
        assert!(record.was_kept_by(7) && !record.was_kept_by(8));
        assert!(
            !AddressRecord::read_of_boot(&root.path().join("addresses"), "boot-3").was_kept_by(7)
        );
    }

    #[test]
    fn rubbish_in_the_directory_means_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("addresses");
        fs::create_dir_all(directory.join("10.0.0.2")).unwrap();
        for (name, text) in [
            ("10.0.0.1", "boot ours and more"),
            ("10.0.0.3", ""),
            ("..x", "boot ours\n"),
            ("10.0.0.4", "\u{fffd}"),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        fs::write(directory.join("10.0.0.5"), b"boot \xff\n").unwrap();
        let record = AddressRecord::read_of_boot(&root.path().join("addresses"), "boot");
        assert!(record.state().marks.is_empty());
    }

    #[tokio::test]
    async fn a_disk_that_refuses_keeps_no_address_down() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("addresses"), "a file in the way").unwrap();
        let record = Arc::new(AddressRecord::read_of_boot(
            &root.path().join("addresses"),
            "boot",
        ));
        record.add(vec![address("10.0.0.1")]).await;
        assert_eq!(record.mark(address("10.0.0.1")), Some(Mark::Ours));
    }
}
