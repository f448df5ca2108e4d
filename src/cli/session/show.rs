//! Sessions in words.

use std::io::{self, Write};

use crate::cli::table::Column;
use crate::cli::volumes::seconds;
use crate::live::status::{Action, Instant, SessionState, SessionStatus, VolumeStatus};
use crate::service::quantity::ByteSize;

/// The columns of a list.
pub(super) const SESSIONS: [Column<SessionStatus>; 9] = [
    ("ID", true, |session| session.id.to_string()),
    ("STATE", false, |session| session.state.words().to_owned()),
    ("T0", false, |session| session.t0.as_deref().map(seconds).unwrap_or_default()),
    ("INSTANT", false, |session| session.instant.map(Instant::word).unwrap_or_default().to_owned()),
    ("SECURED", true, secured_percent),
    ("RATE", true, |session| if session.state.is_over() { String::new() } else { rate(session) }),
    ("LEFT", true, |session| session.seconds_left.map(|left| format!("{left}s")).unwrap_or_default()),
    ("HELD", true, |session| session.writes_held.to_string()),
    ("VOLUMES", false, |session| {
        let names: Vec<_> = session.volumes.iter().map(|volume| volume.volume.as_str()).collect();
        let name = session.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{}{name}", names.join(","))
    }),
];

fn secured_percent(session: &SessionStatus) -> String {
    let total: u64 = session.volumes.iter().map(|volume| volume.units_total).sum();
    let secured: u64 = session.volumes.iter().map(|volume| volume.in_order + volume.out_of_order).sum();
    (secured * 100).checked_div(total).map(|percent| format!("{percent}%")).unwrap_or_default()
}

pub(super) fn rate(session: &SessionStatus) -> String {
    format!("{}/s", ByteSize(session.bytes_per_second))
}

/// A session on one line.
pub(in crate::cli) fn line(session: &SessionStatus) -> String {
    let mut line = format!("session {}: {}", session.id, session.state.words());
    if let SessionState::Void { reason } = &session.state {
        line = format!("{line}: {reason}");
    }
    if let Some(t0) = &session.t0 {
        line = format!("{line}, T0 {} ({})", seconds(t0), session.instant.map_or("now", Instant::word));
    }
    let whole = session.state == SessionState::PhysicallyComplete;
    let tapes: Vec<_> = session.volumes.iter().filter_map(|volume| tape(volume, whole)).collect();
    if !tapes.is_empty() {
        line = format!("{line}, {}", tapes.join(", "));
    }
    let views: Vec<_> = session.volumes.iter().filter_map(|volume| volume.view.as_deref()).collect();
    if !views.is_empty() && !matches!(session.state, SessionState::Void { .. } | SessionState::Cancelled) {
        line = format!("{line}, shown by {}", views.join(", "));
    }
    line
}

fn tape(volume: &VolumeStatus, whole: bool) -> Option<String> {
    let tape = volume.tape.as_ref()?.display();
    let volser = volume.tape_volser.as_deref().unwrap_or("unlabelled");
    Some(if whole { format!("{tape} ({volser})") } else { format!("onto {tape}") })
}

/// Everything about a session.
pub(super) fn print(session: &SessionStatus, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", line(session))?;
    if let Some(name) = &session.name {
        writeln!(out, "  name        {name}")?;
    }
    let action = match &session.action {
        Action::Snapshot => "snapshot",
        Action::Count => "count",
        Action::Notify { .. } => "notify",
        Action::Protect { .. } => "protect",
    };
    writeln!(out, "  action      {action}")?;
    if let Some(held) = session.t0_held_us {
        writeln!(out, "  T0 held     {}", microseconds(held))?;
    }
    if !session.state.is_over() {
        let left = session.seconds_left.map(|left| format!(", {left} s left")).unwrap_or_default();
        let limit = session.pace.bytes_per_second.map(|limit| format!(", at most {}/s", ByteSize(limit))).unwrap_or_default();
        writeln!(out, "  rate        {}{left}{limit}", rate(session))?;
    }
    writeln!(out, "  writes held {}, the longest {}", session.writes_held, microseconds(session.longest_hold_us))?;
    writeln!(out, "  cache       {} units, {}", session.cache.units, ByteSize(session.cache.bytes))?;
    for volume in &session.volumes {
        let (in_order, out_of_order, total) = (volume.in_order, volume.out_of_order, volume.units_total);
        write!(out, "  {:11} {in_order} units in order and {out_of_order} out of order of {total}", volume.volume)?;
        if volume.bytes_total > 0 {
            write!(out, ", {} of {}", ByteSize(volume.bytes), ByteSize(volume.bytes_total))?;
        }
        writeln!(out)?;
    }
    for count in &session.counts {
        writeln!(out, "  {:11} {}: {} reads, {} writes", count.volume, count.file, count.reads, count.writes)?;
    }
    for finding in &session.findings {
        writeln!(out, "  {}: {}", if finding.damage { "warning" } else { "note" }, finding.text)?;
    }
    Ok(())
}

pub(super) fn microseconds(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}
