//! Addresses and networks, for lists of who may connect: `10.0.0.0/8`, `127.0.0.1`, `fe80::/10`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No address before the slash, or at all.
    #[error("'{0}' is no network; write an address such as \"127.0.0.1\", or a network such as \"10.0.0.0/8\"")]
    Address(String),
    /// The number of bits is none, or more than the address has.
    #[error("'{text}' has {bits} address bits at most behind the slash")]
    Bits {
        /// The text.
        text: String,
        /// Bits of such an address.
        bits: u8,
    },
    /// Bits behind the network's are set: one of the two is not what was meant.
    #[error("'{text}' is an address inside the network {network}; write one or the other")]
    HostBits {
        /// The text.
        text: String,
        /// The network with those bits.
        network: Network,
    },
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// The addresses of this machine: 127.0.0.0/8 and ::1.
    #[must_use]
    pub fn loopback() -> Vec<Self> {
        // A prefix of 8 bits is one.
        let four = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
        vec![Self(four.into()), Self(IpAddr::from(Ipv6Addr::LOCALHOST).into())]
    }

    /// Whether the address is in the network; an IPv4 address that came over an IPv6 socket counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// As the library has it.
    #[must_use]
    pub const fn net(&self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let Some((address, bits)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| NetworkError::Address(text.to_owned()))?;
            return Ok(Self(address.into()));
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(text.to_owned()))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
        let net = bits.parse().ok().filter(|_| digits).and_then(|bits| IpNet::new(address, bits).ok());
        let net = net.ok_or_else(|| NetworkError::Bits { text: text.to_owned(), bits: most })?;
        if net.trunc() == net {
            return Ok(Self(net));
        }
        Err(NetworkError::HostBits { text: text.to_owned(), network: Self(net.trunc()) })
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_with_its_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.168.4.0/23", "192.168.5.255", "192.168.6.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1/32", "::ffff:127.0.0.1", "::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fe80::/10", "febf::1", "fec0::"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} not in {network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        for (text, word) in [
            ("localhost", "no network"),
            ("10.0.0/8", "no network"),
            ("10.0.0.0/33", "32 address bits at most"),
            ("10.0.0.0/+8", "32 address bits at most"),
            ("fe80::/", "128 address bits at most"),
            ("10.1.2.3/8", "inside the network 10.0.0.0/8"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
