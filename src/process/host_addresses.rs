//! How the addresses on this host may have come there, by what is known of the run before, and what
//! that means for programs that handle addresses.

use std::sync::Arc;

use crate::config::settings::StrayAddresses;
use crate::config::types::{Config, MediumConfig};
use crate::net::address::{AddressResource, parse_word};
use crate::net::address_record::AddressRecord;
use crate::net::own_address::Came;
use crate::net::own_addresses::Guard;
use crate::net::service_address::AddressManager;
use crate::node::resume::Resume;
use crate::os::paths::Paths;
use crate::process::pid_file::{self, PidFile};
use crate::protocol::group::ResourceGroup;

/// How the addresses on the host may have come there, for a daemon that has not yet taken the pid
/// file.
#[must_use]
pub fn came_before(paths: &Paths) -> Came {
    match came(paths, &AddressRecord::read(&paths.addresses())) {
        // A restart in place: the file names this process, and the program before kept no record.
        Came::OfRunning => Came::AfterCrash,
        came => came,
    }
}

/// Whether the administrator is responsible for addresses of unknown origin.
#[must_use]
pub fn is_lenient(stray: StrayAddresses) -> bool {
    stray == StrayAddresses::Ignore
}

/// Handles addresses for a program that works without a daemon, or after one. Blocks.
#[must_use]
pub fn manager(paths: &Paths, media: &[MediumConfig], stray: StrayAddresses) -> AddressManager {
    let record = Arc::new(AddressRecord::read(&paths.addresses()));
    let came = came(paths, &record);
    let guard = Guard::begin(record, media, came).lenient(is_lenient(stray));
    AddressManager::guarded(Arc::new(guard))
}

/// By what is known of the run before, or of the present run.
pub fn came(paths: &Paths, record: &AddressRecord) -> Came {
    let recorded = |pid| record.was_kept_by(pid);
    match pid_file::look(&paths.pid_file) {
        PidFile::Absent => Came::Before,
        PidFile::Running(pid) | PidFile::Stale(pid) if recorded(pid) => Came::Before,
        PidFile::Running(_) => Came::OfRunning,
        PidFile::Stale(_) => Came::AfterCrash,
    }
}

/// All addresses that haresources names, and whether their group runs on from an earlier run.
#[must_use]
pub fn resources(config: &Config, resume: Option<&Resume>) -> Vec<(AddressResource, bool)> {
    let of_group = |group: &ResourceGroup| {
        let runs = resume.is_some_and(|resume| {
            resume.running.contains(&group.key) || resume.unfinished.contains(&group.key)
        });
        let words = group.resources.iter();
        let found = words.filter_map(|word| parse_word(word).ok()?);
        found.map(|address| (address, runs)).collect::<Vec<_>>()
    };
    config.groups.iter().flat_map(of_group).collect()
}
