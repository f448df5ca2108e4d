//! Reading labels, in either code, as tolerantly as old tapes need: a field that makes no sense is `None`.
//!
//! Whether a block is a label is for the caller to say, by its place on the tape: data may look like labels.

use super::date::LabelDate;
use super::label::{LABEL_BYTES, LabelCode, LabelKind};
use super::record_format::RecordFormat;
use crate::ebcdic;

/// A label that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Label {
    /// VOL1.
    Volume(VolumeLabel),
    /// HDR1, EOF1 or EOV1.
    First(FirstLabel),
    /// HDR2, EOF2 or EOV2.
    Second(SecondLabel),
    /// A further label that says nothing about the data: VOL2 to 9, HDR3 to 9, UVL, UHL, UTL.
    Other(String),
}

/// VOL1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeLabel {
    /// The code that it is in.
    pub code: LabelCode,
    /// Volume serial without trailing blanks.
    pub volser: String,
    /// Owner without trailing blanks.
    pub owner: String,
}

/// HDR1, EOF1 or EOV1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstLabel {
    /// Which it is.
    pub kind: LabelKind,
    /// At most 17 characters of the data set's name, without trailing blanks.
    pub name: String,
    /// Serial of the first volume of the set.
    pub set_serial: String,
    /// Volume of the set.
    pub volume_sequence: Option<u16>,
    /// Data set of the set.
    pub file_sequence: Option<u32>,
    /// Generation number.
    pub generation: Option<u16>,
    /// Version of the generation.
    pub version: Option<u8>,
    /// When it was made.
    pub created: Option<LabelDate>,
    /// Until when it must be kept.
    pub expires: Option<LabelDate>,
    /// Data blocks on this volume.
    pub block_count: Option<u64>,
    /// The system that wrote the tape.
    pub system_code: String,
}

/// HDR2, EOF2 or EOV2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondLabel {
    /// Which it is.
    pub kind: LabelKind,
    /// Record format.
    pub record_format: Option<RecordFormat>,
    /// Longest block.
    pub block_length: Option<u32>,
    /// Record length.
    pub record_length: Option<u32>,
    /// Job and step as they stand.
    pub job_and_step: String,
}

/// The 80 characters of a label, with fields by position as IBM counts: from 1.
struct Fields<'a> {
    block: &'a [u8; LABEL_BYTES],
    code: LabelCode,
}

impl<'a> Fields<'a> {
    fn bytes(&self, position: usize, width: usize) -> &'a [u8] {
        self.block.get(position - 1..position - 1 + width).unwrap_or_default()
    }

    /// Text of a field; what can't be printed becomes a dot.
    fn raw_text(&self, position: usize, width: usize) -> String {
        let bytes = self.bytes(position, width).iter();
        bytes
            .map(|&byte| match self.code {
                LabelCode::Ebcdic => ebcdic::to_char(byte),
                LabelCode::Ascii => char::from(byte),
            })
            .map(|character| if character.is_control() { '.' } else { character })
            .collect()
    }

    fn text(&self, position: usize, width: usize) -> String {
        self.raw_text(position, width).trim_end().to_owned()
    }

    fn character(&self, position: usize) -> char {
        self.raw_text(position, 1).chars().next().unwrap_or(' ')
    }

    /// A number of figures alone, blanks around them allowed.
    fn number<T: TryFrom<u64>>(&self, position: usize, width: usize) -> Option<T> {
        let text = self.raw_text(position, width);
        let figures = text.trim_matches(' ');
        if figures.is_empty() || !figures.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        figures.parse::<u64>().ok().and_then(|value| T::try_from(value).ok())
    }

    /// Four figures, or `?` and three binary bytes.
    fn file_sequence(&self) -> Option<u32> {
        if let (LabelCode::Ebcdic, &[0x6f, high, middle, low]) = (self.code, self.bytes(32, 4)) {
            return Some(u32::from_be_bytes([0, high, middle, low]));
        }
        self.number(32, 4)
    }

    fn volume(&self) -> VolumeLabel {
        let (position, width) = if self.code == LabelCode::Ebcdic { (42, 10) } else { (38, 14) };
        VolumeLabel { code: self.code, volser: self.text(5, 6), owner: self.text(position, width) }
    }

    fn first(&self, kind: LabelKind) -> FirstLabel {
        let low: Option<u64> = self.number(55, 6);
        let high: u64 = if self.code == LabelCode::Ebcdic { self.number(77, 4).unwrap_or(0) } else { 0 };
        FirstLabel {
            kind,
            name: self.text(5, 17),
            set_serial: self.text(22, 6),
            volume_sequence: self.number(28, 4),
            file_sequence: self.file_sequence(),
            generation: self.number(36, 4),
            version: self.number(40, 2),
            created: LabelDate::from_label(&self.raw_text(42, 6)),
            expires: LabelDate::from_label(&self.raw_text(48, 6)),
            block_count: low.map(|low| low + high * 1_000_000),
            system_code: self.text(61, 13),
        }
    }

    fn second(&self, kind: LabelKind) -> SecondLabel {
        let plain: Option<u32> = self.number(6, 5);
        let large: Option<u32> = if self.code == LabelCode::Ebcdic { self.number(71, 10) } else { None };
        SecondLabel {
            kind,
            record_format: RecordFormat::from_label(self.character(5), self.character(37), self.character(39)),
            block_length: match plain {
                Some(0) => large.or(plain),
                _ => plain,
            },
            record_length: self.number(11, 5),
            job_and_step: self.text(18, 17),
        }
    }
}

/// Reads a block as a label; `None` if it is none, in neither code.
#[must_use]
pub fn parse(block: &[u8]) -> Option<Label> {
    let block: &[u8; LABEL_BYTES] = block.try_into().ok()?;
    [LabelCode::Ebcdic, LabelCode::Ascii].into_iter().find_map(|code| parse_fields(&Fields { block, code }))
}

fn parse_fields(fields: &Fields<'_>) -> Option<Label> {
    let identifier = fields.raw_text(1, 4);
    let (name, number) = identifier.split_at_checked(3)?;
    let kind = match name {
        "HDR" => Some(LabelKind::Hdr),
        "EOF" => Some(LabelKind::Eof),
        "EOV" => Some(LabelKind::Eov),
        _ => None,
    };
    match (name, kind, number) {
        ("VOL", _, "1") => Some(Label::Volume(fields.volume())),
        (_, Some(kind), "1") => Some(Label::First(fields.first(kind))),
        (_, Some(kind), "2") => Some(Label::Second(fields.second(kind))),
        ("VOL" | "HDR" | "EOF" | "EOV" | "UVL" | "UHL" | "UTL", ..) => Some(Label::Other(identifier)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::label::{DataSetLabel, hdr1, hdr2, vol1};

    fn label() -> DataSetLabel {
        DataSetLabel {
            name: "SYS1.PARMLIB".to_owned(),
            set_serial: "TG0001".to_owned(),
            volume_sequence: 1,
            file_sequence: 12_345,
            created: LabelDate::new(2026, 325),
            expires: LabelDate::new(1999, 365),
            block_count: 3_000_007,
            system_code: "TAPEGATE".to_owned(),
            job: "SNAPSHOT".to_owned(),
            step: "COPY".to_owned(),
            record_format: RecordFormat::from_ds1recfm(0x5c).unwrap(),
            block_length: 262_144,
            record_length: 32_756,
        }
    }

    #[test]
    fn what_was_made_reads_back() {
        let made = label();
        let Some(Label::First(first)) = parse(&hdr1(LabelKind::Eov, &made, LabelCode::Ebcdic).unwrap()) else { panic!() };
        assert_eq!((first.kind, first.name.as_str(), first.file_sequence), (LabelKind::Eov, "SYS1.PARMLIB", Some(12_345)));
        assert_eq!((first.created, first.expires, first.block_count), (made.created, made.expires, Some(3_000_007)));
        let Some(Label::Second(second)) = parse(&hdr2(LabelKind::Eof, &made, LabelCode::Ebcdic).unwrap()) else { panic!() };
        assert_eq!((second.record_format, second.block_length), (Some(made.record_format), Some(262_144)));
        assert_eq!((second.record_length, second.job_and_step.as_str()), (Some(32_756), "SNAPSHOT/COPY"));
        for code in [LabelCode::Ebcdic, LabelCode::Ascii] {
            let Some(Label::Volume(volume)) = parse(&vol1("TG0001", "OWNER", code).unwrap()) else { panic!() };
            assert_eq!((volume.code, volume.volser.as_str(), volume.owner.as_str()), (code, "TG0001", "OWNER"));
        }
    }

    #[test]
    fn file_sequences_of_every_length_read_back() {
        for file_sequence in [1, 9_999, 10_000, 65_535, 65_536, 100_001, 16_777_215] {
            let made = hdr1(LabelKind::Eof, &DataSetLabel { file_sequence, ..label() }, LabelCode::Ebcdic).unwrap();
            let Some(Label::First(first)) = parse(&made) else { panic!() };
            assert_eq!(first.file_sequence, Some(file_sequence));
        }
    }

    /// A large block length padded with blanks, as Hercules writes it, and a label of zeros, as `hetinit` does.
    #[test]
    fn labels_of_other_writers_are_read_as_they_are() {
        let mut second = format!("{:<70}{:>10}", "HDR2U0000000000", 65_536);
        let Some(Label::Second(read)) = parse(&ebcdic::from_str(&second).unwrap()) else { panic!() };
        assert_eq!(read.block_length, Some(65_536));
        second.replace_range(..15, "HDR2?ABCDE     ");
        let Some(Label::Second(read)) = parse(&ebcdic::from_str(&second).unwrap()) else { panic!() };
        assert_eq!((read.record_format, read.block_length, read.record_length), (None, None, None));
        let zeros = ebcdic::from_str(&format!("HDR1{:076}", 0)).unwrap();
        let Some(Label::First(read)) = parse(&zeros) else { panic!() };
        assert_eq!((read.file_sequence, read.created, read.block_count), (Some(0), None, Some(0)));
        assert_eq!(parse(&ebcdic::from_str(&format!("{:<80}", "UHL1")).unwrap()), Some(Label::Other("UHL1".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn any_block_is_a_label_or_none(
            identifier in 0_usize..4,
            code in proptest::bool::ANY,
            mut block in proptest::collection::vec(proptest::num::u8::ANY, 80),
        ) {
            let identifier = ["VOL1", "HDR1", "EOF2", "UHL9"][identifier];
            let start = if code { ebcdic::from_str(identifier).unwrap() } else { identifier.as_bytes().to_vec() };
            block[..4].copy_from_slice(&start);
            proptest::prop_assert!(parse(&block).is_some());
            proptest::prop_assert!(parse(&block[1..]).is_none());
        }
    }
}
