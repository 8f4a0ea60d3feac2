//! What all groups of a node share: files, environment and limits of their scripts, and how
//! addresses are handled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::check::CheckTurns;
use super::native::AddressHandler;
use crate::agents::child::OutputTarget;
use crate::agents::script::{Environment, StopRetries};
use crate::config::Config;
use crate::config::settings::{NativeAddresses, Settings, StrayAddresses};
use crate::net::names::Names;
use crate::os::in_time::is_directory;
use crate::os::paths::Paths;
use crate::process::host_addresses;
use crate::protocol::group::GroupKey;

/// What all groups of a node share.
pub struct GroupContext {
    /// Where scripts and haresources are.
    pub paths: Paths,
    /// Of every resource script.
    pub environment: Arc<Environment>,
    /// Working directory of scripts; `None`: that of this process.
    pub directory: Option<PathBuf>,
    /// Where the output of scripts is written.
    pub output: OutputTarget,
    /// Longest run of one script.
    pub limit: Duration,
    /// From TERM to KILL.
    pub kill_after: Duration,
    /// The program that records the exit code of a script, for a successor; `None`: it is not
    /// recorded.
    pub shim: Option<PathBuf>,
    /// Groups of which a predecessor that died had an order in hand: the recorded result of their
    /// script counts. For any other group the record may be days old.
    pub unfinished: Vec<GroupKey>,
    /// What handles addresses.
    pub native_addresses: NativeAddresses,
    /// Handles them in this process.
    pub addresses: Arc<dyn AddressHandler>,
    /// What is done with addresses that must not be here.
    pub stray_addresses: StrayAddresses,
    /// How many checks run at once.
    pub checks: CheckTurns,
    /// Looks up the names of hosts that checks ask.
    pub names: Names,
}

/// How much longer than a script, including a forced end, anything may take that comes before it.
const BEYOND: Duration = Duration::from_secs(30);

impl GroupContext {
    /// After this time a script that has not ended has not begun: the disk of its program hangs.
    pub(super) const fn hangs_after(&self) -> Duration {
        let longest = self.limit.saturating_add(self.kill_after);
        longest.saturating_add(BEYOND)
    }

    /// Made from the configuration. `debug` is the present debug level. Reads the disk.
    #[must_use]
    pub fn of(
        config: &Config,
        paths: &Paths,
        debug: u8,
        addresses: Arc<dyn AddressHandler>,
    ) -> Self {
        // A successor has to send heartbeats, and a release has to remove addresses: they cannot
        // wait for a disk.
        let helpers = is_directory(&paths.helper_dir);
        let own_path = std::env::var("PATH").unwrap_or_default();
        let environment = Environment::of_daemon(config, paths, debug, helpers)
            .for_scripts(config)
            .for_resources(paths, &own_path);
        Self {
            paths: paths.clone(),
            environment: Arc::new(environment),
            directory: None,
            output: OutputTarget::of(config, paths),
            limit: config.settings.script_time_limit,
            kill_after: config.settings.script_kill_after,
            shim: None,
            unfinished: Vec::new(),
            native_addresses: config.settings.native_addresses,
            addresses,
            stray_addresses: config.settings.stray_addresses,
            checks: CheckTurns::default(),
            names: Names::default(),
        }
    }

    /// Without ha.cf: our own `settings`, and the environment of every script. `host` is our node's
    /// name, `own_path` our `PATH`, `output` the file for the output of scripts.
    #[must_use]
    pub fn without_config(
        settings: &Settings,
        paths: &Paths,
        host: &str,
        own_path: &str,
        output: Option<PathBuf>,
    ) -> Self {
        let mut environment = Environment::default();
        environment.set("HA_CURHOST", host);
        environment.set("OCF_ROOT", "/usr/lib/ocf");
        Self {
            paths: paths.clone(),
            environment: Arc::new(environment.for_resources(paths, own_path)),
            directory: None,
            output: OutputTarget {
                file: output,
                pump: None,
            },
            limit: settings.script_time_limit,
            kill_after: settings.script_kill_after,
            shim: None,
            unfinished: Vec::new(),
            native_addresses: settings.native_addresses,
            addresses: Arc::new(host_addresses::manager(
                paths,
                &[],
                settings.stray_addresses,
            )),
            stray_addresses: StrayAddresses::Ignore,
            checks: CheckTurns::default(),
            names: Names::default(),
        }
    }

    /// Whether a failing stop is repeated without end: then the machine is never restarted.
    #[must_use]
    pub fn stops_for_ever(&self) -> bool {
        self.stop_retries() == StopRetries::Forever
    }

    /// How often a failing stop is repeated: the variable may come from `env` in ha.cf or from our
    /// own environment.
    pub(super) fn stop_retries(&self) -> StopRetries {
        retries_of(self.environment.get(STOP_RETRIES))
    }
}

/// How often a failing stop is repeated.
const STOP_RETRIES: &str = "HA_STOPRETRYMAX";

fn retries_of(set: Option<&str>) -> StopRetries {
    let inherited = std::env::var(STOP_RETRIES).ok();
    StopRetries::from_variable(set.or(inherited.as_deref()))
}

/// The future result of [`GroupContext::stops_for_ever`] by this configuration. Does not read the
/// disk.
#[must_use]
pub fn stops_for_ever(config: Option<&Config>) -> bool {
    let env = config
        .map(|config| config.env.as_slice())
        .unwrap_or_default();
    // The last line counts.
    let set = env
        .iter()
        .rev()
        .find(|(name, _)| format!("HA_{name}") == STOP_RETRIES);
    retries_of(set.map(|(_, value)| value.as_str())) == StopRetries::Forever
}
