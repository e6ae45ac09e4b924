//! Who this node is on a store that several share: an id of its own, made once and kept in the data directory beside the journal
//! (rule 1), together with the keyspace it counts in. Guards: a journal is never replayed into a store that it is not of.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use tally_engine::{Random, SystemRandom};

const FILE: &str = "node";
const STORE_FILE: &str = "store-id";
const FIRST_LINE: &str = "tally node 1";

/// The node's id in this keyspace; made when the directory is new.
pub(crate) fn of(data: &Path, keyspace: &str) -> Result<String, String> {
    let Some(text) = read(data)? else {
        return create(data, keyspace);
    };
    let mut lines = text.lines();
    let (Some(FIRST_LINE), Some(id), Some(of)) = (
        lines.next(),
        lines.next().and_then(|line| line.strip_prefix("id ")),
        lines.next().and_then(|line| line.strip_prefix("keyspace ")),
    ) else {
        return Err(format!(
            "{} does not say which node this is; restore it, or give the node a new data directory",
            data.join(FILE).display()
        ));
    };
    if of != keyspace {
        return Err(format!(
            "the data directory {} belongs to a node of another keyspace ({of}, not {keyspace}), whose counts its journal may hold: set that one, or give this node a new directory",
            data.display()
        ));
    }
    Ok(id.to_owned())
}

/// The id of the embedded store in a data directory, by which copies of it are known elsewhere; made when it is first asked for.
pub(crate) fn of_store(data: &Path) -> Result<String, String> {
    let path = data.join(STORE_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    }
    let id = format!("{:032x}", SystemRandom.next());
    write(data, STORE_FILE, &format!("{id}\n"))?;
    Ok(id)
}

/// Writes a small file so that it is whole or not there.
fn write(data: &Path, name: &str, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the data directory {} cannot be used: {error}", data.display());
    let new = data.join(format!("{name}.new"));
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&new, data.join(name)).map_err(failed)?;
    File::open(data).and_then(|data| data.sync_all()).map_err(failed)
}

/// An error where the directory belongs to a node of a shared store.
pub(crate) fn none(data: &Path) -> Result<(), String> {
    match read(data)? {
        None => Ok(()),
        Some(_) => Err(format!(
            "the data directory {} belongs to a node of a cql:// store, whose counts its journal may hold: set that store, or give this server a new directory",
            data.display()
        )),
    }
}

fn read(data: &Path) -> Result<Option<String>, String> {
    let path = data.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn create(data: &Path, keyspace: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the data directory {} cannot be used: {error}", data.display());
    for entry in fs::read_dir(data).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if name == "store" || name.starts_with("journal-") {
            return Err(format!(
                "the data directory {} holds an embedded store or its journal ({name}), which would not be counted here: give this node a new directory",
                data.display()
            ));
        }
    }
    let id = format!("{:032x}", SystemRandom.next());
    write(data, FILE, &format!("{FIRST_LINE}\nid {id}\nkeyspace {keyspace}\n"))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_and_is_of_one_keyspace() {
        let data = tempfile::tempdir().unwrap();
        assert!(none(data.path()).is_ok());
        let id = of(data.path(), "one").unwrap();
        assert_eq!(of(data.path(), "one").unwrap(), id);
        assert!(of(data.path(), "two").unwrap_err().contains("another keyspace"));
        assert!(none(data.path()).is_err());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(of(other.path(), "one").unwrap(), id);
    }

    #[test]
    fn a_directory_with_an_embedded_journal_is_refused() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("journal-0000000001.log"), "").unwrap();
        assert!(of(data.path(), "one").is_err());
        let broken = tempfile::tempdir().unwrap();
        fs::write(broken.path().join(FILE), "what").unwrap();
        assert!(of(broken.path(), "one").is_err());
    }
}
