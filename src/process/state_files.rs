//! What a node keeps over restarts, in `/var/lib/heartbeat`: generation, uuid, host cache.
//! Spec: docs/protocol/wire.md, 11; [`crate::protocol::identity`] defines the meaning of the
//! content.
//!
//! Every file is written anew beside the old one, synced and renamed, so that a crash leaves the
//! old content or the new. All of this blocks: call it before the cluster thread starts, or on
//! another thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::notice::Notice;
use crate::process::files;
use crate::protocol::identity::{
    StoredGeneration, next_generation, parse_generation_file, parse_uuid_file, random_uuid,
    render_generation_file,
};
use crate::protocol::name::{Generation, NodeUuid};

const GENERATION_FILE: &str = "hb_generation";
const UUID_FILE: &str = "hb_uuid";
const DELETED_HOSTS_FILE: &str = "delhostcache";

/// The mode that legacy uses.
const MODE: u32 = 0o644;

/// Bytes of a state file that are read: valid files have sixteen.
const READ_LIMIT_BYTES: u64 = 4096;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a uuid")]
    NoRandom,
}

/// The identity of a running node, in memory: a successor after a sudden death goes on from it at
/// once, because the others wait no longer than usual, and a disk may hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningIdentity {
    /// The highest generation in use.
    generation: u64,
    /// The generation in the file on disk.
    on_disk: u64,
    uuid: [u8; 16],
}

impl RunningIdentity {
    /// What a successor has to know.
    #[must_use]
    pub const fn new(generation: Generation, on_disk: Generation, uuid: NodeUuid) -> Self {
        Self {
            generation: generation.0,
            on_disk: on_disk.0,
            uuid: uuid.0,
        }
    }

    /// Another generation is in use.
    pub fn uses(&mut self, generation: Generation) {
        self.generation = self.generation.max(generation.0);
    }

    /// The file on disk has this generation by now.
    pub fn on_disk(&mut self, reserved: Generation) {
        self.on_disk = self.on_disk.max(reserved.0);
    }

    /// The uuid of the node.
    #[must_use]
    pub const fn uuid(&self) -> NodeUuid {
        NodeUuid(self.uuid)
    }
}

/// The generation file of a running node.
///
/// The number on disk is always at least every number used, and it never decreases. Because it is
/// written ahead, a later restart in place needs no write.
#[derive(Debug)]
pub struct GenerationFile {
    path: PathBuf,
    on_disk: Generation,
}

impl GenerationFile {
    /// Takes the generation of the run that starts at `unix_s`, and writes a number that is `ahead`
    /// higher to the file. The generation may be used once this has returned.
    ///
    /// A notice tells when there was no number to increase.
    ///
    /// # Errors
    /// [`StateError`] when the file cannot be read or written: then no number may be used.
    pub fn take(
        state_dir: &Path,
        unix_s: u64,
        ahead: u64,
    ) -> Result<(Self, Generation, Option<Notice>), StateError> {
        let path = state_dir.join(GENERATION_FILE);
        let stored = read(&path)?.map_or(StoredGeneration::Missing, |content| {
            parse_generation_file(&content)
        });
        let taken = next_generation(stored, unix_s);
        let generation = taken.0;
        let notice = match stored {
            StoredGeneration::Missing => Some(Notice::NoPreviousGeneration { generation }),
            StoredGeneration::Broken(_) => Some(Notice::BrokenGeneration { generation }),
            StoredGeneration::Number(_) => None,
        };
        let mut file = Self {
            path,
            on_disk: Generation(0),
        };
        file.reserve(taken, ahead)?;
        Ok((file, taken, notice))
    }

    /// Takes the generation after that of a daemon that died, without the disk. It is as far beyond
    /// it as the file is `ahead`, because the last numbers of that daemon may not have been
    /// recorded. It is to be [reserved](Self::reserve) when there is time.
    #[must_use]
    pub fn take_after(state_dir: &Path, died: &RunningIdentity, ahead: u64) -> (Self, Generation) {
        let file = Self {
            path: state_dir.join(GENERATION_FILE),
            on_disk: Generation(died.on_disk),
        };
        let last = died.generation.saturating_add(ahead).max(died.on_disk);
        (file, Generation(last.saturating_add(1)))
    }

    /// The number on disk: generations up to it may be used without a write.
    #[must_use]
    pub const fn reserved(&self) -> Generation {
        self.on_disk
    }

    /// Makes sure that the file has at least `used + ahead`; writes only if it does not yet.
    ///
    /// # Errors
    /// [`StateError::Write`]; the file then is unchanged.
    pub fn reserve(&mut self, used: Generation, ahead: u64) -> Result<(), StateError> {
        let wanted = Generation(used.0.saturating_add(ahead));
        if wanted > self.on_disk {
            self.write(wanted)?;
            self.on_disk = wanted;
        }
        Ok(())
    }

    /// Writes the present content once more, to check whether a successor will be able to write as
    /// well.
    ///
    /// # Errors
    /// [`StateError::Write`]: it will not.
    pub fn rewrite(&self) -> Result<(), StateError> {
        self.write(self.on_disk)
    }

    /// Writes a new file in the place of the old one or, if there is no room for one, the same
    /// bytes in the old one: a node whose disk is full must be able to begin.
    fn write(&self, generation: Generation) -> Result<(), StateError> {
        let text = render_generation_file(generation);
        replace(&self.path, text.as_bytes())
            .or_else(|error| overwrite(&self.path, text.as_bytes()).map_err(|_| error))
    }
}

/// Reads the node's uuid; makes a random one and stores it when there is none.
///
/// A broken file is replaced: peers then bind the new uuid to the known name, while without a uuid
/// the node could not start. A notice tells that.
///
/// # Errors
/// [`StateError`] when the file cannot be read or written.
pub fn load_or_create_uuid(state_dir: &Path) -> Result<(NodeUuid, Option<Notice>), StateError> {
    let path = state_dir.join(UUID_FILE);
    let stored = read(&path)?;
    if let Some(uuid) = stored.as_deref().and_then(parse_uuid_file) {
        return Ok((uuid, None));
    }
    let mut random = [0; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| StateError::NoRandom)?;
    let uuid = random_uuid(random);
    replace(&path, &uuid.0)?;
    let notice = match stored {
        None => Notice::NoUuid {},
        Some(_) => Notice::BrokenUuid {
            path: path.display().to_string(),
        },
    };
    Ok((uuid, Some(notice)))
}

/// Writes the list of deleted nodes, empty, as legacy does at every start.
///
/// # Errors
/// [`StateError::Write`].
pub fn write_empty_delhostcache(state_dir: &Path) -> Result<(), StateError> {
    replace(&state_dir.join(DELETED_HOSTS_FILE), b"")
}

/// The content, at most [`READ_LIMIT_BYTES`] of it; `None` when there is no file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let content = File::open(path).and_then(|file| {
        let mut content = Vec::new();
        file.take(READ_LIMIT_BYTES).read_to_end(&mut content)?;
        Ok(content)
    });
    match content {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Replaces the file by `content`, whole or not at all.
fn replace(path: &Path, content: &[u8]) -> Result<(), StateError> {
    files::replace_synced(path, content, MODE).map_err(|source| StateError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Overwrites a file of the same length: that needs no room, and so few bytes are written whole or
/// not at all.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    if usize::try_from(file.metadata()?.len()).ok() != Some(content.len()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const START: u64 = 1_795_212_321;

    fn content(dir: &Path, name: &str) -> String {
        String::from_utf8(fs::read(dir.join(name)).unwrap()).unwrap()
    }

    fn take(dir: &Path, ahead: u64) -> (GenerationFile, u64, Option<Notice>) {
        let (file, taken, notice) = GenerationFile::take(dir, START, ahead).unwrap();
        (file, taken.0, notice)
    }

    #[test]
    fn every_start_takes_the_next_generation() {
        let dir = tempfile::tempdir().unwrap();
        let (_, first, notice) = take(dir.path(), 0);
        assert_eq!(first, START + 1);
        assert_eq!(
            notice,
            Some(Notice::NoPreviousGeneration { generation: first })
        );
        assert_eq!(content(dir.path(), GENERATION_FILE), "     1795212322\n");
        let (_, second, notice) = take(dir.path(), 0);
        assert_eq!((second, notice), (START + 2, None));
        let file = dir.path().join(GENERATION_FILE);
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            MODE
        );
        // No other file is left.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_reserved_needs_no_write() {
        let dir = tempfile::tempdir().unwrap();
        let number = |past: u64| format!("{:>15}\n", START + past);
        fs::write(dir.path().join(GENERATION_FILE), number(100)).unwrap();
        let (mut file, taken, _) = take(dir.path(), 3);
        assert_eq!(taken, START + 101);
        assert_eq!(file.reserved(), Generation(START + 104));
        assert_eq!(content(dir.path(), GENERATION_FILE), number(104));
        fs::remove_file(dir.path().join(GENERATION_FILE)).unwrap();
        for used in [101, 102, 104] {
            file.reserve(Generation(START + used), 0).unwrap();
            assert!(!dir.path().join(GENERATION_FILE).exists());
        }
        file.reserve(Generation(START + 103), 2).unwrap();
        assert_eq!(content(dir.path(), GENERATION_FILE), number(105));
        // The number never decreases.
        file.reserve(Generation(1), 1).unwrap();
        assert_eq!(content(dir.path(), GENERATION_FILE), number(105));
        assert_eq!(take(dir.path(), 0).1, START + 106);
    }

    #[test]
    fn a_successor_after_a_death_needs_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (file, first, _) = take(dir.path(), 3);
        let uuid = NodeUuid([7; 16]);
        let running = RunningIdentity::new(Generation(first + 1), file.reserved(), uuid);
        fs::remove_file(dir.path().join(GENERATION_FILE)).unwrap();
        let (mut file, second) = GenerationFile::take_after(dir.path(), &running, 3);
        assert_eq!((second, running.uuid()), (Generation(first + 5), uuid));
        assert_eq!(file.reserved(), Generation(first + 3));
        assert!(!dir.path().join(GENERATION_FILE).exists());
        file.reserve(second, 3).unwrap();
        let on_disk = format!("{:>15}\n", first + 8);
        assert_eq!(content(dir.path(), GENERATION_FILE), on_disk);
    }

    /// The path of the new file is taken, which has the same effect as a full file system.
    #[test]
    fn a_full_disk_keeps_no_node_from_its_next_generation() {
        let dir = tempfile::tempdir().unwrap();
        let (file, first, _) = take(dir.path(), 3);
        let obstacle = dir.path().join("hb_generation.tmp");
        fs::create_dir(&obstacle).unwrap();
        fs::write(obstacle.join("full"), "").unwrap();
        file.rewrite().unwrap();
        let (file, second, _) = take(dir.path(), 3);
        assert_eq!(second, first + 4);
        let on_disk = format!("{:>15}\n", second + 3);
        assert_eq!(content(dir.path(), GENERATION_FILE), on_disk);
        // A file of another length is not overwritten: it could be lost.
        fs::write(dir.path().join(GENERATION_FILE), "5").unwrap();
        assert!(file.rewrite().is_err());
        assert_eq!(content(dir.path(), GENERATION_FILE), "5");
    }

    #[test]
    fn a_broken_generation_file_starts_at_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        for broken in [&b""[..], b"rubbish\n", &[0; 16]] {
            fs::write(dir.path().join(GENERATION_FILE), broken).unwrap();
            let (_, taken, notice) = take(dir.path(), 0);
            assert_eq!(taken, START + 1);
            assert_eq!(notice, Some(Notice::BrokenGeneration { generation: taken }));
        }
    }

    #[test]
    fn the_uuid_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let (uuid, notice) = load_or_create_uuid(dir.path()).unwrap();
        assert_eq!(notice, Some(Notice::NoUuid {}));
        assert_eq!(fs::read(dir.path().join(UUID_FILE)).unwrap(), uuid.0);
        assert_eq!(uuid.0[6] >> 4, 4);
        assert_eq!(load_or_create_uuid(dir.path()).unwrap(), (uuid, None));
        fs::write(dir.path().join(UUID_FILE), b"short").unwrap();
        let (other, notice) = load_or_create_uuid(dir.path()).unwrap();
        assert_ne!(other, uuid);
        assert!(matches!(notice, Some(Notice::BrokenUuid { .. })));
        assert_eq!(load_or_create_uuid(dir.path()).unwrap(), (other, None));
    }

    #[test]
    fn deleted_hosts_are_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(DELETED_HOSTS_FILE), "gamma\n").unwrap();
        write_empty_delhostcache(dir.path()).unwrap();
        assert_eq!(content(dir.path(), DELETED_HOSTS_FILE), "");
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = GenerationFile::take(&missing, START, 0)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot write"), "{error}");
        assert!(error.contains("missing/hb_generation"), "{error}");
        fs::create_dir(dir.path().join(UUID_FILE)).unwrap();
        let error = load_or_create_uuid(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot read"), "{error}");
    }
}
