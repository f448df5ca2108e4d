use clap::Parser;
#[derive(Parser)]
enum Cmd {
    Ls(tapegate::cli::ls::LsArgs),
    Track(tapegate::cli::track::TrackArgs),
}
fn main() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let f = match Cmd::parse() {
        Cmd::Ls(a) => tapegate::cli::ls::run(&a, &mut out)?,
        Cmd::Track(a) => tapegate::cli::track::run(&a, &mut out)?,
    };
    eprintln!("{} findings", f.len());
    Ok(())
}
