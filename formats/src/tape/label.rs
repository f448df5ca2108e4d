//! Making the 80-byte labels of IBM standard (SL) and ANSI (AL) tapes.
//!
//! | label | says |
//! | --- | --- |
//! | VOL1 | volume serial, owner |
//! | HDR1, EOF1, EOV1 | data set name, serial of the first volume, sequence numbers, dates, block count, system |
//! | HDR2, EOF2, EOV2 | record format, block length, record length, job |
//!
//! Header and trailer of a data set carry the same values; only the block count is zero in the header. The fields are
//! laid out character by character and then recoded, since the two kinds differ in few fields. Sources: *z/OS DFSMS
//! Using Magnetic Tapes* (SC23-6858), "IBM standard labels" and "ISO/ANSI labels".

use thiserror::Error;

use super::date::LabelDate;
use super::record_format::{RecordFormat, RecordKind};
use crate::ebcdic;

/// Length of every label.
pub const LABEL_BYTES: usize = 80;
/// Characters of a data set name that a label has room for: the rightmost.
pub const LABEL_NAME_CHARACTERS: usize = 17;
/// Longest block that the five figures of a standard label are used for; longer ones go to the ten figures.
pub const LONGEST_PLAIN_BLOCK: u32 = 32_760;
/// Most data sets that IBM standard labels have room to number: three binary bytes.
///
/// z/OS numbers no more than [`MOST_FILES_OF_ZOS`]; our own restore, and whoever reads the field as it is, read them all.
pub const MOST_FILES: u32 = 0xff_ffff;
/// Most data sets of a tape that z/OS writes or finds by their number.
pub const MOST_FILES_OF_ZOS: u32 = 65_535;
/// The record length that says LRECL=X: records of any length, over as many blocks as they take.
pub const RECORD_LENGTH_X: u32 = 99_999;

/// The code of a tape's labels, which is also their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelCode {
    /// IBM standard labels.
    Ebcdic,
    /// ANSI labels, version 3.
    Ascii,
}

/// Which label of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// HDR: in front of the data.
    Hdr,
    /// EOF: behind the data, which ends here.
    Eof,
    /// EOV: behind the data, which goes on on the next volume.
    Eov,
}

impl LabelKind {
    /// The three characters that the label begins with.
    #[must_use]
    pub const fn identifier(self) -> &'static str {
        match self {
            Self::Hdr => "HDR",
            Self::Eof => "EOF",
            Self::Eov => "EOV",
        }
    }
}

/// What the labels of a data set say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSetLabel {
    /// The whole name; labels get the rightmost 17 characters.
    pub name: String,
    /// Serial of the first volume of the set.
    pub set_serial: String,
    /// Which volume of the set, from 1.
    pub volume_sequence: u16,
    /// Which data set of the set, from 1.
    pub file_sequence: u32,
    /// When it was made.
    pub created: Option<LabelDate>,
    /// Until when it must be kept.
    pub expires: Option<LabelDate>,
    /// Data blocks on this volume; headers say 0 whatever it is.
    pub block_count: u64,
    /// The program that writes the tape.
    pub system_code: String,
    /// Job that writes the tape.
    pub job: String,
    /// Step of the job.
    pub step: String,
    /// Record format.
    pub record_format: RecordFormat,
    /// Longest block.
    pub block_length: u32,
    /// Record length; 0 for U, [`RECORD_LENGTH_X`] for X.
    pub record_length: u32,
}

/// Why a value can't be put into a label.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LabelError {
    /// A character that the label's code does not have.
    #[error("{field} '{}' has a character that these labels can't carry", value.escape_debug())]
    Character {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A text that is longer than its field.
    #[error("{field} '{value}' is longer than {most} characters")]
    Length {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Most characters.
        most: usize,
    },
    /// A number that has no room in its field.
    #[error("{field} {value} is out of range: {least} to {most} in these labels")]
    Number {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// Least value.
        least: u64,
        /// Greatest value.
        most: u64,
    },
}

/// A label in the making: ASCII characters in places, recoded at the end.
struct Draft {
    bytes: [u8; LABEL_BYTES],
    code: LabelCode,
}

impl Draft {
    fn new(code: LabelCode) -> Self {
        let blank = if code == LabelCode::Ebcdic { ebcdic::BLANK } else { b' ' };
        Self { bytes: [blank; LABEL_BYTES], code }
    }

    /// Puts a text of at most `width` characters at a position, counted from 1 as IBM does.
    fn put(&mut self, position: usize, width: usize, field: &'static str, text: &str) -> Result<(), LabelError> {
        if text.chars().count() > width {
            return Err(LabelError::Length { field, value: text.to_owned(), most: width });
        }
        let encoded: Option<Vec<u8>> = match self.code {
            LabelCode::Ebcdic => ebcdic::from_str(text),
            LabelCode::Ascii => {
                text.chars().map(|c| if (' '..='~').contains(&c) { u8::try_from(c).ok() } else { None }).collect()
            }
        };
        let encoded = encoded.ok_or_else(|| LabelError::Character { field, value: text.to_owned() })?;
        for (byte, value) in self.bytes.iter_mut().skip(position - 1).zip(encoded) {
            *byte = value;
        }
        Ok(())
    }

    /// Puts a number, zero filled.
    fn number(&mut self, position: usize, width: usize, field: &'static str, value: u64, least: u64) -> Result<(), LabelError> {
        let text = format!("{value:0width$}");
        if text.len() > width || value < least {
            let most = (0..width).fold(0, |most: u64, _| most.saturating_mul(10).saturating_add(9));
            return Err(LabelError::Number { field, value, least, most });
        }
        self.put(position, width, field, &text)
    }
}

/// Makes the label of a volume.
///
/// # Errors
/// When the serial is longer than 6 characters or the owner longer than the labels' field (10, ANSI 14), or they have
/// characters that the code does not have.
pub fn vol1(volser: &str, owner: &str, code: LabelCode) -> Result<[u8; LABEL_BYTES], LabelError> {
    let mut draft = Draft::new(code);
    draft.put(1, 4, "label identifier", "VOL1")?;
    draft.put(5, 6, "volume serial", volser)?;
    match code {
        LabelCode::Ebcdic => {
            draft.put(11, 1, "security", "0")?;
            draft.put(42, 10, "owner", owner)?;
        }
        LabelCode::Ascii => {
            draft.put(38, 14, "owner", owner)?;
            draft.put(80, 1, "label version", "3")?;
        }
    }
    Ok(draft.bytes)
}

/// Makes the first label of a data set.
///
/// # Errors
/// When a value has no room: a block count above 9,999,999,999 (ANSI 999,999), more than [`MOST_FILES`] data sets (ANSI
/// 9,999), a serial above 6 or a system code above 13 characters.
pub fn hdr1(kind: LabelKind, label: &DataSetLabel, code: LabelCode) -> Result<[u8; LABEL_BYTES], LabelError> {
    let mut draft = Draft::new(code);
    draft.put(1, 3, "label identifier", kind.identifier())?;
    draft.put(4, 1, "label identifier", "1")?;
    draft.put(5, LABEL_NAME_CHARACTERS, "data set name", label_name(&label.name))?;
    draft.put(22, 6, "set serial", &label.set_serial)?;
    draft.number(28, 4, "volume sequence", label.volume_sequence.into(), 1)?;
    put_file_sequence(&mut draft, label.file_sequence)?;
    if let Some((generation, version)) = generation(&label.name) {
        draft.put(36, 4, "generation", generation)?;
        draft.put(40, 2, "version", version)?;
    }
    draft.put(42, 6, "creation date", &date_text(label.created))?;
    draft.put(48, 6, "expiration date", &date_text(label.expires))?;
    draft.put(54, 1, "security", if code == LabelCode::Ebcdic { "0" } else { " " })?;
    let count = if kind == LabelKind::Hdr { 0 } else { label.block_count };
    match code {
        LabelCode::Ebcdic => {
            draft.number(55, 6, "block count", count % 1_000_000, 0)?;
            if count >= 10_000_000_000 {
                return Err(LabelError::Number { field: "block count", value: count, least: 0, most: 9_999_999_999 });
            }
            draft.number(77, 4, "block count", count / 1_000_000, 0)?;
        }
        LabelCode::Ascii => draft.number(55, 6, "block count", count, 0)?,
    }
    draft.put(61, 13, "system code", &label.system_code)?;
    Ok(draft.bytes)
}

/// Makes the second label of a data set.
///
/// # Errors
/// When a value has no room: lengths of more than five figures (the block length of standard labels: ten), job or
/// step above 8 characters.
pub fn hdr2(kind: LabelKind, label: &DataSetLabel, code: LabelCode) -> Result<[u8; LABEL_BYTES], LabelError> {
    let mut draft = Draft::new(code);
    draft.put(1, 3, "label identifier", kind.identifier())?;
    draft.put(4, 1, "label identifier", "2")?;
    draft.put(5, 1, "record format", record_format_code(label.record_format, code))?;
    draft.number(11, 5, "record length", label.record_length.into(), 0)?;
    match code {
        LabelCode::Ebcdic => {
            let large = label.block_length > LONGEST_PLAIN_BLOCK;
            draft.number(6, 5, "block length", if large { 0 } else { label.block_length.into() }, 0)?;
            draft.put(16, 1, "density", "0")?;
            draft.put(17, 1, "data set position", "0")?;
            if !label.job.is_empty() {
                draft.put(18, 8, "job", &label.job)?;
                draft.put(26, 1, "job and step", "/")?;
                draft.put(27, 8, "step", &label.step)?;
            }
            draft.put(37, 1, "control character", label.record_format.control_code().encode_utf8(&mut [0; 4]))?;
            draft.put(39, 1, "block attribute", label.record_format.block_attribute().encode_utf8(&mut [0; 4]))?;
            if large {
                draft.number(71, 10, "block length", label.block_length.into(), 0)?;
            }
        }
        LabelCode::Ascii => {
            draft.number(6, 5, "block length", label.block_length.into(), 0)?;
            draft.put(51, 2, "buffer offset", "00")?;
        }
    }
    Ok(draft.bytes)
}

/// The part of a data set name that labels carry: the rightmost 17 characters.
#[must_use]
pub fn label_name(name: &str) -> &str {
    let from = name.char_indices().rev().nth(LABEL_NAME_CHARACTERS - 1).map_or(0, |(from, _)| from);
    &name[from..]
}

/// Generation and version figures of a name that ends `.GnnnnVnn`.
fn generation(name: &str) -> Option<(&str, &str)> {
    let (_, last) = name.rsplit_once('.')?;
    let (generation, version) = last.strip_prefix('G')?.split_once('V')?;
    let figures = |text: &str, width| text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    (figures(generation, 4) && figures(version, 2)).then_some((generation, version))
}

/// `0001` to `9999`; above, standard labels have `?` and three binary bytes.
fn put_file_sequence(draft: &mut Draft, sequence: u32) -> Result<(), LabelError> {
    if draft.code == LabelCode::Ebcdic && (10_000..=MOST_FILES).contains(&sequence) {
        let [_, binary @ ..] = sequence.to_be_bytes();
        draft.put(32, 1, "file sequence", "?")?;
        draft.bytes[32..35].copy_from_slice(&binary);
        return Ok(());
    }
    draft.number(32, 4, "file sequence", sequence.into(), 1)
}

fn date_text(date: Option<LabelDate>) -> String {
    date.map_or_else(|| "000000".to_owned(), LabelDate::to_label)
}

/// Position 5: ANSI has `D` for variable and `S` for spanned records.
const fn record_format_code(format: RecordFormat, code: LabelCode) -> &'static str {
    match (format.kind, code) {
        (RecordKind::Fixed, _) => "F",
        (RecordKind::Undefined, _) => "U",
        (RecordKind::Variable, LabelCode::Ebcdic) => "V",
        (RecordKind::Variable, LabelCode::Ascii) if format.spanned => "S",
        (RecordKind::Variable, LabelCode::Ascii) => "D",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::record_format::ControlCharacter;

    fn example() -> DataSetLabel {
        DataSetLabel {
            name: "VERY.LONG.DATASET.NAME.G0001V00".to_owned(),
            set_serial: "GWT001".to_owned(),
            volume_sequence: 1,
            file_sequence: 2,
            created: LabelDate::new(2026, 324),
            expires: None,
            block_count: 0,
            system_code: "IBM OS/VS 370".to_owned(),
            job: "GATEWAY".to_owned(),
            step: "STEP1".to_owned(),
            record_format: RecordFormat {
                kind: RecordKind::Variable,
                blocked: true,
                spanned: false,
                control: ControlCharacter::None,
            },
            block_length: 27_998,
            record_length: 255,
        }
    }

    fn text(label: [u8; LABEL_BYTES]) -> String {
        ebcdic::to_string(&label)
    }

    /// The fact sheet's worked example, which Hercules 3.13 read.
    #[test]
    fn the_worked_example_comes_out_character_by_character() {
        let label = example();
        assert_eq!(
            text(hdr1(LabelKind::Hdr, &label, LabelCode::Ebcdic).unwrap()),
            "HDR1SET.NAME.G0001V00GWT001000100020001000263240000000000000IBM OS/VS 370   0000"
        );
        assert_eq!(
            text(hdr2(LabelKind::Hdr, &label, LabelCode::Ebcdic).unwrap()),
            format!("{:<80}", "HDR2V279980025500GATEWAY /STEP1       B")
        );
        assert_eq!(
            text(vol1("GWT001", "OPER", LabelCode::Ebcdic).unwrap()),
            format!("{:<80}", "VOL1GWT0010                              OPER")
        );
    }

    #[test]
    fn block_counts_over_six_figures_go_on_in_the_last_four() {
        let label = DataSetLabel { block_count: 1_712_345, ..example() };
        let trailer = text(hdr1(LabelKind::Eof, &label, LabelCode::Ebcdic).unwrap());
        assert_eq!((&trailer[..4], &trailer[54..60], &trailer[76..]), ("EOF1", "712345", "0001"));
        let header = text(hdr1(LabelKind::Hdr, &label, LabelCode::Ebcdic).unwrap());
        assert_eq!((&header[54..60], &header[76..]), ("000000", "0000"));
        assert!(matches!(
            hdr1(LabelKind::Eof, &label, LabelCode::Ascii),
            Err(LabelError::Number { field: "block count", most: 999_999, .. })
        ));
        let label = DataSetLabel { block_count: 10_000_000_000, ..example() };
        assert!(hdr1(LabelKind::Eof, &label, LabelCode::Ebcdic).is_err());
    }

    #[test]
    fn file_sequences_over_9999_are_a_question_mark_and_three_binary_bytes() {
        let label = |file_sequence| DataSetLabel { file_sequence, ..example() };
        assert_eq!(hdr1(LabelKind::Hdr, &label(9_999), LabelCode::Ebcdic).unwrap()[31..35], [0xf9; 4]);
        assert_eq!(hdr1(LabelKind::Hdr, &label(10_000), LabelCode::Ebcdic).unwrap()[31..35], [0x6f, 0x00, 0x27, 0x10]);
        assert_eq!(hdr1(LabelKind::Hdr, &label(65_535), LabelCode::Ebcdic).unwrap()[31..35], [0x6f, 0x00, 0xff, 0xff]);
        assert_eq!(hdr1(LabelKind::Hdr, &label(65_536), LabelCode::Ebcdic).unwrap()[31..35], [0x6f, 0x01, 0x00, 0x00]);
        assert_eq!(hdr1(LabelKind::Hdr, &label(16_777_215), LabelCode::Ebcdic).unwrap()[31..35], [0x6f, 0xff, 0xff, 0xff]);
        for (sequence, code) in [(16_777_216, LabelCode::Ebcdic), (10_000, LabelCode::Ascii), (0, LabelCode::Ebcdic)] {
            assert!(hdr1(LabelKind::Hdr, &label(sequence), code).is_err(), "{sequence} {code:?}");
        }
    }

    #[test]
    fn blocks_over_32760_bytes_have_their_length_in_the_last_ten_figures() {
        let label = DataSetLabel { block_length: 262_144, ..example() };
        let second = text(hdr2(LabelKind::Eof, &label, LabelCode::Ebcdic).unwrap());
        assert_eq!((&second[5..10], &second[70..]), ("00000", "0000262144"));
        let label = DataSetLabel { block_length: 32_760, ..example() };
        let second = text(hdr2(LabelKind::Eof, &label, LabelCode::Ebcdic).unwrap());
        assert_eq!((&second[5..10], &second[70..]), ("32760", "          "));
    }

    #[test]
    fn ansi_labels_are_ascii_with_their_own_fields() {
        let label = DataSetLabel { system_code: "TAPEGATE".to_owned(), ..example() };
        let first = hdr1(LabelKind::Hdr, &label, LabelCode::Ascii).unwrap();
        let expected = "HDR1SET.NAME.G0001V00GWT00100010002000100026324000000 000000TAPEGATE";
        assert_eq!(std::str::from_utf8(&first).unwrap(), format!("{expected:<80}"));
        let second = hdr2(LabelKind::Hdr, &label, LabelCode::Ascii).unwrap();
        assert_eq!(std::str::from_utf8(&second).unwrap(), format!("{:<80}", format!("{:<50}00", "HDR2D2799800255")));
        let volume = vol1("GWT001", "OPER", LabelCode::Ascii).unwrap();
        assert_eq!(std::str::from_utf8(&volume).unwrap(), format!("{:<79}3", format!("{:<37}OPER", "VOL1GWT001")));
    }

    #[test]
    fn values_without_room_are_refused_by_name() {
        let long = DataSetLabel { system_code: "A SYSTEM CODE TOO LONG".to_owned(), ..example() };
        assert_eq!(
            hdr1(LabelKind::Hdr, &long, LabelCode::Ebcdic).unwrap_err().to_string(),
            "system code 'A SYSTEM CODE TOO LONG' is longer than 13 characters"
        );
        let foreign = DataSetLabel { name: "DATEN.ÄÖ".to_owned(), ..example() };
        assert!(hdr1(LabelKind::Hdr, &foreign, LabelCode::Ebcdic).is_ok());
        assert!(matches!(hdr1(LabelKind::Hdr, &foreign, LabelCode::Ascii), Err(LabelError::Character { .. })));
        assert!(vol1("TOOLONG", "", LabelCode::Ebcdic).is_err());
    }

    #[test]
    fn generations_are_found_in_the_whole_name() {
        assert_eq!(generation("A.G0001V00"), Some(("0001", "00")));
        for name in ["A.G001V00", "G0001V00", "A.G0001V0", "A.G0001V00.B", "A.GABCDV00", "A.G0001V00X"] {
            assert_eq!(generation(name), None, "{name}");
        }
        assert_eq!(label_name("SHORT"), "SHORT");
        assert_eq!(label_name("A.NAME.OF.TWENTY.CHARS"), "E.OF.TWENTY.CHARS");
    }
}
