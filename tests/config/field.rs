//! Configurations as people publish them.

use super::*;

/// A host that has everything that the field files name.
struct FieldHost(Recorded);

impl Environment for FieldHost {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        self.0.read_file(path)
    }
    fn host_name(&self) -> String {
        self.0.host_name()
    }
    fn effective_uid(&self) -> u32 {
        0
    }
    fn has_interface(&self, _: &str) -> bool {
        true
    }
    fn interface_ipv4(&self, _: &str) -> Result<(), InterfaceProblem> {
        Ok(())
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.0
            .resolve(host)
            .or_else(|_| Ok(vec![IpAddr::from([192, 0, 2, 1])]))
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        self.0.user_id(name)
    }
    fn group_id(&self, name: &str) -> Option<u32> {
        self.0.group_id(name)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    fn path_kind(&self, _: &Path) -> PathKind {
        PathKind::CharDevice
    }
    fn is_executable(&self, _: &Path) -> bool {
        true
    }
    fn udp_service_port(&self, _: &str) -> Option<u16> {
        None
    }
    fn udp_service_name(&self, _: u16) -> Option<String> {
        None
    }
    fn has_stonith_type(&self, _: &str) -> bool {
        true
    }
    fn has_logd(&self) -> bool {
        true
    }
    fn core_pattern(&self) -> String {
        "core".to_owned()
    }
    fn core_uses_pid(&self) -> bool {
        true
    }
}

impl HostView for FieldHost {
    fn network(&self, _: &[IpAddr]) -> Option<Network> {
        None
    }
    fn primary_group(&self, _: &str) -> Option<u32> {
        None
    }
    fn started_at_boot(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn own_addresses(&self, _: &Paths, _: &Config, _: &str) -> (Vec<Finding>, Vec<Finding>) {
        Default::default()
    }
}

/// Folder, its nodes, its groups, deadtime and warntime in ms, number of media and ping nodes.
type Field = (
    &'static str,
    [&'static str; 2],
    &'static [&'static str],
    u64,
    u64,
    usize,
    usize,
);

const FIELD: &[Field] = &[
    (
        "bcast-ipfail-mysql",
        ["node1", "node2"],
        &["192.168.0.1 mysqld"],
        30_000,
        10_000,
        1,
        1,
    ),
    (
        "mcast-compression",
        ["web1.chinasoft.com", "web2.chinasoft.com"],
        &["192.168.8.66/16/eth0 httpd"],
        8000,
        10_000,
        1,
        1,
    ),
    (
        "mcast-httpd",
        ["master-db", "slave-db"],
        &["IPaddr::172.16.1.26/24/eth1 httpd"],
        30_000,
        15_000,
        1,
        0,
    ),
    (
        "serial-bcast-ccm",
        ["linuxha1.linux-ha.org", "linuxha2.linux-ha.org"],
        &["192.168.85.3/27/192.168.85.16 httpd smb maid::vacuum"],
        30_000,
        10_000,
        2,
        2,
    ),
    (
        "subsecond-drbd",
        ["prmdbrw01", "prmdbbk01"],
        &["IPaddr::192.168.33.100/24/eth2 mysql_umount mysql"],
        1000,
        500,
        1,
        1,
    ),
];

#[test]
fn field_configurations_are_accepted_on_both_nodes() {
    for (folder, nodes, groups, deadtime, warntime, media, pings) in FIELD {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/field");
        let read = |name: &str| {
            std::fs::read_to_string(root.join(folder).join(name)).expect("a file of the case")
        };
        for node in nodes {
            let case = serde_json::json!({
                "name": folder,
                "hostname": node,
                "ha.cf": read("ha.cf"),
                "authkeys": read("authkeys"),
                "haresources": read("haresources"),
            });
            let env = FieldHost(surroundings(&case));
            let loaded = load(&Paths::default(), &env, &LoadOptions::default())
                .unwrap_or_else(|failure| panic!("{folder}: {:#?}", shown(&failure.lines)));
            let config = loaded.config;
            assert_eq!(config.local.as_str(), *node);
            let ours: Vec<String> = config
                .groups
                .iter()
                .map(|g| g.resources.join(" "))
                .collect();
            assert_eq!(ours, *groups, "{folder}");
            assert_eq!(config.timing.deadtime.as_millis(), u128::from(*deadtime));
            assert_eq!(config.timing.warntime.as_millis(), u128::from(*warntime));
            assert_eq!((config.media.len(), config.pings.len()), (*media, *pings));
        }
    }
}
