//! What the labels of a file say against each other and against its blocks.

use tapegate_formats::tape::label::{LabelKind, RECORD_LENGTH_X};
use tapegate_formats::tape::label_reader::{FirstLabel, SecondLabel};
use tapegate_formats::tape::record_format::RecordKind;

use super::structure::{LabelStyle, TapeFile};
use crate::finding::Finding;

/// Adds a finding for each thing that does not fit.
pub(super) fn check_file(file: &TapeFile, labels: LabelStyle, volser: Option<&str>, findings: &mut Vec<Finding>) {
    let mut tell = |finding: Finding| findings.push(finding.of(file.title()).at(format_args!("offset {}", file.offset)));
    if labels == LabelStyle::None {
        return;
    }
    let Some(header) = &file.header.first else {
        tell(Finding::damage("no-header", "HDR1 is missing"));
        return;
    };
    if header.kind != LabelKind::Hdr {
        tell(Finding::damage("no-header", format!("{}1 stands where HDR1 must be", header.kind.identifier())));
    }
    check_place(file, header, volser, &mut tell);
    check_blocks(file, &mut tell);
    let Some(trailer) = &file.trailer.first else {
        tell(Finding::damage("no-trailer", "the trailer labels are missing: the file may be cut short"));
        return;
    };
    if trailer.kind == LabelKind::Hdr {
        tell(Finding::damage("no-trailer", "HDR1 stands where EOF1 must be"));
    }
    if !file.complete {
        tell(Finding::damage("no-trailer", "no tape mark follows the trailer labels"));
    }
    match trailer.block_count {
        Some(said) if said == file.blocks => {}
        // A writer that does its own input and output may leave the count at zero, and readers let it pass.
        Some(0) => tell(Finding::note("block-count", format!("the trailer says 0 blocks, the file has {}", file.blocks))),
        Some(said) => {
            tell(Finding::damage("block-count", format!("the trailer says {said} blocks, the file has {}", file.blocks)));
        }
        None => tell(Finding::damage("block-count", "the trailer's block count is no number")),
    }
    compare(header, trailer, &mut tell);
    if let (Some(header), Some(trailer)) = (&file.header.second, &file.trailer.second) {
        compare_attributes(header, trailer, &mut tell);
    }
}

/// Sequence and serials.
fn check_place(file: &TapeFile, header: &FirstLabel, volser: Option<&str>, tell: &mut impl FnMut(Finding)) {
    if header.volume_sequence.is_some_and(|sequence| sequence > 1) {
        return;
    }
    if let Some(sequence) = header.file_sequence
        && sequence != file.number
    {
        tell(Finding::note("sequence", format!("HDR1 says that this is file {sequence}")));
    }
    if volser.is_some_and(|volser| volser != header.set_serial) {
        tell(Finding::note("set-serial", format!("HDR1 names the volume {}", header.set_serial)));
    }
}

/// Block lengths against the attributes.
fn check_blocks(file: &TapeFile, tell: &mut impl FnMut(Finding)) {
    let (Some(attributes), Some((_, longest))) = (file.attributes(), file.block_lengths) else { return };
    if let Some(most) = attributes.block_length
        && most > 0
        && longest > most
    {
        tell(Finding::note("block-length", format!("the longest block has {longest} bytes, the labels say {most}")));
    }
    if let (Some(format), Some(record)) = (attributes.record_format, attributes.record_length)
        && format.kind == RecordKind::Fixed
        && record > 0
        && record < RECORD_LENGTH_X
        && !file.bytes.is_multiple_of(record.into())
    {
        tell(Finding::note("record-length", format!("{} bytes are no whole number of records of {record} bytes", file.bytes)));
    }
}

fn compare(header: &FirstLabel, trailer: &FirstLabel, tell: &mut impl FnMut(Finding)) {
    let fields = [
        ("name", header.name == trailer.name),
        ("set serial", header.set_serial == trailer.set_serial),
        ("volume sequence", header.volume_sequence == trailer.volume_sequence),
        ("file sequence", header.file_sequence == trailer.file_sequence),
        ("creation date", header.created == trailer.created),
    ];
    let differ: Vec<_> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if !differ.is_empty() {
        tell(Finding::damage("labels-differ", format!("header and trailer labels differ in {}", differ.join(", "))));
    }
}

/// Attributes that the header leaves open are often filled in by the trailer.
fn compare_attributes(header: &SecondLabel, trailer: &SecondLabel, tell: &mut impl FnMut(Finding)) {
    let same_length = |a: Option<u32>, b: Option<u32>| a == b || a.unwrap_or(0) == 0;
    let fields = [
        ("record format", header.record_format == trailer.record_format),
        ("block length", same_length(header.block_length, trailer.block_length)),
        ("record length", same_length(header.record_length, trailer.record_length)),
    ];
    let differ: Vec<_> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if !differ.is_empty() {
        tell(Finding::note("attributes-differ", format!("header and trailer labels differ in {}", differ.join(", "))));
    }
}
