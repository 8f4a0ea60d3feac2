//! Lines about fencing devices.

use super::*;

/// The files as they are read, before this host is looked at.
fn with_fencing(lines: &str) -> Result<Loaded, Box<ConfigFailure>> {
    let ha_cf = format!("{GOOD}bcast eth0\n{lines}\n");
    let case = serde_json::json!({ "name": "made here", "ha.cf": ha_cf });
    let options = LoadOptions::default();
    systole::config::load::load(&Paths::default(), &surroundings(&case), &options)
}

#[test]
fn fencing_lines_that_count_here_are_kept_in_their_order() {
    let loaded = with_fencing(
        "stonith_host node2 fence_x ip=1\nstonith_host * null node1 node2\n\
         stonith_host NODE1 fence_x ip=10.0.0.3 password=Geheim-4711 hosts=node2:3",
    );
    let devices = loaded.expect("accepted").config.fence_devices;
    let shown: Vec<(&str, &str, bool)> = devices
        .iter()
        .map(|it| (it.place.as_str(), it.kind.as_str(), it.only_here))
        .collect();
    let [(null_at, "null", false), (agent_at, "fence_x", true)] = shown.as_slice() else {
        panic!("{shown:?}");
    };
    for at in [null_at, agent_at] {
        let (file, line) = at.rsplit_once(':').expect("a line");
        assert!(
            file.ends_with("ha.cf") && line.parse::<u32>().is_ok(),
            "{at}"
        );
    }
    assert!(!format!("{devices:?}").contains("Geheim"), "{devices:?}");
}

/// Passwords stand in these lines.
#[test]
fn a_bad_fencing_line_is_refused_without_its_parameters() {
    for line in [
        "stonith_host * fence_x ip=1 Geheim-4711",
        "stonith_host * fence_x ip=1 password=\"Geheim-4711",
        "stonith_host * fence_x action=off password=Geheim-4711",
        "stonith_host * nosuch node2 Geheim-4711",
        "stonith_host * fence_y password=Geheim-4711",
        "stonith_host * null",
        "stonith fence_x /etc/ha.d/ha.cf",
        "stonith null node2 10.0.0.1 admin Geheim-4711",
    ] {
        let refused = with_fencing(line).expect_err(line);
        let shown = shown(&refused.lines).join("\n");
        assert!(!shown.contains("Geheim"), "{shown}");
        let directive = line.split(' ').next().expect("a word");
        assert!(shown.contains(&format!(": {directive} ")), "{shown}");
    }
    let long = format!("stonith_host * null {}", "a".repeat(1001));
    assert!(with_fencing(&long).is_err());
}
