//! The three places a setting comes from, first found first taken: flag, environment, file; else its default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};

use super::definition::{ALL, Definition};
use super::kind::Kind;
use super::{ConfigError, Origin};

/// Variables that are no settings of the server.
const OTHER_VARIABLES: [&str; 2] = ["TALLY_CONFIG", "TALLY_SERVER"];

/// A setting's text and where it came from.
pub(super) type Raw = BTreeMap<&'static str, (String, Origin)>;

/// The flags: one for each setting, and `--config`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// The file.
    pub(super) config: Option<PathBuf>,
    /// What was set, by name.
    pub(super) set: BTreeMap<&'static str, String>,
}

impl Flags {
    /// One setting, as its flag would set it.
    pub(crate) fn with(name: &'static str, text: &str) -> Self {
        Self {
            config: None,
            set: BTreeMap::from([(name, text.to_owned())]),
        }
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self {
            config: matches.get_one::<PathBuf>("config").cloned(),
            set: BTreeMap::new(),
        };
        for definition in ALL {
            if let Some(text) = matches.get_one::<String>(definition.name) {
                flags.set.insert(definition.name, text.clone());
            }
        }
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A TOML file of settings (TALLY_CONFIG)");
        ALL.iter().fold(command.arg(config), |command, definition| {
            command.arg(argument(definition))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(definition: &'static Definition) -> Arg {
    let default = match definition.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let argument = Arg::new(definition.name)
        .long(definition.flag())
        .value_name(definition.kind.placeholder())
        .action(ArgAction::Set)
        .help(format!("{}{default}", definition.help));
    let argument = if definition.name.contains('_') {
        argument.alias(definition.name)
    } else {
        argument
    };
    if matches!(definition.kind, Kind::Switch) {
        argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        argument
    }
}

/// All that was set, by flags, environment and file, each checked; and warnings about variables that mean nothing.
pub(super) fn gather(flags: &Flags) -> Result<(Raw, Vec<String>), ConfigError> {
    let mut raw = Raw::new();
    let file = flags
        .config
        .clone()
        .or_else(|| std::env::var_os("TALLY_CONFIG").map(PathBuf::from));
    if let Some(path) = file {
        read_file(&path, &mut raw)?;
    }
    let mut warnings = Vec::new();
    read_environment(&mut raw, &mut warnings)?;
    for (name, text) in &flags.set {
        raw.insert(name, (text.clone(), Origin::Flag));
    }
    for (name, (text, origin)) in &raw {
        let Some(definition) = Definition::of(name) else {
            continue;
        };
        if let Err(allowed) = definition.kind.check(text) {
            let shown = if matches!(definition.kind, Kind::Secret) {
                "***"
            } else {
                text.as_str()
            };
            return Err(ConfigError(format!(
                "{} (from {origin}) must be {allowed}, not {shown:?}",
                definition.name
            )));
        }
    }
    Ok((raw, warnings))
}

fn read_environment(raw: &mut Raw, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    for (variable, text) in std::env::vars_os() {
        let Some(variable) = variable.to_str().filter(|variable| variable.starts_with("TALLY_")) else {
            continue;
        };
        if OTHER_VARIABLES.contains(&variable) {
            continue;
        }
        match ALL.iter().find(|definition| definition.variable() == variable) {
            Some(definition) => {
                let text = text
                    .into_string()
                    .map_err(|_| ConfigError(format!("{variable} is not UTF-8")))?;
                raw.insert(definition.name, (text, Origin::Environment(variable.to_owned())));
            }
            // A typing error must not be taken for a default; what is far from any setting is somebody else's, such as the
            // variables that Kubernetes sets for a service called tally.
            None => match nearest(variable.trim_start_matches("TALLY_").to_ascii_lowercase().as_str()) {
                Some(meant) => {
                    return Err(ConfigError(format!(
                        "there is no setting {variable}; did you mean {}?",
                        meant.variable()
                    )));
                }
                None => warnings.push(format!(
                    "the environment variable {variable} is no setting and is ignored"
                )),
            },
        }
    }
    Ok(())
}

fn read_file(path: &Path, raw: &mut Raw) -> Result<(), ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError(format!("cannot read {shown}: {error}")))?;
    read_text(&shown, &text, raw)
}

/// What a file of this name says.
pub(super) fn read_text(shown: &str, text: &str, raw: &mut Raw) -> Result<(), ConfigError> {
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{shown}:{line}:{column}")
    };
    let table = DeTable::parse(text).map_err(|error| {
        ConfigError(format!(
            "{}: {}",
            place(error.span().map_or(0, |span| span.start)),
            error.message().replace('\n', " ")
        ))
    })?;
    for (name, value) in table.get_ref() {
        let at = place(name.span().start);
        let Some(definition) = Definition::of(name.get_ref()) else {
            let meant = nearest(name.get_ref()).map_or_else(
                || "`tally config` lists all".to_owned(),
                |meant| format!("did you mean {}?", meant.name),
            );
            return Err(ConfigError(format!(
                "{at}: there is no setting {:?}; {meant}",
                name.get_ref()
            )));
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            _ => {
                return Err(ConfigError(format!(
                    "{at}: {} must be {}",
                    definition.name, definition.kind
                )));
            }
        };
        raw.insert(definition.name, (text, Origin::File(at)));
    }
    Ok(())
}

/// The setting whose name is at most two letters away.
fn nearest(name: &str) -> Option<&'static Definition> {
    ALL.iter()
        .map(|definition| (distance(definition.name, name), definition))
        .filter(|(distance, definition)| *distance <= 2 && *distance * 2 < definition.name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, definition)| definition)
}

/// Levenshtein's distance, by rows.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, letter) in a.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((other, replaced), removed) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let inserted = next.last().copied().unwrap_or(0) + 1;
            next.push(inserted.min(removed + 1).min(replaced + usize::from(letter != *other)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_settings_are_found() {
        assert_eq!(nearest("max_bodi").map(|meant| meant.name), Some("max_body"));
        assert_eq!(nearest("rule").map(|meant| meant.name), Some("rules"));
        assert_eq!(nearest("port").map(|meant| meant.name), None);
        assert_eq!(nearest("service_host").map(|meant| meant.name), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
