//! All services of compose.yaml, in the order that it asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, bail};

use super::{
    compose::{Compose, Condition, Service},
    container::Container,
    net::Networks,
    sandbox::{Sandbox, sh},
};

/// Under which name clients reach the load balancer.
pub const PUBLIC_NAME: &str = "chat.natterjack.test";

/// The cluster.
pub struct Cluster {
    pub compose: Compose,
    pub networks: Networks,
    sandbox: Sandbox,
    /// What runs in containers of the image that is built.
    image: Vec<String>,
    containers: BTreeMap<String, Container>,
    /// What was started and goes on, or has done its work.
    up: BTreeSet<String>,
}

impl Cluster {
    /// Lays the project out as whoever has cloned it does, and writes its configuration; nothing runs yet.
    pub async fn prepare(sandbox: &Sandbox) -> anyhow::Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = sandbox.project();
        fs::create_dir_all(project.join("config"))?;
        std::os::unix::fs::symlink(repository.join("deploy"), project.join("deploy"))?;
        let url = format!("https://{PUBLIC_NAME}");
        let variables = [
            ("NATTERJACK_PUBLIC_NAME", PUBLIC_NAME),
            ("NATTERJACK_PUBLIC_URL", &url),
            ("PWD", project.to_str().context("UTF-8")?),
        ];
        let compose = Compose::read(&repository.join("compose.yaml"), &variables)?;
        let networks = Networks::new(&compose, (PUBLIC_NAME, "lb")).await?;
        let mut cluster = Self {
            compose,
            networks,
            sandbox: sandbox.clone(),
            image: entrypoint(&repository.join("deploy/Dockerfile"))?,
            containers: BTreeMap::new(),
            up: BTreeSet::new(),
        };
        let all: Vec<String> = cluster.compose.services.keys().cloned().collect();
        for name in all {
            cluster.recreate(&name, |_| ())?;
        }
        cluster.name_it(sandbox)?;
        cluster.write_config().await?;
        Ok(cluster)
    }

    /// Makes a service anew that does not run, as the file has it but for this change.
    pub fn recreate(&mut self, name: &str, change: impl FnOnce(&mut Service)) -> anyhow::Result<()> {
        let service = self.compose.services.get(name);
        let mut service = service.with_context(|| format!("no service {name}"))?.clone();
        change(&mut service);
        // What each image runs.
        let entrypoint = match service.image.split(':').next() {
            Some("natterjack") => &self.image[..],
            Some("prom/prometheus") => &["prometheus".to_owned()],
            _ => &[],
        };
        let (compose, networks, sandbox) = (&self.compose, &self.networks, &self.sandbox);
        let container = Container::new(name, &service, compose, networks, sandbox, entrypoint)?;
        self.containers.insert(name.to_owned(), container);
        Ok(())
    }

    /// What a service kept is gone, and a volume of that name is empty.
    pub fn lose_volume(&self, volume: &str) -> anyhow::Result<()> {
        let path = self.sandbox.volume(volume);
        fs::remove_dir_all(&path).with_context(|| volume.to_owned())?;
        Ok(fs::create_dir(path)?)
    }

    /// What `docker compose run --rm config` does.
    pub async fn write_config(&mut self) -> anyhow::Result<()> {
        let config = self.of("config")?;
        config.start()?;
        config.completed().await
    }

    /// Names for this process: it is outside, where clients and operators are.
    fn name_it(&self, sandbox: &Sandbox) -> anyhow::Result<()> {
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (name, own) in self.networks.addresses.iter() {
            for address in own.values() {
                hosts.push_str(&format!("{address} {name}\n"));
            }
        }
        let path = sandbox.dir.join("hosts");
        fs::write(&path, hosts)?;
        sh(&format!("mount --bind {} /etc/hosts", path.display()))
    }

    /// Starts all services without a profile, as `docker compose up -d --wait` does.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let all: Vec<String> = self.compose.services.keys().cloned().collect();
        for name in all {
            if self.compose.services[&name].profiles.is_empty() {
                self.start(&name, Condition::Started).await?;
            }
        }
        for name in self.running() {
            self.healthy(&name).await?;
        }
        Ok(())
    }

    /// Starts a service with a profile, and waits until it is healthy.
    pub async fn also(&mut self, name: &str) -> anyhow::Result<()> {
        self.start(name, Condition::Healthy).await
    }

    /// Starts a service after those that it depends on, unless it was started, and waits for this condition.
    async fn start(&mut self, name: &str, condition: Condition) -> anyhow::Result<()> {
        if !self.up.contains(name) {
            let dependencies = self
                .compose
                .services
                .get(name)
                .context("no such service")?
                .depends_on
                .clone();
            // All of them, and only then is waited: the servers of a cluster get ready together.
            for other in dependencies.keys() {
                Box::pin(self.start(other, Condition::Started)).await?;
            }
            for (other, dependency) in dependencies {
                Box::pin(self.start(&other, dependency.condition)).await?;
            }
            self.of(name)?.start()?;
            self.up.insert(name.to_owned());
        }
        match condition {
            Condition::Started => Ok(()),
            Condition::Healthy => self.healthy(name).await,
            Condition::Completed => self.of(name)?.completed().await,
        }
    }

    /// The services that go on.
    pub fn running(&self) -> Vec<String> {
        let goes_on = |name: &&String| self.compose.services[*name].healthcheck.is_some();
        self.up.iter().filter(goes_on).cloned().collect()
    }

    /// One service.
    pub fn of(&mut self, name: &str) -> anyhow::Result<&mut Container> {
        self.containers
            .get_mut(name)
            .with_context(|| format!("no service {name}"))
    }

    /// Waits until a service is healthy.
    pub async fn healthy(&mut self, name: &str) -> anyhow::Result<()> {
        self.of(name)?.healthy().await
    }

    /// Ends all but these, in the order in which compose does: who depends on others first.
    pub async fn down_to(mut self, last: &[&str]) -> anyhow::Result<()> {
        let mut left: BTreeSet<String> = self.running().into_iter().collect();
        left.retain(|name| !last.contains(&name.as_str()));
        while !left.is_empty() {
            let needed = |name: &String| {
                let others = left.iter().map(|other| &self.compose.services[other].depends_on);
                others.into_iter().any(|needs| needs.contains_key(name))
            };
            let Some(next) = left.iter().find(|name| !needed(name)).cloned() else {
                bail!("services that depend on each other: {left:?}");
            };
            self.of(&next)?.stop().await?;
            left.remove(&next);
        }
        Ok(())
    }
}

/// What an image runs, as its Dockerfile says.
pub fn entrypoint(dockerfile: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(dockerfile)?;
    let line = text.lines().find_map(|line| line.strip_prefix("ENTRYPOINT "));
    let words: Vec<String> = serde_json::from_str(line.context("no ENTRYPOINT")?)?;
    // Where the program is in the image, it is on the PATH.
    Ok(words
        .into_iter()
        .map(|word| word.rsplit('/').next().unwrap_or(&word).to_owned())
        .collect())
}
