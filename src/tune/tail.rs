//! How often a gap is longer than a dead time.

use super::{Bucket, MONTH_MS, Series, millis};

/// So many of the longest gaps are fitted.
const LONGEST: u64 = 200;

/// Fewer are not fitted: the shape is [`USUAL_SHAPE`] and the scale their mean.
const FEWEST: usize = 5;

/// The shape that is assumed until gaps tell another one, and how many gaps that assumption weighs. Half is on the
/// side of caution: the delays of networks and of hosts have heavy tails.
const USUAL_SHAPE: f64 = 0.5;
const USUAL_WEIGHT: f64 = 10.0;

/// The gaps of one node, and a generalised Pareto distribution for the longest of them.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    buckets: Vec<Bucket>,
    longest_ms: u64,
    /// Months that were sampled.
    months: f64,
    /// The fit holds from here on, in milliseconds.
    from: f64,
    /// So many gaps are longer than that.
    beyond: f64,
    shape: f64,
    scale: f64,
}

impl Tail {
    /// `None`: nothing was sampled.
    pub(super) fn of(series: &Series, keepalive_ms: u64) -> Option<Self> {
        let months = millis(series.covered_ms) / millis(MONTH_MS);
        if months <= 0.0 {
            return None;
        }
        let mut top: Vec<Bucket> = Vec::new();
        let mut beyond = 0_u64;
        let late = series.buckets.iter().rev().filter(|it| it.count > 0);
        for bucket in late.map_while(|it| lost(it, keepalive_ms.max(1))) {
            let with = beyond.saturating_add(bucket.count);
            if with > LONGEST && !top.is_empty() {
                break;
            }
            beyond = with;
            top.push(bucket);
        }
        let from = millis(top.last().map_or(0, |bucket| bucket.from_ms));
        let excesses = top.iter().flat_map(spread).map(|ms| ms - from);
        let mut excesses: Vec<f64> = excesses.filter(|excess| *excess > 0.0).collect();
        excesses.sort_unstable_by(f64::total_cmp);
        let (shape, scale) = fit(&excesses);
        Some(Self {
            buckets: series.buckets.clone(),
            longest_ms: series.longest_ms,
            months,
            from,
            beyond: millis(beyond),
            shape,
            scale,
        })
    }

    /// How many gaps of a month are longer than this, in milliseconds.
    pub(super) fn mistakes(&self, ms: u64) -> f64 {
        let longer = |it: &&Bucket| it.below_ms.min(self.longest_ms.saturating_add(1)) > ms;
        let seen = self.buckets.iter().filter(longer);
        let seen = seen.map(|bucket| bucket.count).fold(0, u64::saturating_add);
        let excess = (millis(ms) - self.from).max(0.0);
        let fitted = self.beyond * beyond(excess / self.scale, self.shape);
        millis(seen).max(fitted) / self.months
    }
}

/// A bucket of gaps in which a heartbeat was lost or came a whole interval late; `None`: of shorter gaps. It is made
/// as wide as an interval: gaps lie in heaps at whole intervals, and a fit would take the way between two heaps for a
/// heavy tail.
fn lost(bucket: &Bucket, keepalive_ms: u64) -> Option<Bucket> {
    let last = bucket.below_ms.saturating_sub(1);
    let whole = last.checked_div(keepalive_ms).filter(|whole| *whole >= 2)?;
    if bucket.below_ms.saturating_sub(bucket.from_ms) >= keepalive_ms {
        return Some(*bucket);
    }
    let from_ms = whole.saturating_mul(keepalive_ms);
    Some(Bucket {
        from_ms,
        below_ms: from_ms.saturating_add(keepalive_ms),
        count: bucket.count,
    })
}

/// The gaps of a bucket, evenly in it: only their number is known.
fn spread(bucket: &Bucket) -> impl Iterator<Item = f64> + use<> {
    let from = millis(bucket.from_ms);
    let wide = millis(bucket.below_ms.saturating_sub(bucket.from_ms));
    let count = bucket.count.min(LONGEST);
    (0..count).map(move |number| from + wide * (millis(number) + 0.5) / millis(count))
}

/// The part that is larger than `excess`, in units of the scale.
fn beyond(excess: f64, shape: f64) -> f64 {
    let part = if shape.abs() < 1e-6 {
        (-excess).exp()
    } else {
        (1.0 + shape * excess).max(0.0).powf(-1.0 / shape)
    };
    // Of what cannot be calculated nothing good is assumed.
    if part.is_nan() { 1.0 } else { part }
}

/// Shape and scale of a generalised Pareto distribution, by the estimator of Zhang and Stephens ("A new and
/// efficient estimation method for the generalized Pareto distribution", Technometrics 51, 2009): a mean over
/// likely values, so it always has an answer, where the largest likelihood may have none. `sorted`: rising, above 0.
fn fit(sorted: &[f64]) -> (f64, f64) {
    let count = sorted.len();
    let n = millis(u64::try_from(count).unwrap_or(u64::MAX));
    let mean = if count == 0 {
        1.0
    } else {
        sorted.iter().sum::<f64>() / n
    };
    let careful = (USUAL_SHAPE, mean.max(1.0));
    let (Some(largest), Some(quarter)) = (sorted.last(), sorted.get(count / 4)) else {
        return careful;
    };
    if count < FEWEST {
        return careful;
    }
    let shape_at = |theta: f64| {
        let logs = sorted.iter().map(|excess| (-theta * excess).ln_1p());
        logs.sum::<f64>() / n
    };
    let tries = 30.0 + n.sqrt().floor();
    let thetas: Vec<(f64, f64)> = (1..=super::whole(tries))
        .map(|number| {
            let place = (tries / (millis(number) - 0.5)).sqrt();
            let theta = 1.0 / largest + (1.0 - place) / (3.0 * quarter);
            let shape = shape_at(theta);
            let likelihood = n * ((-theta / shape).ln() - shape - 1.0);
            (theta, likelihood)
        })
        .filter(|(_, likelihood)| likelihood.is_finite())
        .collect();
    let best = thetas.iter().map(|it| it.1).fold(f64::MIN, f64::max);
    let weight = |likelihood: f64| (likelihood - best).exp();
    let weights: f64 = thetas.iter().map(|it| weight(it.1)).sum();
    let theta = thetas
        .iter()
        .map(|(theta, likelihood)| theta * weight(*likelihood) / weights)
        .sum::<f64>();
    let shape = shape_at(theta);
    let scale = -shape / theta;
    if !(shape.is_finite() && scale.is_finite() && scale > 0.0) {
        return careful;
    }
    let shape = (shape * n + USUAL_SHAPE * USUAL_WEIGHT) / (n + USUAL_WEIGHT);
    (shape, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the distribution itself: the fit must give back what they were made with.
    #[test]
    fn a_fit_finds_the_shape_and_the_scale() {
        for (shape, scale) in [(-0.3, 40.0), (0.0, 200.0), (0.3, 10.0), (0.8, 1_000.0)] {
            let quantile = |number: u64| {
                let rest = 1.0 - (millis(number) + 0.5) / 200.0;
                if shape == 0.0 {
                    -f64::ln(rest) * scale
                } else {
                    (rest.powf(-shape) - 1.0) * scale / shape
                }
            };
            let sorted: Vec<f64> = (0..200).map(quantile).collect();
            let (found, size) = fit(&sorted);
            assert!((found - shape).abs() < 0.1, "{found} for {shape}");
            assert!((size / scale - 1.0).abs() < 0.1, "{size} for {scale}");
        }
    }

    #[test]
    fn nothing_that_is_fitted_is_no_number() {
        let samples: [&[f64]; 7] = [
            &[],
            &[0.5],
            &[1.0; 200],
            &[0.5, 0.5, 0.5, 0.5, 1e15],
            &[1e-300; 50],
            &[f64::MAX; 10],
            &[0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
        ];
        for sorted in samples {
            let (shape, scale) = fit(sorted);
            assert!(shape.is_finite() && scale > 0.0, "{sorted:?}");
            for excess in [0.0, 1.0, 1e9, f64::MAX] {
                let part = beyond(excess / scale, shape);
                assert!((0.0..=1.0).contains(&part), "{sorted:?}: {part}");
            }
        }
    }
}
