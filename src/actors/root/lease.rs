//! The lease of service addresses: when this process begins, and when it replaces itself.
//!
//! | The process | The addresses |
//! |---|---|
//! | begins with groups that run on | those with a lifetime are renewed from its first heartbeat on; without a lease their lifetimes end never |
//! | replaces itself by the same program | told before: a lifetime as long as the others wait then |
//! | replaces itself by another program | told before: no lifetime, because that may be an older one |
//! | was not replaced | the usual lifetime again |
//! | ends with every group stopped | are removed by then |
//! | ends in any other way | go when their lifetime ends, unless a successor renews them |

use std::sync::Arc;

use actix::prelude::*;
use tracing::{error, warn};

use super::RootActor;
use crate::actors::lease::LeaseThread;
use crate::actors::threads::Realtime;
use crate::config::Config;
use crate::net::address::{AddressResource, names_address};
use crate::net::lease::Lessor;
use crate::net::service_address::AddressManager;
use crate::node::resume::Resume;
use crate::process::host_addresses;
use crate::process::reload::program_replaced;
use crate::protocol::settings::RESTART_EXTRA;

/// Starts the thread, if addresses get a lease.
pub(super) fn start(config: &Config, realtime: Realtime) -> Option<LeaseThread> {
    let mut words = config.groups.iter().flat_map(|group| &group.resources);
    if !config.manage_resources || !words.any(|word| names_address(word)) {
        return None;
    }
    let seconds = match config.address_lease() {
        Ok(seconds) => seconds?,
        Err(why) => {
            warn!("service addresses get no lease: {why}");
            return None;
        }
    };
    let started = LeaseThread::start(realtime, seconds, config.timing.deadtime);
    started
        .inspect_err(|error| error!(%error, "no thread for the lease: service addresses get none"))
        .ok()
}

/// The same addresses, put up with that lease.
pub(super) fn leased(addresses: AddressManager, lease: Option<&LeaseThread>) -> AddressManager {
    let lessor = lease.map(|lease| Arc::new(lease.clone()) as Arc<dyn Lessor>);
    addresses.leased(lessor)
}

/// What an earlier process has put up.
pub(super) fn adopt(
    addresses: &AddressManager,
    config: &Config,
    resume: Option<&Resume>,
    ctx: &mut Context<RootActor>,
) {
    let all = host_addresses::resources(config, resume);
    let run_on = all.into_iter().filter(|(_, runs)| *runs);
    let run_on: Vec<AddressResource> = run_on.map(|(resource, _)| resource).collect();
    if run_on.is_empty() {
        return;
    }
    let addresses = addresses.clone();
    let work = async move {
        if let Err(error) = addresses.adopt(&run_on).await {
            warn!(%error, "lifetimes of service addresses are not known");
        }
    };
    ctx.spawn(actix::fut::wrap_future(work));
}

impl RootActor {
    /// The process is about to replace itself.
    pub(super) fn part_from_lease(&self) -> impl Future<Output = ()> + 'static {
        let lease = self.lease.clone();
        // An older program would never renew it.
        let longer = (!program_replaced(&self.program)).then_some(RESTART_EXTRA);
        async move {
            if let Some(lease) = lease {
                lease.part(longer).await;
            }
        }
    }

    /// It was not replaced.
    pub(super) fn keep_lease(&self) {
        if let Some(lease) = &self.lease {
            lease.stay();
        }
    }
}
