"""The benchmark measures what it says, and its pages say what was measured."""
