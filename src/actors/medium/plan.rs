//! From ha.cf lines to sockets: which lines share a receive socket.
//!
//! All `ucast` lines and the `bcast` of one interface and port have one receive socket between
//! them; each line has a send socket of its own. Spec: docs/protocol/wire.md, 18.3.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::types::MediumConfig;
use crate::protocol::name::MediumName;

/// One medium actor's work: a socket to receive from and one per line to send on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediumPlan {
    /// Name that its links carry.
    pub name: MediumName,
    /// Interface.
    pub interface: String,
    /// What to receive.
    pub receive: Receive,
    /// Where to send, one entry per line of ha.cf.
    pub send: Vec<Line>,
}

/// A receive socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// Everything that arrives on the interface for `port`, IPv4.
    Device4 {
        /// UDP port.
        port: u16,
        /// A `ucast` line is among those served: legacy sets `SO_REUSEPORT` there.
        share_port: bool,
    },
    /// Everything that arrives on the interface for `port`, IPv6.
    Device6 {
        /// UDP port.
        port: u16,
    },
    /// One IPv4 group.
    Group4 {
        /// Group.
        group: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
    /// One IPv6 group.
    Group6 {
        /// Group.
        group: Ipv6Addr,
        /// UDP port.
        port: u16,
    },
}

impl MediumPlan {
    /// Its directives in ha.cf, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = Vec::new();
        for line in &self.send {
            if !kinds.iter().any(|kind| kind == line.kind()) {
                kinds.push(line.kind().to_owned());
            }
        }
        kinds
    }
}

impl Receive {
    /// Whether it is for IPv6.
    pub(super) const fn is_ipv6(&self) -> bool {
        matches!(self, Self::Device6 { .. } | Self::Group6 { .. })
    }

    /// Whether the socket is in a group.
    pub(super) const fn is_group(&self) -> bool {
        matches!(self, Self::Group4 { .. } | Self::Group6 { .. })
    }
}

/// One line's destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// `bcast`: the interface's broadcast address.
    Bcast {
        /// UDP port.
        port: u16,
    },
    /// `mcast`.
    Mcast {
        /// Group.
        group: Ipv4Addr,
        /// UDP port.
        port: u16,
        /// 0..=4.
        ttl: u8,
        /// Whether own packets come back.
        loopback: bool,
    },
    /// `ucast`.
    Ucast {
        /// Peer.
        peer: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
    /// `mcast6`.
    Mcast6 {
        /// Group.
        group: Ipv6Addr,
        /// UDP port.
        port: u16,
        /// 0..=4.
        hops: u8,
        /// Whether own packets come back.
        loopback: bool,
    },
    /// `ucast6`.
    Ucast6 {
        /// Peer.
        peer: Ipv6Addr,
        /// UDP port.
        port: u16,
    },
}

impl Line {
    /// Its directive in ha.cf.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bcast { .. } => "bcast",
            Self::Mcast { .. } => "mcast",
            Self::Ucast { .. } => "ucast",
            Self::Mcast6 { .. } => "mcast6",
            Self::Ucast6 { .. } => "ucast6",
        }
    }
}

/// Groups the network media of a configuration by receive socket, in the order of their first line.
///
/// Serial lines are left out. A line that says the same as an earlier one adds nothing.
#[must_use]
pub fn plan(media: &[MediumConfig]) -> Vec<MediumPlan> {
    let mut plans: Vec<MediumPlan> = Vec::new();
    for medium in media {
        let Some((interface, receive, line)) = single(medium) else {
            continue;
        };
        let shared = plans
            .iter_mut()
            .find(|plan| plan.interface == interface && same_socket(plan.receive, receive));
        match shared {
            Some(plan) => {
                if let (
                    Receive::Device4 { share_port, .. },
                    Receive::Device4 {
                        share_port: true, ..
                    },
                ) = (&mut plan.receive, receive)
                {
                    *share_port = true;
                }
                if !plan.send.contains(&line) {
                    plan.send.push(line);
                }
            }
            None => plans.push(MediumPlan {
                name: MediumName::new(&medium.link_name()),
                interface: interface.to_owned(),
                receive,
                send: vec![line],
            }),
        }
    }
    plans
}

/// Whether one socket serves both, on one interface.
fn same_socket(one: Receive, other: Receive) -> bool {
    match (one, other) {
        (Receive::Device4 { port: a, .. }, Receive::Device4 { port: b, .. }) => a == b,
        _ => one == other,
    }
}

/// The sockets of one line alone; `None` for a serial line.
fn single(medium: &MediumConfig) -> Option<(&str, Receive, Line)> {
    Some(match *medium {
        MediumConfig::Bcast {
            ref interface,
            port,
        } => (
            interface,
            Receive::Device4 {
                port,
                share_port: false,
            },
            Line::Bcast { port },
        ),
        MediumConfig::Ucast {
            ref interface,
            peer,
            port,
        } => (
            interface,
            Receive::Device4 {
                port,
                share_port: true,
            },
            Line::Ucast { peer, port },
        ),
        MediumConfig::Mcast {
            ref interface,
            group,
            port,
            ttl,
            loopback,
        } => (
            interface,
            Receive::Group4 { group, port },
            Line::Mcast {
                group,
                port,
                ttl,
                loopback,
            },
        ),
        MediumConfig::Ucast6 {
            ref interface,
            peer,
            port,
        } => (
            interface,
            Receive::Device6 { port },
            Line::Ucast6 { peer, port },
        ),
        MediumConfig::Mcast6 {
            ref interface,
            group,
            port,
            hops,
            loopback,
        } => (
            interface,
            Receive::Group6 { group, port },
            Line::Mcast6 {
                group,
                port,
                hops,
                loopback,
            },
        ),
        MediumConfig::Serial { .. } => return None,
    })
}

/// The legacy line for a medium that is open. Spec: docs/protocol/tools.md, 6.5.
pub(super) fn started_line(interface: &str, line: &Line) -> String {
    match line {
        Line::Bcast { port } => format!(
            "glib: UDP Broadcast heartbeat started on port {port} ({port}) interface {interface}"
        ),
        Line::Mcast {
            group,
            port,
            ttl,
            loopback,
        } => format!(
            "glib: UDP multicast heartbeat started for group {group} port {port} \
             interface {interface} (ttl={ttl} loop={})",
            u8::from(*loopback)
        ),
        Line::Ucast { peer, port } => {
            format!("glib: ucast: started on port {port} interface {interface} to {peer}")
        }
        Line::Mcast6 {
            group,
            port,
            hops,
            loopback,
        } => format!(
            "glib: UDP multicast heartbeat started for group {group} port {port} \
             interface {interface} (ttl={hops} loop={})",
            u8::from(*loopback)
        ),
        Line::Ucast6 { peer, port } => {
            format!("glib: ucast6: started on port {port} interface {interface} to {peer}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bcast(interface: &str, port: u16) -> MediumConfig {
        MediumConfig::Bcast {
            interface: interface.into(),
            port,
        }
    }

    fn ucast(interface: &str, last: u8, port: u16) -> MediumConfig {
        let peer = Ipv4Addr::new(10, 0, 0, last);
        MediumConfig::Ucast {
            interface: interface.into(),
            peer,
            port,
        }
    }

    fn mcast(interface: &str, port: u16) -> MediumConfig {
        MediumConfig::Mcast {
            interface: interface.into(),
            group: Ipv4Addr::new(239, 0, 0, 1),
            port,
            ttl: 1,
            loopback: false,
        }
    }

    #[test]
    fn lines_of_one_interface_and_port_share_a_receive_socket() {
        let plans = plan(&[
            bcast("eth0", 694),
            ucast("eth0", 2, 694),
            ucast("eth1", 2, 694),
            mcast("eth0", 694),
            ucast("eth0", 3, 694),
            ucast("eth0", 3, 1694),
            ucast("eth0", 2, 694),
        ]);
        let shape: Vec<(&str, Receive, usize)> = plans
            .iter()
            .map(|plan| (plan.interface.as_str(), plan.receive, plan.send.len()))
            .collect();
        let device = |port| Receive::Device4 {
            port,
            share_port: true,
        };
        let group = Ipv4Addr::new(239, 0, 0, 1);
        assert_eq!(
            shape,
            [
                ("eth0", device(694), 3),
                ("eth1", device(694), 1),
                ("eth0", Receive::Group4 { group, port: 694 }, 1),
                ("eth0", device(1694), 1),
            ]
        );
        assert!(
            plans
                .iter()
                .all(|plan| plan.name.as_str() == plan.interface)
        );
    }

    #[test]
    fn bcast_alone_does_not_share_its_port() {
        let plans = plan(&[bcast("eth0", 694)]);
        assert_eq!(
            plans[0].receive,
            Receive::Device4 {
                port: 694,
                share_port: false
            }
        );
    }

    #[test]
    fn serial_lines_are_for_another_actor() {
        let serial = MediumConfig::Serial {
            device: "/dev/ttyS0".into(),
            baud: 19_200,
        };
        assert_eq!(plan(&[serial]), []);
    }
}
