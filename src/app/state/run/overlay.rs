//! What is drawn over the chains.

/// A quantity that is drawn over the chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// No overlay: the chains themselves.
    #[default]
    Images,
    /// The chains without the noise of the data.
    Denoised,
    /// The energy gradient.
    Gradient,
    /// The change since the start.
    Change,
    /// The gradient components that were clamped.
    Clamped,
}

impl Overlay {
    /// Whether the overlay shows the gradients of the chains.
    pub(in crate::app) fn shows_gradients(self) -> bool {
        matches!(self, Self::Denoised | Self::Gradient | Self::Clamped)
    }
}
