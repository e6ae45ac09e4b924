//! One node: its folder, its settings, its process. It can be killed, paused and started again on the same data.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Shape;
use crate::child::{self, Process};
use crate::wait;

const START_LIMIT: Duration = Duration::from_mins(3);
/// What its log says when clients are served.
const SERVES: &str = "Starting listening for CQL clients";
const YAML: &str = include_str!("../../engines/cassandra.yaml");
const LOGBACK: &str = include_str!("../../engines/logback.xml");

/// Where and how a node runs.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) number: usize,
    pub(super) folder: PathBuf,
    pub(super) jars: PathBuf,
    pub(super) port: u16,
    pub(super) tls_port: u16,
    /// Whom it believes.
    pub(super) authority: PathBuf,
    /// Its key and certificate.
    pub(super) keystore: PathBuf,
    pub(super) storage_port: u16,
    pub(super) jmx_port: u16,
    pub(super) shape: Shape,
}

/// A node; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    settings: Settings,
    process: Option<Process>,
}

impl Node {
    pub(super) fn start(settings: Settings) -> Result<Self> {
        settings.write()?;
        let mut node = Self {
            settings,
            process: None,
        };
        node.run()?;
        Ok(node)
    }

    pub(super) fn host(&self) -> String {
        self.settings.host()
    }

    /// Copies its log into a folder.
    pub(super) fn keep_log(&self, folder: &Path) -> Result<()> {
        let log = self.settings.log();
        std::fs::copy(&log, folder.join(format!("node{}.log", self.settings.number)))?;
        Ok(())
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        if let Some(process) = &self.process {
            child::signal(process.id(), rustix::process::Signal::STOP);
        }
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        if let Some(process) = &self.process {
            child::signal(process.id(), rustix::process::Signal::CONT);
        }
    }

    /// Starts it on the data it has and waits until it serves clients.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.begin()?;
        self.ready()
    }

    /// Starts it and does not wait: nodes that know each other come up together.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let log = self.settings.log();
        let mut command = self.settings.command()?;
        command.stdin(Stdio::null());
        command
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        self.process = Some(Process::start("Cassandra", &log, &mut command)?);
        Ok(())
    }

    /// Waits until it serves clients.
    pub(crate) fn ready(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("it was not started")?;
        let address = format!("{}:{}", self.settings.host(), self.settings.port);
        let log = self.settings.log();
        wait::until("Cassandra", START_LIMIT, || {
            process.still_runs()?;
            let says = std::fs::read_to_string(&log).is_ok_and(|text| text.contains(SERVES));
            Ok((says && TcpStream::connect(&address).is_ok()).then_some(()))
        })
        .with_context(|| format!("its log is {}", log.display()))
    }
}

/// The address of the node of this number.
pub(super) fn host(number: usize) -> String {
    format!("127.0.0.{number}")
}

impl Settings {
    fn host(&self) -> String {
        host(self.number)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("cassandra.log")
    }

    fn write(&self) -> Result<()> {
        let conf = self.folder.join("conf");
        std::fs::create_dir_all(&conf)?;
        std::fs::create_dir_all(self.folder.join("data"))?;
        std::fs::write(conf.join("cassandra.yaml"), self.yaml())?;
        std::fs::write(conf.join("logback.xml"), LOGBACK)?;
        Ok(())
    }

    fn yaml(&self) -> String {
        let commit_log = if self.shape.periodic {
            "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms"
        } else {
            "commitlog_sync: group\ncommitlog_sync_group_window: 2ms"
        };
        let (authenticator, authorizer) = if self.shape.passwords {
            ("PasswordAuthenticator", "CassandraAuthorizer")
        } else {
            ("AllowAllAuthenticator", "AllowAllAuthorizer")
        };
        YAML.replace("{ROOT}", &self.folder.display().to_string())
            .replace("{ADDRESS}", &self.host())
            .replace("{PORT}", &self.port.to_string())
            .replace("{TLS_PORT}", &self.tls_port.to_string())
            .replace("{KEYSTORE}", &self.keystore.display().to_string())
            .replace("{AUTHORITY}", &self.authority.display().to_string())
            .replace("{STORAGE_PORT}", &self.storage_port.to_string())
            .replace("{COMMITLOG}", commit_log)
            .replace("{AUTHENTICATOR}", authenticator)
            .replace("{AUTHORIZER}", authorizer)
    }

    fn command(&self) -> Result<Command> {
        let file = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
        let folder = file(&self.folder)?;
        let mut command = Command::new("java");
        command.args([
            "-Xms384m",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-Djdk.attach.allowAttachSelf=true",
        ]);
        command.args([
            "-Djava.net.preferIPv4Stack=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dcassandra-foreground=yes",
            // Quick on one machine: nobody has to be waited for.
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.ring_delay_ms=2000",
            "-Dcassandra.superuser_setup_delay_ms=0",
        ]);
        command.arg(format!("-Dcassandra.config=file://{folder}/conf/cassandra.yaml"));
        command.arg(format!("-Dlogback.configurationFile={folder}/conf/logback.xml"));
        command.arg(format!("-Dcassandra.storagedir={folder}/data"));
        command.arg(format!("-Dcassandra.jmx.local.port={}", self.jmx_port));
        for package in OPENS {
            command.arg(format!("--add-opens={package}=ALL-UNNAMED"));
        }
        for package in OPENS.iter().chain(&EXPORTS) {
            command.arg(format!("--add-exports={package}=ALL-UNNAMED"));
        }
        command.arg("-cp").arg(format!("{}/*", file(&self.jars)?));
        command.arg("org.apache.cassandra.service.CassandraDaemon");
        Ok(command)
    }
}

/// What Cassandra 5 reaches into on Java 17, as its own start script says it.
const OPENS: [&str; 27] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.nio.charset",
    "java.base/java.nio.file.spi",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.management.rmi/javax.management.remote.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
];

const EXPORTS: [&str; 8] = [
    "jdk.management/com.sun.management.internal",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.api",
    "jdk.compiler/com.sun.tools.javac.code",
    "jdk.compiler/com.sun.tools.javac.processing",
    "jdk.compiler/com.sun.tools.javac.parser",
    "jdk.unsupported/sun.misc",
];
