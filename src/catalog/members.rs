//! Members of a partitioned data set: its directory, read block by block.

use tapegate_formats::volume::pds::{Entries, Item, MemberName, Statistics};

use super::data_set::DataSet;
use super::source::{TrackSource, read_walked};
use crate::finding::Finding;
use crate::volume::VolumeError;

/// A member, or another name of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: MemberName,
    /// Track of its first block, relative to the data set.
    pub track: u32,
    /// Record number of its first block.
    pub record: u8,
    /// Whether the entry is an alias.
    pub alias: bool,
    /// User data of the entry.
    pub user_data: Vec<u8>,
}

impl Member {
    /// ISPF's statistics, if the user data are such.
    #[must_use]
    pub fn statistics(&self) -> Option<Statistics> {
        Statistics::parse(&self.user_data)
    }
}

/// A directory as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Entries in the order of the directory, which is that of their names.
    pub members: Vec<Member>,
    /// Relative track and record of the end-of-file record behind the directory; `None` if there is none.
    pub end: Option<(u32, u8)>,
}

/// Reads the directory of a partitioned data set, from its relative track 0 to the end-of-file record behind it.
///
/// # Errors
/// When the volume can't be read. What is wrong with the directory is added to `findings`.
pub fn read_directory(
    source: &impl TrackSource,
    data_set: &DataSet,
    findings: &mut Vec<Finding>,
) -> Result<Directory, VolumeError> {
    let mut directory = Directory::default();
    let allocated = data_set.tracks();
    let mut bytes = Vec::new();
    let mut ended = false;
    for relative in 0..allocated {
        let Some(number) = data_set.track(relative) else { break };
        let Some(track) = read_walked(source, number, &mut bytes, findings)? else { continue };
        let address = source.geometry().cchh(number);
        if track.user_records().next().is_none() {
            // A directory has no gaps: it was never written, or breaks off here.
            return Ok(directory);
        }
        for record in track.user_records() {
            if record.count.is_end_of_file() {
                directory.end = Some((relative, record.count.record));
                return Ok(directory);
            }
            let mut report = |finding: Finding| {
                findings.push(finding.of(data_set.name).at(format!("{address} record {}", record.count.record)));
            };
            let entries = match Entries::of_block(record.key, record.data) {
                Ok(entries) => entries,
                Err(error) => {
                    report(Finding::damage("directory-block", error.to_string()));
                    return Ok(directory);
                }
            };
            if ended {
                // Blocks behind the directory's end are allocated and not in use.
                continue;
            }
            for item in entries {
                match item {
                    Ok(Item::Entry(entry)) => {
                        let member = Member {
                            name: entry.name,
                            track: u32::from(entry.track),
                            record: entry.record,
                            alias: entry.alias,
                            user_data: entry.user_data.to_vec(),
                        };
                        if member.track >= allocated {
                            let detail = format!("member {} begins on track {} of {allocated}", member.name, member.track);
                            report(Finding::damage("member-outside", detail));
                        }
                        directory.members.push(member);
                    }
                    Ok(Item::EndOfDirectory) => ended = true,
                    Err(error) => report(Finding::damage("directory-entry", error.to_string())),
                }
            }
        }
    }
    Ok(directory)
}
