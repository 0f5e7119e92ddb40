//! Rebuilds the crate when a migration is added: they are compiled in, and cargo cannot know that by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../schema/migrations");
}
