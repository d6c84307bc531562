//! Which servers may be asked: those that the operator named, and those that a server told of.

use async_nats::ServerAddr;
use natterjack_nats::cluster::Address;

/// Servers that are learnt from others; a cluster has a handful.
const LEARNT_MAX: usize = 64;

/// All that are known.
#[derive(Debug)]
pub(super) struct Servers {
    named: Vec<ServerAddr>,
    learnt: Vec<ServerAddr>,
    insists_on_tls: bool,
}

impl Servers {
    pub(super) fn new(address: &Address) -> Self {
        Self {
            named: address.servers().to_vec(),
            learnt: vec![],
            insists_on_tls: address.insists_on_tls(),
        }
    }

    /// Takes over what a server says of its cluster. One that has gone from it is forgotten, unless
    /// it was named.
    pub(super) fn learn(&mut self, connect_urls: &[String]) {
        if connect_urls.is_empty() {
            return;
        }
        // Where one of the named insists on TLS, all of the cluster do.
        let scheme = if self.insists_on_tls { "tls" } else { "nats" };
        let learnt = connect_urls
            .iter()
            .filter_map(|url| format!("{scheme}://{url}").parse::<ServerAddr>().ok());
        self.learnt = learnt
            .filter(|server| !server.host().is_empty() && !self.named.contains(server))
            .take(LEARNT_MAX)
            .collect();
    }

    /// All of them in random order; the one to leave, if there is one, comes last.
    pub(super) fn in_turn(&self, leave: Option<&ServerAddr>) -> Vec<ServerAddr> {
        let mut all: Vec<_> = self.named.iter().chain(&self.learnt).cloned().collect();
        all.sort_by_cached_key(|server| (Some(server) == leave, uuid::Uuid::new_v4()));
        all
    }

    /// Whether there is another one than this.
    pub(super) fn has_other(&self, than: &ServerAddr) -> bool {
        self.named.iter().chain(&self.learnt).any(|server| server != than)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Servers {
        Servers::new(&Address::parse(url).expect("read"))
    }

    fn sorted(servers: &Servers) -> Vec<String> {
        let mut all: Vec<_> = servers
            .in_turn(None)
            .iter()
            .map(|server| server.as_url_str().to_owned())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn learnt_servers_come_and_go_and_named_ones_stay() {
        let mut servers = servers("nats://a:1");
        assert!(!servers.has_other(&servers.named[0]));
        servers.learn(&["a:1".into(), "b:2".into(), "?".into()]);
        assert_eq!(sorted(&servers), ["nats://a:1", "nats://b:2"]);
        assert!(servers.has_other(&servers.named[0]));
        servers.learn(&["c:3".into()]);
        assert_eq!(sorted(&servers), ["nats://a:1", "nats://c:3"]);
        let many: Vec<_> = (0..1_000).map(|port| format!("d:{port}")).collect();
        servers.learn(&many);
        assert_eq!(sorted(&servers).len(), 1 + LEARNT_MAX);
    }

    #[test]
    fn tls_is_asked_of_the_learnt_too_and_the_one_to_leave_is_last() {
        let mut servers = servers("tls://a:1");
        servers.learn(&["b:2".into(), "c:3".into()]);
        let leave = servers.learnt[0].clone();
        assert!(leave.tls_required());
        for _ in 0..20 {
            assert_eq!(servers.in_turn(Some(&leave)).last(), Some(&leave));
        }
    }
}
