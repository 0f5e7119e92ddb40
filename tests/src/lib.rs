//! Harness for end-to-end and fault tests over the real stack.
