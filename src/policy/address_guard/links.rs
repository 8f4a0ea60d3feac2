//! Whether the interfaces of the service addresses are up, of groups that run here and of those that do not.
//!
//! An interface that is set down loses its routes, which alone may say that an address belongs there. So the
//! interface on which an address was, or would have been, is remembered.

use std::collections::BTreeMap;

use super::Held;
use crate::protocol::links::{Link, OwnLinks};

/// The interface of an address, and whether the address is on it; else it would be put there.
pub type Place = (String, bool);

/// Where each address belongs, as far as was seen.
#[derive(Debug, Default)]
pub struct LinkWatch {
    last: BTreeMap<Held, String>,
}

impl LinkWatch {
    /// What is known of each group now. `places`: each address of it, with its place; `None`: nothing tells. `interfaces`: whether each is up and has a carrier.
    pub fn judge(
        &mut self,
        places: Vec<(Held, Option<Place>)>,
        interfaces: &BTreeMap<String, bool>,
    ) -> OwnLinks {
        let mut links = OwnLinks::new();
        self.last
            .retain(|held, _| places.iter().any(|(it, _)| it == held));
        for (held, place) in places {
            let link = self.link(&held, place, interfaces);
            let of_group = links.entry(held.0).or_insert(Link::Up);
            *of_group = link.max(*of_group);
        }
        links
    }

    fn link(
        &mut self,
        held: &Held,
        place: Option<Place>,
        interfaces: &BTreeMap<String, bool>,
    ) -> Link {
        let up = |name: &str| interfaces.get(name).copied();
        let last = self.last.get(held);
        let carried = place.as_ref().is_some_and(|(_, carried)| *carried);
        if !carried && last.is_some_and(|last| up(last) == Some(false)) {
            // The routes may lead elsewhere meanwhile. An address that is somewhere tells itself.
            return Link::Down;
        }
        let Some((place, _)) = place else {
            return match last.map(|last| up(last)) {
                Some(Some(true)) => Link::Up,
                // It is away.
                Some(_) => Link::Down,
                None => Link::Unknown,
            };
        };
        let link = if up(&place) == Some(true) {
            Link::Up
        } else {
            Link::Down
        };
        self.last.insert(held.clone(), place);
        link
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::protocol::group::GroupKey;

    fn judge(watch: &mut LinkWatch, place: Option<&str>, interfaces: &[(&str, bool)]) -> Link {
        let key = GroupKey::new("a");
        let held = (key.clone(), IpAddr::from([10, 0, 0, 1]));
        let interfaces = interfaces
            .iter()
            .map(|(name, up)| ((*name).to_owned(), *up));
        let links = watch.judge(
            vec![(held, place.map(|name| (name.to_owned(), false)))],
            &interfaces.collect(),
        );
        links[&key]
    }

    #[test]
    fn an_interface_that_is_set_down_or_away_is_known_without_its_routes() {
        let mut watch = LinkWatch::default();
        assert_eq!(judge(&mut watch, None, &[("eth0", true)]), Link::Unknown);
        assert_eq!(judge(&mut watch, Some("eth0"), &[("eth0", true)]), Link::Up);
        // It lost its route, and is up.
        assert_eq!(judge(&mut watch, None, &[("eth0", true)]), Link::Up);
        assert_eq!(judge(&mut watch, None, &[("eth0", false)]), Link::Down);
        let both = [("eth0", false), ("eth1", true)];
        assert_eq!(judge(&mut watch, Some("eth1"), &both), Link::Down);
        assert_eq!(judge(&mut watch, None, &[("eth1", true)]), Link::Down);
        // It has a new name.
        let renamed = [("net0", true)];
        assert_eq!(judge(&mut watch, Some("net0"), &renamed), Link::Up);
        assert_eq!(
            judge(&mut watch, Some("net0"), &[("net0", false)]),
            Link::Down
        );
    }

    /// Its network was moved to another interface, and the old one is down: it serves.
    #[test]
    fn an_address_is_where_it_is() {
        let mut watch = LinkWatch::default();
        assert_eq!(judge(&mut watch, Some("eth0"), &[("eth0", true)]), Link::Up);
        let interfaces = BTreeMap::from([("eth0".to_owned(), false), ("eth1".to_owned(), true)]);
        let key = GroupKey::new("a");
        let held = (key.clone(), IpAddr::from([10, 0, 0, 1]));
        let carried = (held, Some(("eth1".to_owned(), true)));
        assert_eq!(watch.judge(vec![carried], &interfaces)[&key], Link::Up);
        // It is removed there, and its route leads there.
        let both = [("eth0", false), ("eth1", true)];
        assert_eq!(judge(&mut watch, Some("eth1"), &both), Link::Up);
    }

    #[test]
    fn of_several_addresses_the_worst_counts() {
        let mut watch = LinkWatch::default();
        let key = GroupKey::new("a");
        let held = |last| (key.clone(), IpAddr::from([10, 0, 0, last]));
        let interfaces = BTreeMap::from([("eth0".to_owned(), true), ("eth1".to_owned(), false)]);
        let place = |name: &str| Some((name.to_owned(), false));
        for (second, expected) in [(place("eth0"), Link::Up), (place("eth1"), Link::Down)] {
            let places = vec![(held(1), place("eth0")), (held(2), second)];
            assert_eq!(watch.judge(places, &interfaces)[&key], expected);
        }
        let places = vec![(held(1), place("eth0")), (held(3), None)];
        assert_eq!(watch.judge(places, &interfaces)[&key], Link::Unknown);
    }
}
