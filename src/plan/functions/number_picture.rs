//! The pictures of numbers, `FM9,990.00`, as `to_char` and `to_number` read them.

use crate::error::{Error, ErrorKind, Result};

/// One piece of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `9`
    Digit,
    /// `0`
    Zero,
    /// `.` and `D`
    Point,
    /// `,` and `G`
    Group,
    /// `L`
    Currency,
    /// `MI`
    Minus,
    /// `PL`
    Plus,
    /// `SG`
    Sign,
    /// `TH` and `th`
    Ordinal(bool),
    /// What stands for itself.
    Text(String),
}

/// Where a sign that belongs to the digits is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Before,
    After,
}

/// A picture, and what its pieces say together.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub pieces: Vec<Piece>,
    /// How many digits stand before the point, and behind it.
    pub whole: usize,
    pub fraction: usize,
    /// How many digits `V` moves the point by.
    pub shift: usize,
    shifts: bool,
    /// Where among the digits the first `0` is, if there is one before the point.
    pub first_zero: Option<usize>,
    /// How many digits there are up to the last `0`.
    pub last_zero: usize,
    pub has_point: bool,
    /// `FM`
    pub is_tight: bool,
    /// `S`
    pub anchored: Option<Anchor>,
    /// How many digits stood before `S`.
    pub before_sign: usize,
    /// `PR`
    pub brackets: bool,
    pub has_minus: bool,
    pub has_plus: bool,
    /// `RN`: in which case.
    pub roman: Option<bool>,
    /// `EEEE`
    pub scientific: bool,
}

const WORDS: [&str; 22] = [
    "EEEE", "eeee", "FM", "fm", "MI", "mi", "PL", "pl", "PR", "pr", "RN", "rn", "SG", "sg", "TH",
    "th", "SP", "sp", "B", "b", "V", "v",
];

impl Picture {
    /// # Errors
    /// Syntax, as PostgreSQL has it, for pieces that do not go together.
    pub fn parse(text: &str) -> Result<Picture> {
        let mut picture = Picture::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(word) = WORDS.iter().find(|word| rest.starts_with(**word)) {
                rest = &rest[word.len()..];
                picture.word(word)?;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '"' => {
                    let end = rest.find('"').unwrap_or(rest.len());
                    picture.text(&rest[..end]);
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                '\\' if rest.starts_with('"') => {
                    picture.text("\"");
                    rest = &rest[1..];
                }
                c => picture.letter(c)?,
            }
        }
        Ok(picture)
    }

    fn text(&mut self, text: &str) {
        self.pieces.push(Piece::Text(text.to_owned()));
    }

    fn letter(&mut self, c: char) -> Result<()> {
        if self.scientific {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        match c {
            '9' | '0' if self.brackets => {
                return Err(syntax(&format!("\"{c}\" must be ahead of \"PR\"")));
            }
            '9' | '0' => self.digit(c == '0'),
            '.' | 'D' | 'd' if self.has_point => return Err(syntax("multiple decimal points")),
            '.' | 'D' | 'd' if self.shift > 0 => {
                return Err(syntax("cannot use \"V\" and decimal point together"));
            }
            '.' | 'D' | 'd' => {
                self.has_point = true;
                self.pieces.push(Piece::Point);
            }
            ',' | 'G' | 'g' => self.pieces.push(Piece::Group),
            'L' | 'l' => self.pieces.push(Piece::Currency),
            'S' | 's' => self.sign()?,
            c => self.text(c.encode_utf8(&mut [0; 4])),
        }
        Ok(())
    }

    fn digit(&mut self, is_zero: bool) {
        self.pieces.push(if is_zero { Piece::Zero } else { Piece::Digit });
        if is_zero && self.first_zero.is_none() && !self.has_point {
            self.first_zero = Some(self.whole);
        }
        match (self.shifts, self.has_point) {
            (true, _) => self.shift += 1,
            (false, true) => self.fraction += 1,
            (false, false) => self.whole += 1,
        }
        if is_zero {
            self.last_zero = self.whole + self.fraction;
        }
    }

    fn sign(&mut self) -> Result<()> {
        if self.anchored.is_some() {
            return Err(syntax("cannot use \"S\" twice"));
        }
        if self.has_plus || self.has_minus || self.brackets {
            return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
        }
        self.before_sign = self.whole;
        self.anchored = Some(if self.has_point { Anchor::After } else { Anchor::Before });
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let is_upper = word.starts_with(|c: char| c.is_uppercase());
        match word.to_ascii_uppercase().as_str() {
            "FM" => self.is_tight = true,
            "EEEE" => {
                let others = self.is_tight
                    || self.anchored.is_some()
                    || self.brackets
                    || self.has_minus
                    || self.has_plus
                    || self.roman.is_some()
                    || self.shifts;
                if others {
                    return Err(syntax("\"EEEE\" is incompatible with other formats"));
                }
                self.scientific = true;
            }
            "MI" | "PL" | "SG" if self.anchored.is_some() => {
                return Err(syntax(&format!("cannot use \"S\" and \"{word}\" together")));
            }
            "MI" => {
                self.has_minus = true;
                self.pieces.push(Piece::Minus);
            }
            "PL" => {
                self.has_plus = true;
                self.pieces.push(Piece::Plus);
            }
            "SG" => {
                (self.has_minus, self.has_plus) = (true, true);
                self.pieces.push(Piece::Sign);
            }
            "PR" if self.anchored.is_some() || self.has_plus || self.has_minus => {
                return Err(syntax("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
            }
            "PR" => self.brackets = true,
            "RN" => self.roman = Some(is_upper),
            "TH" => self.pieces.push(Piece::Ordinal(is_upper)),
            "V" if self.has_point => {
                return Err(syntax("cannot use \"V\" and decimal point together"));
            }
            "V" => self.shifts = true,
            // `B` and `SP` say nothing about digits.
            _ => {}
        }
        Ok(())
    }
}

fn syntax(message: &str) -> Error {
    Error::new(ErrorKind::Syntax, message)
}
