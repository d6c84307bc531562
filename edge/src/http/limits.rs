//! How often anything may be asked for, and what else an operator can choose about HTTP.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use natterjack_nats::{
    UserId,
    wire::{Code, WireError},
};

/// Keys that have recovered are forgotten after so many checks, so that memory is bounded by what
/// was asked lately.
const CHECKS_PER_CLEANING: u32 = 4_096;

/// Rate limits and limits of the HTTP interface.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "HTTP and rate limits")]
pub struct RateArgs {
    /// Switch all rate limits off, for benchmarks and tests
    #[arg(long, env = "EDGE_NO_RATE_LIMITS")]
    pub no_rate_limits: bool,

    /// Sign-ups, logins and refreshes that one address may try in a minute; so many at once, too
    #[arg(
        long,
        env = "EDGE_SIGN_INS_PER_ADDRESS",
        default_value = "30",
        value_name = "N"
    )]
    pub sign_ins_per_address: NonZeroU32,

    /// Logins that may be tried for one handle in a minute; so many at once, too
    #[arg(
        long,
        env = "EDGE_SIGN_INS_PER_HANDLE",
        default_value = "10",
        value_name = "N"
    )]
    pub sign_ins_per_handle: NonZeroU32,

    /// How often one address may ask which edges there are, in a minute; so many at once, too
    #[arg(
        long,
        env = "EDGE_DISCOVERIES_PER_ADDRESS",
        default_value = "600",
        value_name = "N"
    )]
    pub discoveries_per_address: NonZeroU32,

    /// How often one user may say whose presence to show, or ask for it, in a minute, over all devices here;
    /// so many at once, too
    #[arg(
        long,
        env = "EDGE_PRESENCE_QUESTIONS_PER_USER",
        default_value = "240",
        value_name = "N"
    )]
    pub presence_questions_per_user: NonZeroU32,

    /// How often one user may register for pushes, mute a conversation, or choose what pushes say, in a
    /// minute, over all devices here; so many at once, too
    #[arg(long, env = "EDGE_CHOICES_PER_USER", default_value = "120", value_name = "N")]
    pub choices_per_user: NonZeroU32,

    /// Messages, edits and deletions that one user may send in a second, over all devices here
    #[arg(long, env = "EDGE_SENDS_PER_SECOND", default_value = "50", value_name = "N")]
    pub sends_per_second: NonZeroU32,

    /// Messages, edits and deletions that one user may send at once after a pause
    #[arg(long, env = "EDGE_SENDS_BURST", default_value = "200", value_name = "N")]
    pub sends_burst: NonZeroU32,

    /// The header in which a proxy in front of the edge tells the client's address, such as
    /// X-Forwarded-For; its last address counts. Unset: the address of the connection. Never set it
    /// where clients reach the edge directly: they could name any address
    #[arg(long, env = "EDGE_CLIENT_ADDRESS_HEADER", value_name = "HEADER")]
    pub client_address_header: Option<String>,

    /// Origins whose web pages may call this API (CORS), separated by commas; * is any. Pages hold
    /// their own token, no cookie is ever used
    #[arg(
        long,
        env = "EDGE_CORS_ORIGINS",
        default_value = "*",
        value_delimiter = ',',
        value_name = "ORIGIN"
    )]
    pub cors_origins: Vec<String>,

    /// Most HTTP requests that are under way at once, long polls included
    #[arg(long, env = "EDGE_REQUESTS_MAX", default_value = "10000", value_name = "N")]
    pub requests_max: NonZeroU32,
}

/// One limit over many keys.
struct Limit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            checks: AtomicU32::new(1),
        }
    }

    fn check(&self, key: &K, what: &'static str) -> Result<(), WireError> {
        if self
            .checks
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(CHECKS_PER_CLEANING)
        {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            // Rounded up: a retry at the told time must pass.
            let wait_ms = u64::try_from(wait.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            WireError::new(Code::RateLimited, what).retry_after_ms(wait_ms)
        })
    }
}

/// The rate limits of one edge.
pub struct RateLimits {
    limits: Option<Limits>,
    hasher: RandomState,
}

struct Limits {
    addresses: Limit<IpAddr>,
    /// By hash: a handle is as long as whoever tries it wants.
    handles: Limit<u64>,
    discoveries: Limit<IpAddr>,
    presence: Limit<UserId>,
    choices: Limit<UserId>,
    sends: Limit<UserId>,
}

impl std::fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimits")
            .field("on", &self.limits.is_some())
            .finish_non_exhaustive()
    }
}

impl RateLimits {
    /// The limits that the arguments ask for; nobody has used anything up yet.
    #[must_use]
    pub fn new(args: &RateArgs) -> Self {
        let limits = || Limits {
            addresses: Limit::new(Quota::per_minute(args.sign_ins_per_address)),
            handles: Limit::new(Quota::per_minute(args.sign_ins_per_handle)),
            discoveries: Limit::new(Quota::per_minute(args.discoveries_per_address)),
            presence: Limit::new(Quota::per_minute(args.presence_questions_per_user)),
            choices: Limit::new(Quota::per_minute(args.choices_per_user)),
            sends: Limit::new(Quota::per_second(args.sends_per_second).allow_burst(args.sends_burst)),
        };
        Self {
            limits: (!args.no_rate_limits).then(limits),
            hasher: RandomState::new(),
        }
    }

    /// One message, edit or deletion of a user.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn send(&self, user: UserId) -> Result<(), WireError> {
        self.limits.as_ref().map_or(Ok(()), |limits| {
            limits
                .sends
                .check(&user, "you send faster than this server takes; slow down")
        })
    }

    /// One list of people whose presence a user asks for, or watches from then on.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn presence(&self, user: UserId) -> Result<(), WireError> {
        self.limits.as_ref().map_or(Ok(()), |limits| {
            limits.presence.check(
                &user,
                "you ask for people's presence more often than this server takes; slow down",
            )
        })
    }

    /// One registration for pushes of a user, one mute, or the like: each is stored, and an endpoint's
    /// name is looked up.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn choice(&self, user: UserId) -> Result<(), WireError> {
        self.limits.as_ref().map_or(Ok(()), |limits| {
            let told = "you change what you have chosen more often than this server takes; slow down";
            limits.choices.check(&user, told)
        })
    }

    /// One try to sign up, log in or refresh from an address.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn sign_in_from(&self, address: Option<IpAddr>) -> Result<(), WireError> {
        let (Some(limits), Some(address)) = (&self.limits, address) else {
            return Ok(());
        };
        limits.addresses.check(
            &network(address),
            "too many tries from your address; wait a little",
        )
    }

    /// One question from an address which edges there are.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn discovery_from(&self, address: Option<IpAddr>) -> Result<(), WireError> {
        let (Some(limits), Some(address)) = (&self.limits, address) else {
            return Ok(());
        };
        limits.discoveries.check(
            &network(address),
            "too many questions from your address; keep the answer for a while",
        )
    }

    /// One try to sign up or log in with a handle.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn sign_in_as(&self, handle: &str) -> Result<(), WireError> {
        self.limits.as_ref().map_or(Ok(()), |limits| {
            limits.handles.check(
                &self.hasher.hash_one(handle.to_lowercase()),
                "too many tries with this handle; wait a little",
            )
        })
    }
}

/// What counts as one address: an IPv6 customer has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 => v4,
    }
}

/// How long a request may take, a long poll excepted.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait of a long poll.
pub(crate) const SYNC_WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        rates: RateArgs,
    }

    pub(crate) fn args(args: &[&str]) -> RateArgs {
        Command::parse_from([&["edge"], args].concat()).rates
    }

    #[test]
    fn a_burst_passes_and_then_the_time_to_wait_is_told() {
        let limits = RateLimits::new(&args(&["--sends-per-second=1", "--sends-burst=3"]));
        let (one, other) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        for _ in 0..3 {
            assert_eq!(limits.send(one), Ok(()));
        }
        let error = limits.send(one).expect_err("used up");
        assert_eq!(error.code, Code::RateLimited);
        assert!(
            matches!(error.retry_after_ms, Some(1..=1_001)),
            "{:?}",
            error.retry_after_ms
        );
        assert_eq!(limits.send(other), Ok(()), "everybody has their own");
    }

    #[test]
    fn sign_ins_count_by_network_and_by_handle() {
        let limits = RateLimits::new(&args(&[
            "--sign-ins-per-address=1",
            "--sign-ins-per-handle=1",
            "--discoveries-per-address=1",
        ]));
        let address = |text: &str| Some(text.parse().expect("an address"));
        assert!(limits.sign_in_from(address("2001:db8::1")).is_ok());
        assert!(
            limits.sign_in_from(address("2001:db8::2")).is_err(),
            "the same /64"
        );
        assert!(limits.sign_in_from(address("2001:db8:0:1::1")).is_ok());
        assert!(limits.sign_in_from(address("192.0.2.1")).is_ok());
        assert!(
            limits.sign_in_from(address("::ffff:192.0.2.1")).is_err(),
            "the same IPv4 address"
        );
        let asked = limits.discovery_from(address("192.0.2.1"));
        assert!(asked.is_ok(), "questions and sign-ins are counted apart");
        assert!(limits.discovery_from(address("192.0.2.1")).is_err());
        assert!(limits.sign_in_as("Ann").is_ok());
        assert!(limits.sign_in_as("ann").is_err());
    }

    #[test]
    fn they_can_be_switched_off() {
        let limits = RateLimits::new(&args(&[
            "--no-rate-limits",
            "--sends-per-second=1",
            "--sends-burst=1",
        ]));
        for _ in 0..100 {
            assert!(limits.send(UserId::from_parts(1, 1)).is_ok());
            assert!(limits.sign_in_as("ann").is_ok());
        }
    }

    #[test]
    fn recovered_keys_are_forgotten() {
        let quota = Quota::per_second(NonZeroU32::new(1_000_000).expect("not zero"));
        let limit = Limit::new(quota);
        for key in 0..CHECKS_PER_CLEANING * 3 {
            assert!(limit.check(&key, "").is_ok());
        }
        assert!(limit.limiter.len() < CHECKS_PER_CLEANING as usize * 2);
    }
}
