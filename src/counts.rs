//! Counts in words, as in `1 image` and `2,000 images`.

/// A number with commas between thousands.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `one` for 1, otherwise `many`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_one_is_singular() {
        let shown = [0, 1, 999, 1000, 60_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "1", "999", "1,000", "60,000", "1,234,567"]);
        let shown = [0, 1, 6396].map(|count| counted(count, "class", "classes"));
        assert_eq!(shown, ["0 classes", "1 class", "6,396 classes"]);
    }
}
