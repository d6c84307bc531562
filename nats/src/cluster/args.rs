//! The options with which every part says where NATS is and how it logs in there.

use std::path::PathBuf;

use super::{Address, AddressError, NatsAuth, tls::Trust};
use crate::access::User;

/// Where NATS is and how to log in: one group of options for all that connect.
#[derive(Debug, Clone, clap::Args)]
pub struct NatsArgs {
    /// The NATS server, or several with commas between them; tls:// insists on TLS
    #[arg(
        id = "nats_url",
        long = "nats-url",
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub url: String,

    /// A file with the nkey seed to log in to NATS with, such as nkeys/edge.nk of
    /// `natterjack provision --write-config`
    #[arg(
        id = "nats_nkey",
        long = "nats-nkey",
        env = "NATS_NKEY",
        conflicts_with = "nats_creds",
        value_name = "FILE"
    )]
    pub nkey: Option<PathBuf>,

    /// A .creds file to log in to NATS with, where accounts are JWTs
    #[arg(
        id = "nats_creds",
        long = "nats-creds",
        env = "NATS_CREDS",
        value_name = "FILE"
    )]
    pub creds: Option<PathBuf>,

    /// The certificate (PEM) of an authority to trust besides those that the machine trusts; with it,
    /// every connection to NATS is TLS
    #[arg(id = "nats_ca", long = "nats-ca", env = "NATS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl NatsArgs {
    /// This server, with nothing but what its URL says.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            nkey: None,
            creds: None,
            ca: None,
        }
    }

    /// The same, for one who connects as this user.
    #[must_use]
    pub fn login(&self, user: User) -> Login {
        Login {
            args: self.clone(),
            user: Some(user),
        }
    }
}

impl<U: Into<String>> From<U> for NatsArgs {
    fn from(url: U) -> Self {
        Self::new(url)
    }
}

/// Where to connect and as whom; files are not read yet. A URL alone is one too.
#[derive(Debug, Clone)]
pub struct Login {
    args: NatsArgs,
    user: Option<User>,
}

impl Login {
    /// Reads the URL and the files.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn read(&self) -> Result<Address, AddressError> {
        let mut address = Address::parse(&self.args.url)?;
        let file = match (&self.args.nkey, &self.args.creds) {
            (Some(nkey), _) => Some(NatsAuth::nkey_file(nkey)?),
            (None, Some(creds)) => Some(NatsAuth::creds_file(creds)?),
            (None, None) => None,
        };
        if let Some(auth) = file {
            if address.auth != NatsAuth::Nothing {
                return Err(AddressError::Twice);
            }
            address.auth = auth;
        }
        if let Some(ca) = &self.args.ca {
            address.trust = Trust::with_authority(ca)?;
        }
        if let Some(user) = self.user {
            address.inbox_prefix = user.inbox_prefix();
        }
        Ok(address)
    }
}

impl From<NatsArgs> for Login {
    fn from(args: NatsArgs) -> Self {
        Self { args, user: None }
    }
}

impl From<&str> for Login {
    fn from(url: &str) -> Self {
        NatsArgs::new(url).into()
    }
}

impl From<&String> for Login {
    fn from(url: &String) -> Self {
        NatsArgs::new(url).into()
    }
}

impl From<String> for Login {
    fn from(url: String) -> Self {
        NatsArgs::new(url).into()
    }
}

impl From<&Self> for Login {
    fn from(login: &Self) -> Self {
        login.clone()
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parse(words: &[&str]) -> Result<NatsArgs, clap::Error> {
        let command = NatsArgs::augment_args(clap::Command::new("test"));
        let matches = command.try_get_matches_from([&["test"], words].concat())?;
        NatsArgs::from_arg_matches(&matches)
    }

    #[test]
    fn one_way_to_log_in_is_enough() {
        let dir = tempfile::tempdir().expect("a directory");
        let seed = nkeys::KeyPair::new_user().seed().expect("a seed");
        let path = dir.path().join("edge.nk");
        std::fs::write(&path, seed).expect("written");
        let path = path.to_str().expect("UTF-8");
        let args = parse(&["--nats-url", "nats://one", "--nats-nkey", path]).expect("parsed");
        let address = args.login(User::Edge).read().expect("read");
        assert!(matches!(address.auth(), NatsAuth::Nkey(_)));
        assert_eq!(address.inbox_prefix(), "_INBOX_edge");
        assert!(parse(&["--nats-nkey", path, "--nats-creds", path]).is_err());
        let twice = parse(&["--nats-url", "nats://us:er@one", "--nats-nkey", path]).expect("parsed");
        assert_eq!(Login::from(twice).read(), Err(AddressError::Twice));
        assert_eq!(
            Login::from("nats://one").read().expect("read").inbox_prefix(),
            "_INBOX"
        );
    }
}
