//! A bed's own network: a namespace, a pair of interfaces to the host, and an
//! address range that nobody else on this machine uses.
//!
//! Of a bed's `10.x.0.0/16`, the lower half is for pods, the next quarter for
//! services, and the last four addresses for the link to the host, which
//! routes the whole range to the bed. So the host reaches pods and services
//! directly, and pods reach the host.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::{Error, digest, paths, run};

/// The second byte of a bed's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range(u8);

/// Away from the first ones, which people and clouds use.
const FIRST: u8 = 64;
const LAST: u8 = 223;

impl Range {
    fn at(self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, third, fourth)
    }

    /// All of it.
    pub fn whole(self) -> String {
        format!("{}/16", self.at(0, 0))
    }

    /// For pods.
    pub fn pods(self) -> String {
        format!("{}/17", self.at(0, 0))
    }

    /// For services.
    pub fn services(self) -> String {
        format!("{}/18", self.at(128, 0))
    }

    /// The service `kubernetes`, always the first one.
    pub fn first_service(self) -> Ipv4Addr {
        self.at(128, 1)
    }

    /// The cluster's DNS.
    pub fn dns(self) -> Ipv4Addr {
        self.at(128, 10)
    }

    /// The host's end of the link.
    pub fn host(self) -> Ipv4Addr {
        self.at(255, 1)
    }

    /// The bed's end of the link, which is the node's address.
    pub fn node(self) -> Ipv4Addr {
        self.at(255, 2)
    }

    /// Whether a network the host already knows would get in the way. Very
    /// wide ones do not: routes to a bed are narrower and win.
    fn overlaps(self, other: Ipv4Addr, prefix: u8) -> bool {
        if prefix < 12 {
            return false;
        }
        let mask = u32::MAX << (32 - u32::from(prefix.min(16)));
        u32::from(self.at(0, 0)) & mask == u32::from(other) & mask
    }
}

/// The first range that no bed has and the host has no route into. The
/// caller holds the range lock until the state with the range is saved.
pub fn choose() -> Result<Range, Error> {
    let routes = run::output(Command::new("ip").args(["-4", "route", "show", "table", "all"]))?;
    let addresses = run::output(Command::new("ip").args(["-4", "-o", "addr"]))?;
    let known = networks(&(routes + &addresses));
    first_free(&taken(), &known).ok_or(Error::NoRange)
}

fn first_free(taken: &BTreeSet<Range>, known: &[(Ipv4Addr, u8)]) -> Option<Range> {
    (FIRST..=LAST).map(Range).find(|range| {
        !taken.contains(range) && !known.iter().any(|(ip, prefix)| range.overlaps(*ip, *prefix))
    })
}

/// The ranges of beds that are up, or that are being brought up.
fn taken() -> BTreeSet<Range> {
    let beds = fs::read_dir(paths::beds()).into_iter().flatten().flatten();
    beds.filter_map(|entry| State::load(entry.file_name().to_str()?)?.range).collect()
}

/// Every word that is an IPv4 network or address.
fn networks(text: &str) -> Vec<(Ipv4Addr, u8)> {
    text.split_whitespace()
        .filter_map(|word| {
            let (ip, prefix) = word.split_once('/').unwrap_or((word, "32"));
            Some((ip.parse().ok()?, prefix.parse().ok()?))
        })
        .collect()
}

/// The network namespace's name.
pub fn namespace(bed: &str) -> String {
    format!("serin-{bed}")
}

/// The host's end of the link. Interface names have at most 15 bytes.
fn link(bed: &str) -> String {
    format!("srn{}", &digest::of_bytes(bed.as_bytes())[..10])
}

/// Makes the namespace and the link, or what is missing of them.
pub fn create(bed: &str, range: Range) -> Result<(), Error> {
    let (namespace, link) = (namespace(bed), link(bed));
    if exists(bed) {
        return Ok(());
    }
    // A half-made one: the namespace is there, its link is not complete.
    remove(bed);
    let ip = |words: String| run::output(Command::new("ip").args(words.split(' ')));
    ip(format!("netns add {namespace}"))?;
    ip(format!("link add {link} type veth peer name host0 netns {namespace}"))?;
    ip(format!("-n {namespace} link set lo up"))?;
    ip(format!("-n {namespace} addr add {}/30 dev host0", range.node()))?;
    ip(format!("-n {namespace} link set host0 up"))?;
    ip(format!("-n {namespace} route add default via {}", range.host()))?;
    let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    run::output(inside(bed, "sh").args(["-c", forward]))?;
    ip(format!("addr add {}/30 dev {link}", range.host()))?;
    ip(format!("link set {link} up"))?;
    // Last, so that its presence says that all of it is there.
    ip(format!("route add {} via {}", range.whole(), range.node()))?;
    Ok(())
}

/// Whether the namespace is there and the host has its route into it.
pub fn exists(bed: &str) -> bool {
    let routes = run::output(Command::new("ip").args(["-4", "route", "show", "dev", &link(bed)]));
    let namespace = format!("/run/netns/{}", namespace(bed));
    fs::exists(namespace).unwrap_or(false)
        && routes.is_ok_and(|routes| routes.lines().any(|line| line.contains("/16 via")))
}

/// Takes the namespace away, and with it its interfaces, routes and iptables
/// rules. Its processes must have ended: a namespace lives as long as they.
pub fn remove(bed: &str) {
    for words in [vec!["netns", "del", &namespace(bed)], vec!["link", "del", &link(bed)]] {
        // Not there is as good.
        let _ = run::output(Command::new("ip").args(words));
    }
}

/// A command that runs in the bed's network namespace.
pub fn inside(bed: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", namespace(bed))).args(["--", program]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_range_lie_in_it_and_apart() {
        let range = Range(70);
        assert_eq!(range.pods(), "10.70.0.0/17");
        assert_eq!(range.services(), "10.70.128.0/18");
        assert_eq!(range.first_service(), Ipv4Addr::new(10, 70, 128, 1));
        assert_eq!(range.dns(), Ipv4Addr::new(10, 70, 128, 10));
        assert_eq!(range.node(), Ipv4Addr::new(10, 70, 255, 2));
    }

    #[test]
    fn two_beds_get_two_ranges() {
        let first = first_free(&BTreeSet::new(), &[]).unwrap();
        let second = first_free(&[first].into(), &[]).unwrap();
        assert_ne!(first, second);
        let all: BTreeSet<Range> = (FIRST..=LAST).map(Range).collect();
        assert_eq!(first_free(&all, &[]), None);
    }

    #[test]
    fn what_the_host_knows_is_left_alone() {
        let text = "default via 192.0.2.1 dev eth0\n10.64.0.0/16 via 10.64.255.2 dev x\n\
                    10.65.3.7 dev y\n10.66.0.0/15 dev z\n10.0.0.0/8 dev vpn\n";
        let known = networks(text);
        assert_eq!(first_free(&BTreeSet::new(), &known), Some(Range(68)));
    }

    #[test]
    fn interface_names_fit() {
        assert!(link("a-name-of-20-letters").len() <= 15);
        assert_ne!(link("a"), link("b"));
    }
}
