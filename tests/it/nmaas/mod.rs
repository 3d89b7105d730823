//! Where a tenant meets NMaaS: domain requests.

mod import;
