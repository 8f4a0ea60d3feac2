//! Modes of files in a directory in which another user may write: the run-time directory belongs to
//! the user of the legacy package, and a link in the place of a file could redirect an operation by
//! name.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The kind of the file that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A local socket.
    Socket,
    /// A directory.
    Directory,
}

/// Sets the mode of a file that we have just made, and only of that one, even if another has taken
/// its name since.
///
/// # Errors
/// It is gone, or the file with its name is of another kind, of another user, or has a second name:
/// then nothing was changed.
pub fn set_mode(path: &Path, made: Made, mode: u32) -> io::Result<()> {
    give(path, made, None, mode)
}

/// The same, and gives it to a group before.
///
/// # Errors
/// As [`set_mode`].
pub fn give(path: &Path, made: Made, group: Option<u32>, mode: u32) -> io::Result<()> {
    // Opens the file itself without access: all checks and changes below concern this one.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)?;
    let data = file.metadata()?;
    let ours = data.uid() == nix::unistd::geteuid().as_raw()
        && match made {
            Made::Socket => {
                use std::os::unix::fs::FileTypeExt as _;
                data.file_type().is_socket() && data.nlink() == 1
            }
            Made::Directory => data.is_dir(),
        };
    if !ours {
        let text = format!("{} is not what was made there", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    // Linux changes the mode of a file opened like this only through its name here.
    let name = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if group.is_some() {
        std::os::unix::fs::chown(&name, None, group)?;
    }
    fs::set_permissions(name, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    /// Each way to replace a socket between its making and the change.
    #[test]
    fn a_file_that_replaced_a_socket_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let secret = at("secret");
        fs::write(&secret, "key").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let other = at("other.socket");
        let _other = UnixListener::bind(&other).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();

        symlink(&secret, at("by-link")).unwrap();
        symlink(&other, at("socket-by-link")).unwrap();
        fs::hard_link(&secret, at("by-name")).unwrap();
        fs::hard_link(&other, at("socket-by-name")).unwrap();
        for place in [
            "by-link",
            "socket-by-link",
            "by-name",
            "socket-by-name",
            "secret",
        ] {
            let refused = set_mode(&at(place), Made::Socket, 0o777).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{place}");
            let refused = set_mode(&at(place), Made::Directory, 0o777).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{place}");
        }
        assert_eq!((mode_of(&secret), mode_of(&other)), (0o600, 0o600));
        let gone = set_mode(&at("gone"), Made::Socket, 0o777).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn our_file_gets_its_mode_with_any_umask() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        set_mode(&path, Made::Socket, 0o777).unwrap();
        assert_eq!(mode_of(&path), 0o777);
        set_mode(dir.path(), Made::Directory, 0o1755).unwrap();
        assert_eq!(mode_of(dir.path()), 0o1755);
    }
}
