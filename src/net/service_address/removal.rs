//! Removes addresses, and only those.

use std::path::{Path, PathBuf};

use tracing::{debug, info, warn};

use super::{AddressError, Found, Outcome, change, read};
use crate::net::address::AddressResource;
use crate::net::netlink::Netlink;
use crate::net::placement::{
    Assigned, Interface, copies, dependents, removal, restoration, settled,
};

/// Removes every copy of the address that a stop removes.
pub(super) async fn stop_with(
    netlink: &Netlink,
    resource: &AddressResource,
) -> Result<Outcome, AddressError> {
    let Found {
        interfaces,
        assigned,
        routes,
        ..
    } = read(netlink, resource).await?;
    let resource = &settled(resource, &interfaces, &routes);
    let mut outcome = Outcome::AlreadyStopped;
    let mut failure = None;
    for copy in copies(resource, &interfaces, &assigned) {
        let Some(interface) = interfaces.iter().find(|it| it.index == copy.index) else {
            continue;
        };
        // If one copy cannot be removed, the others still are.
        match remove(netlink, copy, interface, &assigned).await {
            Ok(()) => {
                let (address, prefix) = (copy.address, copy.prefix);
                info!(%address, prefix, interface = %interface.name, "address removed");
                outcome = Outcome::Stopped;
            }
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(outcome), Err)
}

/// Removes one address and restores those of its network that the kernel dropped with it.
pub(super) async fn remove(
    netlink: &Netlink,
    copy: &Assigned,
    interface: &Interface,
    assigned: &[Assigned],
) -> Result<(), AddressError> {
    let address = copy.address;
    let dependents = dependents(copy, assigned);
    // With promotion on, the others stay without interruption; restored when this goes out of
    // scope.
    let promotion = (!dependents.is_empty()).then(|| Promotion::turn_on(&interface.name));
    let deleted = netlink.delete(removal(copy)).await;
    drop(promotion);
    match deleted {
        Ok(()) => {}
        Err(error) if matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {}
        Err(source) => return Err(change(address, interface, "remove it", source)),
    }
    if dependents.is_empty() {
        return Ok(());
    }
    let left = netlink
        .addresses(address)
        .await
        .map_err(|source| AddressError::Read {
            address,
            what: "addresses",
            source,
        })?;
    let is_left = |lost: &Assigned| {
        left.iter()
            .any(|it| (it.index, it.address, it.prefix) == (lost.index, lost.address, lost.prefix))
    };
    for lost in dependents {
        if lost.address == address || is_left(lost) {
            continue;
        }
        match netlink.add(restoration(lost)).await {
            Ok(()) => debug!(address = %lost.address, removed = %address, "secondary put back"),
            Err(error) if error.errno() == Some(libc::EEXIST) => {}
            Err(source) => {
                return Err(change(lost.address, interface, "put it back", source));
            }
        }
    }
    Ok(())
}

/// Switches `promote_secondaries` of an interface on for the lifetime of this value. If it cannot
/// be written, for example in a container, nothing changes: lost addresses are restored afterwards.
struct Promotion {
    path: PathBuf,
    was: Option<Vec<u8>>,
}

impl Promotion {
    fn turn_on(interface: &str) -> Self {
        let path = Path::new("/proc/sys/net/ipv4/conf")
            .join(interface)
            .join("promote_secondaries");
        let was = std::fs::read(&path)
            .ok()
            .filter(|value| value.first() == Some(&b'0'));
        let was = was.filter(|_| std::fs::write(&path, "1").is_ok());
        Self { path, was }
    }
}

impl Drop for Promotion {
    fn drop(&mut self) {
        if let Some(was) = &self.was
            && let Err(error) = std::fs::write(&self.path, was)
        {
            warn!(path = %self.path.display(), %error, "setting not restored");
        }
    }
}
