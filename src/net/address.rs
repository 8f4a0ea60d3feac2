//! Service addresses as haresources writes them, and whether this process or a script handles them.
//!
//! Pure: text and file contents in, decisions out. `net::service_address` carries them out.
//! Spec: docs/protocol/resources.md, 2 and 15.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER;
use thiserror::Error;

use crate::config::settings::NativeAddresses;

/// Longest interface name or label in bytes: the kernel's `IFNAMSIZ` without its NUL.
pub const MAX_INTERFACE_BYTES: usize = 15;

/// The resource script that the administrator named; it decides the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressStyle {
    /// A word that is only an address; legacy runs `IPaddr` for it.
    Bare,
    /// `IPaddr::`: numbered label `eth0:0`, `eth0:1`, ...
    IPaddr,
    /// `IPaddr2::`: no label unless one is given.
    IPaddr2,
    /// `IPv6addr::`.
    IPv6addr,
}

impl AddressStyle {
    /// Name of the script that legacy would run.
    #[must_use]
    pub const fn script(self) -> &'static str {
        match self {
            Self::Bare | Self::IPaddr => "IPaddr",
            Self::IPaddr2 => "IPaddr2",
            Self::IPv6addr => "IPv6addr",
        }
    }

    /// Whether the address gets the next free numbered label, as `ifconfig` aliases have it.
    #[must_use]
    pub const fn numbers_labels(self) -> bool {
        matches!(self, Self::Bare | Self::IPaddr)
    }
}

/// One service address as haresources names it. The routing table completes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressResource {
    /// The address itself.
    pub address: IpAddr,
    /// Prefix length in bits, at most 32 or 128.
    pub prefix: Option<u8>,
    /// Interface that shall carry it, without label.
    pub interface: Option<String>,
    /// Whole label `interface:name`; kept for [`AddressStyle::IPaddr2`] alone, as legacy does.
    pub label: Option<String>,
    /// Broadcast address; computed from the prefix when absent.
    pub broadcast: Option<Ipv4Addr>,
    /// Form of the word.
    pub style: AddressStyle,
}

/// Why a word that names an address script is not a usable address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressWordError {
    /// The address does not parse.
    #[error("{word}: {text:?} is not an IP address")]
    Address {
        /// Whole resource word.
        word: String,
        /// Offending part.
        text: String,
    },
    /// `IPaddr` is for IPv4, `IPv6addr` for IPv6.
    #[error("{word}: {script} cannot carry {address}")]
    Family {
        /// Whole resource word.
        word: String,
        /// Script named.
        script: &'static str,
        /// Address given.
        address: IpAddr,
    },
    /// Neither a prefix length nor a dotted netmask.
    #[error("{word}: {text:?} is neither a prefix length nor a netmask")]
    Prefix {
        /// Whole resource word.
        word: String,
        /// Offending part.
        text: String,
    },
    /// Not an interface name.
    #[error("{word}: {text:?} is not an interface name")]
    Interface {
        /// Whole resource word.
        word: String,
        /// Offending part.
        text: String,
    },
    /// Not a broadcast address.
    #[error("{word}: {text:?} is not a broadcast address")]
    Broadcast {
        /// Whole resource word.
        word: String,
        /// Offending part.
        text: String,
    },
    /// More parts than the form has.
    #[error("{word}: unexpected {text:?} at the end")]
    Trailing {
        /// Whole resource word.
        word: String,
        /// Offending part.
        text: String,
    },
}

/// Reads a resource word. `Ok(None)`: it names no address, so a script runs it.
///
/// Beyond legacy, which splits at every `::`, an IPv6 address may be written in its short form:
/// `IPv6addr::fd00::1/64/eth0` has only one meaning.
///
/// # Errors
/// The word names one of the address scripts, but the rest is no address of that form.
pub fn parse_word(word: &str) -> Result<Option<AddressResource>, AddressWordError> {
    let (style, argument) = match word.split_once("::") {
        _ if looks_like_address(word) => (AddressStyle::Bare, word),
        Some(("IPaddr", rest)) => (AddressStyle::IPaddr, rest),
        Some(("IPaddr2", rest)) => (AddressStyle::IPaddr2, rest),
        Some(("IPv6addr", rest)) => (AddressStyle::IPv6addr, rest),
        Some(_) | None => return Ok(None),
    };
    Form { word, style }.parse(argument).map(Some)
}

/// Whether a resource word names an address, so that the network can be asked who has it.
#[must_use]
pub fn names_address(word: &str) -> bool {
    matches!(parse_word(word), Ok(Some(_)))
}

/// Whether legacy takes a bare word for an address: it starts like a dotted quad.
#[must_use]
pub fn looks_like_address(word: &str) -> bool {
    // Legacy uses the shell pattern [0-9]*.[0-9]*.[0-9]*.[0-9]* on the whole word: a digit first,
    // then three times a dot with a digit after it, with anything in between.
    let bytes = word.as_bytes();
    let dotted = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .filter(|(dot, digit)| **dot == b'.' && digit.is_ascii_digit());
    bytes.first().is_some_and(u8::is_ascii_digit) && dotted.count() >= 3
}

/// The word being parsed, for the errors.
struct Form<'w> {
    word: &'w str,
    style: AddressStyle,
}

impl Form<'_> {
    fn parse(&self, argument: &str) -> Result<AddressResource, AddressWordError> {
        let mut parts = argument.split('/');
        let address = self.address(parts.next().unwrap_or_default())?;
        let prefix = match parts.next() {
            None | Some("") => None,
            Some(text) => Some(self.prefix(text, address)?),
        };
        // The third part is an interface, or a broadcast address when it starts with a digit.
        let (nic, broadcast) = match (parts.next(), parts.next()) {
            (Some(third), fourth) if third.starts_with(|c: char| c.is_ascii_digit()) => {
                if let Some(text) = fourth {
                    return Err(self.trailing(text));
                }
                (None, Some(third))
            }
            (third, fourth) => (third, fourth),
        };
        if let Some(text) = parts.next() {
            return Err(self.trailing(text));
        }
        let broadcast = match broadcast {
            None | Some("") => None,
            Some(text) if address.is_ipv6() => return Err(self.trailing(text)),
            Some(text) => Some(self.broadcast(text)?),
        };
        let (interface, label) = match nic {
            None | Some("") => (None, None),
            Some(text) => self.interface(text)?,
        };
        Ok(AddressResource {
            address,
            prefix,
            interface,
            label,
            broadcast,
            style: self.style,
        })
    }

    fn address(&self, text: &str) -> Result<IpAddr, AddressWordError> {
        let address: IpAddr = text.parse().map_err(|_| AddressWordError::Address {
            word: self.word.to_owned(),
            text: text.to_owned(),
        })?;
        let fits = match self.style {
            AddressStyle::Bare | AddressStyle::IPaddr => address.is_ipv4(),
            AddressStyle::IPaddr2 => true,
            AddressStyle::IPv6addr => address.is_ipv6(),
        };
        if !fits {
            return Err(AddressWordError::Family {
                word: self.word.to_owned(),
                script: self.style.script(),
                address,
            });
        }
        // The kernel would refuse an address that no host can own at the takeover: report it now.
        if address.is_unspecified() || address.is_multicast() {
            return Err(AddressWordError::Address {
                word: self.word.to_owned(),
                text: text.to_owned(),
            });
        }
        Ok(address)
    }

    fn prefix(&self, text: &str, address: IpAddr) -> Result<u8, AddressWordError> {
        let bits = match address {
            IpAddr::V4(_) if text.contains('.') => text.parse().ok().and_then(netmask_prefix),
            IpAddr::V4(_) => text.parse().ok().filter(|bits| *bits <= 32),
            IpAddr::V6(_) => text.parse().ok().filter(|bits| *bits <= 128),
        };
        // A service address with prefix 0 would attract all traffic by its connected route.
        bits.filter(|bits| *bits > 0)
            .ok_or_else(|| AddressWordError::Prefix {
                word: self.word.to_owned(),
                text: text.to_owned(),
            })
    }

    fn interface(&self, text: &str) -> Result<(Option<String>, Option<String>), AddressWordError> {
        let wrong = || AddressWordError::Interface {
            word: self.word.to_owned(),
            text: text.to_owned(),
        };
        if text.len() > MAX_INTERFACE_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        let (name, alias) = match text.split_once(':') {
            Some((name, alias)) => (name, Some(alias)),
            None => (text, None),
        };
        if name.is_empty() || name == "." || name == ".." || alias == Some("") {
            return Err(wrong());
        }
        let keeps_label = self.style == AddressStyle::IPaddr2 && alias.is_some();
        Ok((Some(name.to_owned()), keeps_label.then(|| text.to_owned())))
    }

    fn broadcast(&self, text: &str) -> Result<Ipv4Addr, AddressWordError> {
        text.parse().map_err(|_| AddressWordError::Broadcast {
            word: self.word.to_owned(),
            text: text.to_owned(),
        })
    }

    fn trailing(&self, text: &str) -> AddressWordError {
        AddressWordError::Trailing {
            word: self.word.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// Prefix length of a dotted netmask, if its ones are contiguous.
fn netmask_prefix(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    (ones.checked_add(bits.trailing_zeros()) == Some(32) || ones == 32)
        .then(|| u8::try_from(ones).ok())
        .flatten()
}

/// Whether `address` lies in `network`/`prefix`. False across families.
#[must_use]
pub fn covers(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = mask_v4(prefix);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = mask_v6(prefix);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

/// The last address of the network of `address`/`prefix`.
#[must_use]
pub fn broadcast_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() | !mask_v4(prefix))
}

fn mask_v4(prefix: u8) -> u32 {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    u32::MAX.checked_shl(host_bits).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    let host_bits = 128_u32.saturating_sub(u32::from(prefix));
    u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// Whether an IPv6 address is meaningful only together with an interface.
#[must_use]
pub fn is_link_local(address: Ipv6Addr) -> bool {
    covers(
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
        10,
        IpAddr::V6(address),
    )
}

/// The kind of the file that legacy would run for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptFile {
    /// No executable of that name.
    Absent,
    /// The wrapper that Systole installs.
    Ours,
    /// Byte for byte a wrapper that a distribution ships.
    Distributed,
    /// Anything else: the administrator's own work.
    Administrators,
}

/// Line that marks our own wrappers; an administrator who changes such a file removes the line.
pub const OUR_WRAPPER_MARK: &str = "# systole: address wrapper, handled in the daemon";

/// SHA-256 of the wrappers that Debian's heartbeat 1:3.0.6-13 installs in resource.d, by name.
const DISTRIBUTED: [(&str, &str); 3] = [
    (
        "IPaddr",
        "c53184acddad1bc7894e0477a1351621c3e46cf1924c8ff410410b51e26f4b5c",
    ),
    (
        "IPaddr2",
        "220eb0a8ba5b8b132a04503d367613210a72edcda030dcc726398c8121f5c017",
    ),
    (
        "IPv6addr",
        "af667834ba1c733e596342f11daa8f584b06c2e5bf2a3ccc2a9d2a06e60ea3d3",
    ),
];

impl ScriptFile {
    /// Classifies the executable `name` by its contents; `None` if there is none.
    #[must_use]
    pub fn classify(name: &str, contents: Option<&[u8]>) -> Self {
        let Some(contents) = contents else {
            return Self::Absent;
        };
        let mark = OUR_WRAPPER_MARK.as_bytes();
        if contents
            .split(|byte| *byte == b'\n')
            .take(3)
            .any(|line| line == mark)
        {
            return Self::Ours;
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, contents);
        let hex = HEXLOWER.encode(digest.as_ref());
        if DISTRIBUTED.contains(&(name, hex.as_str())) {
            Self::Distributed
        } else {
            Self::Administrators
        }
    }
}

/// Whether this process or a script carries out start, stop and status of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// This process.
    Native,
    /// The script, as legacy would run it.
    Script,
}

/// Decides this for an address with the script file `script`.
#[must_use]
pub const fn handling(setting: NativeAddresses, script: ScriptFile) -> Handling {
    match (setting, script) {
        (NativeAddresses::Always, _)
        | (
            NativeAddresses::Auto,
            ScriptFile::Absent | ScriptFile::Ours | ScriptFile::Distributed,
        ) => Handling::Native,
        (NativeAddresses::Auto, ScriptFile::Administrators) | (NativeAddresses::Never, _) => {
            Handling::Script
        }
    }
}

#[cfg(test)]
mod tests;
