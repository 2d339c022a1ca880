//! What the server says: every message appended whole to one buffer, its length patched in behind.

use super::oid;
use crate::error::Error;
use crate::plan::query::CHANGED_RESULT;
use crate::session::{Notice, OutputColumn, TransactionStatus};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

impl Format {
    fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// Whether the session goes on after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Fatal,
}

/// Begins a message at the end of `out`; [`close`] ends it.
pub(super) fn open(out: &mut Vec<u8>, tag: u8) -> usize {
    out.push(tag);
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

/// Ends a message that [`open`] began. A message longer than the protocol can say does not occur:
/// rows are checked, everything else is short.
pub(super) fn close(out: &mut [u8], at: usize) {
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let at = open(out, tag);
    body(out);
    close(out, at);
}

/// A string with its end. A NUL inside would end it early for the client.
fn string(out: &mut Vec<u8>, text: &str) {
    match text.contains('\0') {
        true => out.extend(text.bytes().filter(|byte| *byte != 0)),
        false => out.extend_from_slice(text.as_bytes()),
    }
    out.push(0);
}

fn field(out: &mut Vec<u8>, code: u8, text: &str) {
    out.push(code);
    string(out, text);
}

pub(super) fn authentication_ok(out: &mut Vec<u8>) {
    message(out, b'R', |out| out.extend_from_slice(&0i32.to_be_bytes()));
}

/// The version spoken from here on, and the options of the client that mean nothing here.
pub(super) fn negotiate_version(out: &mut Vec<u8>, version: u32, unknown: &[String]) {
    message(out, b'v', |out| {
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&(unknown.len() as u32).to_be_bytes());
        unknown.iter().for_each(|name| string(out, name));
    });
}

pub(super) fn backend_key(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    message(out, b'K', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

pub(super) fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        string(out, name);
        string(out, value);
    });
}

pub(super) fn ready(out: &mut Vec<u8>, status: TransactionStatus) {
    message(out, b'Z', |out| {
        out.push(match status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        });
    });
}

pub(super) fn parse_complete(out: &mut Vec<u8>) {
    message(out, b'1', |_| {});
}

pub(super) fn bind_complete(out: &mut Vec<u8>) {
    message(out, b'2', |_| {});
}

pub(super) fn close_complete(out: &mut Vec<u8>) {
    message(out, b'3', |_| {});
}

pub(super) fn no_data(out: &mut Vec<u8>) {
    message(out, b'n', |_| {});
}

pub(super) fn portal_suspended(out: &mut Vec<u8>) {
    message(out, b's', |_| {});
}

pub(super) fn empty_query(out: &mut Vec<u8>) {
    message(out, b'I', |_| {});
}

pub(super) fn copy_done(out: &mut Vec<u8>) {
    message(out, b'c', |_| {});
}

pub(super) fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'd', |out| out.extend_from_slice(data));
}

pub(super) fn command_complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| string(out, tag));
}

pub(super) fn copy_in(out: &mut Vec<u8>, format: Format, columns: usize) {
    message(out, b'G', |out| copy_shape(out, format, columns));
}

pub(super) fn copy_out(out: &mut Vec<u8>, format: Format, columns: usize) {
    message(out, b'H', |out| copy_shape(out, format, columns));
}

fn copy_shape(out: &mut Vec<u8>, format: Format, columns: usize) {
    out.push(format.code() as u8);
    out.extend_from_slice(&(columns as i16).to_be_bytes());
    (0..columns).for_each(|_| out.extend_from_slice(&format.code().to_be_bytes()));
}

pub(super) fn parameter_description(out: &mut Vec<u8>, oids: &[u32]) {
    message(out, b't', |out| {
        out.extend_from_slice(&(oids.len() as u16).to_be_bytes());
        oids.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    });
}

/// `format` says how the column at a position is written.
pub(super) fn row_description(
    out: &mut Vec<u8>,
    columns: &[OutputColumn],
    format: impl Fn(usize) -> Format,
) {
    message(out, b'T', |out| {
        out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
        for (position, column) in columns.iter().enumerate() {
            let (table, attribute) = column.table.unwrap_or((0, 0));
            string(out, &column.name);
            out.extend_from_slice(&table.to_be_bytes());
            out.extend_from_slice(&attribute.to_be_bytes());
            let (type_oid, length) = match column.catalog_type {
                Some(of) => (of.oid, of.len),
                None => (oid::of_type(&column.data_type), oid::length(&column.data_type)),
            };
            out.extend_from_slice(&type_oid.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&oid::modifier(&column.data_type).to_be_bytes());
            out.extend_from_slice(&format(position).code().to_be_bytes());
        }
    });
}

pub(super) fn error(out: &mut Vec<u8>, severity: Severity, error: &Error) {
    let word = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    message(out, b'E', |out| {
        field(out, b'S', word);
        field(out, b'V', word);
        field(out, b'C', error.kind().sqlstate());
        field(out, b'M', &error.to_string());
        if let Some(detail) = error.detail_text() {
            field(out, b'D', detail);
        }
        if let Some(hint) = error.hint_text() {
            field(out, b'H', hint);
        }
        if let Some(position) = error.position() {
            field(out, b'P', &position.to_string());
        }
        if let Some(context) = error.context_text() {
            field(out, b'W', context);
        }
        let object = error.object();
        for (code, name) in [
            (b's', &object.schema),
            (b't', &object.table),
            (b'c', &object.column),
            (b'n', &object.constraint),
        ] {
            if let Some(name) = name {
                field(out, code, name);
            }
        }
        if error.message() == CHANGED_RESULT {
            // Drivers prepare again where this routine of PostgreSQL's complains.
            field(out, b'R', "RevalidateCachedQuery");
        }
        out.push(0);
    });
}

/// The last message of a session that the server ends on its own account.
pub(super) fn fatal(out: &mut Vec<u8>, sqlstate: &str, text: &str) {
    message(out, b'E', |out| {
        field(out, b'S', "FATAL");
        field(out, b'V', "FATAL");
        field(out, b'C', sqlstate);
        field(out, b'M', text);
        out.push(0);
    });
}

pub(super) fn notice(out: &mut Vec<u8>, notice: &Notice) {
    message(out, b'N', |out| {
        field(out, b'S', notice.severity);
        field(out, b'V', notice.severity);
        field(out, b'C', notice.code);
        field(out, b'M', &notice.message);
        if let Some(hint) = &notice.hint {
            field(out, b'H', hint);
        }
        out.push(0);
    });
}
