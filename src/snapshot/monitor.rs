//! Whoever wants to know how far the work is.

/// Is told of progress; called from several threads.
pub trait Monitor: Sync {
    /// A new phase begins, of `bytes` or `units` in all.
    fn begin(&self, phase: &'static str, total: u64);
    /// So much of the phase was done since the last call.
    fn advance(&self, amount: u64);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMonitor;

impl Monitor for NoMonitor {
    fn begin(&self, _phase: &'static str, _total: u64) {}

    fn advance(&self, _amount: u64) {}
}
