//! Reads the VTOC: every record of every track of its extent, in one pass.
//!
//! The VTOC index is not used: it only speeds up searches and may be stale; the VTOC is complete without it (IBM,
//! DFSMSdfp Advanced Services, "VTOC index").

use std::collections::HashMap;

use tapegate_formats::dasd::address::{Cchhr, TrackIndex};
use tapegate_formats::volume::dscb::{self, DataSetDscb, Dscb, ExtentDscb, VtocDscb, VtocFlags};
use tapegate_formats::volume::pointer::Pointer;

use super::data_set::Extent;
use super::source::{TrackSource, read_walked};
use crate::finding::Finding;
use crate::volume::VolumeError;

/// What is known of the VTOC itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VtocInfo {
    /// The format-4 DSCB's address.
    pub address: Cchhr,
    /// Tracks of the VTOC.
    pub extent: Extent,
    /// Cylinders that the format-4 DSCB gives the volume; MVS counts alternates of old devices in.
    pub cylinders: u32,
    /// DSCBs of any format but 0.
    pub dscbs_used: u32,
    /// Format-0 DSCBs: room for more.
    pub dscbs_free: u32,
    /// Whether the volume has a VTOC index.
    pub indexed: bool,
    /// DOS bit: the free-space DSCBs can't be trusted, unless the volume is indexed.
    pub dos_bit: bool,
    /// DIRF: a change of the VTOC was under way.
    pub interrupted: bool,
    /// Whether SMS manages the volume.
    pub system_managed: bool,
}

/// A DSCB that a chain can lead to.
#[derive(Debug)]
pub(super) enum Link {
    /// Format 3: extents, and the next.
    Extents(Box<ExtentDscb>),
    /// Formats 2 and 9: only the next matters.
    Through(Pointer),
}

/// The content of a VTOC, not yet put together.
#[derive(Debug)]
pub(super) struct Vtoc {
    pub info: VtocInfo,
    /// Formats 1 and 8 in the order in which they lie.
    pub data_sets: Vec<(Cchhr, DataSetDscb)>,
    /// What their chains lead to.
    pub links: HashMap<Cchhr, Link>,
}

impl Vtoc {
    /// Reads the VTOC that the volume label points to; `None`, and a finding, if it is not there.
    pub(super) fn read(
        source: &impl TrackSource,
        pointer: Pointer,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Self>, VolumeError> {
        let geometry = source.geometry();
        let Some(address) = pointer.decode(&geometry) else {
            findings.push(Finding::note("no-vtoc", "the volume label points to no VTOC"));
            return Ok(None);
        };
        let Some(track) = geometry.track_index(address.track) else {
            let detail = format!("the volume label puts the VTOC at {address}, outside the volume");
            findings.push(Finding::damage("vtoc-outside-volume", detail));
            return Ok(None);
        };
        let Some(format_4) = find_format_4(source, track, address, findings)? else {
            // So are volumes that were initialised and never used; they are copied as a whole.
            findings.push(Finding::note("vtoc-missing", "there is no format-4 DSCB where the volume label says").at(address));
            return Ok(None);
        };
        let lower = geometry.track_index(geometry.decode_cchh(format_4.extent.lower));
        let upper = geometry.track_index(geometry.decode_cchh(format_4.extent.upper));
        let (Some(lower), Some(upper)) = (lower, upper) else {
            findings.push(Finding::damage("vtoc-outside-volume", "the VTOC's extent is not on the volume").at(address));
            return Ok(None);
        };
        let Some(length) = upper.0.checked_sub(lower.0) else {
            findings.push(Finding::damage("vtoc-extent", "the VTOC's extent ends before it begins").at(address));
            return Ok(None);
        };
        let extent = Extent { first: lower.0, tracks: length + 1 };
        if !extent.contains(track.0) {
            findings.push(Finding::note("vtoc-extent", "the VTOC's extent does not hold its own format-4 DSCB").at(address));
        }
        let mut vtoc = Self {
            info: VtocInfo {
                address,
                extent,
                cylinders: format_4.volume_cylinders(),
                dscbs_used: 0,
                dscbs_free: 0,
                indexed: format_4.flags.has(VtocFlags::INDEXED),
                dos_bit: format_4.flags.has(VtocFlags::DOS),
                interrupted: format_4.flags.has(VtocFlags::INTERRUPTED),
                system_managed: format_4.sms & 0xc0 == 0xc0,
            },
            data_sets: Vec::new(),
            links: HashMap::new(),
        };
        if vtoc.info.interrupted {
            let detail = "a change of the VTOC was under way (DIRF): data sets or their extents may be out of date";
            findings.push(Finding::damage("vtoc-interrupted", detail).at(address));
        }
        vtoc.scan(source, findings)?;
        Ok(Some(vtoc))
    }

    fn scan(&mut self, source: &impl TrackSource, findings: &mut Vec<Finding>) -> Result<(), VolumeError> {
        let geometry = source.geometry();
        let mut bytes = Vec::new();
        for number in self.info.extent.numbers() {
            let Some(track) = read_walked(source, TrackIndex(number), &mut bytes, findings)? else { continue };
            let mut odd = 0_u32;
            for record in track.user_records() {
                // A VTOC that shares its track with the label (VM) has other records before it, and any may end with EOF.
                let Ok(dscb) = dscb::join(record.key, record.data) else {
                    odd += 1;
                    continue;
                };
                let address = Cchhr { track: geometry.cchh(TrackIndex(number)), record: record.count.record };
                self.add(address, &dscb);
            }
            if odd > 0 && number != 0 {
                let detail = format!("{odd} records of the VTOC are no DSCBs and were passed over");
                findings.push(Finding::note("vtoc-odd-record", detail).at(geometry.cchh(TrackIndex(number))));
            }
        }
        Ok(())
    }

    fn add(&mut self, address: Cchhr, bytes: &[u8; dscb::BYTES]) {
        let dscb = Dscb::parse(bytes);
        if matches!(dscb, Dscb::Free) {
            self.info.dscbs_free += 1;
            return;
        }
        self.info.dscbs_used += 1;
        match dscb {
            Dscb::DataSet(data_set) => self.data_sets.push((address, data_set)),
            Dscb::Extents(extents) => {
                self.links.insert(address, Link::Extents(Box::new(extents)));
            }
            Dscb::Isam(isam) => {
                self.links.insert(address, Link::Through(isam.next));
            }
            Dscb::Attributes(attributes) => {
                self.links.insert(address, Link::Through(attributes.next));
            }
            _ => {}
        }
    }
}

/// Reads the format-4 DSCB at `address`, which is on `track`.
fn find_format_4(
    source: &impl TrackSource,
    track: TrackIndex,
    address: Cchhr,
    findings: &mut Vec<Finding>,
) -> Result<Option<VtocDscb>, VolumeError> {
    let mut bytes = Vec::new();
    let Some(track) = read_walked(source, track, &mut bytes, findings)? else { return Ok(None) };
    Ok(track.user_records().filter(|record| record.count.record == address.record).find_map(|record| {
        let Dscb::Vtoc(vtoc) = Dscb::parse(&dscb::join(record.key, record.data).ok()?) else { return None };
        Some(vtoc)
    }))
}
