//! What the writes of a phase took.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A gap that a host notices.
const LONG_GAP: Duration = Duration::from_millis(100);

/// Measures of one phase.
pub struct Measures {
    began: Instant,
    writes: u64,
    write: Histogram,
    due: Histogram,
    worst_gap: Duration,
    long_gaps: u64,
}

impl Measures {
    pub fn begin(now: Instant) -> Self {
        let (write, due) = (Histogram::new(), Histogram::new());
        Self { began: now, writes: 0, write, due, worst_gap: Duration::ZERO, long_gaps: 0 }
    }

    /// Adds a write: what it took, how long after it was due it ended, and how long after the one before.
    pub fn add(&mut self, write: Duration, due: Duration, gap: Duration) {
        self.writes += 1;
        self.write.add(write);
        self.due.add(due);
        self.worst_gap = self.worst_gap.max(gap);
        self.long_gaps += u64::from(gap > LONG_GAP);
    }

    /// All of it, at the end of the phase; `period` is the time between writes of a paced host.
    pub fn to_json(&self, phase: &str, ended: Instant, period: Option<Duration>) -> Value {
        let seconds = (ended - self.began).as_secs_f64();
        let kept = period.map(|period| (100.0 * self.writes as f64 * period.as_secs_f64() / seconds.max(1e-9)).min(100.0));
        json!({
            "phase": phase,
            "seconds": seconds,
            "writes": self.writes,
            "writes_per_second": self.writes as f64 / seconds.max(1e-9),
            "kept_percent": kept,
            "write_p50": self.write.percentile(50.0),
            "write_p99": self.write.percentile(99.0),
            "write_worst": micros(self.write.worst),
            "due_p50": self.due.percentile(50.0),
            "due_p99": self.due.percentile(99.0),
            "worst_gap": micros(self.worst_gap),
            "gaps_over_100_ms": self.long_gaps,
        })
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// Counts of times, in steps of at most a 64th of them. It is made whole beforehand, so that measuring never waits for memory.
struct Histogram {
    counts: Vec<u64>,
    total: u64,
    worst: Duration,
}

/// Highest bits of a time that are kept.
const KEPT_BITS: u32 = 7;
/// Steps from one power of two to the next.
const STEPS: usize = 1 << (KEPT_BITS - 1);

impl Histogram {
    fn new() -> Self {
        let most = Self::step(u64::MAX) + 1;
        Self { counts: vec![0; most], total: 0, worst: Duration::ZERO }
    }

    fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[Self::step(nanos)] += 1;
        self.total += 1;
        self.worst = self.worst.max(time);
    }

    /// The step that a time is counted in: its highest bits, behind the steps of all shorter times.
    fn step(nanos: u64) -> usize {
        let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(KEPT_BITS);
        // Seven bits fit any usize.
        shift as usize * STEPS + usize::try_from(nanos >> shift).unwrap_or(0)
    }

    /// The shortest time that is counted in a step.
    fn shortest(step: usize) -> u64 {
        let shift = (step / STEPS).saturating_sub(1);
        ((step - shift * STEPS) as u64) << shift
    }

    /// The time in microseconds that `percent` of all are within.
    fn percentile(&self, percent: f64) -> Option<f64> {
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0);
        let mut seen = 0;
        let step = self.counts.iter().position(|&count| {
            seen += count;
            self.total != 0 && seen as f64 >= wanted
        })?;
        Some(Self::shortest(step) as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_within_a_64th() {
        for nanos in (0..200_000).chain((1..40).map(|power| (1 << power) + 12_345)) {
            let shortest = Histogram::shortest(Histogram::step(nanos));
            assert!(shortest <= nanos && nanos - shortest <= nanos / 64, "{nanos} is counted as {shortest}");
        }
    }

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50.0), None);
        (1..=100).rev().for_each(|micros| histogram.add(Duration::from_micros(micros)));
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < expected / 50.0;
        assert!(near(histogram.percentile(50.0), 50.0) && near(histogram.percentile(99.0), 99.0));
        assert_eq!(histogram.worst, Duration::from_micros(100));
    }

    #[test]
    fn a_phase_tells_its_gaps_and_what_it_kept() {
        let began = Instant::now();
        let mut measures = Measures::begin(began);
        for gap in [1, 1, 150, 1] {
            measures.add(Duration::from_micros(50), Duration::from_micros(70), Duration::from_millis(gap));
        }
        let json = measures.to_json("session", began + Duration::from_secs(1), Some(Duration::from_millis(125)));
        assert_eq!((json["phase"].as_str(), json["writes"].as_u64()), (Some("session"), Some(4)));
        assert_eq!((json["worst_gap"].as_f64(), json["gaps_over_100_ms"].as_u64()), (Some(150_000.0), Some(1)));
        assert_eq!(json["kept_percent"].as_f64(), Some(50.0));
    }
}
