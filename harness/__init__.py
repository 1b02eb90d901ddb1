"""What tests and benchmark share: real servers on free ports, processes, and taps on wires."""
