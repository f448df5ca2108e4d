//! The server over a disk in memory.
