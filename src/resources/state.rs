//! The state of the resource core. Spec: docs/protocol/resources.md, 3.

use crate::clock::Monotonic;
use crate::protocol::haresources_mark::mark;
use crate::protocol::settings::NodeSettings;
use crate::resources::holding::HoldingSet;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::ailing::Ailing;
use crate::resources::parts::contest::Contest;
use crate::resources::parts::conversation::Conversation;
use crate::resources::parts::duty::Duty;
use crate::resources::parts::failback::Failback;
use crate::resources::parts::fence::Unfenced;
use crate::resources::parts::freeze::Freeze;
use crate::resources::parts::groups::GroupTable;
use crate::resources::parts::isolation::Isolation;
use crate::resources::parts::loose::Loose;
use crate::resources::parts::names::Names;
use crate::resources::parts::other::OtherSide;
use crate::resources::parts::questions::Questions;
use crate::resources::parts::run::Run;
use crate::resources::parts::setup::Setup;
use crate::resources::parts::stop::Stopping;
use crate::resources::parts::timers::TimerTable;
use crate::resources::parts::unheard::Unheard;
use crate::resources::parts::unowned::Unowned;
use crate::resources::parts::unserved::Reach;

/// Which of the audit's conditions hold, so that each is logged once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Audit {
    pub(super) both_own_ours: bool,
    pub(super) both_own_foreign: bool,
    pub(super) nobody_owns_local: bool,
    pub(super) nobody_owns_foreign: bool,
}

/// The resource core of one node. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct ResourceState {
    pub(super) setup: Setup,
    pub(super) run: Run,
    pub(super) groups: GroupTable,

    pub(super) now: Monotonic,
    pub(super) out: Vec<ResourceOutput>,

    pub(super) duty: Duty,
    pub(super) other: OtherSide,

    pub(super) standby: Conversation,

    pub(super) isolation: Isolation,
    pub(super) unheard: Unheard,
    pub(super) names: Names,
    pub(super) failback: Failback,
    pub(super) freeze: Freeze,
    pub(super) unfenced: Unfenced,
    pub(super) contest: Contest,
    pub(super) stop: Stopping,
    pub(super) timers: TimerTable,
    pub(super) unowned: Unowned,
    /// What was held at the last check whether exactly that runs; `None`: work was in hand since.
    pub(super) looked_at: Option<HoldingSet>,
    pub(super) questions: Questions,
    pub(super) loose: Loose,
    pub(super) audit: Audit,
}

impl ResourceState {
    /// A state that holds nothing and knows nothing of other nodes.
    #[must_use]
    pub fn new(settings: &NodeSettings) -> Self {
        let others = settings
            .nodes
            .iter()
            .filter(|name| **name != settings.local);
        Self {
            setup: Setup::new(settings),
            run: Run::new(),
            groups: GroupTable::new(&settings.local, &settings.groups, &settings.with_address)
                .with_reach(Reach::new(settings.unserved, settings.timing.deadtime))
                .with_ailing(Ailing::new(settings.monitors.clone())),
            now: Monotonic::ZERO,
            out: Vec::new(),
            duty: Duty::default(),
            other: OtherSide::new(others.cloned()),
            standby: Conversation::new(),
            isolation: Isolation::default(),
            unheard: Unheard::default(),
            names: Names::new(mark(&settings.groups)),
            failback: Failback::default(),
            freeze: Freeze::default(),
            unfenced: Unfenced::new(settings.fencing.clone()),
            contest: Contest::default(),
            stop: Stopping::new(),
            timers: TimerTable::default(),
            unowned: Unowned::default(),
            looked_at: None,
            questions: Questions::default(),
            loose: Loose::default(),
            audit: Audit::default(),
        }
    }
}
