//! The machine and the sections, printed as one page or put into a page that has prose around them.

use std::fmt::{Display, Formatter};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::command::{output, program};
use crate::tally;

/// Sections in the order they were measured, the machine first.
#[derive(Debug)]
pub(crate) struct Report {
    when: String,
    sections: Vec<(&'static str, String)>,
}

impl Report {
    /// With the machine, its versions and the settings of this run.
    pub(crate) fn begin(bench: &Bench) -> Result<Self> {
        let machine = machine(bench)?;
        println!("\n{machine}");
        Ok(Self {
            when: when(bench),
            sections: vec![("machine", machine)],
        })
    }

    /// A section, with when it was measured: others of the page may be of another day.
    pub(crate) fn add(&mut self, name: &'static str, text: String) {
        self.sections.push((name, format!("{}\n\n{}", text.trim(), self.when)));
    }

    /// Replaces what stands between `<!-- bench NAME -->` and `<!-- end NAME -->`; puts it at the end where there is
    /// no such place. Other sections and the prose stay as they are.
    pub(crate) fn write(&self, page: &Path) -> Result<()> {
        let mut text = std::fs::read_to_string(page).unwrap_or_else(|_| String::from("# Benchmarks\n"));
        for (name, section) in &self.sections {
            text = replaced(&text, name, section)?;
        }
        std::fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))?;
        println!("wrote {}", page.display());
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        self.sections
            .iter()
            .try_for_each(|(_, section)| writeln!(formatter, "{section}"))
    }
}

fn replaced(text: &str, name: &str, section: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench {name} -->"), format!("<!-- end {name} -->"));
    let block = format!("{begin}\n\n{}\n\n{end}", section.trim());
    let Some((before, rest)) = text.split_once(&begin) else {
        return Ok(format!("{}\n\n{block}\n", text.trim_end()));
    };
    let after = rest.split_once(&end).map(|(_, after)| after);
    ensure!(after.is_some(), "the page has {begin} without {end}");
    Ok(format!("{before}{block}{}", after.unwrap_or_default()))
}

fn says(bench: &Bench, name: &str, arguments: &[&str]) -> String {
    let said = output(&mut program(name, bench.place.root(), arguments));
    said.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn when(bench: &Bench) -> String {
    format!(
        "Measured {} at commit {}{}.",
        says(bench, "date", &["-u", "+%Y-%m-%d"]),
        says(bench, "git", &["rev-parse", "--short", "HEAD"]),
        if bench.quick { ", short rounds (`--quick`)" } else { "" },
    )
}

fn machine(bench: &Bench) -> Result<String> {
    let says = |name: &str, arguments: &[&str]| says(bench, name, arguments);
    let cores = std::thread::available_parallelism()?;
    let tally = output(tally::client(&bench.binary).arg("--version")).unwrap_or_default();
    let of_proc = |file: &str, name: &str| -> Option<String> {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = of_proc("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = of_proc("/proc/meminfo", "MemTotal").unwrap_or_default();
    let redis = says("redis-server", &["--version"]);
    Ok(format!(
        "{cores} cores of {processor}, {memory} of memory, {} ({} of the build folder), {}, \
         {}, {}. The median of {} rounds, the servers taking turns, client and server on the same cores.",
        says("uname", &["-sr"]),
        filesystem(bench)?,
        says("rustc", &["--version"]),
        tally.trim(),
        redis.split(" sha").next().unwrap_or_default(),
        bench.rounds,
    ))
}

/// What kind of file system the servers write to.
fn filesystem(bench: &Bench) -> Result<String> {
    let folder = bench.place.kept("tmp")?;
    Ok(output(&mut program("stat", &folder, &["-f", "-c", "%T", "."]))?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_where_it_stands_and_added_where_it_does_not() {
        let page = "# B\n\nprose\n\n<!-- bench a -->\n\nold\n\n<!-- end a -->\n\nmore\n";
        let page = replaced(page, "a", "new\n").unwrap();
        assert_eq!(
            page,
            "# B\n\nprose\n\n<!-- bench a -->\n\nnew\n\n<!-- end a -->\n\nmore\n"
        );
        assert!(
            replaced(&page, "b", "x")
                .unwrap()
                .ends_with("more\n\n<!-- bench b -->\n\nx\n\n<!-- end b -->\n")
        );
    }
}
