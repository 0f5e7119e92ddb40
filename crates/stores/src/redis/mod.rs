//! The gate: the scripts that decide stock, and the connection they run over.
