//! Axis ranges that stay stable when a chain explodes or when the run gets longer.

/// An energy beyond this means that a chain exploded. Training uses the same bound for a diverged step.
pub(super) const EXPLODED: f32 = 1e4;
/// The axis does not follow a lane whose range is more than this many times wider than that of every other lane.
const MAX_SPAN_RATIO: f32 = 20.0;

/// The range of the finite values within ±[`EXPLODED`], and whether there were others.
pub(super) fn range_of(values: impl IntoIterator<Item = f32>) -> (Option<(f32, f32)>, bool) {
    let (mut range, mut has_exploded) = (None, false);
    for value in values {
        if !value.is_finite() || value.abs() > EXPLODED {
            has_exploded = true;
            continue;
        }
        let (low, high) = range.unwrap_or((value, value));
        range = Some((value.min(low), value.max(high)));
    }
    (range, has_exploded)
}

fn union(ranges: impl IntoIterator<Item = (f32, f32)>) -> Option<(f32, f32)> {
    ranges.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// The range of a lane's columns, each given as its own range and whether it holds exploded values. If a lane
/// explodes, the growth before the explosion is left out too: only values near those of the earlier columns
/// count.
pub(super) fn sane_range(columns: &[(Option<(f32, f32)>, bool)]) -> Option<(f32, f32)> {
    let ranges = |columns: &[(Option<(f32, f32)>, bool)]| union(columns.iter().filter_map(|c| c.0));
    let Some(first) = columns.iter().position(|column| column.1) else { return ranges(columns) };
    // Chains grow for a while before they explode, so only the first half of the time until then is taken as normal.
    let (low, high) = ranges(&columns[..(first / 2).max(1)]).or_else(|| ranges(columns))?;
    let margin = 2.0 * (high - low).max(1.0);
    let near = columns.iter().filter_map(|column| column.0);
    union(near.filter(|&(from, to)| from >= low - margin && to <= high + margin))
        .or(Some((low, high)))
}

/// The common range of the lanes, and the lanes that it leaves out because they are much wider than the others.
pub(super) fn common_range(ranges: &[Option<(f32, f32)>]) -> (Option<(f32, f32)>, Vec<usize>) {
    let span = |range: &Option<(f32, f32)>| range.map_or(0.0, |(low, high)| high - low);
    let is_wide = |lane: usize| {
        let others =
            ranges.iter().enumerate().filter(|&(other, range)| other != lane && range.is_some());
        let widest = others.map(|(_, range)| span(range)).reduce(f32::max);
        widest.is_some_and(|widest| span(&ranges[lane]) > MAX_SPAN_RATIO * widest.max(5.0))
    };
    let (wide, kept): (Vec<usize>, Vec<usize>) = (0..ranges.len()).partition(|&lane| is_wide(lane));
    (union(kept.into_iter().filter_map(|lane| ranges[lane])), wide)
}

/// The end of an axis that shows `last`. It is a round number, so that the axis does not change at every step,
/// but not beyond `goal` before `goal` is reached.
pub(super) fn calm_end(last: f64, goal: f64) -> f64 {
    let last = last.max(1e-9);
    let power = 10f64.powf(last.log10().floor());
    let end = [1.0, 2.0, 3.0, 5.0, 7.5, 10.0].iter().map(|factor| factor * power);
    let end = end.into_iter().find(|&end| end >= last).unwrap_or(last);
    if last <= goal { end.min(goal) } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explosion_does_not_set_the_axis() {
        let sane = |low: f32| (Some((low, low + 1.0)), false);
        let mut columns: Vec<_> = (0..10).map(|index| sane(-(index as f32))).collect();
        assert_eq!(sane_range(&columns), Some((-9.0, 1.0)));
        columns.extend([(Some((-9.0, 900.0)), false), (Some((-9.0, 9e3)), true), (None, true)]);
        assert_eq!(sane_range(&columns), Some((-9.0, 1.0)));
        assert_eq!(sane_range(&[(None, true)]), None);
        let (range, left_out) = common_range(&[Some((-5.0, 1.0)), None, Some((-2000.0, 1.0))]);
        assert_eq!((range, left_out), (Some((-5.0, 1.0)), vec![2]));
        assert_eq!(common_range(&[Some((0.0, 1e3))]), (Some((0.0, 1e3)), vec![]));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(calm_end(12.0, 100.0), 20.0);
        assert_eq!(calm_end(92.0, 95.0), 95.0);
        assert_eq!(calm_end(120.0, 100.0), 200.0);
        assert_eq!(calm_end(0.0, 100.0), 1e-9);
    }
}
