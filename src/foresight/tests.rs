use super::*;
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;
use crate::protocol::settings::AutoFailback;

const SCRIPT: Duration = Duration::from_millis(500);

/// `alpha` owns an address, `node1` a script: a name that the simulator uses for the other one.
fn config() -> Config {
    let mut config = Config::for_tests("alpha");
    config.nodes = ["alpha", "node1"]
        .map(|name| NodeName::new(name).unwrap())
        .to_vec();
    config.timing.keepalive = Duration::from_millis(500);
    config.timing.deadtime = Duration::from_secs(4);
    config.timing.initdead = Duration::from_secs(12);
    config.auto_failback = AutoFailback::On;
    config.manage_resources = true;
    config.media = vec![MediumConfig::Bcast {
        interface: "eth0".to_owned(),
        port: 694,
    }];
    let group = |owner: &str, words: &[&str]| ResourceGroup {
        key: GroupKey::new(words[0]),
        owner: NodeName::new(owner).unwrap(),
        resources: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    config.groups = vec![
        group("alpha", &["192.0.2.100/24/eth0", "web"]),
        group("node1", &["db"]),
    ];
    config
}

fn pair(config: &Config) -> Pair {
    Pair::of(config, None, SCRIPT).unwrap()
}

fn run(pair: &Pair, incident: &str) -> Forecast {
    foresee(pair, Incident::read(incident, pair).unwrap())
}

fn ends_on(forecast: &Forecast) -> Vec<String> {
    forecast
        .groups
        .iter()
        .map(|group| group.after.join("+"))
        .collect()
}

#[test]
fn a_death_is_told_in_the_names_of_the_files() {
    let pair = pair(&config());
    let forecast = run(&pair, "alpha dies");
    assert_eq!(forecast.groups[0].group, "192.0.2.100/24/eth0");
    assert_eq!(forecast.groups[0].before, ["alpha"]);
    assert_eq!(ends_on(&forecast), ["node1", "node1"]);
    let silent = forecast.groups[0].silent_ms;
    assert!((3_500..5_500).contains(&silent), "{silent}");
    assert_eq!(forecast.groups[1].silent_ms, 0);
    assert!(!forecast.has_two_owners() && !forecast.leaves_one_down());
    let told = |what: &str| {
        let step = forecast.steps.iter().find(|step| step.what == what);
        step.unwrap_or_else(|| panic!("{what}: {:#?}", forecast.steps))
    };
    assert_eq!(told("loses power").node, "alpha");
    let verdict = told("declares alpha dead");
    assert_eq!(verdict.node, "node1");
    assert!(verdict.why.as_ref().unwrap().contains("dead time"));
    told("takes the resources of alpha: 192.0.2.100/24/eth0");
    told("begins to start 192.0.2.100/24/eth0");
    assert_eq!(told("runs 192.0.2.100/24/eth0").at_ms, silent);
    // The same question has the same answer.
    assert_eq!(run(&pair, "  ALPHA   dies "), forecast);
}

#[test]
fn a_cut_has_two_owners_unless_a_device_resets_one() {
    let forecast = run(&pair(&config()), "cut all");
    assert!(forecast.has_two_owners(), "{forecast:#?}");
    let mut fenced = pair(&config());
    fenced.plan.features.device = Some(Device::Honest);
    let forecast = run(&fenced, "cut all");
    assert!(!forecast.has_two_owners(), "{forecast:#?}");
    assert!(!forecast.leaves_one_down());
    // A node that was reset finds nobody, and resets the other in its turn.
    assert!(forecast.resets() > 1, "{:#?}", forecast.steps);
    let silent = |group: &Outcome| group.silent_ms > 0;
    assert!(forecast.groups.iter().any(silent), "{forecast:#?}");
    assert_eq!(run(&fenced, "alpha dies").resets(), 1);
}

#[test]
fn every_incident_of_a_pair_is_read_and_ends() {
    let mut two_media = pair(&config());
    two_media.media = vec!["eth0".to_owned(), "eth1".to_owned()];
    two_media.plan.media = 2;
    for incident in Incident::all(&two_media) {
        let text = incident.on(&two_media);
        assert_eq!(Incident::read(&text, &two_media), Ok(incident), "{text}");
        let forecast = foresee(&two_media, incident);
        let cut = text == "cut all" || text == "cut alpha" || text == "cut node1";
        assert_eq!(forecast.has_two_owners(), cut, "{text}");
        assert!(!forecast.leaves_one_down(), "{text}");
        if text.starts_with("cut eth") || text.starts_with("daemon") {
            assert_eq!(ends_on(&forecast), ["alpha", "node1"], "{text}");
            assert!(
                forecast.groups.iter().all(|group| group.silent_ms == 0),
                "{text}"
            );
        }
    }
    for strange in [
        "",
        "alpha",
        "alpha burns",
        "cut eth9",
        "gamma dies",
        "standby",
    ] {
        let error = Incident::read(strange, &two_media).unwrap_err().to_string();
        assert!(error.contains("alpha dies, node1 dies"), "{error}");
    }
}

#[test]
fn a_legacy_node_takes_over_too() {
    let pair = Pair::of(&config(), Some("NODE1"), SCRIPT).unwrap();
    assert_eq!(ends_on(&run(&pair, "alpha dies")), ["node1", "node1"]);
    assert!(
        pair.assumes()
            .iter()
            .any(|line| line.contains("legacy program"))
    );
}

#[test]
fn files_without_a_pair_are_refused() {
    let refused = |change: fn(&mut Config), legacy: Option<&str>, script: Duration| {
        let mut config = config();
        change(&mut config);
        Pair::of(&config, legacy, script).unwrap_err()
    };
    let same = |_: &mut Config| {};
    assert_eq!(
        refused(|it| it.groups.clear(), None, SCRIPT),
        NotForeseen::NoGroup
    );
    assert_eq!(
        refused(|it| it.nodes.truncate(1), None, SCRIPT),
        NotForeseen::Nodes(1)
    );
    assert_eq!(
        refused(|it| it.manage_resources = false, None, SCRIPT),
        NotForeseen::NotManaged
    );
    assert_eq!(refused(same, None, Duration::ZERO), NotForeseen::ScriptTime);
    assert_eq!(
        refused(same, None, Duration::from_secs(601)),
        NotForeseen::ScriptTime
    );
    assert_eq!(
        refused(same, Some("gamma"), SCRIPT),
        NotForeseen::NoSuchNode("gamma".to_owned())
    );
    let many = |it: &mut Config| {
        let group = it.groups[0].clone();
        it.groups = vec![group; 65];
    };
    assert!(matches!(refused(many, None, SCRIPT), NotForeseen::Plan(_)));
}

#[test]
fn only_devices_for_both_nodes_count() {
    let device = |kind: &str, only_here: bool| FenceDevice {
        place: "ha.cf:1".to_owned(),
        kind: kind.to_owned(),
        only_here,
        driver: crate::config::fencing::FenceDriver::PluginFile("/etc/x".into()),
    };
    let fences = |devices: Vec<FenceDevice>| {
        let mut config = config();
        config.fence_devices = devices;
        let pair = pair(&config);
        let told = pair
            .assumes()
            .iter()
            .any(|line| line.contains("nothing is fenced"));
        (pair.plan.features.device.is_some(), told)
    };
    assert_eq!(fences(vec![]), (false, false));
    assert_eq!(fences(vec![device("external/ipmi", false)]), (true, false));
    assert_eq!(fences(vec![device("external/ipmi", true)]), (false, true));
    assert_eq!(fences(vec![device("null", false)]), (false, true));
}

#[test]
fn names_are_told_whole() {
    let mut config = config();
    let owner = config.groups[0].owner.clone();
    let like = |key: &str| ResourceGroup {
        key: GroupKey::new(key),
        owner: owner.clone(),
        resources: vec![key.to_owned()],
    };
    config.groups = ["192.0.2.1/24/eth0", "192.0.2.10/24/eth0", "disk::node2"]
        .map(like)
        .to_vec();
    let pair = pair(&config);
    assert_eq!(
        pair.with_names("node1 takes 192.0.2.1 192.0.2.10 disk::node2 of node2"),
        "alpha takes 192.0.2.1/24/eth0 192.0.2.10/24/eth0 disk::node2 of node1"
    );
}

/// A mistake that a start allows with a WARN: the groups are still two.
#[test]
fn two_lines_with_one_address_are_two_groups() {
    let mut config = config();
    config.groups[1].key = GroupKey::new("IPaddr::192.0.2.100/24/eth0");
    let forecast = run(&pair(&config), "alpha dies");
    assert_eq!(forecast.groups[1].before, ["node1"]);
    assert_eq!(ends_on(&forecast), ["node1", "node1"]);
    assert!(
        forecast
            .steps
            .iter()
            .any(|step| step.what == "runs 192.0.2.100/24/eth0")
    );
}
