//! `tally copy`: what one store has into another, between a data directory and a `cql://` store or between two of a kind. It may be
//! interrupted and run again: it goes on where it was, and changes nothing that is there already.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tally_engine::{CopyEnd, CopyPlace, CopyProgress, Error};
use tally_store::Store;

use super::Failure;
use super::output::print;
use crate::config::{Flags, Settings};
use crate::{identity, serve, store};

/// What keeps the place of a copy that was interrupted, in the data directory that takes part.
const PLACE_FILE: &str = "copy";
/// So many steps between two writings of the place.
const STEPS_PER_PLACE: u64 = 20;
/// Longer than two heartbeats of a node that runs.
const LISTEN: Duration = Duration::from_millis(2_500);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What is copied: a data directory, or cql://HOST,HOST:PORT/KEYSPACE. Its nodes must have stopped
    #[arg(long, value_name = "STORE")]
    from: String,
    /// Where to: the same
    #[arg(long, value_name = "STORE")]
    to: String,
    #[command(flatten)]
    flags: Flags,
}

/// An open end.
struct End {
    store: Arc<dyn Store>,
    id: String,
    directory: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::load(&arguments.flags).map_err(|error| Failure::Usage(error.to_string()))?;
    if arguments.from == arguments.to {
        return Err(Failure::Usage("--from and --to are the same store".to_owned()));
    }
    // Both before anything is written.
    let from = open(&arguments.from, &settings, true)?;
    let to = open(&arguments.to, &settings, false)?;
    let place_file = from
        .directory
        .iter()
        .chain(&to.directory)
        .next()
        .map(|path| path.join(PLACE_FILE));
    let place = Place {
        file: place_file,
        ids: format!("{} {}", from.id, to.id),
    };
    let ends = (
        CopyEnd {
            store: &from.store,
            id: &from.id,
        },
        CopyEnd {
            store: &to.store,
            id: &to.id,
        },
    );
    let mut steps = 0_u64;
    let bar = bar("copying");
    let rows = tally_engine::copy(ends.0, ends.1, place.read(), &mut |progress| {
        show(&bar, progress);
        steps = steps.saturating_add(1);
        if steps.is_multiple_of(STEPS_PER_PLACE) {
            // What is behind the place is to be there after a loss of power, too.
            to.store.durable()?;
            place.write(&progress.place)?;
        }
        Ok(())
    })
    .map_err(|error| failed(&error))?;
    bar.finish_and_clear();
    let bar = self::bar("verifying");
    let verified = tally_engine::verify_copy(ends.0, ends.1, &mut |progress| {
        show(&bar, progress);
        Ok(())
    })
    .map_err(|error| failed(&error))?;
    bar.finish_and_clear();
    place.remove();
    print(&format!("copied {rows} rows; all {verified} are there\n"))
}

fn failed(error: &Error) -> Failure {
    Failure::Failed(format!(
        "{error}; run it again: it goes on, and changes nothing that is there already"
    ))
}

fn open(name: &str, settings: &Settings, is_source: bool) -> Result<End, Failure> {
    if name.starts_with("cql://") {
        let (store, id) = store::shared(name, settings).map_err(Failure::Failed)?;
        if is_source {
            ensure_stopped(store.as_ref())?;
        }
        return Ok(End {
            store,
            id,
            directory: None,
        });
    }
    let directory = Path::new(name);
    if is_source && !directory.is_dir() {
        return Err(Failure::Usage(format!("there is no data directory {name}")));
    }
    let settings = Settings {
        data: directory.to_owned(),
        store: store::EMBEDDED.to_owned(),
        rules: None,
        ..settings.clone()
    };
    if is_source {
        // What the journal holds comes into the store first.
        let engine = serve::open_engine(&settings).map_err(Failure::Failed)?;
        engine.stop().map_err(|error| Failure::Failed(error.to_string()))?;
    }
    fs::create_dir_all(directory).map_err(|error| Failure::Failed(format!("{name} cannot be used: {error}")))?;
    let opened = store::open(&settings).map_err(Failure::Failed)?;
    Ok(End {
        store: opened.store,
        id: identity::of_store(directory).map_err(Failure::Failed)?,
        directory: Some(directory.to_owned()),
    })
}

/// The journals of running nodes hold what is not in the store yet.
fn ensure_stopped(store: &dyn Store) -> Result<(), Failure> {
    let beats = || tally_engine::beats(store).map_err(|error| Failure::Failed(error.to_string()));
    let before = beats()?;
    std::thread::park_timeout(LISTEN);
    let after = beats()?;
    match after.iter().find(|(node, beat)| before.get(*node) != Some(*beat)) {
        Some((node, _)) => Err(Failure::Failed(format!(
            "{node} is running on the store that is to be copied, and its journal holds what would be lacking: stop all nodes first"
        ))),
        None => Ok(()),
    }
}

fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent}% {msg}, {eta} left");
    ProgressBar::new(1_000)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what)
}

fn show(bar: &ProgressBar, progress: &CopyProgress) {
    bar.set_position(progress.thousandths);
    bar.set_message(format!("{} rows", progress.rows));
}

/// The place of an interrupted copy.
struct Place {
    file: Option<PathBuf>,
    /// The two stores that it is of.
    ids: String,
}

impl Place {
    /// The start, unless a copy between the same two was interrupted.
    fn read(&self) -> CopyPlace {
        let text = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        text.and_then(|text| parse(&text, &self.ids)).unwrap_or_default()
    }

    fn write(&self, place: &CopyPlace) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut cursor = String::new();
        for byte in &place.cursor {
            write!(cursor, "{byte:02x}").ok();
        }
        let new = file.with_extension("new");
        fs::write(&new, format!("{}\n{} {cursor}\n", self.ids, place.table))
            .and_then(|()| fs::rename(&new, file))
            .map_err(|error| Error::Failed(format!("{} cannot be written: {error}", file.display())))
    }

    fn remove(&self) {
        if let Some(file) = &self.file
            && let Err(error) = fs::remove_file(file)
        {
            tracing::debug!(%error, "there was no place to remove");
        }
    }
}

fn parse(text: &str, ids: &str) -> Option<CopyPlace> {
    let mut lines = text.lines();
    if lines.next()? != ids {
        return None;
    }
    let (table, cursor) = lines.next()?.split_once(' ')?;
    let pairs = cursor.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some(CopyPlace {
        table: table.parse().ok()?,
        cursor: bytes.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_written_and_is_of_two_stores() {
        let folder = tempfile::tempdir().unwrap();
        let place = |ids: &str| Place {
            file: Some(folder.path().join("copy")),
            ids: ids.to_owned(),
        };
        let at = CopyPlace {
            table: 2,
            cursor: vec![0, 255, 16],
        };
        assert_eq!(place("a b").read(), CopyPlace::default());
        place("a b").write(&at).unwrap();
        assert_eq!(place("a b").read(), at);
        assert_eq!(place("b a").read(), CopyPlace::default());
        place("a b").remove();
        assert_eq!(place("a b").read(), CopyPlace::default());
    }
}
