//! Which types hold all values of others, and are stored so that those can be read as theirs.

use super::types::Type;

/// The most digits of a numeric.
const DIGITS_MAX: i16 = 38;

impl Type {
    /// Whether every value is a value of the other type, and is stored so that it can be read as one.
    pub fn widens_to(&self, to: &Type) -> bool {
        use Type::{Char, Float4, Float8, Int2, Int4, Int8, Numeric, Text, Varchar};
        match (self, to) {
            (Int2, Int4 | Int8) | (Int4, Int8) | (Float4, Float8) => true,
            (Int2 | Int4 | Int8 | Numeric(..), Numeric(p, s)) => {
                let (whole, scale) = self.digits().expect("a number with digits");
                i16::from(*s) >= scale && i16::from(*p) - i16::from(*s) >= whole
            }
            (Varchar(_), Text | Varchar(None)) | (Text, Varchar(None)) => true,
            (Varchar(Some(n)) | Char(n), Varchar(Some(m))) => m >= n,
            (Char(_), Text | Varchar(None)) => true,
            _ => false,
        }
    }

    /// The narrowest type that both widen to, either of them included; None where there is none.
    pub fn common(&self, other: &Type) -> Option<Type> {
        if self == other || other.widens_to(self) {
            return Some(self.clone());
        }
        if self.widens_to(other) {
            return Some(other.clone());
        }
        let ((a, b), (c, d)) = (self.digits()?, other.digits()?);
        let (whole, scale) = (a.max(c), b.max(d));
        let precision = u8::try_from(whole + scale).ok().filter(|p| i16::from(*p) <= DIGITS_MAX)?;
        Some(Type::Numeric(precision, i8::try_from(scale).ok()?))
    }

    /// Digits before and behind the point, of types that are exact.
    fn digits(&self) -> Option<(i16, i16)> {
        match self {
            Type::Int2 => Some((5, 0)),
            Type::Int4 => Some((10, 0)),
            Type::Int8 => Some((19, 0)),
            Type::Numeric(p, s) => Some((i16::from(*p) - i16::from(*s), i16::from(*s))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Type::{self, Int4, Int8, Numeric, Text, Varchar};

    #[test]
    fn a_wider_type_holds_every_value() {
        assert!(Int4.widens_to(&Int8) && !Int8.widens_to(&Int4));
        assert!(Int4.widens_to(&Numeric(12, 2)) && !Int8.widens_to(&Numeric(12, 2)));
        assert!(Numeric(8, 2).widens_to(&Numeric(12, 4)));
        assert!(!Numeric(8, 2).widens_to(&Numeric(8, 4)));
        assert!(
            Varchar(Some(3)).widens_to(&Varchar(Some(5))) && !Text.widens_to(&Varchar(Some(5)))
        );
    }

    #[test]
    fn two_numbers_have_a_type_that_holds_both() {
        let both = |a: Type, b: Type| a.common(&b);
        assert_eq!(both(Int8, Int4), Some(Int8));
        assert_eq!(both(Int8, Numeric(12, 2)), Some(Numeric(21, 2)));
        assert_eq!(both(Numeric(38, 0), Numeric(8, 2)), None);
        assert_eq!(both(Int4, Text), None);
    }
}
