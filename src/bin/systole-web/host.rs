//! The check of the `Host` line of a request. A foreign page can have its own name lead to this address, and its
//! scripts could then read what is served here: such a request carries the foreign name.

use std::net::{IpAddr, SocketAddr};

/// The names and addresses under which this page is served.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// `names` are in small letters.
    pub(crate) const fn new(listen: SocketAddr, names: Vec<String>) -> Self {
        let listen = listen.ip();
        Self { listen, names }
    }

    /// Whether a request that names this host is answered. Every port is good: another one may lead here.
    pub(crate) fn serve(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else {
            return false;
        };
        if let Some(address) = address_of(name) {
            // Nobody can give an address another meaning. A program that listens on all of them has many.
            return address.is_loopback() || self.listen.is_unspecified() || address == self.listen;
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name == "localhost" || self.names.contains(&name)
    }
}

/// The host of `host` or `host:port`; `None`: it is neither.
fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') {
        host.find(']')?.checked_add(1)?
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, rest) = host.split_at_checked(end)?;
    match rest.strip_prefix(':') {
        None => rest.is_empty(),
        Some(port) => port.is_empty() || port.parse::<u16>().is_ok(),
    }
    .then_some(name)
}

fn address_of(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.map_or_else(
        || name.parse().ok().filter(IpAddr::is_ipv4),
        |bare| bare.parse().ok().filter(IpAddr::is_ipv6),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_served() {
        let own = Hosts::new(
            "192.0.2.1:80".parse().unwrap(),
            vec!["ha.example.org".to_owned()],
        );
        for good in [
            "localhost",
            "LOCALHOST:9694",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:9694",
            "127.9.9.9",
            "[::1]",
            "[::1]:80",
            "192.0.2.1",
            "192.0.2.1:8080",
            "ha.example.org",
            "HA.Example.org:80",
            "ha.example.org.:80",
        ] {
            assert!(own.serve(good), "{good}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "evil.example",
            "evil.example:9694",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "ha.example.org.evil",
            "192.0.2.2",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "localhost:http",
            "localhost:1:2",
            "localhost:99999",
            "localhost\u{e4}",
            "[localhost]",
            "[127.0.0.1]",
            "user@localhost",
            "localhost/",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(!own.serve(bad), "{bad}");
        }
        let all = Hosts::new("[::]:80".parse().unwrap(), Vec::new());
        assert!(all.serve("198.51.100.7:80") && all.serve("[2001:db8::1]") && !all.serve("beta"));
    }
}
