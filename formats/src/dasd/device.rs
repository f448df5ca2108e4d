//! Device types and models, and how many records a track of each holds.
//!
//! Sources: IBM reference summaries of the devices for the capacity formulas; slot sizes as seen in the headers that
//! Hercules `dasdinit` 3.13 writes. The formulas serve planning and labels only: an image may hold more on a track
//! than the formula allows, because Hercules enforces nothing but the slot.

use std::fmt;

/// How the space of a record on a track is computed; the numbers are the factors of the device's formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capacity {
    /// 2311 and 2314: every record but the last is stretched by a tolerance. (key overhead, gap, factor, divisor)
    Stretched(u32, u32, u32, u32),
    /// 2305, 3330, 3340, 3350: bytes plus a constant. (key overhead, record overhead)
    Linear(u32, u32),
    /// 3375, 3380: rounded up to cells of f1. (f1, f2, f3)
    Cells(u32, u32, u32),
    /// 3390, 9345: cells of f1 with segment overhead. (f1, f2, f3, f4, f5, f6)
    Segments(u32, u32, u32, u32, u32, u32),
}

/// A type of CKD device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are the type numbers")]
pub enum DeviceType {
    Ibm2305,
    Ibm2311,
    Ibm2314,
    Ibm3330,
    Ibm3340,
    Ibm3350,
    Ibm3375,
    Ibm3380,
    Ibm3390,
    Ibm9345,
}

/// A model of a device: its name and the primary cylinders that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Name as operators write it, such as `3390-3`.
    pub name: &'static str,
    /// Primary cylinders.
    pub cylinders: u32,
    /// Alternate cylinders behind them.
    pub alternates: u32,
}

const fn model(name: &'static str, cylinders: u32, alternates: u32) -> Model {
    Model { name, cylinders, alternates }
}

impl DeviceType {
    /// Every type, in order of its number.
    pub const ALL: [Self; 10] = [
        Self::Ibm2305,
        Self::Ibm2311,
        Self::Ibm2314,
        Self::Ibm3330,
        Self::Ibm3340,
        Self::Ibm3350,
        Self::Ibm3375,
        Self::Ibm3380,
        Self::Ibm3390,
        Self::Ibm9345,
    ];

    /// The type's number: 0x3390 for a 3390.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Ibm2305 => 0x2305,
            Self::Ibm2311 => 0x2311,
            Self::Ibm2314 => 0x2314,
            Self::Ibm3330 => 0x3330,
            Self::Ibm3340 => 0x3340,
            Self::Ibm3350 => 0x3350,
            Self::Ibm3375 => 0x3375,
            Self::Ibm3380 => 0x3380,
            Self::Ibm3390 => 0x3390,
            Self::Ibm9345 => 0x9345,
        }
    }

    /// Finds the type by its number's low byte, as image headers store it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.code() == code)
    }

    /// Finds the type by its number: 0x3390.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.number() == number)
    }

    /// The number's low byte, as image headers store it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.number().to_be_bytes()[1]
    }

    /// Tracks in a cylinder.
    #[must_use]
    pub const fn heads(self) -> u16 {
        match self {
            Self::Ibm2305 => 8,
            Self::Ibm2311 => 10,
            Self::Ibm2314 => 20,
            Self::Ibm3330 => 19,
            Self::Ibm3340 | Self::Ibm3375 => 12,
            Self::Ibm3350 => 30,
            Self::Ibm3380 | Self::Ibm3390 | Self::Ibm9345 => 15,
        }
    }

    /// Bytes that an image reserves for a track: the longest record and 37, rounded up to 512.
    ///
    /// A 2305-1 has slots of 14,336 bytes; this gives those of the 2305-2. The header of an image tells which.
    #[must_use]
    pub const fn slot_bytes(self) -> u32 {
        (self.longest_record() + 37).next_multiple_of(512)
    }

    /// Data bytes of the longest record, without a key.
    #[must_use]
    pub const fn longest_record(self) -> u32 {
        match self {
            Self::Ibm2305 => 14_660,
            Self::Ibm2311 => 3_625,
            Self::Ibm2314 => 7_294,
            Self::Ibm3330 => 13_030,
            Self::Ibm3340 => 8_368,
            Self::Ibm3350 => 19_069,
            Self::Ibm3375 => 35_616,
            Self::Ibm3380 => 47_476,
            Self::Ibm3390 => 56_664,
            Self::Ibm9345 => 46_456,
        }
    }

    /// Track length of the capacity formula, in the formula's own bytes.
    #[must_use]
    pub const fn track_length(self) -> u32 {
        match self {
            Self::Ibm2305 => 14_858,
            Self::Ibm2311 => 3_625,
            Self::Ibm2314 => 7_294,
            Self::Ibm3330 => 13_165,
            Self::Ibm3340 => 8_535,
            Self::Ibm3350 => 19_254,
            Self::Ibm3375 => 36_000,
            Self::Ibm3380 => 47_968,
            Self::Ibm3390 => 58_786,
            Self::Ibm9345 => 48_280,
        }
    }

    const fn capacity(self) -> Capacity {
        match self {
            Self::Ibm2305 => Capacity::Linear(91, 198),
            Self::Ibm2311 => Capacity::Stretched(20, 61, 537, 512),
            Self::Ibm2314 => Capacity::Stretched(45, 101, 2137, 2048),
            Self::Ibm3330 => Capacity::Linear(56, 135),
            Self::Ibm3340 => Capacity::Linear(75, 167),
            Self::Ibm3350 => Capacity::Linear(82, 185),
            Self::Ibm3375 => Capacity::Cells(32, 384, 160),
            Self::Ibm3380 => Capacity::Cells(32, 492, 236),
            Self::Ibm3390 => Capacity::Segments(34, 19, 9, 6, 116, 6),
            Self::Ibm9345 => Capacity::Segments(34, 18, 7, 6, 116, 6),
        }
    }

    /// How many equal records with `key` and `data` bytes a track holds by the device's formula; 0 if none fits.
    #[must_use]
    pub fn records_per_track(self, key: u8, data: u16) -> u32 {
        let (k, d) = (u32::from(key), u32::from(data));
        let length = self.track_length();
        match self.capacity() {
            Capacity::Stretched(key_overhead, gap, factor, divisor) => {
                let keyed = if k > 0 { key_overhead } else { 0 };
                let last = k + d + keyed;
                let other = (k + d) * factor / divisor + keyed + gap;
                if last > length { 0 } else { (length - last) / other + 1 }
            }
            Capacity::Linear(key_overhead, overhead) => {
                let keyed = if k > 0 { key_overhead } else { 0 };
                length / (k + d + keyed + overhead)
            }
            Capacity::Cells(f1, f2, f3) => {
                let keyed = if k > 0 { (k + f3).next_multiple_of(f1) } else { 0 };
                length / ((d + f2).next_multiple_of(f1) + keyed)
            }
            Capacity::Segments(f1, f2, f3, f4, f5, f6) => {
                let segments = |bytes: u32| (bytes + f6).div_ceil(2 * f5);
                let part = |factor: u32, bytes: u32| (f1 * factor + bytes + f6 + f4 * segments(bytes)).next_multiple_of(f1);
                let keyed = if k > 0 { part(f3, k) } else { 0 };
                length / (part(f2, d) + keyed)
            }
        }
    }

    /// The models of the type, smallest first.
    #[must_use]
    pub const fn models(self) -> &'static [Model] {
        match self {
            Self::Ibm2305 => const { &[model("2305-1", 48, 0), model("2305-2", 96, 0)] },
            Self::Ibm2311 => const { &[model("2311-1", 200, 3)] },
            Self::Ibm2314 => const { &[model("2314-1", 200, 3)] },
            Self::Ibm3330 => const { &[model("3330-1", 404, 7), model("3330-11", 808, 7)] },
            Self::Ibm3340 => const { &[model("3340-35", 348, 1), model("3340-70", 696, 2)] },
            Self::Ibm3350 => const { &[model("3350-1", 555, 5)] },
            Self::Ibm3375 => const { &[model("3375-1", 959, 3)] },
            Self::Ibm3380 => {
                const {
                    &[
                        model("3380-A", 885, 1),
                        model("3380-E", 1770, 2),
                        model("3380-K", 2655, 3),
                        model("3380-K+", 3339, 3),
                        model("3380-K++", 3993, 3),
                    ]
                }
            }
            Self::Ibm3390 => {
                const {
                    &[
                        model("3390-1", 1113, 1),
                        model("3390-2", 2226, 1),
                        model("3390-3", 3339, 1),
                        model("3390-9", 10_017, 3),
                        model("3390-27", 32_760, 3),
                        model("3390-54", 65_520, 3),
                        model("3390-A", 262_668, 0),
                    ]
                }
            }
            Self::Ibm9345 => const { &[model("9345-1", 1440, 0), model("9345-2", 2156, 0)] },
        }
    }

    /// The smallest model that holds `cylinders`, alternates counted; `None` above the largest.
    #[must_use]
    pub fn model_for(self, cylinders: u32) -> Option<&'static Model> {
        self.models().iter().find(|model| cylinders <= model.cylinders + model.alternates)
    }
}

impl fmt::Display for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IBM's reference tables, as the fact sheet "Volume labels and VTOC" gives them in its section 9.
    #[test]
    fn records_per_track_are_those_of_the_reference_tables() {
        let rows: [(u8, u16, [u32; 4]); 9] = [
            (0, 80, [78, 83, 72, 61]),
            (0, 512, [49, 46, 27, 20]),
            (0, 1024, [33, 31, 15, 11]),
            (0, 2048, [21, 18, 8, 6]),
            (0, 4096, [12, 10, 4, 3]),
            (0, 6160, [8, 7, 3, 2]),
            (44, 96, [50, 53, 47, 39]),
            (8, 256, [45, 46, 36, 28]),
            (0, 0, [86, 93, 104, 97]),
        ];
        let devices = [DeviceType::Ibm3390, DeviceType::Ibm3380, DeviceType::Ibm3350, DeviceType::Ibm3330];
        for (key, data, expected) in rows {
            assert_eq!(devices.map(|device| device.records_per_track(key, data)), expected, "key {key} data {data}");
        }
    }

    #[test]
    fn the_longest_record_fits_once_and_one_byte_more_does_not() {
        for device in DeviceType::ALL {
            let longest = u16::try_from(device.longest_record()).unwrap();
            assert_eq!(device.records_per_track(0, longest), 1, "{device}");
            assert_eq!(device.records_per_track(0, longest + 1), 0, "{device}");
        }
    }

    /// Slot sizes as Hercules 3.13 `dasdinit` writes them into image headers.
    #[test]
    fn slots_are_those_of_hercules() {
        let slots = [14848, 4096, 7680, 13312, 8704, 19456, 35840, 47616, 56832, 46592];
        assert_eq!(DeviceType::ALL.map(DeviceType::slot_bytes), slots);
    }

    #[test]
    fn a_model_is_the_smallest_that_holds_the_cylinders() {
        let name = |cylinders| DeviceType::Ibm3390.model_for(cylinders).map(|model| model.name);
        assert_eq!(name(200), Some("3390-1"));
        assert_eq!(name(3340), Some("3390-3"));
        assert_eq!(name(3341), Some("3390-9"));
        assert_eq!(name(300_000), None);
    }
}
