//! What `ls` tells, as one document: the table and `--json` both come from it.

use serde::Serialize;
use tapegate_formats::dasd::address::{Cchh, TrackIndex};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::volume::attributes::{Dsorg, Recfm};
use tapegate_formats::volume::dscb::SmsFlags;
use tapegate_formats::volume::pds::Statistics;

use crate::catalog::{Catalog, DataSet, DataSetKind, Extent, Member, UsedEnd, UsedTracks, VtocInfo};
use crate::finding::Finding;
use crate::volume::{Shape, Volume};

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub volume: VolumeDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtoc: Option<VtocDocument>,
    pub data_sets: Vec<DataSetDocument>,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub(super) struct VolumeDocument {
    pub path: String,
    pub format: &'static str,
    pub volser: Option<String>,
    pub label: &'static str,
    #[serde(flatten)]
    pub shape: ShapeDocument,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ShapeDocument {
    Tracks { device: String, model: Option<&'static str>, cylinders: u32, heads: u16, tracks: u32 },
    Blocks { blocks: u64, block_bytes: u32 },
}

#[derive(Debug, Serialize)]
pub(super) struct VtocDocument {
    pub extent: ExtentDocument,
    pub cylinders: u32,
    pub dscbs_used: u32,
    pub dscbs_free: u32,
    pub free_tracks: u32,
    pub indexed: bool,
    pub system_managed: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ExtentDocument {
    /// What the tracks are for; none for data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub first_cylinder: u32,
    pub first_head: u16,
    pub last_cylinder: u32,
    pub last_head: u16,
    pub first_track: u32,
    pub tracks: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct DataSetDocument {
    pub name: String,
    pub kind: DataSetKind,
    pub dsorg: String,
    pub recfm: String,
    pub lrecl: u16,
    pub blksize: u16,
    pub key_length: u8,
    pub tracks: u32,
    pub extents: Vec<ExtentDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_extents: Vec<ExtentDocument>,
    /// Relative track of `DS1LSTAR`.
    pub last_track: Option<u32>,
    /// Record of `DS1LSTAR`.
    pub last_record: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<UsedDocument>,
    /// As `yyyy.ddd`.
    pub created: Option<String>,
    /// As `yyyy.ddd`, or `never`.
    pub expires: Option<String>,
    pub referenced: Option<String>,
    pub volume_sequence: u16,
    pub last_volume: bool,
    pub large_format: bool,
    pub system_managed: bool,
    pub defective: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<MemberDocument>>,
}

#[derive(Debug, Serialize)]
pub(super) struct UsedDocument {
    pub tracks: u32,
    /// How the end was found: `end-of-file`, `lstar`, `no-end-of-file`, `whole-allocation`.
    pub end: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct MemberDocument {
    pub name: String,
    pub alias: bool,
    pub track: u32,
    pub record: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<StatisticsDocument>,
}

#[derive(Debug, Serialize)]
pub(super) struct StatisticsDocument {
    /// As `vv.mm`.
    pub version: String,
    pub created: String,
    /// With the time of day.
    pub changed: String,
    pub lines: u16,
    pub user: String,
}

fn date((year, day): (u16, u16)) -> String {
    format!("{year}.{day:03}")
}

/// The dates 1999.365 and 1999.366 mean that a data set never expires.
fn expiry((year, day): (u16, u16)) -> String {
    if year == 1999 && matches!(day, 365 | 366) { "never".to_owned() } else { date((year, day)) }
}

impl VolumeDocument {
    pub(super) fn of(volume: &Volume, catalog: &Catalog) -> Self {
        Self {
            path: volume.path().display().to_string(),
            format: volume.format().name(),
            volser: catalog.label.volser().map(|volser| volser.to_string()),
            label: catalog.label.text(),
            shape: match volume.shape() {
                Shape::Ckd(geometry) => ShapeDocument::Tracks {
                    device: format!("{:04X}", geometry.device().number()),
                    model: geometry.device().model_for(geometry.cylinders()).map(|model| model.name),
                    cylinders: geometry.cylinders(),
                    heads: geometry.heads(),
                    tracks: geometry.tracks(),
                },
                Shape::FixedBlock(shape) => ShapeDocument::Blocks { blocks: shape.blocks, block_bytes: shape.block_bytes },
            },
        }
    }
}

impl VtocDocument {
    pub(super) fn of(vtoc: &VtocInfo, catalog: &Catalog, geometry: &Geometry) -> Self {
        // MVS counts alternate cylinders in the format-4 DSCB of old devices; nothing is ever allocated there.
        let primary = geometry.device().model_for(geometry.cylinders()).map_or(u32::MAX, |model| model.cylinders);
        let tracks = vtoc.cylinders.min(primary).saturating_mul(u32::from(geometry.heads())).min(geometry.tracks());
        Self {
            extent: ExtentDocument::of(vtoc.extent, None, geometry),
            cylinders: vtoc.cylinders,
            dscbs_used: vtoc.dscbs_used,
            dscbs_free: vtoc.dscbs_free,
            free_tracks: catalog.free_tracks(tracks),
            indexed: vtoc.indexed,
            system_managed: vtoc.system_managed,
        }
    }
}

impl ExtentDocument {
    fn of(extent: Extent, kind: Option<&'static str>, geometry: &Geometry) -> Self {
        let first: Cchh = geometry.cchh(TrackIndex(extent.first));
        let last: Cchh = geometry.cchh(TrackIndex(extent.last()));
        Self {
            kind,
            first_cylinder: first.cylinder,
            first_head: first.head,
            last_cylinder: last.cylinder,
            last_head: last.head,
            first_track: extent.first,
            tracks: extent.tracks,
        }
    }
}

impl UsedDocument {
    pub(super) const fn of(used: &UsedTracks) -> Self {
        let end = match used.end {
            UsedEnd::FoundEof { .. } => "end-of-file",
            UsedEnd::Fence => "lstar",
            UsedEnd::NoEof => "no-end-of-file",
            UsedEnd::WholeAllocation => "whole-allocation",
        };
        Self { tracks: used.tracks, end }
    }
}

impl DataSetDocument {
    pub(super) fn of(data_set: &DataSet, geometry: &Geometry) -> Self {
        Self {
            name: data_set.name.to_string(),
            kind: data_set.kind,
            dsorg: Dsorg(data_set.dsorg).to_string(),
            recfm: Recfm(data_set.recfm).to_string(),
            lrecl: data_set.record_length,
            blksize: data_set.block_length,
            key_length: data_set.key_length,
            tracks: data_set.tracks(),
            extents: data_set.extents.iter().map(|extent| ExtentDocument::of(*extent, None, geometry)).collect(),
            other_extents: data_set
                .other_extents
                .iter()
                .map(|other| ExtentDocument::of(other.extent, Some(other.kind.text()), geometry))
                .collect(),
            last_track: data_set.last_used.map(|(track, _)| track),
            last_record: data_set.last_used.map(|(_, record)| record),
            used: None,
            created: data_set.created.map(date),
            expires: data_set.expires.map(expiry),
            referenced: data_set.referenced.map(date),
            volume_sequence: data_set.volume_sequence,
            last_volume: data_set.last_volume,
            large_format: data_set.large_format,
            system_managed: SmsFlags(data_set.sms_flags).has(SmsFlags::MANAGED),
            defective: data_set.defective,
            members: None,
        }
    }
}

impl MemberDocument {
    pub(super) fn of(member: &Member) -> Self {
        Self {
            name: member.name.to_string(),
            alias: member.alias,
            track: member.track,
            record: member.record,
            statistics: member.statistics().map(|statistics| StatisticsDocument::of(&statistics)),
        }
    }
}

impl StatisticsDocument {
    fn of(statistics: &Statistics) -> Self {
        let (hour, minute, second) = statistics.changed_time;
        Self {
            version: format!("{:02}.{:02}", statistics.version, statistics.modification),
            created: date(statistics.created),
            changed: format!("{} {hour:02}:{minute:02}:{second:02}", date(statistics.changed)),
            lines: statistics.lines,
            user: tapegate_formats::ebcdic::to_string(&statistics.user).trim_end().to_owned(),
        }
    }
}
