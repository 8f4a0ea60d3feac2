//! What a process that begins does with the lifetimes of addresses that an earlier one has put up.

use tracing::warn;

use super::{AddressError, AddressManager, connected, keep};
use crate::net::address::AddressResource;
use crate::net::lease::{ends, renewal};
use crate::net::netlink::Netlink;
use crate::net::placement::Assigned;

impl AddressManager {
    /// Addresses of ours with a lifetime that ends are renewed from now on; where addresses have no lease, the end
    /// is taken from them. Those that are gone ran out meanwhile. `resources`: those of the groups that run on from an earlier process.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn adopt(&self, resources: &[AddressResource]) -> Result<(), AddressError> {
        let Some(first) = resources.first() else {
            return Ok(());
        };
        let mut held = self.shared.netlink.lock().await;
        let netlink = connected(held.take(), first.address)?;
        let result = self.adopt_with(&netlink, resources).await;
        keep(&mut held, netlink, &result);
        result
    }

    async fn adopt_with(
        &self,
        netlink: &Netlink,
        resources: &[AddressResource],
    ) -> Result<(), AddressError> {
        let assigned = super::conflict::assigned_like(netlink, resources).await?;
        let ours = |it: &&Assigned| {
            let mut resources = resources.iter();
            let guarded = self.guard().is_none_or(|guard| guard.is_ours(it.address));
            guarded && ends(it) && resources.any(|resource| resource.address == it.address)
        };
        for it in assigned.iter().filter(ours) {
            let Some(lessor) = &self.lessor else {
                let address = it.address;
                if let Err(error) = netlink.replace(renewal(it, None, false)).await {
                    warn!(%address, %error, "the address keeps its lifetime, and goes when that ends");
                }
                continue;
            };
            lessor.holds(it, None);
        }
        if let Some(lessor) = &self.lessor {
            let is_here = |address| assigned.iter().any(|it| it.address == address);
            let ours = |address| self.guard().is_some_and(|guard| guard.is_ours(address));
            let all = resources.iter().map(|resource| resource.address);
            for address in all.filter(|it| ours(*it) && !is_here(*it)) {
                lessor.misses(address);
            }
        }
        Ok(())
    }
}
