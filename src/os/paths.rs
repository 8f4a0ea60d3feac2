//! The places of all files. One value of [`Paths`] is passed to all code that opens a file.

use std::path::{Path, PathBuf};

/// Directories and single files at their legacy places, or the same tree under another root.
///
/// Spec: docs/protocol/tools.md, 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/etc/ha.d`: `ha.cf`, `authkeys`, `haresources`, `resource.d`, `rc.d`, `harc`.
    pub ha_dir: PathBuf,
    /// `/etc/init.d`: the second place where resource scripts are looked up.
    pub init_dir: PathBuf,
    /// `/usr/lib/ocf/resource.d/heartbeat`: OCF agents, the last place where they are looked up.
    pub ocf_agents: PathBuf,
    /// `/var/lib/heartbeat`: state that outlives a boot.
    pub var_lib: PathBuf,
    /// `/run/heartbeat`: sockets.
    pub run_dir: PathBuf,
    /// `/run/heartbeat.pid`.
    pub pid_file: PathBuf,
    /// `/run/heartbeat/rsctmp`: state of resource scripts, emptied at every start.
    pub rsctmp: PathBuf,
    /// `/usr/libexec/systole`: our `ResourceManager`, `mach_down`, `req_resource`, `hb_standby` and
    /// `hb_takeover`. Scripts find them through `HA_NOARCHBIN` when the directory exists.
    pub helper_dir: PathBuf,
    /// `/etc/ha.d/systole.toml`: our own settings.
    pub settings: PathBuf,
    /// `/var/lock`: lock files of serial ports.
    pub lock_dir: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self::under(Path::new("/"))
    }
}

impl Paths {
    /// The legacy tree below `root`; `/` gives the real one.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self {
            ha_dir: root.join("etc/ha.d"),
            init_dir: root.join("etc/init.d"),
            ocf_agents: root.join("usr/lib/ocf/resource.d/heartbeat"),
            var_lib: root.join("var/lib/heartbeat"),
            run_dir: root.join("run/heartbeat"),
            pid_file: root.join("run/heartbeat.pid"),
            rsctmp: root.join("run/heartbeat/rsctmp"),
            helper_dir: root.join("usr/libexec/systole"),
            settings: root.join("etc/ha.d/systole.toml"),
            lock_dir: root.join("var/lock"),
        }
    }

    /// Main configuration file.
    #[must_use]
    pub fn ha_cf(&self) -> PathBuf {
        self.ha_dir.join("ha.cf")
    }

    /// Key file.
    #[must_use]
    pub fn authkeys(&self) -> PathBuf {
        self.ha_dir.join("authkeys")
    }

    /// Resource groups.
    #[must_use]
    pub fn haresources(&self) -> PathBuf {
        self.ha_dir.join("haresources")
    }

    /// First place where resource scripts are looked up.
    #[must_use]
    pub fn resource_d(&self) -> PathBuf {
        self.ha_dir.join("resource.d")
    }

    /// The program that runs an OCF agent as a resource script.
    #[must_use]
    pub fn ocf_runner(&self) -> PathBuf {
        self.helper_dir.join("ocf_resource")
    }

    /// Notification scripts, one per message type.
    #[must_use]
    pub fn rc_d(&self) -> PathBuf {
        self.ha_dir.join("rc.d")
    }

    /// The program that runs a notification script.
    #[must_use]
    pub fn harc(&self) -> PathBuf {
        self.ha_dir.join("harc")
    }

    /// The pipe through which scripts give messages. Spec: docs/protocol/wire.md, 20.
    #[must_use]
    pub fn fifo(&self) -> PathBuf {
        self.var_lib.join("fifo")
    }

    /// Generation number. Spec: docs/protocol/wire.md, 11.1.
    #[must_use]
    pub fn generation(&self) -> PathBuf {
        self.var_lib.join("hb_generation")
    }

    /// Own uuid. Spec: docs/protocol/wire.md, 11.2.
    #[must_use]
    pub fn uuid(&self) -> PathBuf {
        self.var_lib.join("hb_uuid")
    }

    /// Working directories of root's processes, for their core files: the first one that exists
    /// counts. `root` is what `coreroot` names.
    #[must_use]
    pub fn core_dirs(&self, root: Option<&Path>) -> Vec<PathBuf> {
        let root = root.map_or_else(|| self.var_lib.join("cores"), Path::to_owned);
        vec![root.join("root"), root]
    }

    /// Client socket.
    #[must_use]
    pub fn register(&self) -> PathBuf {
        self.run_dir.join("register")
    }

    /// Socket of `ccm`, which, if it runs, tells its clients the members.
    #[must_use]
    pub fn ccm(&self) -> PathBuf {
        self.run_dir.join("ccm/ccm")
    }

    /// Root's socket for our own helper programs.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.run_dir.join("systole.ctl")
    }

    /// The socket of those who may look and nothing else. It lies beside the pid file: the directory of the
    /// others lets nobody through but the group of the clients, whose members may give orders.
    #[must_use]
    pub fn views(&self) -> PathBuf {
        self.pid_file.with_extension("view")
    }

    /// The sets and groups that the running daemon holds, for its guardian. It lies beside the pid
    /// file: gone after a reboot, and in a directory that only root may write.
    #[must_use]
    pub fn held(&self) -> PathBuf {
        self.pid_file.with_extension("held")
    }

    /// The configuration when the daemon began, for a successor after a sudden death. It contains
    /// the keys.
    #[must_use]
    pub fn last_good(&self) -> PathBuf {
        self.pid_file.with_extension("good")
    }

    /// Generation and uuid of the running daemon, for a successor that cannot wait for the disk.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.pid_file.with_extension("identity")
    }

    /// Everything that a daemon leaves for its guardian and its successors. It is not needed after
    /// an orderly end or a release.
    #[must_use]
    pub fn left_behind(&self) -> [PathBuf; 4] {
        // Earlier versions wrote the time of their last heartbeat to the last one.
        let beat = self.pid_file.with_extension("beat");
        [self.held(), self.last_good(), self.identity(), beat]
    }

    /// Whether a daemon has ended otherwise than in order, and nobody has released everything since.
    #[must_use]
    pub fn is_anything_left(&self) -> bool {
        // Any of them: the record of what is held may be what could not be made.
        let files = [self.held(), self.last_good(), self.identity()];
        files.iter().any(|file| file.exists())
    }

    /// Directory of the record of addresses that our runs have put on this host. In memory, where
    /// it never hangs; addresses do not survive a reboot either.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.pid_file.with_extension("addresses")
    }

    /// Directory of the records of running resource scripts.
    #[must_use]
    pub fn scripts(&self) -> PathBuf {
        self.pid_file.with_extension("scripts")
    }

    /// Locked by the daemon while it runs.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.pid_file.with_extension("lock")
    }

    /// Locked by the guardian while it runs.
    #[must_use]
    pub fn guardian_lock(&self) -> PathBuf {
        self.pid_file.with_extension("guardian")
    }

    /// `HA_DIR` as scripts get it: with the final slash. Spec: docs/protocol/config.md, 7.
    #[must_use]
    pub fn ha_dir_variable(&self) -> String {
        format!("{}/", self.ha_dir.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_legacy_places() {
        let paths = Paths::default();
        assert_eq!(paths.ha_cf(), Path::new("/etc/ha.d/ha.cf"));
        assert_eq!(paths.fifo(), Path::new("/var/lib/heartbeat/fifo"));
        assert_eq!(paths.pid_file, Path::new("/run/heartbeat.pid"));
        assert_eq!(paths.held(), Path::new("/run/heartbeat.held"));
        assert_eq!(paths.register(), Path::new("/run/heartbeat/register"));
        assert_eq!(paths.views(), Path::new("/run/heartbeat.view"));
        assert_eq!(paths.ha_dir_variable(), "/etc/ha.d/");
    }

    #[test]
    fn another_root_moves_everything() {
        let paths = Paths::under(Path::new("/tmp/x"));
        assert_eq!(paths.rc_d(), Path::new("/tmp/x/etc/ha.d/rc.d"));
        assert_eq!(
            paths.control(),
            Path::new("/tmp/x/run/heartbeat/systole.ctl")
        );
    }
}
