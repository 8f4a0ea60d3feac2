//! Where facts come from: this host, or a directory that was copied from one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::facts::{Content, Host, Kind, Line};

/// Longest file that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Most links that are followed.
const MAX_LINKS: usize = 16;

/// Looks at a node. Changes nothing there and sends nothing.
pub trait Source {
    /// What a path leads to, links followed.
    fn kind(&self, path: &Path) -> Kind;
    /// The content of a file; of a long one the end.
    fn content(&self, path: &Path) -> Content;
    /// The names in a directory; empty when there is none. `None`: unknown.
    fn names(&self, path: &Path) -> Option<BTreeSet<String>>;
    /// User and group number of a user; the outer `None`: its files must be asked.
    fn user(&self, name: &str) -> Option<Option<(u32, u32)>>;
    /// Number of a group, likewise.
    fn group(&self, name: &str) -> Option<Option<u32>>;
    /// Whether a fencing device of this type is installed.
    fn has_stonith(&self, kind: &str) -> bool;
    /// Routes that lead to an address.
    fn routes(&self, to: IpAddr) -> Vec<Line>;
    /// Free bytes where a directory lies.
    fn free_bytes(&self, directory: &Path) -> Option<u64>;
    /// What no file tells.
    fn host(&self) -> Host;
    /// Whether this is the machine on which we run: its files are all there.
    fn is_here(&self) -> bool;
}

/// A directory with what was copied of a node.
#[derive(Debug)]
pub struct Copied {
    root: PathBuf,
    /// It is a copy of `/etc/ha.d`.
    bare: bool,
    host: Host,
}

impl Copied {
    pub(super) fn open(root: &Path) -> Result<Self, String> {
        let shown = root.display();
        if !root.is_dir() {
            return Err(format!("{shown}: no such directory"));
        }
        let bare = !root.join("etc/ha.d").is_dir() && root.join("ha.cf").exists();
        let mut host = match read(&root.join("host.json")) {
            Content::Bytes(text) => serde_json::from_slice::<Host>(&text)
                .map_err(|error| format!("{shown}/host.json: {error}"))?,
            Content::Missing => Host::default(),
            Content::Unknown(why) => return Err(format!("{shown}/host.json: {why}")),
        };
        if host.name.is_none()
            && let Content::Bytes(text) = read(&root.join("etc/hostname"))
        {
            let name = String::from_utf8_lossy(&text).trim().to_owned();
            host.name = Some(name).filter(|name| !name.is_empty());
        }
        Ok(Self {
            root: root.to_owned(),
            bare,
            host,
        })
    }

    /// The place of a path in the copy; `None`: it was not copied.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let place = self.below(&path)?;
            let Ok(link) = fs::read_link(&place) else {
                return Some(place);
            };
            // A link of the copied host, not of this one.
            path = match (link.is_absolute(), path.parent()) {
                (false, Some(parent)) => normal(&parent.join(link)),
                _ => link,
            };
        }
        None
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        let inside = if self.bare {
            path.strip_prefix("/etc/ha.d").ok()?
        } else {
            path.strip_prefix("/").ok()?
        };
        let steps = inside.components();
        let inside: PathBuf = steps
            .filter(|step| matches!(step, Component::Normal(_)))
            .collect();
        Some(self.root.join(inside))
    }

    /// Whether the directory of a path was copied, so that what is not in it is not there.
    fn knows_directory_of(&self, path: &Path) -> bool {
        let parent = path.parent().and_then(|parent| self.place(parent));
        parent.is_some_and(|parent| parent.is_dir())
    }
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            step => out.push(step),
        }
    }
    out
}

pub(super) fn kind_of(metadata: &fs::Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_char_device() {
        Kind::Device
    } else {
        Kind::File {
            mode: metadata.permissions().mode() & 0o7777,
            owner: metadata.uid(),
        }
    }
}

/// The file at `place`. A file that is no regular one is not opened: it could wait.
pub(super) fn read(place: &Path) -> Content {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let metadata = fs::metadata(place)?;
        if !metadata.is_file() {
            return Err(io::Error::other("no file"));
        }
        let mut file = fs::File::open(place)?;
        if metadata.len() > MAX_BYTES {
            file.seek(SeekFrom::End(
                i64::try_from(MAX_BYTES).map_or(0, |most| -most),
            ))?;
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Content::Bytes(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Missing,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Content::Unknown("no permission".to_owned())
        }
        Err(error) => Content::Unknown(error.to_string()),
    }
}

impl Source for Copied {
    fn kind(&self, path: &Path) -> Kind {
        if self.host.devices.iter().any(|device| device == path) {
            return Kind::Device;
        }
        let found = self.place(path).and_then(|place| fs::metadata(place).ok());
        match found.as_ref().map(kind_of) {
            // Whoever made the copy owns it.
            Some(Kind::File { mode, .. }) => Kind::File { mode, owner: 0 },
            Some(kind) => kind,
            None if path.starts_with("/dev") && !self.host.devices.is_empty() => Kind::Missing,
            None if self.knows_directory_of(path) => Kind::Missing,
            None => Kind::Unknown,
        }
    }

    fn content(&self, path: &Path) -> Content {
        let content = self
            .place(path)
            .map_or(Content::Missing, |place| read(&place));
        match content {
            Content::Missing if self.kind(path) == Kind::Unknown => {
                Content::Unknown("not copied".to_owned())
            }
            content => content,
        }
    }

    fn names(&self, path: &Path) -> Option<BTreeSet<String>> {
        match self.place(path).map(fs::read_dir) {
            Some(Ok(entries)) => Some(names_of(entries)),
            _ if self.knows_directory_of(path) => Some(BTreeSet::new()),
            _ => None,
        }
    }

    fn user(&self, _: &str) -> Option<Option<(u32, u32)>> {
        None
    }

    fn group(&self, _: &str) -> Option<Option<u32>> {
        None
    }

    fn has_stonith(&self, _: &str) -> bool {
        true
    }

    fn routes(&self, _: IpAddr) -> Vec<Line> {
        Vec::new()
    }

    fn free_bytes(&self, directory: &Path) -> Option<u64> {
        self.host.free_bytes.get(directory).copied()
    }

    fn host(&self) -> Host {
        self.host.clone()
    }

    fn is_here(&self) -> bool {
        false
    }
}

pub(super) fn names_of(entries: fs::ReadDir) -> BTreeSet<String> {
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .take(10_000)
        .collect()
}
