//! `tapegate man DIR`: the manual pages, made from the same text as `--help`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::Cli;
use super::exit::{EXIT_CODES, Exit};

/// Writes the manual pages into a directory: tapegate.1, and one for each command.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Where they go; it is made if it is not there.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// A manual page.
struct Page {
    /// Name of the file, such as `tapegate-tape-map.1`.
    file: String,
    roff: Vec<u8>,
}

/// Runs the command.
///
/// # Errors
/// When a page can't be written.
pub fn run(args: &ManArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let directory = &args.directory;
    fs::create_dir_all(directory).with_context(|| format!("{}: making the directory failed", directory.display()))?;
    let pages = pages()?;
    for page in &pages {
        let path = directory.join(&page.file);
        fs::write(&path, &page.roff).with_context(|| format!("{}: writing it failed", path.display()))?;
    }
    writeln!(out, "{}: {} manual pages", directory.display(), pages.len())?;
    Ok(Exit::Done)
}

/// All pages, that of the program first.
fn pages() -> std::io::Result<Vec<Page>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut waiting = vec![&root];
    let mut pages = Vec::new();
    while let Some(command) = waiting.pop() {
        pages.push(page(command)?);
        waiting.extend(command.get_subcommands());
    }
    Ok(pages)
}

fn page(command: &Command) -> std::io::Result<Page> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let source = format!("tapegate {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("tapegate manual");
    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    man.render_description_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut roff)?;
    }
    let mut rest = Roff::new();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some((_, examples)) = after.split_once(":\n") {
        section(&mut rest, "EXAMPLES", examples.split("\n\n").next().unwrap_or_default());
    }
    section(&mut rest, "EXIT STATUS", EXIT_CODES);
    if name != "tapegate" {
        rest.control("SH", ["SEE ALSO"]).text([roman("tapegate(1)")]);
    }
    rest.to_writer(&mut roff)?;
    Ok(Page { file: man.get_filename(), roff })
}

/// A section whose lines stay as they are.
fn section(roff: &mut Roff, title: &str, lines: &str) {
    roff.control("SH", [title]).control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_that_names_it_and_shows_an_example() {
        let pages = pages().unwrap();
        let files: Vec<_> = pages.iter().map(|page| page.file.as_str()).collect();
        for name in ["tapegate.1", "tapegate-snapshot.1", "tapegate-tape.1", "tapegate-tape-map.1", "tapegate-man.1"] {
            assert!(files.contains(&name), "{name} is not among {files:?}");
        }
        for page in &pages {
            let text = std::str::from_utf8(&page.roff).unwrap();
            let name = page.file.strip_suffix(".1").unwrap();
            let plain = text.replace("\\-", "-");
            assert!(plain.contains(&format!(".TH {name} 1 ")), "{plain}");
            assert!(plain.contains(&format!(".SH NAME\n{name} - ")), "{plain}");
            assert!(plain.contains(&format!(".SH EXAMPLES\n.nf\n{}", name.split('-').next().unwrap())), "{plain}");
            assert!(plain.contains(".SH \"EXIT STATUS\"\n.nf\n0  done"), "{plain}");
        }
    }
}
