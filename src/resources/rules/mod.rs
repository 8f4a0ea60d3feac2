//! When it does it: what is heard, what is done, what is due.

mod by_key;
mod death;
mod groups;
mod partition;
mod quiet;
mod report;
mod requests;
mod resume;
mod returned;
mod standby;
mod start;
mod stop;
