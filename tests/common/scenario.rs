//! A pair in the simulator, step by step: the judge watches every step of every test.

use std::ops::{Deref, DerefMut};

use systole::node::Node;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::HostId;
use systole::simulator::scenario::Scenario;

pub(crate) struct Cluster(Scenario);

impl Cluster {
    /// Hosts of these names, each the owner of one group: `a`, `b`.
    pub(crate) fn new(names: &[&str], model: AutoFailback) -> Self {
        Self(Scenario::new(names.len(), model))
    }

    /// A pair with groups of these owners.
    pub(crate) fn with_groups<const N: usize>(
        groups: [(HostId, &str); N],
        model: AutoFailback,
    ) -> Self {
        Self(Scenario::with_groups(2, model, groups))
    }

    /// Both nodes of a pair, started together and settled.
    pub(crate) fn settled_pair(model: AutoFailback) -> Self {
        let mut cluster = Self::new(&["node1", "node2"], model);
        cluster.boot("node1");
        cluster.boot("node2");
        cluster.run(20_000);
        assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
        cluster.forget();
        cluster
    }

    /// Lets this many milliseconds pass.
    pub(crate) fn run(&mut self, ms: u64) {
        self.0.run(ms);
        assert_eq!(self.failure(), None, "the judge: {:#?}", self.complaints);
    }

    pub(crate) fn node(&self, host: &str) -> &Node {
        self.0.node(host).expect("it runs")
    }
}

impl Deref for Cluster {
    type Target = Scenario;
    fn deref(&self) -> &Scenario {
        &self.0
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Scenario {
        &mut self.0
    }
}
