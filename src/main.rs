//! The tapegate program: parses the command line, runs it, and says how it ended.

use std::io::IsTerminal;
use std::process::ExitCode;

use tapegate::cli::Cli;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let cli = Cli::from_process();
    let level = match cli.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
    match cli.run() {
        Ok(exit) => exit.code(),
        // Whoever reads a listing has read enough, as `head` does. A tape that breaks off is another error.
        Err(error) if is_broken_listing(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tapegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a listing could not be printed to its end; errors of tapes and volumes wrap theirs.
fn is_broken_listing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
