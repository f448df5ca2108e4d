//! Following a session: bars on a terminal, lines elsewhere.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::show;
use crate::cli::control_args::ControlArgs;
use crate::live::status::{SessionId, SessionStatus, VolumeStatus};
use crate::service::protocol::{Reply, Request};
use crate::service::quantity::ByteSize;

const VOLUME: &str = "{prefix:>12} [{bar:32}] {percent:>3}% {msg}";
const SESSION: &str = "{prefix:>12} {msg}";

/// Follows a session to its end, and gives how it ended.
pub(super) fn follow(control: &ControlArgs, id: SessionId, out: &mut dyn Write) -> anyhow::Result<SessionStatus> {
    if control.json {
        return to_the_end(control, id, |session| {
            serde_json::to_writer(&mut *out, session)?;
            Ok(writeln!(out)?)
        });
    }
    if std::io::stderr().is_terminal() {
        let mut bars = Bars::default();
        let ended = to_the_end(control, id, |session| {
            bars.show(session);
            Ok(())
        });
        bars.clear();
        let ended = ended?;
        writeln!(out, "{}", show::line(&ended))?;
        return Ok(ended);
    }
    let mut before = None;
    to_the_end(control, id, |session| {
        if before.as_ref() != Some(&session.state) {
            before = Some(session.state.clone());
            writeln!(out, "{}", show::line(session))?;
        }
        Ok(())
    })
}

/// Waits for the end of a session, and says nothing.
pub(super) fn quietly(control: &ControlArgs, id: SessionId) -> anyhow::Result<SessionStatus> {
    to_the_end(control, id, |_| Ok(()))
}

fn to_the_end(
    control: &ControlArgs,
    id: SessionId,
    mut each: impl FnMut(&SessionStatus) -> anyhow::Result<()>,
) -> anyhow::Result<SessionStatus> {
    let (mut last, mut told) = (None, Ok(()));
    control.connect()?.watch(&Request::SessionWatch { id }, |reply| {
        if let Reply::Session { session } = reply {
            told = each(&session);
            last = Some(*session);
        }
        told.is_ok()
    })?;
    told?;
    let last = last.ok_or_else(|| anyhow::anyhow!("the service said nothing of session {id}"))?;
    if !last.state.is_over() {
        anyhow::bail!("the service stopped while session {id} was {}", last.state.words());
    }
    Ok(last)
}

/// A bar for each volume, and a line for the session.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    session: Option<ProgressBar>,
    volumes: Vec<ProgressBar>,
}

impl Bars {
    fn show(&mut self, status: &SessionStatus) {
        let session = self.session.get_or_insert_with(|| self.all.add(bar(SESSION, "session")));
        session.set_prefix(format!("session {}", status.id));
        let left = status.seconds_left.map(|left| format!(", {left} s left")).unwrap_or_default();
        session.set_message(format!(
            "{}, {}{left}; {} host writes held, the longest {}; cache {}",
            status.state.words(),
            show::rate(status),
            status.writes_held,
            show::microseconds(status.longest_hold_us),
            ByteSize(status.cache.bytes)
        ));
        while self.volumes.len() < status.volumes.len() {
            self.volumes.push(self.all.add(bar(VOLUME, "")));
        }
        for (bar, volume) in self.volumes.iter().zip(&status.volumes) {
            bar.set_prefix(volume.volume.clone());
            bar.set_length(volume.units_total);
            bar.set_position(volume.in_order + volume.out_of_order);
            bar.set_message(units(volume));
        }
    }

    fn clear(&self) {
        // A terminal that is gone needs no cleaning.
        let _gone = self.all.clear();
    }
}

fn units(volume: &VolumeStatus) -> String {
    format!("{} in order, {} out of order of {} units", volume.in_order, volume.out_of_order, volume.units_total)
}

fn bar(template: &str, prefix: &'static str) -> ProgressBar {
    // The templates are constants of this file, and a test tries them.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_prefix(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_templates() {
        for template in [VOLUME, SESSION] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
