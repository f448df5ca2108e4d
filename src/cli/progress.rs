//! Progress on the terminal: bytes or units, rate, time left. Nothing is shown where standard error is no terminal.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::snapshot::Monitor;

const COUNTED: &str = "{msg:>10} [{bar:32}] {human_pos}/{human_len} units {per_sec} {eta} left";
const BYTES: &str = "{msg:>10} [{bar:32}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left";
const BYTES_OF_UNKNOWN: &str = "{msg:>10} {spinner} {bytes} {binary_bytes_per_sec}";

/// A bar for the phase under way.
#[derive(Debug, Default)]
pub struct Progress {
    bar: Mutex<Option<ProgressBar>>,
}

impl Monitor for Progress {
    fn begin(&self, phase: &'static str, total: u64) {
        let template = match (phase, total) {
            ("measuring", _) => COUNTED,
            (_, 0) => BYTES_OF_UNKNOWN,
            _ => BYTES,
        };
        // The templates are constants of this file, and a test tries them.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = if total == 0 { ProgressBar::no_length() } else { ProgressBar::new(total) };
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(phase);
        bar.enable_steady_tick(Duration::from_millis(200));
        if let Some(before) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).replace(bar) {
            before.finish_and_clear();
        }
    }

    fn advance(&self, amount: u64) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(amount);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_templates() {
        for template in [COUNTED, BYTES, BYTES_OF_UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
