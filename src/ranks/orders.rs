//! The orders of rank 0, between which the others wait.

use super::{RankError, Ranks, account::Purpose};

/// What rank 0 tells the others to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Do a training step.
    Step,
    /// Compare the weights, which rank 0 is about to save.
    Compare,
    /// Return to a good state: the last update broke the weights, and no step follows that would notice.
    Return,
    /// Leave: the run is complete.
    Leave,
    /// Leave: the run is saved before its end.
    Pause,
    /// Leave: rank 0 has an error.
    Fail,
}

impl Order {
    const ALL: [Self; 6] =
        [Self::Step, Self::Compare, Self::Return, Self::Leave, Self::Pause, Self::Fail];

    /// Whether nothing is exchanged after it.
    fn is_last(self) -> bool {
        matches!(self, Self::Leave | Self::Pause | Self::Fail)
    }
}

impl Ranks {
    /// Tells the other ranks what to do next.
    ///
    /// # Errors
    /// The ranks have left already.
    pub(crate) fn order(&self, order: Order) -> Result<(), RankError> {
        let Some(group) = &self.0 else { return Ok(()) };
        if self.is_over() {
            return Err(RankError::Gone);
        }
        if order.is_last() {
            self.set_over();
        }
        if order == Order::Step {
            group.account.begin();
        }
        let sent = group.account.count(Purpose::Rest, || group.link.broadcast(vec![order as u8]));
        sent.map(drop).map_err(|error| self.over(error))
    }

    /// Waits for the next order of rank 0.
    ///
    /// # Errors
    /// The ranks have left already.
    pub(crate) fn next_order(&self) -> Result<Order, RankError> {
        let Some(group) = &self.0 else { return Ok(Order::Leave) };
        let bytes = group.link.broadcast(Vec::new()).map_err(|error| self.over(error))?;
        let order = Order::ALL.into_iter().find(|&order| bytes == [order as u8]);
        let order = order.unwrap_or(Order::Fail);
        if order.is_last() {
            self.set_over();
        }
        Ok(order)
    }
}
