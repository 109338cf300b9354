"""What is measured: one module a case, each with `play(theatre)`, which returns its runs."""
