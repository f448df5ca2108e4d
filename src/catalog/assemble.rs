//! Puts data sets together from their DSCBs: format 1 with its formats 3, format 8 with its format 9 and 3.
//!
//! An entry that makes no sense costs that data set a finding, never the volume: real volumes have such entries (FDR's
//! `FDRABR.Vvvvvvv`, whose `DS1VOLSQ` is no volume number).

use std::collections::HashMap;

use tapegate_formats::dasd::address::Cchhr;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::ebcdic;
use tapegate_formats::volume::attributes::Dsorg;
use tapegate_formats::volume::dscb::{DataSetDscb, Indicators, SmsFlags, format};
use tapegate_formats::volume::extent::{ExtentDescriptor, ExtentKind};
use tapegate_formats::volume::name::{DsName, Volser};

use super::data_set::{DataSet, DataSetKind, Extent, OtherExtent};
use super::vtoc::{Link, Vtoc, VtocInfo};
use crate::finding::Finding;

/// Puts all data sets of a VTOC together, in the order of their DSCBs.
pub(super) fn data_sets(vtoc: Vtoc, geometry: &Geometry, findings: &mut Vec<Finding>) -> (VtocInfo, Vec<DataSet>) {
    let mut links = Links { free: vtoc.links, taken: HashMap::new() };
    let data_sets = vtoc.data_sets.iter().map(|(address, dscb)| data_set(&mut links, geometry, *address, dscb, findings));
    (vtoc.info, data_sets.collect())
}

/// DSCBs that chains lead to. Each belongs to one data set, so a chain can't run in a circle, and the time to follow
/// all of them is that of reading the VTOC, whatever it holds.
struct Links {
    free: HashMap<Cchhr, Link>,
    /// Those that a chain came by, and the data set whose chain it was.
    taken: HashMap<Cchhr, DsName>,
}

fn data_set(links: &mut Links, geometry: &Geometry, address: Cchhr, dscb: &DataSetDscb, findings: &mut Vec<Finding>) -> DataSet {
    let name = DsName::from_ebcdic(dscb.name);
    let kind = kind(dscb);
    let keeps_last = matches!(kind, DataSetKind::Sequential | DataSetKind::Extended | DataSetKind::Partitioned);
    let mut data_set = DataSet {
        dscb: Some(address),
        dscb_format: if dscb.format == format::F8 { 8 } else { 1 },
        dsorg: dscb.dsorg,
        recfm: dscb.recfm,
        record_length: dscb.record_length,
        block_length: dscb.block_length,
        key_length: dscb.key_length,
        created: dscb.created.get().map(|date| (date.year, date.day)),
        expires: dscb.expires.get().map(|date| (date.year, date.day)),
        referenced: dscb.referenced.get().map(|date| (date.year, date.day)),
        volume_sequence: dscb.volume_sequence,
        first_volser: Some(Volser::from_ebcdic(dscb.first_volser)),
        last_volume: dscb.indicators.has(Indicators::LAST_VOLUME),
        last_used: keeps_last.then(|| dscb.last_used()),
        track_balance: dscb.track_balance,
        large_format: dscb.is_large_format(),
        sms_flags: dscb.sms.0,
        secondary: dscb.secondary,
        ..DataSet::bare(name, kind, Vec::new())
    };
    let mut report = |finding: Finding| findings.push(finding.of(name).at(address));
    if !has_name(dscb) {
        report(Finding::note("odd-name", "the name has characters that no data set name has"));
    }
    let chain = chain(links, geometry, dscb, &mut report);
    data_set.defective |= chain.broken;
    let mut data = Vec::with_capacity(chain.extents.len());
    for descriptor in &chain.extents {
        let Some(extent) = run(geometry, descriptor, &mut report) else {
            data_set.defective = true;
            continue;
        };
        if descriptor.kind.is_data() {
            data.push((descriptor.sequence, extent));
        } else {
            data_set.other_extents.push(OtherExtent { kind: descriptor.kind, extent });
        }
        if descriptor.kind == ExtentKind::SHARED_CYLINDER {
            data_set.defective = true;
            report(Finding::damage(
                "split-cylinders",
                "the data set shares cylinders with others; its tracks are taken as all between its first and last",
            ));
        } else if !descriptor.kind.is_data() && descriptor.kind.text() == UNKNOWN_KIND {
            data_set.defective = true;
            report(Finding::damage("extent-type", format!("an extent has the unknown type X'{:02X}'", descriptor.kind.0)));
        }
    }
    data.sort_by_key(|(sequence, _)| *sequence);
    if data.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        data_set.defective = true;
        report(Finding::damage("extent-sequence", "two extents have the same sequence number"));
    }
    data_set.extents = data.into_iter().map(|(_, extent)| extent).collect();
    data_set
}

/// What [`ExtentKind::text`] says of a type that it does not know.
const UNKNOWN_KIND: &str = ExtentKind(0xff).text();

/// The extents of a data set as its DSCBs list them.
#[derive(Default)]
struct Chain {
    extents: Vec<ExtentDescriptor>,
    /// Extents among them that `DS1NOEPV` counts: all but the track of user labels.
    counted: usize,
    /// Extents beyond that count, left out.
    surplus: u32,
    broken: bool,
}

impl Chain {
    fn take(&mut self, descriptor: &ExtentDescriptor, wanted: usize) {
        match descriptor.kind {
            ExtentKind::UNUSED => return,
            ExtentKind::USER_LABEL => {}
            _ if self.counted == wanted => {
                self.surplus += 1;
                return;
            }
            _ => self.counted += 1,
        }
        self.extents.push(*descriptor);
    }
}

/// Collects `DS1NOEPV` extents from the first DSCB and those that it leads to.
fn chain(links: &mut Links, geometry: &Geometry, dscb: &DataSetDscb, report: &mut impl FnMut(Finding)) -> Chain {
    let wanted = usize::from(dscb.extent_count);
    let mut chain = Chain::default();
    dscb.extents.iter().for_each(|descriptor| chain.take(descriptor, wanted));
    let name = DsName::from_ebcdic(dscb.name);
    let mut next = dscb.next;
    while let Some(address) = next.decode(geometry).filter(|_| chain.counted < wanted) {
        let Some(link) = links.free.remove(&address) else {
            report(match links.taken.get(&address) {
                Some(owner) if *owner == name => {
                    Finding::damage("dscb-loop", format!("the chain of DSCBs runs in a circle at {address}"))
                }
                Some(owner) => {
                    Finding::damage("dscb-shared", format!("the chain of DSCBs leads to {address}, which {owner} has"))
                }
                None => {
                    let detail = format!("the chain of DSCBs leads to {address}, where the VTOC has no DSCB with extents");
                    Finding::damage("dscb-chain", detail)
                }
            });
            chain.broken = true;
            break;
        };
        links.taken.insert(address, name);
        match link {
            Link::Extents(further) => {
                further.extents().for_each(|descriptor| chain.take(descriptor, wanted));
                next = further.next;
            }
            Link::Through(behind) => next = behind,
        }
    }
    if chain.counted < wanted {
        report(Finding::damage("extents-missing", format!("{} of {wanted} extents were found", chain.counted)));
        chain.broken = true;
    }
    if chain.surplus > 0 {
        let detail = format!("{} extents beyond the {wanted} that the DSCB counts were left out", chain.surplus);
        report(Finding::damage("extents-surplus", detail));
        chain.broken = true;
    }
    chain
}

/// The tracks of an extent, if it lies on the volume.
fn run(geometry: &Geometry, descriptor: &ExtentDescriptor, report: &mut impl FnMut(Finding)) -> Option<Extent> {
    let (lower, upper) = (geometry.decode_cchh(descriptor.lower), geometry.decode_cchh(descriptor.upper));
    let (Some(first), Some(last)) = (geometry.track_index(lower), geometry.track_index(upper)) else {
        let detail = format!("the extent {lower} to {upper} is not on the volume and was left out");
        report(Finding::damage("extent-outside-volume", detail));
        return None;
    };
    let Some(length) = last.0.checked_sub(first.0) else {
        let detail = format!("the extent {lower} to {upper} ends before it begins and was left out");
        report(Finding::damage("extent-reversed", detail));
        return None;
    };
    Some(Extent { first: first.0, tracks: length + 1 })
}

/// Whether the key is made of characters of data set names, blanks behind it, and begins with one.
fn has_name(dscb: &DataSetDscb) -> bool {
    let length = dscb.name.iter().rposition(|byte| *byte != ebcdic::BLANK).map_or(0, |last| last + 1);
    let name = &dscb.name[..length];
    // X'C0' stands for +0 in names of old systems.
    !name.is_empty()
        && name.iter().all(|byte| {
            let character = ebcdic::to_char(*byte);
            character.is_ascii_uppercase() || character.is_ascii_digit() || "@#$-.{".contains(character)
        })
}

/// Tells kinds apart by organisation and SMS flags.
fn kind(dscb: &DataSetDscb) -> DataSetKind {
    let dsorg = Dsorg(dscb.dsorg);
    if dsorg.has(Dsorg::VS) {
        DataSetKind::Vsam
    } else if dscb.sms.has(SmsFlags::HFS) {
        DataSetKind::Hfs
    } else if dsorg.has(Dsorg::PO) {
        if dscb.sms.has(SmsFlags::PDSE) { DataSetKind::PartitionedExtended } else { DataSetKind::Partitioned }
    } else if dsorg.has(Dsorg::PS) {
        if dscb.sms.has(SmsFlags::EXTENDED_FORMAT) { DataSetKind::Extended } else { DataSetKind::Sequential }
    } else if dsorg.has(Dsorg::DA) {
        DataSetKind::Direct
    } else if dsorg.has(Dsorg::IS) {
        DataSetKind::IndexedSequential
    } else if is_linux_partition(dscb) {
        DataSetKind::LinuxPartition
    } else {
        DataSetKind::Unknown
    }
}

/// `LINUX.Vvvvvvv.PARTnnnn.` and a use, as fdasd names partitions.
fn is_linux_partition(dscb: &DataSetDscb) -> bool {
    let name = ebcdic::to_string(&dscb.name);
    let mut qualifiers = name.trim_end().split('.');
    qualifiers.next() == Some("LINUX")
        && qualifiers.next().is_some_and(|volume| volume.starts_with('V'))
        && qualifiers.next().is_some_and(|part| part.starts_with("PART"))
}
