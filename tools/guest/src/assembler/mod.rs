//! A small assembler for System/370: the instructions, directives and operand forms that `program.asm` uses.
//!
//! The syntax is that of the manufacturer's assembler: a label in the first column, an operation, operands without
//! blanks, a remark; lines that begin with `*` are comments. Two passes: the first gives every label its address, the
//! second makes the bytes. `USING value,register` says which register holds what; register 0 needs no loading, so
//! addresses below 4096 can always be reached.
//!
//! Source of the formats: IBM System/370 Principles of Operation (GA22-7000), appendix "Lists of Instructions".

mod directive;
mod expression;
mod instruction;
mod statement;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use self::expression::Context;
use self::statement::Statement;

/// Why a line can't be assembled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct AssemblyError {
    /// Line of the source, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// An assembled program: an image of storage from address 0, and where its labels lie.
#[derive(Debug, Clone)]
pub struct Program {
    /// Storage from address 0 to the last byte that was assembled.
    pub image: Vec<u8>,
    /// Address or value of each label.
    pub symbols: BTreeMap<String, u32>,
    /// Address, bytes and source of each line.
    pub listing: String,
}

/// Highest address that may be assembled.
const STORAGE_BYTES: u32 = 1 << 20;

/// Assembles a source.
///
/// # Errors
/// At the first line that is wrong.
pub fn assemble(source: &str) -> Result<Program, AssemblyError> {
    let mut statements = Vec::new();
    for (number, text) in source.lines().enumerate() {
        let statement = Statement::parse(text).map_err(|reason| AssemblyError { line: number + 1, reason })?;
        statements.push((number + 1, text, statement));
    }
    let mut symbols = BTreeMap::new();
    let mut here = 0;
    for (line, _, statement) in statements.iter().filter_map(|(l, t, s)| s.as_ref().map(|s| (*l, *t, s))) {
        place(statement, &mut here, &mut symbols).map_err(|reason| AssemblyError { line, reason })?;
    }
    let mut program = Program { image: Vec::new(), symbols, listing: String::new() };
    let mut context = Context { symbols: &program.symbols, here: 0, bases: vec![(0, 0)] };
    for (line, text, statement) in &statements {
        let fail = |reason| AssemblyError { line: *line, reason };
        let mut bytes = Vec::new();
        if let Some(statement) = statement {
            context.here = aligned(statement, context.here);
            let address = context.here;
            bytes = emit(statement, &mut context).map_err(fail)?;
            let end = address as usize + bytes.len();
            if !bytes.is_empty() {
                program.image.resize(program.image.len().max(end), 0);
                program.image[address as usize..end].copy_from_slice(&bytes);
            }
        }
        list(&mut program.listing, context.here.saturating_sub(bytes.len() as u32), &bytes, text);
    }
    Ok(program)
}

/// First pass: the address of a statement, and of its label.
fn place(statement: &Statement, here: &mut u32, symbols: &mut BTreeMap<String, u32>) -> Result<(), String> {
    let context = Context { symbols, here: *here, bases: Vec::new() };
    let mut value = aligned(statement, *here);
    let next = match statement.operation.as_str() {
        "EQU" => {
            value = context.value(statement.operand(0)?)?;
            *here
        }
        "ORG" => {
            value = context.value(statement.operand(0)?)?;
            value
        }
        "USING" => *here,
        "DC" | "DS" => value + directive::length(statement)?,
        "CCW" => value + 8,
        operation => value + instruction::length(operation)?,
    };
    if next > STORAGE_BYTES {
        return Err(format!("address {next:X} is past the end of storage"));
    }
    *here = next;
    if let Some(label) = &statement.label
        && symbols.insert(label.clone(), value).is_some()
    {
        return Err(format!("{label} is defined twice"));
    }
    Ok(())
}

/// Second pass: the bytes of a statement; the context moves on behind them.
fn emit(statement: &Statement, context: &mut Context<'_>) -> Result<Vec<u8>, String> {
    let bytes = match statement.operation.as_str() {
        "EQU" => Vec::new(),
        "ORG" => {
            context.here = context.value(statement.operand(0)?)?;
            Vec::new()
        }
        "USING" => {
            let base = (context.value(statement.operand(0)?)?, context.register(statement.operand(1)?)?);
            context.bases.push(base);
            Vec::new()
        }
        "DC" => directive::constant(statement, context)?,
        "DS" => {
            context.here += directive::length(statement)?;
            Vec::new()
        }
        "CCW" => directive::channel_command(statement, context)?,
        _ => instruction::encode(statement, context)?,
    };
    context.here += bytes.len() as u32;
    Ok(bytes)
}

/// The address at which a statement can lie, from `here` on.
fn aligned(statement: &Statement, here: u32) -> u32 {
    let to = match statement.operation.as_str() {
        "DC" | "DS" => directive::alignment(statement),
        "CCW" => 8,
        "EQU" | "ORG" | "USING" => 1,
        _ => 2,
    };
    here.next_multiple_of(to)
}

fn list(listing: &mut String, address: u32, bytes: &[u8], text: &str) {
    if bytes.is_empty() {
        let _ = writeln!(listing, "{:24} {text}", "");
        return;
    }
    for (row, chunk) in bytes.chunks(8).enumerate() {
        let mut digits = String::new();
        for byte in chunk {
            let _ = write!(digits, "{byte:02X}");
        }
        let text = if row == 0 { text } else { "" };
        let _ = writeln!(listing, "{:06X} {digits:17} {text}", address as usize + row * 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(source: &str) -> Vec<u8> {
        assemble(source).unwrap().image
    }

    /// Formats and codes from the Principles of Operation, written out by hand.
    #[test]
    fn every_instruction_format_has_its_layout() {
        let cases: [(&str, &[u8]); 20] = [
            (" LR 1,2", &[0x18, 0x12]),
            (" BR 14", &[0x07, 0xfe]),
            (" L 3,X'204'", &[0x58, 0x30, 0x02, 0x04]),
            (" L 3,8(5)", &[0x58, 0x35, 0x00, 0x08]),
            (" LA 3,8(5,6)", &[0x41, 0x35, 0x60, 0x08]),
            (" LA 3,8(,6)", &[0x41, 0x30, 0x60, 0x08]),
            (" BE X'100'", &[0x47, 0x80, 0x01, 0x00]),
            (" BNL 0(,14)", &[0x47, 0xb0, 0xe0, 0x00]),
            (" SLL 7,16", &[0x89, 0x70, 0x00, 0x10]),
            (" BXLE 4,2,X'300'", &[0x87, 0x42, 0x03, 0x00]),
            (" STM 14,12,12(13)", &[0x90, 0xec, 0xd0, 0x0c]),
            (" STCM 1,7,9", &[0xbe, 0x17, 0x00, 0x09]),
            (" MVI 4(9),X'40'", &[0x92, 0x40, 0x90, 0x04]),
            (" TM X'44',4", &[0x91, 0x04, 0x00, 0x44]),
            (" SIO 0(2)", &[0x9c, 0x00, 0x20, 0x00]),
            (" LPSW X'208'", &[0x82, 0x00, 0x02, 0x08]),
            (" SCKC 8", &[0xb2, 0x06, 0x00, 0x08]),
            (" MVC 4(32,1),X'500'", &[0xd2, 0x1f, 0x10, 0x04, 0x05, 0x00]),
            (" CLC X'44'(2),X'600'", &[0xd5, 0x01, 0x00, 0x44, 0x06, 0x00]),
            (" CCW X'1D',X'012345',X'40',4104", &[0x1d, 0x01, 0x23, 0x45, 0x40, 0x00, 0x10, 0x08]),
        ];
        for (source, expected) in cases {
            assert_eq!(bytes(source), expected, "{source}");
        }
    }

    #[test]
    fn constants_are_aligned_and_labels_stand_for_addresses() {
        let program = assemble(
            "* a comment\nSTART    DC    X'01'          one byte\nWORD     DC    F'-2'\nHALVES   DC    2H'3'\n\
             TEXT     DC    C'A1'\nPOINTER  DC    A(WORD+1)\nROOM     DS    4F\nSIZE     EQU   *-WORD\nEND      DC    X'FF'\n",
        )
        .unwrap();
        let hex = "01000000 FFFFFFFE 00030003 C1F10000 00000005 00000000000000000000000000000000 FF".replace(' ', "");
        let found: String = program.image.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(found, hex);
        assert_eq!((program.symbols["WORD"], program.symbols["SIZE"], program.symbols["END"]), (4, 32, 36));
    }

    #[test]
    fn a_base_register_is_found_and_one_that_is_missing_is_told() {
        assert_eq!(bytes(" USING 4096,12\n L 1,4100"), [0x58, 0x10, 0xc0, 0x04]);
        let error = assemble(" L 1,4100").unwrap_err();
        assert_eq!(error.to_string(), "line 1: no base register reaches 1004");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (source, words) in [
            ("\n XYZ 1,2", "line 2: no operation XYZ"),
            (" L 1", "line 1: operand 2 of L is missing"),
            (" LR 1,16", "line 1: 16 is not a register"),
            (" L 1,NONE", "line 1: NONE is not defined"),
            ("A EQU 1\nA EQU 2", "line 2: A is defined twice"),
            (" SLL 1,4096", "line 1: 4096 is too large for a displacement"),
            (" DC X'123'", "line 1: X'123' has an odd number of digits"),
            (" MVI 0,256", "line 1: 256 does not fit into a byte"),
            (" MVC 0(257),8", "line 1: a length is 1 to 256, not 257"),
        ] {
            assert_eq!(assemble(source).unwrap_err().to_string(), words, "{source}");
        }
    }
}
