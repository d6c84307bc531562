//! Whoever is away for a while: nothing is lost, and nothing is pushed that was not needed.
