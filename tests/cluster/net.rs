//! The networks of compose.yaml: a bridge each, and a network namespace for each service with a leg in those that it
//! is on.

use std::{collections::BTreeMap, fmt::Write as _, net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use tokio::task::JoinHandle;

use super::{
    compose::Compose,
    names::{self, Addresses},
    sandbox::sh,
};

/// This process's own host in each network.
const GATEWAY: u8 = 254;

/// The networks, as long as this lives.
pub struct Networks {
    pub addresses: Arc<Addresses>,
    gateways: BTreeMap<String, Ipv4Addr>,
    names: Vec<JoinHandle<()>>,
}

impl Networks {
    /// Makes them. A further name leads to a service: the one under which clients know it.
    pub async fn new(compose: &Compose, (public_name, public): (&str, &str)) -> anyhow::Result<Self> {
        let numbers: BTreeMap<&str, u8> = compose.networks.keys().map(String::as_str).zip(1..).collect();
        let of = |network: u8, host: u8| Ipv4Addr::new(10, 77, network, host);
        let (mut addresses, mut gateways) = (Addresses::new(), BTreeMap::new());
        // `ip netns` names namespaces there.
        let mut script = "mount -t tmpfs tmpfs /run; ip link set lo up\n".to_owned();
        for (name, number) in &numbers {
            let gateway = of(*number, GATEWAY);
            gateways.insert((*name).to_owned(), gateway);
            writeln!(
                script,
                "ip link add br{number} type bridge; ip addr add {gateway}/24 dev br{number}; ip link set br{number} up"
            )?;
        }
        for ((name, service), host) in compose.services.iter().zip(10_u8..) {
            // As in Docker, ports below 1024 are for everybody.
            writeln!(
                script,
                "ip netns add {name}; ip -n {name} link set lo up; \
                 nsenter --net=/run/netns/{name} sh -c 'echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start'"
            )?;
            let own = addresses.entry(name.clone()).or_default();
            for network in &service.networks {
                let number = *numbers
                    .get(network.as_str())
                    .context("a network that is not declared")?;
                let (address, link) = (of(number, host), format!("v{number}h{host}"));
                own.insert(network.clone(), address);
                writeln!(
                    script,
                    "ip link add {link} type veth peer name eth{number} netns {name}; \
                     ip link set {link} master br{number} up; \
                     ip -n {name} addr add {address}/24 dev eth{number}; ip -n {name} link set eth{number} up"
                )?;
            }
        }
        sh(&script)?;
        let known = addresses.get(public).cloned();
        addresses.insert(public_name.to_owned(), known.context("no such service")?);
        let addresses = Arc::new(addresses);
        let mut tasks = Vec::new();
        for gateway in gateways.values() {
            tasks.push(names::serve(*gateway, Arc::clone(&addresses)).await?);
        }
        Ok(Self {
            addresses,
            gateways,
            names: tasks,
        })
    }

    /// Whom the containers on any of these networks ask for names.
    pub fn name_server(&self, networks: &[String]) -> Option<Ipv4Addr> {
        networks
            .iter()
            .find_map(|network| self.gateways.get(network).copied())
    }

    /// Where one service is on a network.
    pub fn address(&self, service: &str, network: &str) -> anyhow::Result<Ipv4Addr> {
        let found = self.addresses.get(service).and_then(|own| own.get(network));
        found
            .copied()
            .with_context(|| format!("{service} is not on {network}"))
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for task in &self.names {
            task.abort();
        }
    }
}
