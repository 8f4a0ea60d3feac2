//! The directives that define media, and their ports and speeds.
//!
//! Spec: docs/protocol/config.md, 4.3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::draft::{Absent, Draft, Ports, Verdict};
use super::environment::PathKind;
use super::lines;
use super::report::{Refusal, quote};
use super::settings::MediaRequired;
use super::types::MediumConfig;
use super::values;
use crate::notice::Severity;

/// Largest number of media, ping nodes included: the size of the legacy table.
/// Spec: docs/protocol/config.md, 4.3.
pub(super) const MAX_MEDIA: usize = 64;

/// Port if neither the file nor the services database has one.
const DEFAULT_PORT: u16 = 694;

/// Largest hop limit of a multicast medium.
const MAX_TTL: u8 = 4;

/// The description of a medium in texts.
pub(super) fn description(medium: &str) -> &'static str {
    match medium {
        "bcast" => "UDP/IP broadcast",
        "mcast" | "mcast6" => "UDP/IP multicast",
        "ucast" => "UDP/IP unicast",
        "ucast6" => "UDP/IPv6 unicast",
        "serial" => "serial ring",
        "ping" => "ping membership",
        "ping6" => "ping6 membership",
        "ping_group" => "ping group membership",
        _ => "",
    }
}

/// The port without a `udpport` line: that of the services database, else 694.
pub(super) fn default_port(draft: &Draft<'_>) -> u16 {
    draft
        .env_of
        .udp_service_port("ha-cluster")
        .unwrap_or(DEFAULT_PORT)
}

fn port_of(draft: &mut Draft<'_>, kind: fn(&mut Ports) -> &mut Option<u16>) -> u16 {
    let now = draft.ports.current.unwrap_or_else(|| default_port(draft));
    let kept = *kind(&mut draft.ports).get_or_insert(now);
    if kept != now {
        draft.warn_here(&format!(
            "keeps port {kept} of the first line of its kind; udpport {now} has no influence"
        ));
    }
    kept
}

/// The `udpport` directive.
pub(super) fn udpport(draft: &mut Draft<'_>, word: &str) -> Verdict {
    let number = values::leading_integer(word);
    let port = u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            Refusal::legacy(
                format!("heartbeat: invalid port [{word}] specified."),
                "must be between 1 and 65535",
            )
        })?;
    if let Some(service) = draft.env_of.udp_service_name(port)
        && !matches!(service.as_str(), "ha-cluster" | "heartbeat")
    {
        let place = draft.place().to_owned();
        draft.report.warn(format!(
            "heartbeat: udp port {port} reserved for service \"{service}\". ({place})"
        ));
    }
    draft.ports.current = Some(port);
    Ok(())
}

/// The `baud` directive.
pub(super) fn baud(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if draft.baud.is_some() {
        return Err(Refusal::legacy(
            "heartbeat: Baudrate multiply specified.",
            "given before",
        ));
    }
    let rate = values::leading_integer(word);
    let rate = match rate {
        9600 | 19200 | 38400 | 57600 | 115_200 | 230_400 | 460_800 => rate,
        _ => {
            return Err(Refusal::legacy(
                format!("heartbeat: invalid baudrate [{word}] specified."),
                "must be 9600, 19200, 38400, 57600, 115200, 230400 or 460800",
            ));
        }
    };
    draft.baud = u32::try_from(rate).ok();
    Ok(())
}

/// Adds a medium, unless the table is full.
pub(super) fn add(draft: &mut Draft<'_>, directive: &'static str, name: &str) -> Verdict {
    if draft.channels.len() >= MAX_MEDIA {
        return Err(Refusal::legacy(
            format!("Too many media specified (> {MAX_MEDIA})"),
            format!("at most {MAX_MEDIA} media and ping nodes"),
        )
        .and(
            Severity::Info,
            format!("Offending command: {directive} {name}"),
        ));
    }
    draft.channels.push((directive, name.to_owned()));
    Ok(())
}

/// Adds a medium. The same medium twice would only send everything twice.
fn add_medium(
    draft: &mut Draft<'_>,
    directive: &'static str,
    name: &str,
    medium: MediumConfig,
) -> Verdict {
    if draft.media.contains(&medium) {
        draft.warn_here(&format!("{name} is listed twice; one entry counts"));
        return Ok(());
    }
    add(draft, directive, name)?;
    draft.media.push(medium);
    Ok(())
}

/// Adds a medium, and remembers why it cannot be opened now, if so: that is judged when all media are known.
fn add_or_expect(
    draft: &mut Draft<'_>,
    directive: &'static str,
    name: &str,
    medium: MediumConfig,
    absent: Option<Refusal>,
) -> Verdict {
    let listed = draft.media.contains(&medium);
    add_medium(draft, directive, name, medium)?;
    if let Some(refusal) = absent.filter(|_| !listed) {
        let place = format!("{} {}", draft.place(), quote(name));
        draft.absent.push(Absent { place, refusal });
    }
    Ok(())
}

/// Refuses what cannot be opened now where nothing else can be, or where each medium must open.
pub(super) fn judge_absent(draft: &mut Draft<'_>, required: MediaRequired) {
    let absent = std::mem::take(&mut draft.absent);
    if required == MediaRequired::Any && absent.len() < draft.media.len() {
        return;
    }
    for Absent { place, refusal } in absent {
        draft.report.refuse(&place, refusal);
    }
}

/// Adds, after the plugin's own message, the general one for media of the word-list class.
pub(super) fn illegal(refusal: Refusal, directive: &str, name: &str) -> Refusal {
    refusal.and(
        Severity::Error,
        format!(
            "Illegal {directive} [{}] in config file [{name}]",
            description(directive)
        ),
    )
}

pub(super) fn bcast(draft: &mut Draft<'_>, interface: &str) -> Verdict {
    let port = port_of(draft, |ports| &mut ports.bcast);
    let absent = draft.env_of.interface_ipv4(interface).err().map(|problem| {
        let refusal = Refusal::legacy(
            format!("glib: Get broadcast for interface {interface} failed: {problem}"),
            "the interface must exist and have an IPv4 address at start",
        )
        .and(
            Severity::Error,
            format!("glib: IP interface [{interface}] does not exist"),
        );
        illegal(refusal, "bcast", interface)
    });
    let medium = MediumConfig::Bcast {
        interface: interface.to_owned(),
        port,
    };
    add_or_expect(draft, "bcast", interface, medium, absent)
}

/// Words of a whole-line medium, each with the text for the case that it is missing.
struct Fields<'a> {
    medium: &'static str,
    interface: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn split(medium: &'static str, value: &'a str) -> Result<Self, Refusal> {
        let mut words = lines::line_words(value);
        let Some(interface) = words.next() else {
            // Two of the four media crash the legacy program here.
            return Err(Refusal::legacy(
                format!("glib: {medium} statement without device"),
                "an interface name must follow",
            ));
        };
        Ok(Self {
            medium,
            interface,
            words: words.collect(),
        })
    }

    fn get(&self, index: usize, what: &str) -> Result<&'a str, Refusal> {
        self.words.get(index).copied().ok_or_else(|| {
            Refusal::legacy(
                format!("glib: {} [{}] missing {what}", self.medium, self.interface),
                format!("the {what} is missing"),
            )
        })
    }

    fn bad(&self, what: &str, shown: impl std::fmt::Display, reason: &str) -> Refusal {
        // Except for one, the legacy texts have two blanks here.
        let gap = if self.medium == "mcast" && what == "addr" || self.medium == "ucast6" {
            " "
        } else {
            "  "
        };
        Refusal::legacy(
            format!(
                "glib:{gap}{} [{}] bad {what} [{shown}]",
                self.medium, self.interface
            ),
            reason,
        )
    }

    fn invalid_device(&self) -> String {
        format!(
            "glib: {} device [{}] is invalid or not set up properly",
            self.medium, self.interface
        )
    }

    /// Quirk: legacy cuts the number to 16 bits first. A value that legacy refuses after that is
    /// refused with its text; a value that it would silently change is refused too. Spec:
    /// docs/protocol/config.md, 11.
    fn port(&self, word: &str) -> Result<u16, Refusal> {
        let number = values::leading_integer(word);
        u16::try_from(number)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| {
                self.bad(
                    "port",
                    number.rem_euclid(65_536),
                    "must be between 1 and 65535",
                )
            })
    }

    /// Quirk: a number is cut to 8 bits, so 257 is 1.
    fn byte(&self, draft: &mut Draft<'_>, word: &str) -> u8 {
        let number = values::leading_integer(word);
        let byte = u8::try_from(number.rem_euclid(256)).unwrap_or(0);
        if i64::from(byte) != number {
            draft.warn_here(&format!("{word} counts as {byte}"));
        }
        byte
    }

    fn ttl(&self, draft: &mut Draft<'_>, word: &str, what: &str) -> Result<u8, Refusal> {
        let ttl = self.byte(draft, word);
        if ttl > MAX_TTL {
            return Err(self.bad(what, ttl, "must be between 0 and 4"));
        }
        Ok(ttl)
    }

    fn loopback(&self, draft: &mut Draft<'_>, word: &str) -> Result<bool, Refusal> {
        match self.byte(draft, word) {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad("loop", other, "must be 0 or 1")),
        }
    }
}

/// Why a medium for IPv6 cannot be opened now, if its interface is not there.
fn no_interface(draft: &Draft<'_>, fields: &Fields<'_>) -> Option<Refusal> {
    let there = draft.env_of.has_interface(fields.interface);
    (!there).then(|| Refusal::legacy(fields.invalid_device(), "no such interface"))
}

pub(super) fn mcast(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let fields = Fields::split("mcast", value)?;
    let problem = draft.env_of.interface_ipv4(fields.interface).err();
    let absent = problem.map(|problem| {
        // Without an address the legacy start hangs for ever.
        Refusal::legacy(
            format!(
                "glib: Unable to retrieve local interface address for interface [{}] using \
                 ioctl(SIOCGIFADDR): {problem}",
                fields.interface
            ),
            "the interface must exist and have an IPv4 address at start",
        )
        .and(Severity::Error, fields.invalid_device())
    });
    let address = fields.get(0, "mcast address")?;
    let group: Ipv4Addr = address
        .parse()
        .ok()
        .filter(Ipv4Addr::is_multicast)
        .ok_or_else(|| fields.bad("addr", address, "must be in 224.0.0.0/4"))?;
    let port = fields.port(fields.get(1, "port")?)?;
    let ttl = fields.ttl(draft, fields.get(2, "ttl")?, "ttl")?;
    let loopback = fields.loopback(draft, fields.get(3, "loop")?)?;
    let medium = MediumConfig::Mcast {
        interface: fields.interface.to_owned(),
        group,
        port,
        ttl,
        loopback,
    };
    add_or_expect(draft, "mcast", fields.interface, medium, absent)
}

pub(super) fn mcast6(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let fields = Fields::split("mcast6", value)?;
    let absent = no_interface(draft, &fields);
    let address = fields.get(0, "mcast6 address")?;
    let group: Ipv6Addr = address.parse().ok().filter(is_group).ok_or_else(|| {
        fields.bad(
            "addr",
            address,
            "must be a group of scope 2, 4, 5 or 8: ff02::, ff04::, ff05:: or ff08:: and a number",
        )
    })?;
    let port = fields.port(fields.get(1, "port")?)?;
    let hops = fields.ttl(draft, fields.get(2, "hops")?, "hops")?;
    let loopback = fields.loopback(draft, fields.get(3, "loop")?)?;
    let medium = MediumConfig::Mcast6 {
        interface: fields.interface.to_owned(),
        group,
        port,
        hops,
        loopback,
    };
    add_or_expect(draft, "mcast6", fields.interface, medium, absent)
}

pub(super) fn ucast(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let fields = Fields::split("ucast", value)?;
    let port = port_of(draft, |ports| &mut ports.ucast);
    let interface = fields.interface;
    let host = fields.words.first().ok_or_else(|| {
        Refusal::legacy(
            format!("glib: ucast: [{interface}] missing target IP address/hostname"),
            "the peer is missing",
        )
    })?;
    let peer = first_ipv4(draft, host).map_err(|reason| {
        Refusal::legacy("glib: ucast: cannot resolve hostname", reason).and(
            Severity::Error,
            format!("glib: ucast: interface [{interface}] does not exist"),
        )
    })?;
    let medium = MediumConfig::Ucast {
        interface: interface.to_owned(),
        peer,
        port,
    };
    add_medium(draft, "ucast", interface, medium)
}

pub(super) fn ucast6(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let fields = Fields::split("ucast6", value)?;
    let port = port_of(draft, |ports| &mut ports.ucast6);
    let absent = no_interface(draft, &fields);
    let address = fields.get(0, "ucast6 address")?;
    let peer = ucast6_peer(&fields, address, port)?;
    let medium = MediumConfig::Ucast6 {
        interface: fields.interface.to_owned(),
        peer,
        port,
    };
    add_or_expect(draft, "ucast6", fields.interface, medium, absent)
}

/// Whether `group` has a scope that is allowed for heartbeats, and is not the bare prefix.
/// Spec: docs/protocol/wire.md, 18.5.
fn is_group(group: &Ipv6Addr) -> bool {
    let [first, second, rest @ ..] = group.octets();
    first == 0xff && matches!(second & 0x0f, 2 | 4 | 5 | 8) && rest != [0; 14]
}

/// A numeric address of one other host. A link-local one may name the interface once more, as its
/// scope; the medium uses its own interface in any case. Spec: docs/protocol/wire.md, 18.5.
fn ucast6_peer(fields: &Fields<'_>, text: &str, port: u16) -> Result<Ipv6Addr, Refusal> {
    let (number, scope) = match text.split_once('%') {
        Some((number, scope)) => (number, Some(scope)),
        None => (text, None),
    };
    let peer: Ipv6Addr = number
        .parse()
        .map_err(|_| fields.bad("addr", text, "must be a numeric IPv6 address"))?;
    if peer.is_unspecified() || peer.is_loopback() || peer.is_multicast() {
        return Err(fields.bad("addr", text, "must be the address of one other host"));
    }
    let Some(scope) = scope else {
        return Ok(peer);
    };
    let refusal = if !peer.is_unicast_link_local() {
        Refusal::legacy(
            format!("glib: getaddrinfo([{text}]:{port}): Name or service not known"),
            "only a link-local address may name an interface",
        )
    } else if scope != fields.interface {
        Refusal::silent("its interface is not the one of the line")
    } else {
        return Ok(peer);
    };
    Err(refusal.and(
        Severity::Warn,
        format!(
            "glib: Error creating ucast6_private({}, {text})",
            fields.interface
        ),
    ))
}

pub(super) fn serial(draft: &mut Draft<'_>, device: &str) -> Verdict {
    let refusal = |text: String, reason| illegal(Refusal::legacy(text, reason), "serial", device);
    if !device.starts_with('/') {
        return Err(refusal(
            format!("glib: Serial port not full pathname [{device}] in config file"),
            "must start with a slash",
        ));
    }
    let absent = match draft.env_of.path_kind(Path::new(device)) {
        PathKind::CharDevice => None,
        PathKind::Missing => Some(refusal(
            format!("glib: Nonexistent serial port [{device}] in config file"),
            "no such file",
        )),
        PathKind::Other => {
            return Err(refusal(
                format!("glib: Serial port [{device}] not a char device in config file"),
                "must be a character device",
            ));
        }
    };
    let path = Path::new(device);
    if absent.is_none()
        && let Some(other) = same_port(draft, path)
    {
        // Two readers of one port take each other's bytes.
        draft.warn_here(&format!(
            "{device} is the port {other}, which is listed; one entry counts"
        ));
        return Ok(());
    }
    let medium = MediumConfig::Serial {
        device: path.to_owned(),
        // The rate of the whole file is filled in when all of it has been read.
        baud: 0,
    };
    add_or_expect(draft, "serial", device, medium, absent)
}

/// A port that is listed already and is this one under another name.
fn same_port(draft: &Draft<'_>, device: &Path) -> Option<String> {
    let real = draft.env_of.real_path(device);
    draft.media.iter().find_map(|medium| match medium {
        MediumConfig::Serial { device: other, .. } if other != device => {
            (draft.env_of.real_path(other) == real).then(|| other.display().to_string())
        }
        _ => None,
    })
}

/// The first IPv4 address of a host.
pub(super) fn first_ipv4(draft: &Draft<'_>, host: &str) -> Result<Ipv4Addr, String> {
    let addresses = draft.env_of.resolve(host)?;
    addresses
        .into_iter()
        .find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .ok_or_else(|| "no IPv4 address".to_owned())
}
