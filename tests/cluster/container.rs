//! A service of compose.yaml as a process: with its own root, in which there is nothing but the system's programs, its
//! volumes, secrets and configuration files; in its own network namespace; as its own user, without capabilities.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{
    compose::{Compose, Service, Volume},
    net::Networks,
    sandbox::{Sandbox, quoted, quoted_path},
};

const PATH: &str = "/opt/bin:/opt/postgres/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a service may take until its health check passes.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// What Postgres's own image does before it starts the server.
const POSTGRES_ENTRYPOINT: &str = r#"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust \
    --auth-host=scram-sha-256 $POSTGRES_INITDB_ARGS
  echo "create database \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA" postgres
fi
exec "$@"
"#;

/// A service that runs, or ran.
pub struct Container {
    pub name: String,
    service: Service,
    script: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    completed: bool,
}

impl Container {
    /// Prepares one; nothing runs yet.
    pub fn new(
        name: &str,
        service: &Service,
        compose: &Compose,
        networks: &Networks,
        sandbox: &Sandbox,
        entrypoint: &[String],
    ) -> anyhow::Result<Self> {
        for folder in ["roots", "scripts", "logs"] {
            fs::create_dir_all(sandbox.dir.join(folder))?;
        }
        let script = sandbox.dir.join("scripts").join(name);
        let text = Script {
            name,
            service,
            compose,
            networks,
            sandbox,
        };
        fs::write(&script, text.whole(entrypoint)?)?;
        Ok(Self {
            name: name.to_owned(),
            service: service.clone(),
            script,
            log: sandbox.dir.join("logs").join(name),
            child: None,
            completed: false,
        })
    }

    /// Starts it.
    pub fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} runs", self.name);
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = self.command().stdout(log.try_clone()?).stderr(log).spawn()?;
        (self.child, self.completed) = (Some(child), false);
        Ok(())
    }

    /// What it says until it has ended, and whether it ended well: `docker compose run --rm`.
    pub async fn run(&self) -> anyhow::Result<(bool, String)> {
        ensure!(self.child.is_none(), "{} runs", self.name);
        let ended = timeout(HEALTHY_WITHIN, self.command().output());
        let ended = ended.await.with_context(|| format!("{} hangs", self.name))??;
        let said = [ended.stdout, ended.stderr].concat();
        Ok((
            ended.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }

    fn command(&self) -> Command {
        // Each execs the next: the process that is started here is the service in the end.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .args(["unshare", "--mount", "sh", "-eu"])
            .arg(&self.script)
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Its process.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let child = self.child.as_ref().and_then(Child::id);
        child.with_context(|| format!("{} does not run", self.name))
    }

    /// Waits until it has ended by itself, without an error.
    pub async fn completed(&mut self) -> anyhow::Result<()> {
        if self.completed {
            return Ok(());
        }
        let mut child = self.child.take().context("it was not started")?;
        let status = timeout(HEALTHY_WITHIN, child.wait())
            .await
            .with_context(|| self.told())??;
        ensure!(status.success(), "{} ended: {status}\n{}", self.name, self.told());
        self.completed = true;
        Ok(())
    }

    /// What a command says that is run where the service runs; an error if it fails.
    pub async fn ask(&self, command: &[&str]) -> anyhow::Result<String> {
        let output = inside(self.pid()?).args(command).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{command:?}: {} {said}", output.status);
        Ok(said)
    }

    /// Waits until its health check passes.
    pub async fn healthy(&mut self) -> anyhow::Result<()> {
        let test = self
            .service
            .healthcheck
            .clone()
            .context("it has no health check")?
            .test;
        let (kind, command) = test.split_first().context("an empty health check")?;
        ensure!(kind == "CMD", "a health check with a shell");
        let begun = Instant::now();
        loop {
            let child = self.child.as_mut().context("it was not started")?;
            if let Some(status) = child.try_wait()? {
                bail!("{} ended: {status}\n{}", self.name, self.told());
            }
            let pid = child.id().context("it has ended")?;
            let output = inside(pid).args(command).output().await?;
            if output.status.success() {
                return Ok(());
            }
            if begun.elapsed() > HEALTHY_WITHIN {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                bail!("{} is not healthy: {said}\n{}", self.name, self.told());
            }
            sleep(POLL).await;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.pid()?)?), signal)?)
    }

    /// Waits until it has ended that was told to, well or not: one that NATS refuses cannot say goodbye.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        let ended = timeout(self.service.grace()?, child.wait()).await;
        ended.with_context(|| format!("{} would be killed\n{}", self.name, self.told()))??;
        Ok(())
    }

    /// Ends it at once, as its machine does that loses its power.
    pub async fn die(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)?;
        let mut child = self.child.take().context("it does not run")?;
        child.wait().await?;
        Ok(())
    }

    /// Ends it as `docker compose stop` does; it has to end by itself, in time. How long that took.
    pub async fn stop(&mut self) -> anyhow::Result<Duration> {
        let signal = match self.service.stop_signal.as_deref() {
            None => Signal::SIGTERM,
            Some(name) => name.parse()?,
        };
        let begun = Instant::now();
        self.signal(signal)?;
        let mut child = self.child.take().context("it does not run")?;
        let status = timeout(self.service.grace()?, child.wait())
            .await
            .with_context(|| format!("{} would be killed\n{}", self.name, self.told()))??;
        // Postgres, HAProxy and nats-server end with 0 too.
        ensure!(status.success(), "{} ended: {status}\n{}", self.name, self.told());
        Ok(begun.elapsed())
    }

    /// The end of its log.
    fn told(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A command where a process is; its words are still to come.
fn inside(pid: u32) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args(["--target", &pid.to_string(), "--mount", "--net", "env", "-i"])
        .arg(format!("PATH={PATH}"))
        .stdin(Stdio::null());
    command
}

/// The script that makes the root, and becomes the service.
struct Script<'a> {
    name: &'a str,
    service: &'a Service,
    compose: &'a Compose,
    networks: &'a Networks,
    sandbox: &'a Sandbox,
}

impl Script<'_> {
    fn whole(&self, entrypoint: &[String]) -> anyhow::Result<String> {
        let root = self.sandbox.dir.join("roots").join(self.name);
        fs::create_dir_all(&root)?;
        let mut script = format!("mount --make-rprivate /\ncd {}\n", quoted_path(&root));
        script.push_str(
            "mount -t tmpfs -o mode=755 tmpfs .\n\
             cd \"$PWD\"\n\
             mkdir usr etc proc dev tmp run opt opt/bin opt/postgres\n\
             chmod 1777 tmp\n\
             for d in bin sbin lib lib32 lib64 libx32; do\n\
             \x20 if [ -L /$d ]; then ln -s \"$(readlink /$d)\" $d; elif [ -d /$d ]; then mkdir $d; mount --bind -o ro /$d $d; fi\n\
             done\n\
             mount --bind /usr usr; mount -o remount,bind,ro usr\n\
             mount --rbind /proc proc\n\
             mount -t tmpfs -o mode=755 tmpfs dev\n\
             for n in null zero full random urandom; do : > dev/$n; mount --bind /dev/$n dev/$n; done\n\
             ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr\n\
             mkdir dev/shm; mount -t tmpfs -o mode=1777 tmpfs dev/shm\n\
             cp /etc/ld.so.cache etc/ 2>/dev/null || :\n\
             if [ -d /etc/ssl ]; then mkdir etc/ssl; mount --bind -o ro /etc/ssl etc/ssl; fi\n\
             echo 'hosts: files dns' > etc/nsswitch.conf\n\
             echo '127.0.0.1 localhost' > etc/hosts\n\
             echo 'service:x:1000:1000::/:/bin/sh' > etc/passwd\n\
             echo 'service:x:1000:' > etc/group\n",
        );
        if let Some(server) = self.networks.name_server(&self.service.networks) {
            writeln!(script, "echo 'nameserver {server}' > etc/resolv.conf")?;
        }
        let own = Path::new(env!("CARGO_BIN_EXE_natterjack"));
        for (program, name) in [(own, "natterjack"), (&self.sandbox.nats_server, "nats-server")] {
            writeln!(script, "{}", file(program, &format!("/opt/bin/{name}")))?;
        }
        for program in &self.sandbox.programs {
            let name = program.file_name().context("a program's name")?;
            let target = format!("/opt/bin/{}", name.to_string_lossy());
            writeln!(script, "{}", file(program, &target))?;
        }
        let postgres = self.sandbox.postgres_bin.parent().context("a folder above bin")?;
        writeln!(
            script,
            "mount --bind -o ro {} opt/postgres",
            quoted_path(postgres)
        )?;
        self.mounts(&mut script)?;
        script.push_str("mkdir .old; pivot_root . .old; cd /; umount -l /.old; rmdir /.old\n");
        if self.service.read_only {
            script.push_str("mount -o remount,bind,ro /\n");
        }
        self.become_it(&mut script, entrypoint)?;
        Ok(script)
    }

    fn mounts(&self, script: &mut String) -> anyhow::Result<()> {
        let project = self.sandbox.project();
        for volume in &self.service.volumes {
            let (source, target, read_only, made) = match volume {
                Volume::Short(text) => {
                    let (source, target) = text.split_once(':').context("a volume without a target")?;
                    match target.split_once(':') {
                        Some((target, "ro")) => (source, target, true, true),
                        // Nothing is copied here anyway.
                        Some((target, "nocopy")) => (source, target, false, true),
                        Some((_, mode)) => bail!("{text}: {mode}"),
                        None => (source, target, false, true),
                    }
                }
                Volume::Long(long) => {
                    ensure!(long.kind == "bind", "{}: a volume", long.source);
                    let made = long.bind.create_host_path;
                    (&*long.source, &*long.target, long.read_only, made)
                }
            };
            let from = match source.strip_prefix("./") {
                Some(path) => project.join(path),
                None => self.sandbox.volume(source),
            };
            if made && !from.exists() {
                fs::create_dir_all(&from)?;
            }
            let options = if read_only { " -o ro" } else { "" };
            let (from, to) = (quoted_path(&from), quoted(format!(".{target}")));
            writeln!(script, "mkdir -p {to}; mount --bind{options} {from} {to}")?;
        }
        for tmpfs in &self.service.tmpfs {
            let (target, options) = tmpfs.split_once(':').unwrap_or((tmpfs, "mode=1777"));
            let to = quoted(format!(".{target}"));
            writeln!(
                script,
                "mkdir -p {to}; mount -t tmpfs -o {} tmpfs {to}",
                quoted(options)
            )?;
        }
        let secrets = self
            .service
            .secrets
            .iter()
            .map(|mounted| (mounted, &self.compose.secrets));
        let configs = self
            .service
            .configs
            .iter()
            .map(|mounted| (mounted, &self.compose.configs));
        for (mounted, all) in secrets.chain(configs) {
            let source = all.get(&mounted.source).with_context(|| mounted.source.clone())?;
            let source = source.file.strip_prefix("./").context("a path in the project")?;
            writeln!(script, "{}", file(&project.join(source), &mounted.target))?;
        }
        Ok(())
    }

    fn become_it(&self, script: &mut String, entrypoint: &[String]) -> anyhow::Result<()> {
        let (user, group) = self.service.user.split_once(':').context("user:group")?;
        // Files of the one who maps these ids belong to the user within; root within has no user of its own there.
        let (user, group, capabilities) = match user {
            "0" => ("1000", "1000", " --keep-caps"),
            _ => (user, group, ""),
        };
        write!(
            script,
            "exec unshare --user --map-user={user} --map-group={group}{capabilities} -- setpriv --no-new-privs env -i "
        )?;
        if let Some(dir) = &self.service.working_dir {
            write!(script, "-C {} ", quoted(dir))?;
        }
        write!(script, "PATH={PATH} ")?;
        for (name, value) in &self.service.environment {
            write!(script, "{} ", quoted(format!("{name}={value}")))?;
        }
        if self.service.image.starts_with("postgres:") {
            write!(script, "sh -euc {} entrypoint ", quoted(POSTGRES_ENTRYPOINT))?;
        }
        let entrypoint = self.service.entrypoint.as_deref().unwrap_or(entrypoint);
        for word in entrypoint.iter().chain(&self.service.command) {
            write!(script, "{} ", quoted(word))?;
        }
        script.push('\n');
        Ok(())
    }
}

/// Shows a file at a place below the new root, and nothing beside it.
fn file(source: &Path, target: &str) -> String {
    let (source, to) = (quoted_path(source), quoted(format!(".{target}")));
    format!("mkdir -p \"$(dirname {to})\"; : > {to}; mount --bind -o ro {source} {to}")
}
