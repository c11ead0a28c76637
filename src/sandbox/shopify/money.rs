//! Money as the shop reckons with it: every amount in the shop's currency and in the one the buyer saw.
//!
//! Both sides of a [`Bag`] are computed by the same steps and rounded separately, half away from zero, so each side
//! adds up by itself; one is never derived from the other's result.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use rust_decimal::{Decimal, RoundingStrategy};

/// Decimals that a currency is counted in (ISO 4217).
pub fn decimals(currency: &str) -> u32 {
    match currency {
        "JPY" | "KRW" | "CLP" | "VND" | "ISK" | "UGX" | "XAF" | "XOF" | "XPF" | "PYG" | "RWF" | "KMF"
        | "GNF" | "DJF" | "BIF" | "VUV" => 0,
        "KWD" | "BHD" | "OMR" | "JOD" | "TND" | "IQD" | "LYD" => 3,
        _ => 2,
    }
}

/// Rounds half away from zero.
pub fn round(amount: Decimal, decimals: u32) -> Decimal {
    amount.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero)
}

/// As GraphQL writes money: no padding, but always a decimal ("120.0", "12.34").
pub fn graphql_text(amount: Decimal) -> String {
    let amount = amount.normalize();
    if amount.scale() == 0 {
        format!("{amount}.0")
    } else {
        amount.to_string()
    }
}

/// As webhook bodies write money: padded to the currency's decimals ("120.00").
pub fn rest_text(amount: Decimal, currency: &str) -> String {
    let places = decimals(currency);
    let mut amount = round(amount, places);
    amount.rescale(places);
    amount.to_string()
}

/// The two currencies of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currencies {
    /// Code of the shop's currency.
    pub shop: String,
    /// Code of the currency that the buyer paid in.
    pub presentment: String,
    /// Presentment units for one shop unit.
    pub rate: Decimal,
}

impl Currencies {
    /// The buyer pays in the shop's own currency.
    pub fn same(shop: &str) -> Self {
        Self {
            shop: shop.to_owned(),
            presentment: shop.to_owned(),
            rate: Decimal::ONE,
        }
    }

    /// An amount of shop currency and its price in the buyer's.
    pub fn bag(&self, amount: Decimal) -> Bag {
        let shop = round(amount, decimals(&self.shop));
        Bag {
            shop,
            presentment: round(shop * self.rate, decimals(&self.presentment)),
        }
    }

    /// Rounds both sides to their currency.
    pub fn round(&self, bag: Bag) -> Bag {
        Bag {
            shop: round(bag.shop, decimals(&self.shop)),
            presentment: round(bag.presentment, decimals(&self.presentment)),
        }
    }

    /// The part of `total` that belongs to `part` of `of` units. Shares of growing parts differ by exact steps, and the
    /// share of all units is the total, so parts that are taken one after the other never lose a cent.
    pub fn share(&self, total: Bag, part: u32, of: u32) -> Bag {
        if of == 0 || part >= of {
            return total;
        }
        self.round(total.times(Decimal::from(part)).over(Decimal::from(of)))
    }
}

/// One amount in shop money and in presentment money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bag {
    /// In the shop's currency.
    pub shop: Decimal,
    /// In the buyer's currency.
    pub presentment: Decimal,
}

impl Bag {
    /// Nothing.
    pub const ZERO: Self = Self {
        shop: Decimal::ZERO,
        presentment: Decimal::ZERO,
    };

    /// Both sides multiplied, not rounded.
    #[must_use]
    pub fn times(self, factor: Decimal) -> Self {
        Self {
            shop: self.shop * factor,
            presentment: self.presentment * factor,
        }
    }

    /// Both sides divided, not rounded. Division by zero gives nothing.
    #[must_use]
    pub fn over(self, divisor: Decimal) -> Self {
        if divisor.is_zero() {
            return Self::ZERO;
        }
        Self {
            shop: self.shop / divisor,
            presentment: self.presentment / divisor,
        }
    }

    /// Whether both sides are nothing.
    pub fn is_zero(self) -> bool {
        self.shop.is_zero() && self.presentment.is_zero()
    }

    /// The smaller amount on each side.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            shop: self.shop.min(other.shop),
            presentment: self.presentment.min(other.presentment),
        }
    }
}

impl Add for Bag {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            shop: self.shop + other.shop,
            presentment: self.presentment + other.presentment,
        }
    }
}

impl AddAssign for Bag {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Bag {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Bag {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            shop: -self.shop,
            presentment: -self.presentment,
        }
    }
}

impl Sum for Bag {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}

/// Splits `total` over `weights`, to the last cent: each part is rounded down first, then the cents that are left go to
/// the largest remainders (the earlier part wins a tie). No part exceeds its weight.
pub fn allocate(total: Decimal, weights: &[Decimal], places: u32) -> Vec<Decimal> {
    let sum: Decimal = weights.iter().copied().sum();
    if sum <= Decimal::ZERO {
        return vec![Decimal::ZERO; weights.len()];
    }
    let total = total.min(sum);
    let exact: Vec<Decimal> = weights.iter().map(|w| total * *w / sum).collect();
    let mut parts: Vec<Decimal> = exact.iter().map(|e| e.trunc_with_scale(places)).collect();
    let mut left = total - parts.iter().copied().sum::<Decimal>();
    let cent = Decimal::new(1, places);
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| {
        (exact[*b] - parts[*b])
            .cmp(&(exact[*a] - parts[*a]))
            .then(a.cmp(b))
    });
    for index in order.into_iter().cycle().take(weights.len() * 4) {
        if left < cent {
            break;
        }
        if parts[index] + cent <= weights[index] {
            parts[index] += cent;
            left -= cent;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn money_is_written_as_each_interface_does() {
        for (amount, graphql, rest) in [
            ("120", "120.0", "120.00"),
            ("120.00", "120.0", "120.00"),
            ("12.50", "12.5", "12.50"),
            ("0", "0.0", "0.00"),
            ("-3.07", "-3.07", "-3.07"),
        ] {
            assert_eq!(graphql_text(d(amount)), graphql);
            assert_eq!(rest_text(d(amount), "EUR"), rest);
        }
        assert_eq!(rest_text(d("120.0"), "JPY"), "120");
        assert_eq!(rest_text(d("1.5"), "KWD"), "1.500");
    }

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!(round(d("0.125"), 2), d("0.13"));
        assert_eq!(round(d("-0.125"), 2), d("-0.13"));
    }

    #[test]
    fn a_discount_is_spread_by_price() {
        // 10.00 over 20.00, 5.00 and 5.00: two thirds and a sixth each would be 6.67 + 1.67 + 1.67 = 10.01;
        // rounded down they are 6.66 + 1.66 + 1.66 = 9.98, and the two cents go to the equal remainders in turn.
        assert_eq!(
            allocate(d("10.00"), &[d("20"), d("5"), d("5")], 2),
            [d("6.67"), d("1.67"), d("1.66")]
        );
    }

    proptest! {
        #[test]
        fn allocation_keeps_every_cent(total in 0u32..200_000, weights in prop::collection::vec(0u32..50_000, 1..12)) {
            let weights: Vec<Decimal> = weights.into_iter().map(|w| Decimal::new(i64::from(w), 2)).collect();
            let sum: Decimal = weights.iter().copied().sum();
            let total = Decimal::new(i64::from(total), 2);
            let parts = allocate(total, &weights, 2);
            prop_assert_eq!(parts.iter().copied().sum::<Decimal>(), total.min(sum));
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(*part >= Decimal::ZERO && part <= weight);
            }
        }

        #[test]
        fn shares_step_up_to_the_total(total in 0i64..100_000, of in 1u32..20) {
            let money = Currencies::same("EUR");
            let total = money.bag(Decimal::new(total, 2));
            let mut last = Bag::ZERO;
            for part in 0..=of {
                let share = money.share(total, part, of);
                prop_assert!(share.shop >= last.shop);
                last = share;
            }
            prop_assert_eq!(last, total);
        }
    }
}
