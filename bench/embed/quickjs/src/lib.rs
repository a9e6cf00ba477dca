//! Nothing of its own: makes cargo build QuickJS-ng, and put it into a static library for ../quickjs.c.
extern crate libquickjs_ng_sys;
