//! The web client as part of the program: `build.rs` lists the files of `web/client/dist`.

include!(concat!(env!("OUT_DIR"), "/page.rs"));
