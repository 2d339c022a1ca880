//! An interval as `1 year 2 mons 3 days 04:05:06.789`.

use super::calendar::write_minutes;
use super::integer::{write_i64, write_pair, write_u64};

pub(super) fn write(months: i32, days: i32, micros: i64, out: &mut Vec<u8>) {
    let mut parts = Parts { out, any: false, negative: false };
    parts.part(months / 12, " year");
    parts.part(months % 12, " mon");
    parts.part(days, " day");
    if micros != 0 || !parts.any {
        parts.time(micros);
    }
}

struct Parts<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
    /// The part before was negative, so that a positive one needs its sign.
    negative: bool,
}

impl Parts<'_> {
    fn part(&mut self, value: i32, unit: &str) {
        if value == 0 {
            return;
        }
        self.begin(self.negative && value > 0);
        write_i64(value.into(), self.out);
        self.out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            self.out.push(b's');
        }
        self.any = true;
        self.negative = value < 0;
    }

    fn time(&mut self, micros: i64) {
        self.begin(self.negative && micros >= 0);
        if micros < 0 {
            self.out.push(b'-');
        }
        let micros = micros.unsigned_abs();
        let seconds = micros / 1_000_000;
        match seconds / 3_600 {
            hours @ 0..100 => write_pair(hours as u32, self.out),
            hours => write_u64(hours, self.out),
        }
        write_minutes(seconds as i64, (micros % 1_000_000) as i64, self.out);
    }

    fn begin(&mut self, plus: bool) {
        if self.any {
            self.out.push(b' ');
        }
        if plus {
            self.out.push(b'+');
        }
    }
}
