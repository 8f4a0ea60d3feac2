//! Directories, core files and load figures that the daemon prepares before its actors start.
//! Spec: docs/protocol/membership.md, 4; docs/protocol/tools.md, 5.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::os::accounts;
use crate::os::file_mode::{Made, set_mode};
use crate::os::in_time::in_time;
use crate::os::paths::Paths;
use crate::protocol::boolean::is_false;

/// Directories below the run-time directory, which the legacy `tmpfiles` file makes.
const RUN_DIRS: [&str; 3] = ["ccm", "crm", "dopd"];

/// Why the daemon cannot prepare its directories.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {}: {source}", path.display())]
pub struct StartupError {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Makes the run-time and state directories if they are missing.
///
/// # Errors
/// The first directory that cannot be made.
pub fn make_directories(paths: &Paths) -> Result<(), StartupError> {
    let owner = accounts::hacluster();
    let run_dirs = RUN_DIRS.map(|name| paths.run_dir.join(name));
    for path in std::iter::once(&paths.run_dir).chain(&run_dirs) {
        let made = make_directory(path, 0o750)?;
        if let (true, Some((uid, gid))) = (made, owner)
            // Its parent may belong to hacluster already: never follow a link that was put there.
            && let Err(error) = lchown(path, Some(uid), Some(gid))
        {
            warn!(path = %path.display(), %error, "cannot give a directory to hacluster");
        }
    }
    make_directory(&paths.var_lib, 0o755)?;
    Ok(())
}

/// `true`: it did not exist.
fn make_directory(path: &Path, mode: u32) -> Result<bool, StartupError> {
    if path.is_dir() {
        return Ok(false);
    }
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path);
    made.map(|()| true).map_err(|source| StartupError {
        path: path.to_owned(),
        source,
    })
}

/// Empties the state directory of resource scripts: what they recorded before is no longer true.
///
/// Not after a restart in place: then the resources still run. A part that cannot be removed is
/// logged; a node must not stay down for it.
pub fn renew_rsctmp(paths: &Paths) {
    let rsctmp = &paths.rsctmp;
    match fs::remove_dir_all(rsctmp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(path = %rsctmp.display(), %error, "cannot empty the state directory of scripts");
        }
        _ => {}
    }
    let made = make_directory(rsctmp, 0o755).map_err(|error| error.source);
    // The umask would take these bits from a mode given at creation; 01755 is what legacy has.
    let set = made.and_then(|_| set_mode(rsctmp, Made::Directory, 0o1755));
    if let Err(error) = set {
        error!(path = %rsctmp.display(), %error, "cannot make the state directory of scripts");
    }
}

/// Allows core files or forbids them (`coredumps`), also to everything that this process starts.
/// Spec: docs/protocol/config.md, 4.4.
pub fn limit_core_files(config: &Config) {
    let word = config.parameters.get("coredumps");
    let allowed = word.is_none_or(|word| !is_false(word));
    let set = getrlimit(Resource::RLIMIT_CORE).and_then(|(_, hard)| {
        let soft = if allowed { hard } else { 0 };
        setrlimit(Resource::RLIMIT_CORE, soft, hard)
    });
    if let Err(error) = set {
        info!(%error, "cannot set the limit of core files");
    }
}

/// The directory in which core files of this process are to be, if it exists. `root` is what `coreroot`
/// names. Looks at the disk.
#[must_use]
pub fn core_directory(paths: &Paths, root: Option<&Path>) -> Option<PathBuf> {
    paths.core_dirs(root).into_iter().find(|it| it.is_dir())
}

/// How long the disk of that directory is waited for. It holds nothing that is needed.
const CORE_DIRECTORY: Duration = Duration::from_millis(200);

/// Changes to the directory in which core files are to be. Everything that this process starts
/// begins there, and asks no disk for it. If the disk does not answer in time, the change comes when it
/// does. Spec: docs/protocol/config.md, 4.4.
pub fn enter_core_directory(paths: &Paths, root: Option<&Path>) {
    let (paths, root) = (paths.clone(), root.map(Path::to_owned));
    let entered = in_time(CORE_DIRECTORY, move || {
        let root = root.as_deref();
        let named = || paths.core_dirs(root).pop();
        let Some(directory) = core_directory(&paths, root).or_else(named) else {
            return;
        };
        if let Err(error) = std::env::set_current_dir(&directory) {
            let reason = error.raw_os_error().map_or("unknown error", |code| {
                nix::errno::Errno::from_raw(code).desc()
            });
            error!("Cannot chdir to [{}]: {reason}", directory.display());
        }
    });
    if entered.is_none() {
        warn!(
            "the disk of coreroot does not answer: what this node starts begins in another directory"
        );
    }
}

/// The first line of `/proc/loadavg`, for the status message; empty if there is none.
#[must_use]
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn directories_appear_and_rsctmp_is_emptied() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        make_directories(&paths).unwrap();
        for name in RUN_DIRS {
            let data = fs::metadata(paths.run_dir.join(name)).unwrap();
            assert_eq!(data.permissions().mode() & 0o7777, 0o750);
        }
        fs::create_dir_all(paths.rsctmp.join("a/b")).unwrap();
        fs::write(paths.rsctmp.join("a/b/c"), "x").unwrap();
        renew_rsctmp(&paths);
        let data = fs::metadata(&paths.rsctmp).unwrap();
        assert_eq!(data.permissions().mode() & 0o7777, 0o1755);
        assert_eq!(fs::read_dir(&paths.rsctmp).unwrap().count(), 0);
        make_directories(&paths).unwrap();
    }

    #[test]
    fn core_files_go_below_the_directory_of_roots_own() {
        let paths = Paths::under(Path::new("/"));
        let own = Path::new("/var/lib/heartbeat/cores");
        assert_eq!(paths.core_dirs(None), [own.join("root"), own.to_owned()]);
        let root = Path::new("/srv/cores");
        assert_eq!(
            paths.core_dirs(Some(root)),
            [root.join("root"), root.to_owned()]
        );
    }

    #[test]
    fn the_directory_of_core_files_is_the_first_that_exists() {
        let place = tempfile::tempdir().unwrap();
        let (paths, root) = (Paths::under(place.path()), place.path().join("cores"));
        assert_eq!(core_directory(&paths, Some(&root)), None);
        for there in [root.clone(), root.join("root")] {
            fs::create_dir(&there).unwrap();
            assert_eq!(core_directory(&paths, Some(&root)), Some(there));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        fs::write(root.path().join("run"), "a file in the way").unwrap();
        let error = make_directories(&paths).unwrap_err();
        assert!(error.to_string().contains("run/heartbeat"), "{error}");
    }
}
