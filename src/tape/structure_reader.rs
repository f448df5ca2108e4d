//! Building the structure of a tape, item by item.

use tapegate_formats::tape::block::{ChainBreak, Method};
use tapegate_formats::tape::label::LABEL_BYTES;
use tapegate_formats::tape::label_reader::{self, Label};
use tapegate_formats::tape::unit::UNIT_MAGIC;

use super::error::{TapeDefect, TapeError};
use super::file_check::check_file;
use super::image::{BlockBuffer, ItemKind, TapeImage, TapeItem};
use super::structure::{LabelGroup, LabelStyle, TapeEnd, TapeFile, TapeStructure};
use crate::finding::Finding;

/// Most files that are listed. Labels can number 65,535; without a limit a hostile tape of nothing but tape marks and
/// short blocks would need many times its size in memory.
const MOST_FILES: usize = 250_000;

/// What the blocks up to the next tape mark are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Headers,
    Data,
    Trailers,
    /// Blocks behind the end of a labelled tape.
    BehindEnd,
}

/// Takes the items of a tape in order.
pub(super) struct StructureReader<'a> {
    image: &'a TapeImage,
    tape: TapeStructure,
    group: Group,
    /// Blocks of the group so far.
    group_blocks: u64,
    /// The file whose groups are being read, from its first block on.
    file: Option<TapeFile>,
    /// Number of the next file.
    next_number: u32,
    ended: bool,
    first_item: bool,
    chain_breaks: u64,
    first_chain_break: Option<(u64, ChainBreak)>,
    /// Blocks of the group that are no labels and should be.
    strangers: u64,
    /// Blocks behind the end, and where the first lies.
    behind: u64,
    behind_offset: u64,
}

impl<'a> StructureReader<'a> {
    pub(super) fn new(image: &'a TapeImage) -> Self {
        let tape = TapeStructure {
            labels: LabelStyle::None,
            volser: None,
            owner: None,
            files: Vec::new(),
            end: TapeEnd::Open,
            blocks: 0,
            tape_marks: 0,
            bytes: 0,
            stored_bytes: 0,
            compressed_blocks: 0,
            findings: Vec::new(),
        };
        Self {
            image,
            tape,
            group: Group::Data,
            group_blocks: 0,
            file: None,
            next_number: 1,
            ended: false,
            first_item: true,
            chain_breaks: 0,
            first_chain_break: None,
            strangers: 0,
            behind: 0,
            behind_offset: 0,
        }
    }

    /// Takes the next item; the buffer is there to read it into.
    pub(super) fn take(&mut self, item: &TapeItem, buffer: &mut BlockBuffer) -> Result<(), TapeError> {
        if let Some(broken) = item.chain_break {
            self.chain_breaks += 1;
            self.first_chain_break.get_or_insert((item.offset, broken));
        }
        match item.kind {
            ItemKind::TapeMark if self.tape.files.len() >= MOST_FILES => {
                return Err(self.image.damaged(item.offset, TapeDefect::TooManyFiles { most: MOST_FILES }));
            }
            ItemKind::TapeMark => self.tape_mark(item),
            ItemKind::Block { stored_bytes, method, .. } => self.block(item, stored_bytes, method, buffer)?,
        }
        self.first_item = false;
        Ok(())
    }

    fn block(&mut self, item: &TapeItem, stored_bytes: u32, method: Method, buffer: &mut BlockBuffer) -> Result<(), TapeError> {
        let compressed = method != Method::Stored;
        let is_label_group = matches!(self.group, Group::Headers | Group::Trailers);
        let may_be_label = (is_label_group || self.first_item) && (compressed || stored_bytes as usize == LABEL_BYTES);
        let first_of_data = self.group == Group::Data && self.group_blocks == 0;
        // The content matters only for labels, the first data block, and lengths that nothing but expanding tells.
        let data = if compressed || may_be_label || first_of_data { self.image.read_block(item, buffer)? } else { &[] };
        // A block expands to 2 MiB at most.
        let bytes = if compressed { u32::try_from(data.len()).unwrap_or(u32::MAX) } else { stored_bytes };
        let label = if may_be_label { label_reader::parse(data) } else { None };
        let holds_units = first_of_data && data.starts_with(&UNIT_MAGIC);

        self.tape.blocks += 1;
        self.tape.bytes += u64::from(bytes);
        self.tape.stored_bytes += u64::from(stored_bytes);
        self.tape.compressed_blocks += u64::from(compressed);
        self.group_blocks += 1;

        if self.first_item
            && let Some(Label::Volume(volume)) = label
        {
            self.tape.labels = volume.code.into();
            self.tape.volser = Some(volume.volser);
            self.tape.owner = Some(volume.owner);
            self.group = Group::Headers;
            return Ok(());
        }
        match self.group {
            Group::Headers | Group::Trailers => self.label(item, label),
            Group::Data => self.data(item, bytes, stored_bytes, holds_units),
            Group::BehindEnd => {
                if self.behind == 0 {
                    self.behind_offset = item.offset;
                }
                self.behind += 1;
            }
        }
        Ok(())
    }

    fn label(&mut self, item: &TapeItem, label: Option<Label>) {
        let in_headers = self.group == Group::Headers;
        // VOL2 and the like belong to the volume.
        if in_headers && self.file.is_none() && matches!(&label, Some(Label::Other(name)) if name.starts_with("VOL")) {
            return;
        }
        let first_stranger = self.strangers == 0;
        let file = self.open_file(item.offset);
        let group = if in_headers { &mut file.header } else { &mut file.trailer };
        group.blocks += 1;
        match label {
            Some(Label::First(first)) if group.first.is_none() => group.first = Some(first),
            Some(Label::Second(second)) if group.second.is_none() => group.second = Some(second),
            Some(Label::Other(_)) => {}
            Some(_) | None => {
                let title = file.title();
                self.strangers += 1;
                // Told once a group: a tape can be made of nothing else.
                if first_stranger {
                    self.tape.findings.push(
                        Finding::damage("not-a-label", "a block that is no label, or a second one, stands among the labels")
                            .of(title)
                            .at(format_args!("offset {}", item.offset)),
                    );
                }
            }
        }
    }

    fn data(&mut self, item: &TapeItem, bytes: u32, stored_bytes: u32, holds_units: bool) {
        let first = self.group_blocks == 1;
        let behind_end = self.ended;
        let file = self.open_file(item.offset);
        if first {
            file.data_offset = item.offset;
            file.holds_units = holds_units;
            file.behind_end = behind_end;
        }
        file.data_end = item.end;
        file.blocks += 1;
        file.bytes += u64::from(bytes);
        file.stored_bytes += u64::from(stored_bytes);
        let (shortest, longest) = file.block_lengths.unwrap_or((bytes, bytes));
        file.block_lengths = Some((shortest.min(bytes), longest.max(bytes)));
    }

    /// The file being read, begun here if there is none.
    fn open_file(&mut self, offset: u64) -> &mut TapeFile {
        let number = self.next_number;
        self.file.get_or_insert_with(|| TapeFile {
            number,
            header: LabelGroup::default(),
            trailer: LabelGroup::default(),
            offset,
            data_offset: offset,
            data_end: offset,
            blocks: 0,
            bytes: 0,
            stored_bytes: 0,
            block_lengths: None,
            holds_units: false,
            complete: false,
            behind_end: false,
        })
    }

    fn tape_mark(&mut self, item: &TapeItem) {
        self.tape.tape_marks += 1;
        let empty = self.group_blocks == 0;
        self.group_blocks = 0;
        self.strangers = 0;
        match (self.tape.labels, self.group) {
            (LabelStyle::None, _) => {
                if let Some(file) = &mut self.file {
                    file.complete = true;
                    self.close_file();
                } else if self.first_item {
                    self.tape
                        .findings
                        .push(Finding::note("leading-tape-mark", "the tape begins with a tape mark").at("offset 0"));
                } else {
                    self.ended = true;
                }
                self.next_number = self.next_number.saturating_add(1);
            }
            (_, Group::Headers) if empty => {
                self.ended = true;
                self.group = Group::BehindEnd;
            }
            (_, Group::Headers) => {
                // VOL1 alone in front of the tape mark: a file without labels, to be told so.
                let file = self.open_file(item.offset);
                file.data_offset = item.end;
                file.data_end = item.end;
                self.group = Group::Data;
            }
            (_, Group::Data) => self.group = Group::Trailers,
            (_, Group::Trailers) => {
                if let Some(file) = &mut self.file {
                    file.complete = file.trailer.first.is_some();
                }
                self.close_file();
                self.next_number = self.next_number.saturating_add(1);
                self.group = Group::Headers;
            }
            (_, Group::BehindEnd) => {}
        }
    }

    fn close_file(&mut self) {
        if let Some(file) = self.file.take() {
            self.tape.files.push(file);
        }
    }

    /// The tape can't be read on from here.
    pub(super) fn stop(&mut self, offset: u64, defect: &TapeDefect) {
        self.tape.end = TapeEnd::Damaged;
        let mut finding =
            Finding::damage("damaged-tape", format!("{defect}; what follows can't be read")).at(format_args!("offset {offset}"));
        if let Some(file) = &self.file {
            finding = finding.of(file.title());
        }
        self.tape.findings.push(finding);
    }

    /// Says what was read.
    pub(super) fn finish(mut self) -> TapeStructure {
        if self.tape.end != TapeEnd::Damaged {
            self.tape.end = self.end();
        }
        self.close_file();
        self.tell_end();
        if let Some((offset, broken)) = self.first_chain_break {
            let detail = format!(
                "{} chunk(s) don't give the length of the one before, the first {} instead of {}: the tape can't be read backwards",
                self.chain_breaks, broken.found, broken.expected
            );
            self.tape.findings.push(Finding::note("chain", detail).at(format_args!("offset {offset}")));
        }
        let TapeStructure { labels, volser, files, findings, .. } = &mut self.tape;
        for file in files.iter() {
            check_file(file, *labels, volser.as_deref(), findings);
        }
        self.tape
    }

    /// How the tape ends, given that it could be read to the end.
    fn end(&mut self) -> TapeEnd {
        if self.ended {
            return match self.tape.files.last() {
                Some(last) if last.continues() => TapeEnd::NextVolume,
                _ => TapeEnd::DoubleTapeMark,
            };
        }
        let between_files = self.group == Group::Headers && self.group_blocks == 0;
        if between_files && self.tape.files.last().is_some_and(TapeFile::continues) {
            return TapeEnd::NextVolume;
        }
        // Behind the labels, with nothing more: a tape that was never written to has a first label of zeros, or none.
        let unwritten = |file: &TapeFile| {
            file.blocks == 0 && file.header.first.as_ref().is_none_or(|label| label.name.bytes().all(|byte| byte == b'0'))
        };
        if self.tape.files.is_empty() && self.tape.volser.is_some() && self.file.as_ref().is_none_or(unwritten) {
            self.file = None;
            return TapeEnd::Initialised;
        }
        TapeEnd::Open
    }

    fn tell_end(&mut self) {
        let length = self.image.length();
        let findings = &mut self.tape.findings;
        match self.tape.end {
            TapeEnd::Open => findings.push(
                Finding::damage("no-end", "the tape doesn't end with two tape marks: something may be missing")
                    .at(format_args!("offset {length}")),
            ),
            TapeEnd::NextVolume => {
                let detail = "the last file goes on on the next volume";
                findings.push(Finding::note("next-volume", detail).at(format_args!("offset {length}")));
            }
            TapeEnd::Initialised => findings.push(Finding::note("initialised", "the tape is labelled and was never written to")),
            TapeEnd::DoubleTapeMark | TapeEnd::Damaged => {}
        }
        let behind = self.tape.files.iter().find(|file| file.behind_end).map(|file| file.offset);
        if let Some(offset) = behind.or((self.behind > 0).then_some(self.behind_offset)) {
            let blocks = self.behind + self.tape.files.iter().filter(|file| file.behind_end).map(|file| file.blocks).sum::<u64>();
            let detail = format!("{blocks} block(s) lie behind the double tape mark that ends the tape");
            findings.push(Finding::note("behind-end", detail).at(format_args!("offset {offset}")));
        }
    }
}
