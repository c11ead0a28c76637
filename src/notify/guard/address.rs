//! What kind of address an address is.
//!
//! Only what is routed in the public Internet counts as public: a new special range is refused until it is known here, not
//! let through. Ranges: <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::text_enum;

text_enum! {
    /// What kind of address an address is.
    AddressKind, "kind of address" {
        /// Reached through the public Internet.
        Public = "public",
        /// No address: `0.0.0.0`, `::`.
        Unspecified = "unspecified",
        /// This machine.
        Loopback = "loopback",
        /// Somebody's own network.
        Private = "private",
        /// The same wire.
        LinkLocal = "link-local",
        /// Where a cloud tells its machines their credentials.
        Metadata = "cloud metadata",
        /// Between a provider and its customers (RFC 6598).
        Shared = "carrier-grade NAT",
        /// Many receivers at once.
        Multicast = "multicast",
        /// For examples and measurements only.
        Documentation = "documentation",
        /// Another address in disguise, by a transition mechanism.
        Transition = "transition mechanism",
        /// Not in use.
        Reserved = "reserved",
    }
}

/// Addresses at which clouds tell their machines secrets: AWS, Azure, Google and others; AWS for containers (ECS, and EKS Pod
/// Identity: <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>); Alibaba; Oracle; Azure's host;
/// AWS (machines and EKS) and Google over IPv6.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

impl AddressKind {
    /// What `address` is. An IPv4 address in an IPv6 one is judged as what it is.
    pub fn of(address: IpAddr) -> Self {
        let address = plain(address);
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

/// The address that is connected to in the end, where another spelling of it carries it: IPv4-mapped (`::ffff:10.0.0.1`)
/// and through NAT64's well-known prefix (`64:ff9b::10.0.0.1`).
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => address.to_canonical(),
    }
}

const fn of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [0, ..] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        [169, 254, ..] => AddressKind::LinkLocal,
        [100, 64..=127, ..] => AddressKind::Shared,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            AddressKind::Documentation
        }
        // The anycast address of 6to4 relays (RFC 7526).
        [192, 88, 99, _] => AddressKind::Transition,
        [224..=239, ..] => AddressKind::Multicast,
        [192, 0, 0, _] | [240..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

const fn of_v6(address: Ipv6Addr) -> AddressKind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        // IPv4-compatible, IPv4-translated (RFC 2765), NAT64 of one's own (RFC 8215), Teredo, 6to4.
        [0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] | [0x2001, 0, ..] | [0x2002, ..] => AddressKind::Transition,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2001, 2, 0, ..] => AddressKind::Documentation,
        // IETF protocol assignments: ORCHID and others.
        [0x2001, 0..=0x1ff, ..] => AddressKind::Reserved,
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        [0xfc00..=0xfdff, ..] => AddressKind::Private,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        // Site-local addresses: deprecated (RFC 3879), and still somebody's own.
        [0xfec0..=0xfeff, ..] => AddressKind::Private,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        _ => AddressKind::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (text, expected) in [
            ("8.8.8.8", AddressKind::Public),
            ("172.15.255.255", AddressKind::Public),
            ("172.32.0.0", AddressKind::Public),
            ("100.63.255.255", AddressKind::Public),
            ("100.128.0.0", AddressKind::Public),
            ("192.0.1.1", AddressKind::Public),
            ("0.0.0.0", AddressKind::Unspecified),
            ("0.1.2.3", AddressKind::Unspecified),
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.255.254", AddressKind::Loopback),
            ("10.0.0.1", AddressKind::Private),
            ("172.16.0.1", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("192.168.1.1", AddressKind::Private),
            ("169.254.1.1", AddressKind::LinkLocal),
            ("169.254.169.254", AddressKind::Metadata),
            ("169.254.170.2", AddressKind::Metadata),
            ("169.254.170.23", AddressKind::Metadata),
            ("100.100.100.200", AddressKind::Metadata),
            ("168.63.129.16", AddressKind::Metadata),
            ("192.0.0.192", AddressKind::Metadata),
            ("100.64.0.1", AddressKind::Shared),
            ("224.0.0.1", AddressKind::Multicast),
            ("192.0.2.1", AddressKind::Documentation),
            ("198.18.0.1", AddressKind::Documentation),
            ("198.51.100.7", AddressKind::Documentation),
            ("203.0.113.7", AddressKind::Documentation),
            ("192.88.99.1", AddressKind::Transition),
            ("240.0.0.1", AddressKind::Reserved),
            ("255.255.255.255", AddressKind::Reserved),
            ("192.0.0.8", AddressKind::Reserved),
            ("2606:4700::1111", AddressKind::Public),
            ("2a00:1450:4001::200e", AddressKind::Public),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("::ffff:10.0.0.1", AddressKind::Private),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("::ffff:169.254.169.254", AddressKind::Metadata),
            ("::ffff:8.8.8.8", AddressKind::Public),
            ("::10.0.0.1", AddressKind::Transition),
            ("::ffff:0:10.0.0.1", AddressKind::Transition),
            ("64:ff9b::10.0.0.1", AddressKind::Private),
            ("64:ff9b::169.254.169.254", AddressKind::Metadata),
            ("64:ff9b::8.8.8.8", AddressKind::Public),
            ("64:ff9b:1::10.0.0.1", AddressKind::Transition),
            ("2002:a00:1::", AddressKind::Transition),
            ("2002:808:808::", AddressKind::Transition),
            ("2001:0:53aa:64c::1", AddressKind::Transition),
            ("2001:db8::1", AddressKind::Documentation),
            ("3fff::1", AddressKind::Documentation),
            ("2001:20::1", AddressKind::Reserved),
            ("100::1", AddressKind::Reserved),
            ("4000::1", AddressKind::Reserved),
            ("fd00:ec2::254", AddressKind::Metadata),
            ("fd00:ec2::23", AddressKind::Metadata),
            ("64:ff9b::169.254.170.23", AddressKind::Metadata),
            ("fd20:ce::254", AddressKind::Metadata),
            ("fc00::1", AddressKind::Private),
            ("fd12:3456::1", AddressKind::Private),
            ("fec0::1", AddressKind::Private),
            ("fe80::1", AddressKind::LinkLocal),
            ("ff02::1", AddressKind::Multicast),
        ] {
            assert_eq!(AddressKind::of(text.parse().unwrap()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_spelling_of_an_ipv4_address_changes_what_it_is(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let expected = AddressKind::of(v4.into());
            prop_assert_eq!(AddressKind::of(v4.to_ipv6_mapped().into()), expected);
            let [a, b, c, d] = v4.octets();
            let nat64 = Ipv6Addr::new(
                0x64, 0xff9b, 0, 0, 0, 0, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]),
            );
            prop_assert_eq!(AddressKind::of(nat64.into()), expected);
            // And what we say is not public, the standard library does not call somebody else's either.
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
                || v4.is_documentation() || v4.is_unspecified() {
                prop_assert_ne!(expected, AddressKind::Public);
            }
        }
    }
}
