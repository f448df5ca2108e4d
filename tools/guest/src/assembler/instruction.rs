//! Instructions: names, codes and formats.

use super::expression::{Address, Context, displacement};
use super::statement::Statement;

/// How operands lie in an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `R1,R2`
    Rr,
    /// `R2`, with the mask of a branch in place of R1.
    RrMask(u8),
    /// `R1,D2(X2,B2)`
    Rx,
    /// `D2(X2,B2)`, with the mask of a branch in place of R1.
    RxMask(u8),
    /// `R1,R3,D2(B2)`, or `R1,M3,D2(B2)`
    Rs,
    /// `R1,D2(B2)`, where the second operand is a number of bits.
    Shift,
    /// `D1(B1),I2`
    Si,
    /// `D2(B2)`
    S,
    /// `D1(L,B1),D2(B2)`
    Ss,
}

/// Name, format and code; codes of 16 bits take the place of the byte behind, too.
const INSTRUCTIONS: &[(&str, Format, u16)] = &[
    ("BCR", Format::Rr, 0x07),
    ("BR", Format::RrMask(15), 0x07),
    ("CLCL", Format::Rr, 0x0f),
    ("LTR", Format::Rr, 0x12),
    ("LR", Format::Rr, 0x18),
    ("CR", Format::Rr, 0x19),
    ("AR", Format::Rr, 0x1a),
    ("SR", Format::Rr, 0x1b),
    ("MR", Format::Rr, 0x1c),
    ("ALR", Format::Rr, 0x1e),
    ("XR", Format::Rr, 0x17),
    ("STH", Format::Rx, 0x40),
    ("LA", Format::Rx, 0x41),
    ("STC", Format::Rx, 0x42),
    ("IC", Format::Rx, 0x43),
    ("BAL", Format::Rx, 0x45),
    ("BCT", Format::Rx, 0x46),
    ("BC", Format::Rx, 0x47),
    ("B", Format::RxMask(15), 0x47),
    ("BE", Format::RxMask(8), 0x47),
    ("BZ", Format::RxMask(8), 0x47),
    ("BH", Format::RxMask(2), 0x47),
    ("BNE", Format::RxMask(7), 0x47),
    ("BNZ", Format::RxMask(7), 0x47),
    ("BNL", Format::RxMask(11), 0x47),
    ("BNH", Format::RxMask(13), 0x47),
    ("LH", Format::Rx, 0x48),
    ("AH", Format::Rx, 0x4a),
    ("SH", Format::Rx, 0x4b),
    ("ST", Format::Rx, 0x50),
    ("N", Format::Rx, 0x54),
    ("CL", Format::Rx, 0x55),
    ("L", Format::Rx, 0x58),
    ("A", Format::Rx, 0x5a),
    ("S", Format::Rx, 0x5b),
    ("M", Format::Rx, 0x5c),
    ("D", Format::Rx, 0x5d),
    ("AL", Format::Rx, 0x5e),
    ("LPSW", Format::S, 0x8200),
    ("BXLE", Format::Rs, 0x87),
    ("SRL", Format::Shift, 0x88),
    ("SLL", Format::Shift, 0x89),
    ("STM", Format::Rs, 0x90),
    ("TM", Format::Si, 0x91),
    ("MVI", Format::Si, 0x92),
    ("NI", Format::Si, 0x94),
    ("CLI", Format::Si, 0x95),
    ("SIO", Format::S, 0x9c00),
    ("STCK", Format::S, 0xb205),
    ("SCKC", Format::S, 0xb206),
    ("LCTL", Format::Rs, 0xb7),
    ("STCM", Format::Rs, 0xbe),
    ("MVC", Format::Ss, 0xd2),
    ("CLC", Format::Ss, 0xd5),
    ("XC", Format::Ss, 0xd7),
];

fn find(operation: &str) -> Result<(Format, u16), String> {
    let found = INSTRUCTIONS.iter().find(|(name, ..)| *name == operation);
    found.map(|(_, format, code)| (*format, *code)).ok_or_else(|| format!("no operation {operation}"))
}

/// Bytes of an instruction.
pub fn length(operation: &str) -> Result<u32, String> {
    Ok(match find(operation)?.0 {
        Format::Rr | Format::RrMask(_) => 2,
        Format::Ss => 6,
        _ => 4,
    })
}

/// The bytes of an instruction.
pub fn encode(statement: &Statement, context: &Context<'_>) -> Result<Vec<u8>, String> {
    let (format, code) = find(&statement.operation)?;
    let [high, low] = code.to_be_bytes();
    let operand = |number| statement.operand(number);
    let register = |number| context.register(operand(number)?);
    let nibbles = |left: u8, right: u8| left << 4 | right;
    Ok(match format {
        Format::Rr => vec![low, nibbles(register(0)?, register(1)?)],
        Format::RrMask(mask) => vec![low, nibbles(mask, register(0)?)],
        Format::Rx => indexed(low, register(0)?, context.address(operand(1)?, false)?)?,
        Format::RxMask(mask) => indexed(low, mask, context.address(operand(0)?, false)?)?,
        Format::Rs => {
            let address = context.address(operand(2)?, true)?;
            storage(vec![low, nibbles(register(0)?, register(1)?)], address)
        }
        Format::Shift => {
            let bits = displacement(context.value(operand(1)?)?)?;
            storage(vec![low, nibbles(register(0)?, 0)], Address { first: None, base: 0, displacement: bits })
        }
        Format::Si => {
            let address = context.address(operand(0)?, true)?;
            storage(vec![low, context.byte(operand(1)?)?], address)
        }
        Format::S => storage(vec![high, low], context.address(operand(0)?, true)?),
        Format::Ss => {
            let first = context.address(operand(0)?, false)?;
            let length = first.first.unwrap_or(0);
            let coded = length.checked_sub(1).and_then(|length| u8::try_from(length).ok());
            let coded = coded.ok_or_else(|| format!("a length is 1 to 256, not {length}"))?;
            storage(storage(vec![low, coded], first), context.address(operand(1)?, true)?)
        }
    })
}

fn indexed(code: u8, first: u8, address: Address) -> Result<Vec<u8>, String> {
    let index = address.first.unwrap_or(0);
    let index = u8::try_from(index).ok().filter(|index| *index < 16);
    let index = index.ok_or_else(|| format!("{:?} is not an index register", address.first))?;
    Ok(storage(vec![code, first << 4 | index], address))
}

fn storage(mut bytes: Vec<u8>, address: Address) -> Vec<u8> {
    bytes.extend((u16::from(address.base) << 12 | address.displacement).to_be_bytes());
    bytes
}
