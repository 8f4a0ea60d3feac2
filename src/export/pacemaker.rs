//! `cib.xml`: the groups, their monitors, ping nodes and fencing devices for Pacemaker.

use std::collections::BTreeMap;
use std::time::Duration;

use super::agent::{Agent, Meaning, meaning};
use super::cib::{Element, Ids};
use super::facts::{Facts, is_client};
use super::fence::{Device, devices};
use super::ledger::{File, Ledger};
use super::{Document, ExportError};
use crate::config::group_lines::Logical;
use crate::config::monitors::{MonitorSettings, by_group};
use crate::protocol::group::GroupKey;
use crate::protocol::monitor::Then;
use crate::protocol::settings::AutoFailback;

/// Of the owner, with `auto_failback on`.
const OWNER_SCORE: &str = "100";

/// Of each resource where it runs, with `auto_failback off`: more than [`OWNER_SCORE`].
const STICKINESS: &str = "200";

/// Of each ping node that answers: more than the stickiness of any group.
const PING_SCORE: &str = "100000";

/// The node that runs groups has this much longer to fence the other one.
const FENCE_DELAY: Duration = Duration::from_secs(5);

/// Makes it, and notes the lines that it was made from.
pub(super) fn cib(facts: &Facts<'_>, ledger: &mut Ledger) -> Result<Document, ExportError> {
    let mut cib = Cib {
        facts,
        ledger,
        ids: Ids::default(),
        resources: Element::new("resources"),
        constraints: Element::new("constraints"),
        monitors: by_group(&facts.config.settings.monitors, &facts.config.groups),
    };
    let targets = cib.groups();
    cib.pings(&targets);
    let fenced = cib.fencing();
    let text = cib.document(fenced).text();
    Ok(Document {
        name: "cib.xml".to_owned(),
        text: text.map_err(|error| ExportError::Xml(error.to_string()))?,
    })
}

struct Cib<'a, 'f> {
    facts: &'a Facts<'f>,
    ledger: &'a mut Ledger,
    ids: Ids,
    resources: Element,
    constraints: Element,
    monitors: BTreeMap<GroupKey, Vec<(String, MonitorSettings)>>,
}

impl Cib<'_, '_> {
    /// The resources of all lines; returns what constraints are about: an id, and the role if not each copy counts.
    fn groups(&mut self) -> Vec<(String, Option<&'static str>)> {
        let lines = self.facts.groups();
        for (line, why) in self.facts.idle_lines() {
            self.ledger.not_needed((File::Haresources, line), why);
        }
        lines.iter().filter_map(|line| self.group(line)).collect()
    }

    fn group(&mut self, line: &Logical) -> Option<(String, Option<&'static str>)> {
        let place = (File::Haresources, line.number);
        let (owner, words) = line.words.split_first()?;
        let owner = owner.to_ascii_lowercase();
        let key = GroupKey::new(words.first()?);
        let monitors = self.monitors.get(&key).cloned().unwrap_or_default();
        let id = self.ids.fresh(&format!("group_{key}"));
        let mut group = Element::with_id("group", id.clone());
        let mut promoted = Vec::new();
        for word in words {
            match meaning(word, self.facts) {
                Meaning::Lost(why) => self.ledger.lost(place, format!("{word}: {why}")),
                Meaning::Drbd(resource) => {
                    let id = self.drbd(&resource);
                    let text = format!(
                        "{word}: cib.xml {id}, ocf:linbit:drbd, promoted where the group runs"
                    );
                    self.ledger.carried(place, text);
                    promoted.push(id);
                }
                Meaning::Agent(agent) => {
                    let monitor = monitors.iter().find(|(of, _)| of == word);
                    let id = self.ids.fresh(&name_of(word, &agent));
                    let text = format!("{word}: cib.xml {id}, {}", agent.name());
                    self.ledger.carried(place, text);
                    if let Some(todo) = &agent.todo {
                        self.ledger.task(todo);
                    }
                    group.add(primitive(
                        &id,
                        &agent,
                        monitor.map(|(_, it)| it),
                        self.facts,
                    ));
                }
            }
        }
        let first = promoted.first().cloned();
        let about = if group.is_empty() {
            (first?, Some("Master"))
        } else {
            for resource in &promoted {
                self.beside(&id, resource);
            }
            self.resources.add(group);
            (id, None)
        };
        self.prefer(&about, &owner);
        let text = format!("cib.xml {}, which prefers {owner}", about.0);
        self.ledger.carried(place, text);
        Some(about)
    }

    /// The owner of a group.
    fn prefer(&mut self, (id, role): &(String, Option<&'static str>), owner: &str) {
        let mut location = Element::with_id("rsc_location", format!("{id}-owner"))
            .set("rsc", id)
            .set("node", owner)
            .set("score", OWNER_SCORE);
        if let Some(role) = role {
            location = location.set("role", *role);
        }
        self.constraints.add(location);
    }

    /// A resource of DRBD, on both nodes.
    fn drbd(&mut self, resource: &str) -> String {
        let id = self.ids.fresh(&format!("drbd_{resource}"));
        let clone = format!("{id}-clone");
        let params = [("drbd_resource", resource)];
        let operation = |interval: &str, role: &str| {
            Element::with_id("op", format!("{id}-monitor-{interval}"))
                .set("name", "monitor")
                .set("interval", format!("{interval}s"))
                .set("role", role)
                .set("timeout", "20s")
        };
        let mut primitive = Element::with_id("primitive", id.clone())
            .set("class", "ocf")
            .set("provider", "linbit")
            .set("type", "drbd");
        add_set(
            &mut primitive,
            "instance_attributes",
            &format!("{id}-params"),
            &params,
        );
        let operations = Element::new("operations")
            .with(operation("29", "Master"))
            .with(operation("31", "Slave"));
        primitive.add(operations);
        let meta = [
            ("promotable", "true"),
            ("promoted-max", "1"),
            ("clone-max", "2"),
            ("notify", "true"),
        ];
        let mut element = Element::with_id("clone", clone.clone());
        add_set(
            &mut element,
            "meta_attributes",
            &format!("{clone}-meta"),
            &meta,
        );
        element.add(primitive);
        self.resources.add(element);
        self.ledger.task(format!(
            "install ocf:linbit:drbd (package drbd-utils) on both nodes, and stop the unit that starts {resource} at boot"
        ));
        clone
    }

    /// A group runs where a resource of DRBD is promoted, and after that.
    fn beside(&mut self, group: &str, drbd: &str) {
        let colocation = Element::with_id("rsc_colocation", format!("{group}-with-{drbd}"))
            .set("rsc", group)
            .set("with-rsc", drbd)
            .set("with-rsc-role", "Master")
            .set("score", "INFINITY");
        let order = Element::with_id("rsc_order", format!("{group}-after-{drbd}"))
            .set("first", drbd)
            .set("first-action", "promote")
            .set("then", group)
            .set("then-action", "start");
        self.constraints.add(colocation);
        self.constraints.add(order);
    }

    /// Groups go where more ping nodes answer, as ipfail has them.
    fn pings(&mut self, targets: &[(String, Option<&'static str>)]) {
        let acts = self.facts.has_ipfail();
        for directive in ["ping", "ping6", "ping_group"] {
            for (line, _) in self.facts.lines(directive) {
                let place = (File::HaCf, line);
                if acts {
                    let text = "cib.xml: a clone of ocf:pacemaker:ping, and a rule for each group";
                    self.ledger.carried(place, text);
                } else {
                    let why = "nothing acts on ping nodes without ipfail";
                    self.ledger.not_needed(place, why);
                }
            }
        }
        for (line, value) in self.facts.lines("respawn") {
            let mut words = value.splitn(2, char::is_whitespace);
            if is_client(words.nth(1).unwrap_or_default(), "ipfail") {
                let text = "cib.xml: rules by which groups go where more ping nodes answer";
                self.ledger.carried((File::HaCf, line), text);
            }
        }
        if !acts {
            return;
        }
        for ping in ping_nodes(self.facts) {
            let attribute = self.ids.fresh(&format!("ping_{}", ping.name));
            self.ping(&attribute, &ping.hosts);
            for (id, role) in targets {
                let rule = Element::with_id("rule", format!("{id}-{attribute}-rule"))
                    .set("score", PING_SCORE)
                    .with(
                        Element::with_id("expression", format!("{id}-{attribute}-answers"))
                            .set("attribute", attribute.as_str())
                            .set("operation", "gte")
                            .set("value", "1")
                            .set("type", "number"),
                    );
                let mut rule = rule;
                if let Some(role) = role {
                    rule = rule.set("role", *role);
                }
                let location = Element::with_id("rsc_location", format!("{id}-{attribute}"));
                self.constraints.add(location.set("rsc", id).with(rule));
            }
        }
    }

    fn ping(&mut self, id: &str, hosts: &str) {
        let deadping = self.facts.config.timing.deadping.as_secs().max(2);
        let interval = (deadping / 2).max(1);
        let timeout = format!("{}s", deadping.saturating_add(10));
        let params = [
            ("name", id),
            ("host_list", hosts),
            ("attempts", "2"),
            ("timeout", "2"),
        ];
        let mut primitive = Element::with_id("primitive", format!("{id}-agent"))
            .set("class", "ocf")
            .set("provider", "pacemaker")
            .set("type", "ping");
        add_set(
            &mut primitive,
            "instance_attributes",
            &format!("{id}-params"),
            &params,
        );
        let operation = Element::with_id("op", format!("{id}-monitor"))
            .set("name", "monitor")
            .set("interval", format!("{interval}s"))
            .set("timeout", timeout);
        primitive.add(Element::new("operations").with(operation));
        let clone = Element::with_id("clone", format!("{id}-clone"));
        self.resources.add(clone.with(primitive));
    }

    /// The fencing devices; whether there is one.
    fn fencing(&mut self) -> bool {
        let mut any = false;
        for device in devices(self.facts) {
            let place = (File::HaCf, device.line);
            match &device.params {
                Err(why) => self.ledger.lost(place, why.clone()),
                Ok(params) => {
                    let id = self.device(&device, params);
                    let text = format!(
                        "cib.xml {id}, stonith:{}; passwords among its parameters are in cib.xml",
                        device.kind
                    );
                    self.ledger.carried(place, text);
                    any = true;
                }
            }
        }
        any
    }

    fn device(&mut self, device: &Device, params: &[(String, String)]) -> String {
        let id = self.ids.fresh(&format!("fence_{}", device.kind));
        let pairs = params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<(&str, &str)> = pairs.collect();
        let mut primitive = Element::with_id("primitive", id.clone())
            .set("class", "stonith")
            .set("type", device.kind.as_str());
        add_set(
            &mut primitive,
            "instance_attributes",
            &format!("{id}-params"),
            &pairs,
        );
        let operation = Element::with_id("op", format!("{id}-monitor"))
            .set("name", "monitor")
            .set("interval", "3600s")
            .set("timeout", "60s");
        primitive.add(Element::new("operations").with(operation));
        self.resources.add(primitive);
        if let Some(only) = &device.only {
            let others = self.facts.config.nodes.iter();
            let others = others.map(|it| it.as_str()).filter(|it| it != only);
            for node in others {
                let location = Element::with_id(
                    "rsc_location",
                    format!("{id}-not-{}", Ids::default().fresh(node)),
                );
                let location = location.set("rsc", id.as_str()).set("node", node);
                self.constraints.add(location.set("score", "-INFINITY"));
            }
        }
        if device.kind.starts_with("fence_") {
            self.ledger.task(format!(
                "install {} (package fence-agents) on both nodes",
                device.kind
            ));
        } else {
            self.ledger
                .task("install cluster-glue on both nodes: it has the plugins of stonith");
        }
        id
    }

    fn document(self, fenced: bool) -> Element {
        let settings = &self.facts.config.settings;
        let limit = format!("{}s", settings.fence_time_limit.as_secs());
        let delay = settings.fence_delay.unwrap_or(FENCE_DELAY);
        let delay = format!("{}s", delay.as_secs());
        let mut options = vec![
            ("cluster-infrastructure", "corosync"),
            ("stonith-enabled", if fenced { "true" } else { "false" }),
        ];
        if fenced {
            options.push(("stonith-timeout", limit.as_str()));
            options.push(("priority-fencing-delay", delay.as_str()));
        }
        let mut crm_config = Element::new("crm_config");
        if !fenced {
            crm_config.comment(
                "NO FENCING: nothing in ha.cf can be a fencing device here. When the nodes lose each other, both run \
                 every group. Configure a device, and set stonith-enabled to true.",
            );
            self.ledger.differs(
                "Pacemaker without fencing (stonith-enabled=false): when the nodes lose each other, both run every \
                 group, as a heartbeat pair without fencing does. Its makers support no such cluster.",
            );
        }
        add_set(
            &mut crm_config,
            "cluster_property_set",
            "cib-bootstrap-options",
            &options,
        );
        let mut nodes = Element::new("nodes");
        for (number, node) in (1_usize..).zip(&self.facts.config.nodes) {
            let element = Element::with_id("node", number.to_string());
            nodes.add(element.set("uname", node.as_str()));
        }
        let stickiness = match self.facts.config.auto_failback {
            AutoFailback::Off => STICKINESS,
            AutoFailback::On | AutoFailback::Legacy => "0",
        };
        let mut defaults = vec![("resource-stickiness", stickiness)];
        if fenced {
            defaults.push(("priority", "1"));
        }
        let mut rsc_defaults = Element::new("rsc_defaults");
        add_set(
            &mut rsc_defaults,
            "meta_attributes",
            "rsc-options",
            &defaults,
        );
        let configuration = Element::new("configuration")
            .with(crm_config)
            .with(nodes)
            .with(self.resources)
            .with(self.constraints)
            .with(rsc_defaults);
        Element::new("cib")
            .set("validate-with", "pacemaker-3.2")
            .set("admin_epoch", "0")
            .set("epoch", "1")
            .set("num_updates", "0")
            .with(configuration)
            .with(Element::new("status"))
    }
}

/// A ping node or ping group.
struct PingNode {
    name: String,
    /// Its hosts, as written.
    hosts: String,
}

fn ping_nodes(facts: &Facts<'_>) -> Vec<PingNode> {
    let mut nodes = Vec::new();
    for written in facts.written {
        let split = |c: char| c == ',' || c.is_whitespace();
        let words = written.value.split(split).filter(|word| !word.is_empty());
        match written.directive {
            "ping" | "ping6" => nodes.extend(words.map(|word| PingNode {
                name: word.to_owned(),
                hosts: word.to_owned(),
            })),
            "ping_group" => {
                let mut words = words;
                if let Some(name) = words.next() {
                    nodes.push(PingNode {
                        name: name.to_owned(),
                        hosts: words.collect::<Vec<_>>().join(" "),
                    });
                }
            }
            _ => {}
        }
    }
    nodes
}

/// A short name for a word: `ip_10_0_0_1`, else the word.
fn name_of(word: &str, agent: &Agent) -> String {
    let first = agent.params.first().map(|(_, value)| value.as_str());
    match first {
        Some(address) if agent.is_address => format!("ip_{address}"),
        _ => word.to_owned(),
    }
}

fn primitive(
    id: &str,
    agent: &Agent,
    monitor: Option<&MonitorSettings>,
    facts: &Facts<'_>,
) -> Element {
    let mut primitive = Element::with_id("primitive", id).set("class", agent.class);
    if let Some(provider) = &agent.provider {
        primitive = primitive.set("provider", provider);
    }
    primitive = primitive.set("type", agent.kind.as_str());
    let pairs = agent
        .params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let pairs: Vec<(&str, &str)> = pairs.collect();
    add_set(
        &mut primitive,
        "instance_attributes",
        &format!("{id}-params"),
        &pairs,
    );
    let operation = |name: &str, interval: &str, timeout: &str| {
        Element::with_id("op", format!("{id}-{name}"))
            .set("name", name)
            .set("interval", interval)
            .set("timeout", timeout)
    };
    let mut operations = Element::new("operations");
    if !agent.is_address {
        let limit = format!("{}s", facts.config.settings.script_time_limit.as_secs());
        operations.add(operation("start", "0s", &limit));
        operations.add(operation("stop", "0s", &limit));
    }
    if agent.is_address {
        operations.add(operation("monitor", "10s", "20s"));
    } else if let Some(it) = monitor {
        let interval = format!("{}s", it.rules.interval.as_secs());
        let timeout = format!("{}s", it.timeout.as_secs());
        let mut operation = operation("monitor", &interval, &timeout);
        if it.rules.then == Then::Stop {
            operation = operation.set("on-fail", "stop");
        }
        operations.add(operation);
    }
    if !operations.is_empty() {
        primitive.add(operations);
    }
    if let Some(it) = monitor.filter(|it| it.rules.then == Then::Move) {
        let threshold = it.rules.restarts.saturating_add(1).to_string();
        let window = format!("{}s", it.rules.window.as_secs());
        let meta = [
            ("migration-threshold", threshold.as_str()),
            ("failure-timeout", &window),
        ];
        add_set(
            &mut primitive,
            "meta_attributes",
            &format!("{id}-meta"),
            &meta,
        );
    }
    primitive
}

fn add_set(to: &mut Element, name: &'static str, id: &str, pairs: &[(&str, &str)]) {
    if let Some(set) = Element::set_of(name, id, pairs) {
        to.add(set);
    }
}
