//! Service addresses that are this host's own, or the other node's: a typo in haresources that would take a
//! node off the network. A start is refused for it. What is in doubt is said, with its line.

use std::net::IpAddr;
use std::path::Path;

use super::Finding;
use crate::config::group_lines;
use crate::config::types::{Config, MediumConfig};
use crate::net::address::parse_word;
use crate::net::address_record::AddressRecord;
use crate::net::own_address::{Came, Mark, OwnAddresses, Standing};
use crate::net::own_addresses::{doubt_text, host_addresses, own_text};
use crate::os::paths::Paths;
use crate::process::host_addresses::{came, is_lenient};

/// The addresses of haresources, `text`, that are this host's own or the other node's, and those
/// that may be. Blocks.
#[must_use]
pub(super) fn look(paths: &Paths, config: &Config, text: &str) -> (Vec<Finding>, Vec<Finding>) {
    // Without groups nothing is asked of the host.
    if config.groups.is_empty() {
        return Default::default();
    }
    let record = AddressRecord::read(&paths.addresses());
    let own = OwnAddresses::new(host_addresses().unwrap_or_default(), &config.media)
        .lenient(is_lenient(config.settings.stray_addresses));
    let facts = AddressFacts {
        own: &own,
        mark: &|address| record.mark(address),
        came: came(paths, &record),
        media: &config.media,
    };
    of_hosts(&facts, &paths.haresources(), text)
}

/// What is known of the addresses of a host.
pub struct AddressFacts<'a> {
    /// Its addresses.
    pub own: &'a OwnAddresses,
    /// What this boot's record says of one of them.
    pub mark: &'a dyn Fn(IpAddr) -> Option<Mark>,
    /// How they may have come there.
    pub came: Came,
    /// The media of ha.cf.
    pub media: &'a [MediumConfig],
}

/// The addresses of haresources, `text`, that are refused, and those in doubt.
#[must_use]
pub fn of_hosts(facts: &AddressFacts<'_>, path: &Path, text: &str) -> (Vec<Finding>, Vec<Finding>) {
    let (mut refused, mut doubts) = (Vec::new(), Vec::new());
    for line in group_lines::logical(text) {
        for word in line.words.iter().skip(1) {
            let Ok(Some(resource)) = parse_word(word) else {
                continue;
            };
            let mark = (facts.mark)(resource.address);
            let say = |text: String| {
                let place = format!("{}:{}", path.display(), line.number);
                Finding::new(place, format!("{word}: {text}"))
            };
            match facts.own.standing(&resource, mark, facts.came) {
                Standing::Own(copy, why) => refused.push(say(own_text(&copy, &why))),
                Standing::Doubt(copy) => doubts.push(say(doubt_text(&copy))),
                Standing::Service => {}
                Standing::Absent => {
                    let peer = facts
                        .media
                        .iter()
                        .find(|it| it.peer() == Some(resource.address));
                    refused.extend(peer.map(|medium| {
                        say(format!(
                            "{} is the other node's own address ({medium}) and no service address",
                            resource.address
                        ))
                    }));
                }
            }
        }
    }
    (refused, doubts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::own_address::HostAddress;

    const TEXT: &str = "# groups\nnode1 10.77.0.100 \\\n  IPaddr2::10.88.0.1/24/eth1 web\n\
                        node2 10.77.0.1/24/eth0\nnode2 10.77.0.2\nnode1 IPaddr2::10.77.0.7\n";

    fn check(mark: Option<Mark>, came: Came, lenient: bool) -> [Vec<String>; 2] {
        let at = |interface: &str, address: &str| HostAddress {
            interface: interface.into(),
            label: None,
            address: address.parse().unwrap(),
            prefix: 24,
            answers: true,
        };
        let media = [MediumConfig::Ucast {
            interface: "eth0".into(),
            peer: "10.77.0.2".parse().unwrap(),
            port: 694,
        }];
        let host = vec![
            at("eth0", "10.77.0.1"),
            at("eth1", "10.88.0.1"),
            at("eth0", "10.77.0.7"),
        ];
        let facts = AddressFacts {
            own: &OwnAddresses::new(host, &media).lenient(lenient),
            mark: &|_| mark,
            came,
            media: &media,
        };
        let (refused, doubts) = of_hosts(&facts, Path::new("/h"), TEXT);
        let shown = |it: &Finding| format!("{}: {}", it.place, it.text);
        [refused, doubts].map(|found| found.iter().map(shown).collect())
    }

    fn begin(lines: &[String]) -> Vec<&str> {
        lines
            .iter()
            .map(|line| {
                line.rsplit_once(": 10.")
                    .map_or(line.as_str(), |(place, _)| place)
            })
            .collect()
    }

    #[test]
    fn what_is_refused_is_named_with_its_line() {
        let [refused, doubts] = check(None, Came::Before, false);
        assert_eq!(
            begin(&refused),
            [
                "/h:2: IPaddr2::10.88.0.1/24/eth1",
                "/h:4: 10.77.0.1/24/eth0",
                "/h:5: 10.77.0.2",
            ]
        );
        assert!(
            refused[1].ends_with(
                "10.77.0.1/24 on eth0 is this host's own address (heartbeats go out with it, ucast eth0 10.77.0.2) \
                 and no service address"
            ),
            "{refused:?}"
        );
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert!(
            doubts[0].starts_with(
                "/h:6: IPaddr2::10.77.0.7: 10.77.0.7/24 on eth0 is on this host and its origin is unknown"
            ),
            "{doubts:?}"
        );
        assert!(doubts[0].ends_with("ip addr del 10.77.0.7/24 dev eth0"));
    }

    #[test]
    fn what_may_have_been_left_behind_is_not_refused() {
        let [refused, doubts] = check(None, Came::AfterCrash, false);
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        let [refused, doubts] = check(None, Came::OfRunning, false);
        assert_eq!((refused.len(), doubts.len()), (2, 0));
        let [refused, doubts] = check(Some(Mark::Ours), Came::Before, false);
        assert_eq!((refused.len(), doubts.len()), (1, 0), "{refused:?}");
    }

    #[test]
    fn who_looks_after_strays_himself_is_told_only() {
        let [refused, doubts] = check(None, Came::Before, true);
        assert_eq!(
            (refused.len(), doubts.len()),
            (2, 2),
            "{refused:?} {doubts:?}"
        );
    }
}
