//! What a CKD device tells of itself: Read Device Characteristics and Sense ID.
//!
//! The layouts are those of IBM's storage control reference manuals ("Read Device Characteristics", "Sense ID"). Which
//! value a model has in a field was seen at Hercules 3.13, whose devices answer so with their usual control units; the
//! tests hold its answers. Guest systems look devices up in tables of their own, so they are described as that emulator
//! does it, to the byte.

use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::device::DeviceType;
use super::geometry::Geometry;

/// Length of the answer to Read Device Characteristics.
pub const CHARACTERISTICS_BYTES: usize = 64;

/// Device class of direct access storage.
const CLASS_DASD: u8 = 0x20;
/// Read Configuration Data, the one command information word of a 3390 behind a 3990: command FA, 256 bytes.
const READ_CONFIGURATION_DATA: [u8; 4] = [0x40, 0xfa, 0x01, 0x00];

/// The answer to Read Device Characteristics.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Characteristics {
    /// 0: control unit, such as 3990.
    control_unit: U16,
    /// 2
    control_unit_model: u8,
    /// 3: device, such as 3390.
    device: U16,
    /// 5
    model: u8,
    /// 6: facilities of the device and the control unit.
    facilities: [u8; 4],
    /// 10
    class: u8,
    /// 11: code of the device type.
    type_code: u8,
    /// 12: cylinders without alternates.
    primary_cylinders: U16,
    /// 14: tracks in a cylinder.
    heads: U16,
    /// 16: sectors of a track.
    sectors: u8,
    /// 17: unknown, zero in everything seen.
    unknown_17: u8,
    /// 18: usable length of a track, in the bytes of the capacity formula.
    track_length: U16,
    /// 20: length of home address and R0.
    home_and_r0_bytes: U16,
    /// 22: capacity formula and its first factors.
    formula: [u8; 6],
    /// 28: first alternate cylinder, 0 where there is none.
    first_alternate: U16,
    /// 30: alternate tracks.
    alternate_tracks: U16,
    /// 32: diagnostic and support tracks, none.
    other_tracks: [u8; 8],
    /// 40: code of the device type once more, for the miscellaneous data record.
    record_type_code: u8,
    /// 41: and for the volume data.
    volume_type_code: u8,
    /// 42: code of the control unit.
    control_unit_code: u8,
    /// 43: unknown, 2 in everything seen.
    unknown_43: u8,
    /// 44: longest R0.
    r0_bytes: U16,
    /// 46: unknown, 1 in everything seen.
    unknown_46: U16,
    /// 48: sixth factor of the capacity formula.
    factor_6: u8,
    /// 49: factor for the calculation of sector numbers.
    sector_factor: U16,
    /// 51: limits of buffers and functions of control units that are not described here, zero.
    limits: [u8; 6],
    /// 57: unknown, FF in everything seen.
    unknown_57: u8,
    /// 58
    rest: [u8; 6],
}

const _: () = assert!(size_of::<Characteristics>() == CHARACTERISTICS_BYTES);

/// A control unit.
#[derive(Debug, Clone, Copy)]
struct ControlUnit {
    number: u16,
    model: u8,
    /// Its code in the characteristics; 0 for units that are older than the code.
    code: u8,
}

/// What all models of a device have in common.
#[derive(Debug, Clone, Copy)]
struct Common {
    control_unit: ControlUnit,
    /// First byte of the facilities; the others are zero.
    facilities: u8,
    sectors: u8,
    home_and_r0_bytes: u16,
    r0_bytes: u16,
    sector_factor: u16,
    /// Formula 1 or 2 and the factors behind it; formulas of older devices are not told.
    formula: [u8; 6],
    factor_6: u8,
}

const fn old(control_unit: u16, model: u8, sectors: u8, home_and_r0_bytes: u16, r0_bytes: u16) -> Common {
    Common {
        control_unit: ControlUnit { number: control_unit, model, code: 0 },
        facilities: 0,
        sectors,
        home_and_r0_bytes,
        r0_bytes,
        sector_factor: 0,
        formula: [0; 6],
        factor_6: 0,
    }
}

const fn common(device: DeviceType) -> Common {
    const CU_3880: ControlUnit = ControlUnit { number: 0x3880, model: 0x05, code: 0x09 };
    match device {
        DeviceType::Ibm2305 => old(0x2835, 0, 90, 198, 14_858),
        DeviceType::Ibm2311 => old(0x2841, 0, 0, 0, 0),
        DeviceType::Ibm2314 => old(0x2314, 0, 0, 0, 0),
        DeviceType::Ibm3330 => old(0x3830, 0x02, 128, 135, 13_165),
        DeviceType::Ibm3340 => old(0x3830, 0x02, 64, 167, 8_535),
        DeviceType::Ibm3350 => old(0x3830, 0x02, 128, 185, 19_254),
        DeviceType::Ibm3375 => Common {
            control_unit: CU_3880,
            facilities: 0x80,
            sectors: 196,
            home_and_r0_bytes: 832,
            r0_bytes: 36_000,
            sector_factor: 0x5007,
            // 32, 384, 160
            formula: [1, 32, 0x01, 0x80, 0x00, 0xa0],
            factor_6: 0,
        },
        DeviceType::Ibm3380 => Common {
            control_unit: CU_3880,
            facilities: 0x80,
            sectors: 222,
            home_and_r0_bytes: 1088,
            r0_bytes: 47_988,
            sector_factor: 0x5007,
            // 32, 492, 236
            formula: [1, 32, 0x01, 0xec, 0x00, 0xec],
            factor_6: 0,
        },
        DeviceType::Ibm3390 => Common {
            control_unit: ControlUnit { number: 0x3990, model: 0xc2, code: 0x10 },
            facilities: 0xd0,
            sectors: 224,
            home_and_r0_bytes: 1428,
            r0_bytes: 57_326,
            sector_factor: 0x7708,
            formula: [2, 34, 19, 9, 6, 116],
            factor_6: 6,
        },
        DeviceType::Ibm9345 => Common {
            control_unit: ControlUnit { number: 0x9343, model: 0xe0, code: 0x11 },
            facilities: 0x80,
            sectors: 213,
            home_and_r0_bytes: 1184,
            r0_bytes: 48_174,
            sector_factor: 0x8b07,
            formula: [2, 34, 18, 7, 6, 116],
            factor_6: 6,
        },
    }
}

/// What tells the models of a device apart.
#[derive(Debug, Clone, Copy)]
struct OwnModel {
    model: u8,
    type_code: u8,
    /// Cylinders before the alternates.
    primary: u32,
}

/// The model that has as many cylinders, or the largest.
fn own_model(geometry: &Geometry) -> OwnModel {
    let (device, cylinders) = (geometry.device(), geometry.cylinders());
    let models = device.models();
    let place = models.iter().position(|model| cylinders <= model.cylinders + model.alternates);
    let primary = place.map_or(cylinders, |place| models[place].cylinders.min(cylinders));
    let codes: &[(u8, u8)] = match device {
        DeviceType::Ibm2305 => &[(0x00, 0), (0x02, 0)],
        DeviceType::Ibm2311 | DeviceType::Ibm2314 | DeviceType::Ibm3350 => &[(0x00, 0)],
        DeviceType::Ibm3330 => &[(0x01, 0), (0x11, 0)],
        DeviceType::Ibm3340 => &[(0x01, 0), (0x02, 0)],
        DeviceType::Ibm3375 => &[(0x02, 0x0e)],
        DeviceType::Ibm3380 => &[(0x02, 0x0e), (0x0a, 0x0e), (0x1e, 0x0e)],
        DeviceType::Ibm3390 => &[(0x02, 0x26), (0x06, 0x27), (0x0a, 0x24), (0x0c, 0x32)],
        DeviceType::Ibm9345 => &[(0x04, 0x04)],
    };
    // All larger models are described as the last one listed.
    let (model, type_code) = codes[place.unwrap_or(usize::MAX).min(codes.len() - 1)];
    OwnModel { model, type_code, primary }
}

/// What a device of this geometry answers to Read Device Characteristics.
///
/// Of more cylinders than 16 bits hold it tells 65,534, as IBM's devices do.
#[must_use]
pub fn characteristics(geometry: &Geometry) -> [u8; CHARACTERISTICS_BYTES] {
    let device = geometry.device();
    let OwnModel { model, type_code, primary } = own_model(geometry);
    let mut common = common(device);
    // The 2305-1 has shorter tracks than the 2305-2, for which the tables stand.
    let mut track_length = device.track_length();
    if device == DeviceType::Ibm2305 && model == 0 {
        (track_length, common.home_and_r0_bytes, common.r0_bytes) = (14_568, 432, 14_568);
    }
    let alternates = geometry.cylinders() - primary;
    let first_alternate = if alternates == 0 { 0 } else { primary };
    zerocopy::transmute!(Characteristics {
        control_unit: common.control_unit.number.into(),
        control_unit_model: common.control_unit.model,
        device: device.number().into(),
        model,
        facilities: [common.facilities, 0, 0, 0],
        class: CLASS_DASD,
        type_code,
        primary_cylinders: sixteen_bits(primary),
        heads: geometry.heads().into(),
        sectors: common.sectors,
        unknown_17: 0,
        track_length: sixteen_bits(track_length),
        home_and_r0_bytes: common.home_and_r0_bytes.into(),
        formula: common.formula,
        first_alternate: sixteen_bits(first_alternate),
        alternate_tracks: sixteen_bits(alternates * u32::from(geometry.heads())),
        other_tracks: [0; 8],
        record_type_code: type_code,
        volume_type_code: type_code,
        control_unit_code: common.control_unit.code,
        unknown_43: 2,
        r0_bytes: common.r0_bytes.into(),
        unknown_46: 1.into(),
        factor_6: common.factor_6,
        sector_factor: common.sector_factor.into(),
        limits: [0; 6],
        unknown_57: 0xff,
        rest: [0; 6],
    })
}

fn sixteen_bits(number: u32) -> U16 {
    u16::try_from(number).unwrap_or(0xfffe).into()
}

/// What a device of this geometry answers to Sense ID.
///
/// The 2311 and the 2314 are older than the command and reject it. Their answer is made like those of the others, since
/// a shared device client takes a device that has none for one that is broken.
#[must_use]
pub fn sense_id(geometry: &Geometry) -> Vec<u8> {
    let device = geometry.device();
    let unit = common(device).control_unit;
    let [u0, u1] = unit.number.to_be_bytes();
    let [d0, d1] = device.number().to_be_bytes();
    let mut id = vec![0xff, u0, u1, unit.model, d0, d1, own_model(geometry).model];
    if device == DeviceType::Ibm3390 {
        id.push(0);
        id.extend(READ_CONFIGURATION_DATA);
    }
    id
}

#[cfg(test)]
mod tests;
