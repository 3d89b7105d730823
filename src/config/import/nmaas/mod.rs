//! A domain request of NMaaS → documents.
//!
//! NMaaS calls a tenant a *domain*. Whoever wants one fills in a form of its portal
//! (`domainRequest.json` of nmaas-portal), which reaches the operators as a mail or as the
//! JSON that was sent for it (`POST /api/mail`). What a gateway has to know of it is a
//! site; what is for people stays with them.
//!
//! In reading order: [`Form`] (the request, read), [`FormFlaw`] (what is wrong with it and
//! where), [`Wishes`] and [`documents()`] (documents of it), [`Made`], [`Remark`].

mod documents;
mod flaw;
mod form;
mod reader;

pub use documents::{Made, Vlan, Wishes, documents};
pub use flaw::{FormFlaw, FormProblem};
pub use form::{Form, Remark, Subnet, Technology};
