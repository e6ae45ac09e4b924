//! The server's life: settings, store, engine, front ends, until a signal or a failure ends it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tally_counter::Acknowledgement;
use tally_engine::{Engine, NodeFace, SystemClock, SystemDisk, SystemRandom, World};
use tally_store::Embedded;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::access::Access;
use crate::config::{Secret, Settings};
use crate::http::{Http, RulesInForce};
use crate::levels::Levels;
use crate::service::Service;
use crate::{binding, http, levels, log, resp, store};

/// How long threads of the runtime are waited for at the end; they wait for the store at most.
const RUNTIME_END: Duration = Duration::from_secs(5);

/// Serves until a signal comes (0) or something fails (1), which is said in one line on stderr.
pub(crate) fn run(settings: &Settings) -> ExitCode {
    log::start(settings.log_json, &settings.log_level);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start threads: {error}")),
    };
    let ended = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(RUNTIME_END);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "tally: {why}"));
    ExitCode::FAILURE
}

/// As many open files as we may have: each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

async fn serve(settings: &Settings) -> Result<(), String> {
    check(settings)?;
    let replicates = is_replicating(settings);
    let has_secret = settings.auth_token.is_some();
    // Before anything is opened: a port in use must not make the journal be replayed first.
    let http_listener = binding::bind("http", &settings.http, has_secret)?;
    let resp_listener = binding::bind("resp", &settings.resp, has_secret)?;
    let mut background = watch_background();
    let opened = settings.clone();
    let (engine, rules) = tokio::task::spawn_blocking(move || open(&opened))
        .await
        .map_err(|error| format!("the engine could not be opened: {error}"))??;
    let ready = ready_line(&http_listener, &resp_listener)?;
    engine.set_face(face(&http_listener, &resp_listener)?);
    let access = Access::new(settings.auth_token.as_ref().map(Secret::expose));
    let levels = Levels::new(settings.ack, replicates, &engine.namespaces());
    let service = Service::new(Arc::clone(&engine), access, levels, settings.limits)
        .map_err(|error| format!("cannot start threads: {error}"))?;
    let service = Arc::new(service);
    let http = Http::new(Arc::clone(&service), rules, &settings.store);
    let faces = [
        tokio::spawn(http::serve(http_listener, http)),
        tokio::spawn(resp::serve(resp_listener, Arc::clone(&service))),
    ];
    // Before anyone is told that we serve: whoever reads the line may end us at once.
    let mut signals = Signals::listen()?;
    announce(&ready)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %settings.data.display(), ack = levels::word(settings.ack), "{ready}");
    tokio::select! {
        () = signals.end() => {}
        why = failure(&engine, &mut background) => return Err(why),
    }
    service.drain();
    tracing::info!("stopping: no new connections, finishing what runs");
    tokio::select! {
        () = ended(faces) => {}
        why = failure(&engine, &mut background) => return Err(why),
    }
    let stopped = tokio::task::spawn_blocking(move || engine.stop()).await;
    match stopped.map_err(|error| format!("the engine did not stop: {error}"))? {
        Ok(()) => tracing::info!("stopped: everything is in the store"),
        Err(tally_engine::Error::Unavailable(why)) => tracing::warn!(
            %why,
            "stopped without the store: what it lacks is in the journal and is brought to it by the next start"
        ),
        Err(error) => return Err(error.to_string()),
    }
    Ok(())
}

/// Whether the store keeps copies.
fn is_replicating(settings: &Settings) -> bool {
    settings.store != store::EMBEDDED
}

/// What cannot be.
fn check(settings: &Settings) -> Result<(), String> {
    if settings.ack == Acknowledgement::Replicated && !is_replicating(settings) {
        return Err(format!("ack replicated: {}", levels::NOT_REPLICATED));
    }
    Ok(())
}

/// Opens the engine, replays its journal and starts it.
fn open(settings: &Settings) -> Result<(Arc<Engine>, RulesInForce), String> {
    let engine = open_engine(settings)?;
    let rules = RulesInForce::load(&engine, settings.rules.as_deref())?;
    // A pass reads everything, and other nodes' rounds go on meanwhile: on a shared store it is asked for.
    let verify_interval_ms = if is_replicating(settings) {
        0
    } else {
        settings.verify_interval_ms
    };
    engine.verify_every(verify_interval_ms);
    engine.start().map_err(|error| error.to_string())?;
    Ok((engine, rules))
}

/// Store and engine of a data directory; nothing runs by itself yet.
pub(crate) fn open_engine(settings: &Settings) -> Result<Arc<Engine>, String> {
    let disk = SystemDisk::open(&settings.data)?;
    let store::Opened {
        store,
        node,
        memory_bytes,
        walk_pause_ms,
        heartbeat_interval_ms,
    } = store::open(settings)?;
    let world = World {
        clock: Arc::new(SystemClock::default()),
        random: Arc::new(SystemRandom),
        disk: Arc::new(disk),
        store,
    };
    let engine_settings = tally_engine::Settings {
        dir: settings.data.clone(),
        node,
        token_walk_pause_ms: walk_pause_ms,
        heartbeat_interval_ms,
        read_age_ms: settings.read_age_ms,
        journal_segment_bytes: settings.journal_segment_bytes,
        cut_damage: settings.cut_damage,
        journal_interval_ms: settings.journal_interval_ms,
        journal_limit_bytes: settings.journal_limit_bytes,
        round_interval_ms: settings.round_interval_ms,
        hot_budget_bytes: hot_bytes(settings.memory_bytes, memory_bytes),
        token_window_ms: settings.token_window_ms,
        token_limit: settings.token_limit,
    };
    loop {
        match Engine::open(engine_settings.clone(), world.clone()) {
            Ok(engine) => return Ok(Arc::new(engine)),
            // A cluster may go away again between the two.
            Err(tally_engine::Error::Unavailable(why)) if is_replicating(settings) => {
                tracing::warn!(%why, "waiting for the store; nothing is served until it is there");
                tokio::runtime::Handle::current().block_on(tokio::time::sleep(store::ASK_AGAIN));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// What is left of the memory for the hot table, beside what the store takes. At least half.
fn hot_bytes(memory_bytes: u64, store_bytes: u64) -> u64 {
    memory_bytes.saturating_sub(store_bytes).max(memory_bytes / 2)
}

/// What the other nodes are told of this one.
fn face(http: &TcpListener, resp: &TcpListener) -> Result<NodeFace, String> {
    let address = |listener: &TcpListener| listener.local_addr().map(|address| address.to_string());
    let failed = |error: std::io::Error| format!("a listener has no address: {error}");
    Ok(NodeFace {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        http: address(http).map_err(failed)?,
        resp: address(resp).map_err(failed)?,
    })
}

fn ready_line(http: &TcpListener, resp: &TcpListener) -> Result<String, String> {
    let address = |listener: &TcpListener| {
        listener
            .local_addr()
            .map_err(|error| format!("a listener has no address: {error}"))
    };
    Ok(format!("ready http={} resp={}", address(http)?, address(resp)?))
}

/// The one line on stdout: whoever started us may connect now.
fn announce(ready: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{ready}").and_then(|()| stdout.flush());
    match written {
        // Nobody reads: fine.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("cannot write to stdout: {error}")),
        _ => Ok(()),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Until one of them comes.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What the embedded store's own threads fail of.
fn watch_background() -> watch::Receiver<Option<String>> {
    let (tell, told) = watch::channel(None);
    Embedded::on_failure_in_background(move |why| {
        tell.send_if_modified(|first| first.is_none() && first.replace(why.to_owned()).is_none());
    });
    told
}

/// Why the engine or the store's background failed, once one has.
async fn failure(engine: &Engine, background: &mut watch::Receiver<Option<String>>) -> String {
    let engine = std::future::poll_fn(|context| {
        let waker: &Waker = context.waker();
        engine.poll_failed(waker)
    });
    let why = tokio::select! {
        error = engine => error.to_string(),
        Ok(why) = background.wait_for(Option::is_some) => format!("the store: {}", why.as_deref().unwrap_or_default()),
    };
    tracing::error!(%why, "the engine has failed: nothing is acknowledged any more");
    format!("{why}; nothing that was acknowledged is lost: see to the cause and start again")
}

async fn ended(faces: [tokio::task::JoinHandle<()>; 2]) {
    for face in faces {
        if let Err(error) = face.await {
            tracing::error!(%error, "a front end ended by a bug");
        }
    }
}
