//! What a group does for its addresses between its orders. A probe of the network never delays an
//! order: the probe is dropped.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use actix::prelude::*;
use tracing::{Instrument, error_span};

use super::log::log;
use super::{GroupRun, ResourceGroupActor, Work};
use crate::clock::Monotonic;
use crate::config::settings::StrayAddresses;
use crate::net::address::parse_word;
use crate::net::announce::Again;
use crate::net::probe::Effort;
use crate::net::service_address::{Claim, Removed};
use crate::notice::Severity;

/// How long the result of a probe that nobody answered counts for a start.
const FRESH: Duration = Duration::from_secs(5);

/// A check of addresses; a group that has an order in hand skips it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Care {
    /// Before the first order: probe which host has them. If they are also here, they are removed.
    Look,
    /// The group is not held: addresses that are here are removed.
    Tidy,
    /// The group is held: probe for another host with them.
    Check(Effort),
    /// The group is held, and there was a conflict: announce again.
    Announce,
    /// The group is held, and the interface of its addresses is up again: announce them as after a start.
    LinkUp,
}

/// Probes the network for the addresses of a group that is not here. `None`: not known.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Option<Vec<IpAddr>>")]
pub struct AskUnanswered;

/// What a group knows about its addresses.
#[derive(Debug, Default)]
pub(super) struct Cared {
    /// The last probe, and which hosts answered.
    looked: Option<(Monotonic, Vec<Claim>)>,
    /// Other hosts that have our addresses although we hold them.
    rivals: Vec<Claim>,
    /// The probe of the network that is under way.
    question: Option<SpawnHandle>,
    /// Addresses that must not be here, and are not removed, were reported.
    reported: bool,
}

impl Cared {
    /// The result of a recent probe, if nobody answered. A host that answered may have given the
    /// address away since, as a legacy node does that gives a group back: it is asked again.
    pub(super) fn fresh(&self, now: Monotonic) -> Option<Vec<Claim>> {
        let (at, claims) = self.looked.as_ref()?;
        (claims.is_empty() && now.since(*at) < FRESH).then(Vec::new)
    }
}

impl ResourceGroupActor {
    /// An order has come: less important probes end.
    pub(super) fn drop_question(&mut self, ctx: &mut Context<Self>) {
        if let Some(question) = self.cared.question.take() {
            ctx.cancel_future(question);
        }
    }

    /// Starts a probe and hands the answer to `then`, unless an order comes first.
    fn ask<T: 'static, F: Future<Output = Option<T>> + 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        ask: impl FnOnce(GroupRun) -> F,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        if self.cared.question.is_some() {
            return;
        }
        let question = ask(self.group_run()).into_actor(self);
        let question = question.map(|answer, act, ctx| {
            act.cared.question = None;
            if let Some(answer) = answer {
                then(act, answer, ctx);
            }
        });
        self.cared.question = Some(ctx.spawn(question));
    }

    fn looked(&mut self, claims: Vec<Claim>, ctx: &mut Context<Self>) {
        self.cared.looked = Some((self.clock.now().instant, claims.clone()));
        let which = claims.iter().map(|claim| claim.address).collect();
        self.tidy(which, claims, ctx);
    }

    /// Removes these addresses of a group that is not held.
    fn tidy(&mut self, which: Vec<IpAddr>, claims: Vec<Claim>, ctx: &mut Context<Self>) {
        if which.is_empty() {
            return;
        }
        let remove = match self.context.stray_addresses {
            StrayAddresses::Remove => true,
            StrayAddresses::Report if self.cared.reported => return,
            StrayAddresses::Report => false,
            StrayAddresses::Ignore => return,
        };
        self.work = Work::Tidying;
        let run = self.group_run();
        let span = error_span!("group", name = %self.group.key);
        let work = async move { run.tidy(&which, &claims, remove).await };
        ctx.spawn(
            work.instrument(span)
                .into_actor(self)
                .map(move |found, act, ctx| {
                    act.cared.reported |= found && !remove;
                    act.work = Work::None;
                    act.next(ctx);
                }),
        );
    }

    fn checked(&mut self, claims: Vec<Claim>, ctx: &mut Context<Self>) {
        let appeared = claims.iter().any(|it| !self.cared.rivals.contains(it));
        let over = claims.is_empty() && !self.cared.rivals.is_empty();
        if appeared {
            let key = &self.group.key;
            for claim in &claims {
                let text =
                    format!("two hosts have an address of group {key}: {claim}, and it is here");
                log(Severity::Crit, &text);
            }
        }
        if over {
            let text = format!(
                "group {} is the only owner of its addresses again",
                self.group.key
            );
            log(Severity::Warn, &text);
        }
        self.cared.rivals = claims;
        if appeared || over {
            self.announce(Again::Conflict, ctx);
        }
    }

    fn announce(&mut self, why: Again, ctx: &mut Context<Self>) {
        let run = self.group_run();
        ctx.spawn(async move { run.announce_again(why).await }.into_actor(self));
    }
}

impl Handler<Care> for ResourceGroupActor {
    type Result = ();

    fn handle(&mut self, care: Care, ctx: &mut Self::Context) {
        if !self.is_idle() {
            return;
        }
        match care {
            Care::Look => self.ask(
                ctx,
                |run| async move { run.claims(Effort::Full).await },
                Self::looked,
            ),
            Care::Tidy => self.ask(
                ctx,
                |run| async move { run.present().await },
                |act, present, ctx| act.tidy(present, Vec::new(), ctx),
            ),
            Care::Check(effort) => {
                // That a rival has gone is not to be concluded from a lost answer.
                let effort = match self.cared.rivals.is_empty() {
                    true => effort,
                    false => Effort::Full,
                };
                self.ask(
                    ctx,
                    move |run| async move { run.claims(effort).await },
                    Self::checked,
                );
            }
            Care::Announce => self.announce(Again::Conflict, ctx),
            Care::LinkUp => self.announce(Again::LinkUp, ctx),
        }
    }
}

impl Handler<AskUnanswered> for ResourceGroupActor {
    type Result = ResponseFuture<Option<Vec<IpAddr>>>;

    fn handle(&mut self, _: AskUnanswered, _: &mut Self::Context) -> Self::Result {
        if !self.is_idle() {
            return Box::pin(async { None });
        }
        let run = self.group_run();
        Box::pin(async move {
            let unanswered = run.context.addresses.unanswered(&run.addresses()).await;
            unanswered.ok()
        })
    }
}

impl GroupRun {
    /// Which other hosts have addresses of this group; `None`: not known.
    pub(super) async fn claims(&self, effort: Effort) -> Option<Vec<Claim>> {
        match self
            .context
            .addresses
            .claims(&self.addresses(), effort)
            .await
        {
            Ok(claims) => Some(claims),
            Err(error) => {
                log(Severity::Warn, &error);
                None
            }
        }
    }

    /// The first claim of another host that prevents a start of this group. `known`: the result of
    /// a recent probe.
    pub(super) async fn foreign_claim(&self, known: Option<Vec<Claim>>) -> Option<Claim> {
        let claims = match known {
            Some(claims) => claims,
            None => self.claims(Effort::Full).await.unwrap_or_default(),
        };
        if !claims.is_empty() {
            // It may be here as well, left by an earlier run: then two hosts have it.
            let remove = self.context.stray_addresses == StrayAddresses::Remove;
            let which: Vec<IpAddr> = claims.iter().map(|claim| claim.address).collect();
            self.tidy(&which, &claims, remove).await;
        }
        claims.into_iter().next()
    }

    /// Which of its addresses are here; `None`: not known.
    async fn present(&self) -> Option<Vec<IpAddr>> {
        match self.context.addresses.present(&self.addresses()).await {
            Ok(present) => Some(present),
            Err(error) => {
                log(Severity::Warn, &error);
                None
            }
        }
    }

    /// Checks for these addresses, which must not be here. Returns whether one was found.
    async fn tidy(&self, which: &[IpAddr], claims: &[Claim], remove: bool) -> bool {
        let mut found = false;
        for word in &self.group.resources {
            if !matches!(parse_word(word), Ok(Some(it)) if which.contains(&it.address)) {
                continue;
            }
            let Some(address) = self.context.native_address(word).await else {
                continue;
            };
            let ip = address.address;
            let claim = claims.iter().find(|claim| claim.address == ip);
            let handler = &self.context.addresses;
            let here = if remove {
                match handler.remove_stray(&address).await {
                    Ok(Removed::Yes) => Ok(true),
                    Ok(Removed::WasNotThere | Removed::Kept(None)) => Ok(false),
                    Ok(Removed::Kept(Some(why))) => {
                        log(
                            Severity::Error,
                            &format!("{why} (group {})", self.group.key),
                        );
                        Ok(false)
                    }
                    Err(error) => Err(error),
                }
            } else {
                handler.status(&address).await
            };
            let rival = claim.map_or(String::new(), |claim| format!(" and {claim} as well"));
            let key = &self.group.key;
            match here {
                Ok(false) => {}
                Ok(true) => {
                    found = true;
                    let did = if remove { ": removed" } else { "" };
                    let text = format!(
                        "{ip} is here although this node does not hold group {key}{rival}{did}"
                    );
                    log(Severity::Warn, &text);
                }
                Err(error) => log(Severity::Error, &error),
            }
        }
        found
    }

    async fn announce_again(&self, why: Again) {
        for word in &self.group.resources {
            if let Some(address) = self.context.native_address(word).await
                && let Err(error) = self.context.addresses.announce_again(&address, why).await
            {
                log(Severity::Warn, &error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
