//! `tokens`: adds with tokens, each sent one to five times by clients that give up waiting and connect again, across kills. The
//! value is the number of distinct tokens. The same token with another payload is refused, and so is one too many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::accounts::{Level, verify};
use super::load::value;
use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty, rules, small};
use crate::http;
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::wait;

/// Adds where nothing else is asked for; `--cycles` are adds here.
const ADDS: u64 = 20_000;
const CLIENTS: u64 = 6;
const KEYS: u64 = 7;
/// About so many adds come between two kills.
const ADDS_A_KILL: u64 = 2_000;
/// What the scope may hold in the part that fills it.
const SMALL_WINDOW: u64 = 500;

/// Sends until all are there, killing now and then, then fills a small window.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("tokens");
    let folder = bench.place.fresh("torture-tokens")?;
    let rules = rules(folder.path())?;
    let setup = small(&bench.binary, &folder.path().join("data"), Level::Disk, &rules);
    let budget = options.begin(ADDS);
    let shared = Shared::default();
    let mut random = Random::seeded(options.seed);
    let mut tally = Some(Tally::start(&setup)?);
    shared.serve(tally.as_ref());
    std::thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (shared, random) = (&shared, Random::seeded(options.seed ^ (client + 1)));
                scope.spawn(move || send(client, shared, random))
            })
            .collect();
        let mut kill_at = ADDS_A_KILL;
        while budget.allows(shared.done.load(Ordering::Relaxed)) {
            std::thread::sleep(random.millis(1, 20));
            if shared.done.load(Ordering::Relaxed) < kill_at {
                continue;
            }
            kill_at = shared.done.load(Ordering::Relaxed) + random.below(2 * ADDS_A_KILL);
            shared.serve(None);
            if let Some(tally) = tally.take() {
                tally.kill()?;
            }
            let again = Tally::start(&setup)?;
            score.recovered(again.ready_after);
            shared.serve(Some(&again));
            tally = Some(again);
            score.cycles += 1;
        }
        shared.over.store(1, Ordering::SeqCst);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(())
    })?;
    let tally = tally.context("the server runs")?;
    score.adds = shared.tokens.load(Ordering::SeqCst);
    score.note(format!(
        "{} adds were sent {} times",
        score.adds,
        shared.sends.load(Ordering::SeqCst)
    ));
    check(&tally, &shared, &mut score)?;
    other_payload(&tally, &mut score)?;
    verify(&tally, "", &mut score)?;
    tally.stop()?;
    full_window(&setup, folder.path(), &mut score)?;
    keep_if_dirty(folder, &score);
    Ok(score)
}

/// What the clients have in common.
#[derive(Debug, Default)]
struct Shared {
    addresses: std::sync::Mutex<Option<(String, String)>>,
    done: AtomicU64,
    over: AtomicU64,
    /// Distinct tokens that were sent to their end.
    tokens: AtomicU64,
    sends: AtomicU64,
}

impl Shared {
    fn serve(&self, tally: Option<&Tally>) {
        let addresses = tally.map(|tally| (tally.resp.clone(), tally.http.clone()));
        *self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = addresses;
    }

    /// Where the server is now; waits while there is none.
    fn addresses(&self) -> Result<(String, String)> {
        wait::until("a server", Duration::from_mins(1), || {
            let addresses = self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(addresses.clone())
        })
    }
}

/// Sends one token after another, each until it was answered and then some more times.
fn send(client: u64, shared: &Shared, mut random: Random) -> Result<()> {
    let mut resp: Option<Client> = None;
    let mut number = 0;
    while shared.over.load(Ordering::SeqCst) == 0 {
        let (key, token) = (key(client, number), format!("{client}/{number}"));
        let by_http = client % 3 == 2;
        let repeats = 1 + random.below(5);
        let mut answers: Vec<i64> = Vec::new();
        let began = Instant::now();
        while u64::try_from(answers.len())? < repeats {
            ensure!(
                began.elapsed() < Duration::from_mins(2),
                "the token {token} is never answered"
            );
            shared.sends.fetch_add(1, Ordering::Relaxed);
            // One in ten does not wait for its answer: it comes again on another connection.
            let impatient = random.one_in(10);
            if impatient {
                resp = None;
            }
            let answer = if by_http {
                by_http_once(shared, &key, &token)
            } else {
                by_resp_once(shared, &mut resp, &key, &token, impatient)
            };
            match answer {
                Ok(Some(value)) => answers.push(value),
                Ok(None) => {}
                Err(error) if is_broken(&error) => resp = None,
                Err(error) => return Err(error),
            }
        }
        let first = answers.first().copied();
        ensure!(
            answers.iter().all(|answer| Some(*answer) == first),
            "the token {token} was answered {answers:?}: a repeat gets the first answer"
        );
        number += 1;
        shared.done.fetch_add(1, Ordering::Relaxed);
        shared.tokens.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn key(client: u64, number: u64) -> String {
    format!("tokens:{client}:{}", number % KEYS)
}

/// The value that was answered; none if nobody waited for it.
fn by_resp_once(
    shared: &Shared,
    resp: &mut Option<Client>,
    key: &str,
    token: &str,
    impatient: bool,
) -> Result<Option<i64>> {
    if resp.is_none() {
        *resp = Some(Client::connect(&shared.addresses()?.0)?);
    }
    let client = resp.as_mut().context("it was connected just now")?;
    client.send(&["TALLY.ADD", key, "1", "TOKEN", token])?;
    client.flush()?;
    if impatient {
        *resp = None;
        return Ok(None);
    }
    match client.reply()? {
        Reply::Integer(value) => Ok(Some(value)),
        Reply::Error(text) if text.starts_with("TRYAGAIN") || text.starts_with("UNKNOWN") => Ok(None),
        other => Err(Wrong(format!("the token {token} was answered {other:?}")).into()),
    }
}

fn by_http_once(shared: &Shared, key: &str, token: &str) -> Result<Option<i64>> {
    let mut connection = http::Connection::open(&shared.addresses()?.1)?;
    let body = format!(r#"{{"adds":[{{"key":"{key}","token":"{token}"}}],"return":"values"}}"#);
    let answer = connection.post("/v1/add", "application/json", &body)?;
    if matches!(answer.status, 409 | 503 | 504) {
        return Ok(None);
    }
    let json = answer
        .json()
        .map_err(|error| Wrong(format!("the token {token}: {error:#}")))?;
    let value = json.pointer("/results/0/value").and_then(serde_json::Value::as_i64);
    value
        .map(Some)
        .ok_or_else(|| Wrong(format!("the token {token} was answered {json}")).into())
}

/// An answer that no fault explains.
#[derive(Debug)]
struct Wrong(String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

fn is_broken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Wrong>().is_none()
}

/// The sum of all counters is the number of tokens.
fn check(tally: &Tally, shared: &Shared, score: &mut Score) -> Result<()> {
    let mut resp = Client::connect(&tally.resp)?;
    let mut found = 0;
    for client in 0..CLIENTS {
        for number in 0..KEYS {
            let answer = resp.call(&["GET", &key(client, number)])?;
            found += value(&answer)
                .and_then(|value| u64::try_from(value).ok())
                .context("a value")?;
        }
    }
    let tokens = shared.tokens.load(Ordering::SeqCst);
    if found < tokens {
        score.lost(tokens - found, format!("{tokens} tokens, and {found} are counted"));
    } else if found > tokens {
        score.doubled(found - tokens, format!("{tokens} tokens, and {found} are counted"));
    }
    Ok(())
}

/// The same token with another payload changes nothing and says so.
fn other_payload(tally: &Tally, score: &mut Score) -> Result<()> {
    let mut resp = Client::connect(&tally.resp)?;
    for number in 0..100.min(score.adds / CLIENTS) {
        let (key, token) = (key(0, number), format!("0/{number}"));
        let before = resp.call(&["GET", &key])?;
        resp.send(&["TALLY.ADD", &key, "2", "TOKEN", &token])?;
        resp.flush()?;
        let answer = resp.reply()?;
        if !matches!(&answer, Reply::Error(text) if text.contains("token")) {
            score.wrong(format!("the token {token} with another amount was answered {answer:?}"));
        }
        if resp.call(&["GET", &key])? != before {
            score.doubled(1, format!("the token {token} with another amount was counted"));
        }
    }
    Ok(())
}

/// A full scope refuses and says so, forgets nothing, and goes on with repeats.
fn full_window(setup: &Setup, folder: &std::path::Path, score: &mut Score) -> Result<()> {
    let mut setup = setup.clone();
    setup.data = folder.join("window");
    setup
        .settings
        .extend(["--token-limit".to_owned(), SMALL_WINDOW.to_string()]);
    let mut taken = 0;
    for start in 0..2 {
        let tally = Tally::start(&setup)?;
        let mut resp = Client::connect(&tally.resp)?;
        let mut refused = 0;
        for number in 0..SMALL_WINDOW + 100 {
            resp.send(&["TALLY.ADD", "tokens:window", "1", "TOKEN", &format!("window/{number}")])?;
            resp.flush()?;
            match resp.reply()? {
                Reply::Integer(_) => taken = taken.max(number + 1),
                Reply::Error(text) if text.contains("token_limit") => refused += 1,
                other => score.wrong(format!("a token beyond the window was answered {other:?}")),
            }
        }
        if refused != 100 {
            score.wrong(format!(
                "start {start}: {refused} of 100 tokens beyond the window were refused"
            ));
        }
        if value(&resp.call(&["GET", "tokens:window"])?) != i64::try_from(SMALL_WINDOW).ok() {
            score.wrong(format!(
                "start {start}: a full window counted otherwise than {SMALL_WINDOW}"
            ));
        }
        drop(resp);
        tally.kill()?;
    }
    Ok(())
}
