//! A Redis with the stock of one SKU as plain data: the oracle for the guards that every script begins with.
//!
//! It follows `fence::guard` and nothing else. The gate's tests hold the real scripts against it, and the simulation of the
//! fence protocol is made of it.

use super::StockModel;
use crate::fence::guard::{
    Fenced, Mark, Refused, Replids, Role, Server, admits, may_begin, may_close, may_create, may_go_on, may_write,
};
use crate::ids::Epoch;

/// One server, and what it has of the SKU.
#[derive(Debug, Clone)]
pub struct ModelServer {
    /// What it says it is.
    pub role: Role,
    /// Its replication id.
    pub replid: String,
    /// What its stock hash says; `None`: there is none.
    pub mark: Option<Mark>,
    /// Under which replication id it was filled.
    pub home: Option<String>,
    /// What is behind the mark; `None` after it was emptied.
    pub stock: Option<StockModel>,
}

impl ModelServer {
    /// An empty primary.
    #[must_use]
    pub const fn empty(replid: String) -> Self {
        Self { role: Role::Primary, replid, mark: None, home: None, stock: None }
    }

    fn server(&self) -> Server<'_> {
        Server { role: self.role, replid: &self.replid }
    }

    /// The stock, for whoever may decide about it now (`lua/fence.lua`).
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn admit(&mut self, epoch: Epoch, replids: &Replids) -> Result<&mut StockModel, Fenced> {
        admits(self.server(), self.mark, self.home.as_deref(), epoch, replids)?;
        self.stock.as_mut().ok_or(Fenced::Missing)
    }

    /// Takes the SKU off sale (`lua/close.lua`).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn close(&mut self, epoch: Epoch) -> Result<(), Refused> {
        may_close(self.mark, epoch)?;
        self.mark = self.mark.map(|_| Mark::Closed(epoch));
        Ok(())
    }

    /// Empties the SKU, to fill it (`lua/load.lua`, step `begin`).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn begin(&mut self, epoch: Epoch, noted: &Replids) -> Result<(), Refused> {
        self.empty_as(Mark::Loading(epoch), noted)
    }

    /// Empties the SKU and leaves it closed (step `block`).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn block(&mut self, epoch: Epoch, noted: &Replids) -> Result<(), Refused> {
        self.empty_as(Mark::Blocked(epoch), noted)
    }

    fn empty_as(&mut self, mark: Mark, noted: &Replids) -> Result<(), Refused> {
        may_write(self.server(), noted)?;
        may_begin(self.mark, mark.epoch())?;
        (self.mark, self.home, self.stock) = (Some(mark), None, None);
        Ok(())
    }

    /// Whether rows may be written between the begin and the opening (steps `holds`, `keys` and `buyers`).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn may_fill(&self, epoch: Epoch, noted: &Replids) -> Result<(), Refused> {
        may_write(self.server(), noted)?;
        may_go_on(self.mark, epoch)
    }

    /// Puts the SKU on sale, after it was filled (step `open`).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(&mut self, stock: StockModel, noted: &Replids) -> Result<(), Refused> {
        self.may_fill(stock.epoch(), noted)?;
        self.fill(stock);
        Ok(())
    }

    /// Puts a SKU on sale that was never loaded (step `create`).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn create(&mut self, stock: StockModel, noted: &Replids) -> Result<(), Refused> {
        may_write(self.server(), noted)?;
        may_create(self.mark)?;
        self.fill(stock);
        Ok(())
    }

    /// What a loader leaves behind, guarded or not.
    pub fn fill(&mut self, stock: StockModel) {
        (self.mark, self.home) = (Some(Mark::Open(stock.epoch())), Some(self.replid.clone()));
        self.stock = Some(stock);
    }
}
